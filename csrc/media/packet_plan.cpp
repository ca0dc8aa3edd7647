#include "media/packet_plan.h"

#include <algorithm>
#include <limits>

namespace ov2::media {

PacketPlan::PacketPlan(const PacketTable& table, const std::vector<int64_t>& samples, bool predecessors)
    : table_(table) {
    int64_t packets = 1 + *std::max_element(table.decode_index.begin(), table.decode_index.end());
    rows_.assign(static_cast<size_t>(packets), -1);
    for (size_t row = 0; row < table.decode_index.size(); ++row) {
        rows_[static_cast<size_t>(table.decode_index[row])] = static_cast<int64_t>(row);
    }
    needed_.assign(table.size.size(), 0);
    for (int64_t sample : samples) {
        needed_[static_cast<size_t>(sample)] = 1;
        if (predecessors && sample > 0) needed_[static_cast<size_t>(sample) - 1] = 1;
    }
    constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
    next_needed_.assign(static_cast<size_t>(packets) + 1, kNever);
    next_key_.assign(static_cast<size_t>(packets), kNever);
    leads_.assign(static_cast<size_t>(packets), 0);
    // Backwards: what the packets behind hold, and the earliest row wanted before the next keyframe comes.
    int64_t next_key = kNever;
    int64_t earliest_row = kNever;
    for (int64_t index = packets - 1; index >= 0; --index) {
        auto i = static_cast<size_t>(index);
        next_key_[i] = next_key;
        next_needed_[i] = needed(rows_[i]) ? index : next_needed_[i + 1];
        if (needed(rows_[i])) {
            last_needed_ = std::max(last_needed_, index);
            earliest_row = std::min(earliest_row, rows_[i]);
        }
        if (is_key(index)) {
            leads_[i] = earliest_row < rows_[i];
            next_key = index;
        }
    }
}

int64_t PacketPlan::reordering() const {
    // For the picture that waits longest, all that are displayed before it have been decoded, so that what
    // else has been decoded is displayed after it.
    int64_t decoded = 0;
    int64_t most = 0;
    for (int64_t row : rows_) {
        if (row >= 0) most = std::max(most, decoded++ - row);
    }
    return most;
}

std::vector<int64_t> PacketPlan::loads() const {
    std::vector<int64_t> loads;
    int64_t start = 0;
    int64_t last = -1;
    auto packets = static_cast<int64_t>(rows_.size());
    for (int64_t index = 0; index <= packets; ++index) {
        if (index == packets || (is_key(index) && index > start)) {
            if (last >= 0) loads.push_back(last - start + 1);
            start = index;
            last = -1;
        }
        if (index < packets && needed(row(index))) last = index;
    }
    return loads;
}

bool PacketPlan::is_key(int64_t index) const {
    int64_t r = row(index);
    return r >= 0 && table_.is_key[static_cast<size_t>(r)] != 0;
}

int64_t PacketPlan::key_before(int64_t index) const {
    while (index > 0 && !is_key(index)) --index;
    return index;
}

bool PacketPlan::is(const AVPacket& packet, int64_t index) const {
    auto r = static_cast<size_t>(row(index));
    return row(index) < 0 || (table_.pts[r] == packet.pts && table_.size[r] == packet.size);
}

int64_t PacketPlan::index_of(const AVPacket& packet) const {
    auto [first, last] = std::equal_range(table_.pts.begin(), table_.pts.end(), packet.pts);
    if (last - first != 1) return -1;
    int64_t index = table_.decode_index[static_cast<size_t>(first - table_.pts.begin())];
    return is(packet, index) ? index : -1;
}

bool PacketPlan::may_skip_to_next_key(int64_t index) const {
    if (index >= static_cast<int64_t>(rows_.size())) return false;
    int64_t key = next_key_[static_cast<size_t>(index)];
    return key != std::numeric_limits<int64_t>::max() && next_needed_[static_cast<size_t>(index)] >= key &&
           leads_[static_cast<size_t>(key)] == 0;
}

}  // namespace ov2::media
