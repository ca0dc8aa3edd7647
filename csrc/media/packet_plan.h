// Which packets the decoder must see, given the frames that are wanted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "media/picture_header.h"
#include "media/probe.h"

namespace ov2::media {

class PacketPlan {
  public:
    // `samples` are rows of the table; each needs its own picture and, with `predecessors`, the one displayed
    // before it.
    PacketPlan(const PacketTable& table, const std::vector<int64_t>& samples, bool predecessors = true);

    // The row of the packet at this place in decode order, or -1 for one that displays nothing.
    int64_t row(int64_t index) const {
        return index < static_cast<int64_t>(rows_.size()) ? rows_[static_cast<size_t>(index)] : -1;
    }
    bool needed(int64_t row) const { return row >= 0 && needed_[static_cast<size_t>(row)] != 0; }
    int64_t needed_pictures() const { return std::count(needed_.begin(), needed_.end(), uint8_t{1}); }
    bool is_key(int64_t index) const;

    // The last keyframe at or before a place in decode order; 0 where there is none.
    int64_t key_before(int64_t index) const;

    // The first keyframe after a place that has one.
    int64_t next_key(int64_t index) const { return next_key_[static_cast<size_t>(index)]; }

    // Whether a packet, by its time and its size, is the one at this place in decode order.
    bool is(const AVPacket& packet, int64_t index) const;

    // The place of a packet in decode order, by its time; -1 where no single one has that and its size.
    int64_t index_of(const AVPacket& packet) const;

    // The most pictures that any picture waits for: decoded before it, displayed after it.
    int64_t reordering() const;

    // Packets to decode in each stretch from one keyframe to the next, up to the last picture wanted there.
    std::vector<int64_t> loads() const;

    // Whether all pictures wanted lie before the packet `index` in decode order.
    bool finished(int64_t index) const { return index > last_needed_; }

    // Whether the packet serves nothing wanted, provided that the next keyframe is a clean point of access:
    // then the caller keeps it back until that keyframe tells.
    bool may_skip_to_next_key(int64_t index) const;

  private:
    const PacketTable& table_;
    std::vector<int64_t> rows_;         // by decode order
    std::vector<uint8_t> needed_;       // by row
    std::vector<int64_t> next_needed_;  // by decode order: the first wanted packet at or after
    std::vector<int64_t> next_key_;     // by decode order: the first keyframe after
    std::vector<uint8_t>
        leads_;  // by decode order: a keyframe that wanted pictures follow but are shown before
    int64_t last_needed_ = -1;
};

}  // namespace ov2::media
