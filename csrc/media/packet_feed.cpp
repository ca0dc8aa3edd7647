#include "media/packet_feed.h"

#include <algorithm>

#include "media/picture_header.h"

namespace ov2::media {
namespace {

// Reading on costs less than going elsewhere up to so many bytes.
constexpr int64_t kWorthSeeking = int64_t{1} << 18;

// What of a keyframe is read to learn what it is.
constexpr int64_t kHead = 4096;

// After seeking, the first packets may be pieces of one.
constexpr int kMostPieces = 8;

}  // namespace

bool PacketFeed::next(AVPacket& packet) {
    if (ahead_) {
        av_packet_unref(&packet);
        av_packet_move_ref(&packet, ahead_.get());
        ahead_.reset();
    } else {
        if (lost_ || !demuxer_.next(packet)) return false;
        lost_ = sought_ && !plan_.is(packet, place_);
        if (lost_) return false;
    }
    int64_t row = plan_.row(place_);
    if (plan_.is_key(place_)) first_row_ = last_row_ = -1;
    if (plan_.needed(row)) {
        first_row_ = first_row_ < 0 ? row : std::min(first_row_, row);
        last_row_ = std::max(last_row_, row);
    }
    ++place_;
    return true;
}

bool PacketFeed::go_to(int64_t key) {
    if (key <= place_ || !worth_seeking(key)) return true;
    lost_ = !seek(key);
    return !lost_;
}

int64_t PacketFeed::pass_over(const std::string& parameter_sets, const std::vector<uint8_t>& is_reference) {
    if (ahead_ || !references_known(is_reference)) return 0;
    int64_t key = place_;
    while (plan_.may_skip_to_next_key(key) && can_begin_at(plan_.next_key(key), parameter_sets)) {
        key = plan_.next_key(key);
    }
    if (!worth_seeking(key)) return 0;
    int64_t before = place_;
    lost_ = !seek(key);
    return lost_ ? 0 : place_ - before;
}

bool PacketFeed::worth_seeking(int64_t key) const {
    int64_t bytes = 0;
    for (int64_t place = place_; place < key && bytes <= kWorthSeeking; ++place) {
        if (plan_.row(place) >= 0) bytes += table_.size[static_cast<size_t>(plan_.row(place))];
    }
    return bytes > kWorthSeeking;
}

bool PacketFeed::can_begin_at(int64_t key, const std::string& parameter_sets) const {
    auto row = static_cast<size_t>(plan_.row(key));
    std::vector<uint8_t> head = demuxer_.packet_at(key, table_.size[row], kHead);
    AVPacket packet{};
    packet.data = head.data();
    packet.size = static_cast<int>(head.size());
    packet.flags = AV_PKT_FLAG_KEY;
    if (head.empty()) return false;
    PictureHeader header = read_picture_header(*demuxer_.stream()->codecpar, packet);
    return header.clean_access && (header.parameter_sets.empty() || header.parameter_sets == parameter_sets);
}

bool PacketFeed::references_known(const std::vector<uint8_t>& is_reference) const {
    if (is_reference.empty() || last_row_ < 0) return true;
    // The vectors of a picture are told by the distance of the first reference displayed behind it.
    for (auto row = static_cast<size_t>(first_row_); row < is_reference.size(); ++row) {
        if (is_reference[row] > 1) return false;
        if (is_reference[row] == 1 && static_cast<int64_t>(row) > last_row_) return true;
    }
    return true;
}

bool PacketFeed::seek(int64_t key) {
    sought_ = true;
    ahead_.reset(av_packet_alloc());
    if (!ahead_) throw std::bad_alloc();
    // Some containers seek by decoding times, which run ahead of what is displayed.
    int64_t earlier = std::max<int64_t>(plan_.row(key) - 2 * plan_.reordering() - 2, 0);
    for (int64_t row : {plan_.row(key), earlier}) {
        if (!demuxer_.seek(table_.pts[static_cast<size_t>(row)])) return false;
        for (int piece = 0; piece < kMostPieces && demuxer_.next(*ahead_); ++piece) {
            int64_t place = plan_.index_of(*ahead_);
            if (place > key) break;
            if (place < 0) continue;
            place_ = place;
            return true;
        }
    }
    return false;
}

}  // namespace ov2::media
