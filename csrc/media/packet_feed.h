// Hands out coded pictures with their places in decode order, and leaves out stretches that nobody wants.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/demuxer.h"
#include "media/packet_plan.h"

namespace ov2::media {

class PacketFeed {
  public:
    // From the first packet of a demuxer on.
    PacketFeed(Demuxer& demuxer, const PacketTable& table, const PacketPlan& plan)
        : demuxer_(demuxer), table_(table), plan_(plan) {}

    // The next packet. False at the end, or where the container, once sought in, did not keep its word.
    bool next(AVPacket& packet);
    bool lost() const { return lost_; }
    bool sought() const { return sought_; }

    // The place in decode order of what next() hands out next.
    int64_t place() const { return place_; }

    // Goes on to a keyframe ahead where reading on would take longer. False where that got lost.
    bool go_to(int64_t key);

    // Goes on to the keyframe before the next packet wanted, if a decoder may begin there, and what lies
    // between tells it nothing. Only where a look at a keyframe costs no reading on. Returns how many packets
    // were left out. `parameter_sets` are those that the decoder has; `is_reference` tells, by row, what
    // vectors may point to (2 where that is unknown), and is empty where that does not matter.
    int64_t pass_over(const std::string& parameter_sets, const std::vector<uint8_t>& is_reference);

  private:
    bool worth_seeking(int64_t key) const;
    bool can_begin_at(int64_t key, const std::string& parameter_sets) const;
    bool references_known(const std::vector<uint8_t>& is_reference) const;
    bool seek(int64_t key);

    Demuxer& demuxer_;
    const PacketTable& table_;
    const PacketPlan& plan_;
    int64_t place_ = 0;
    PacketPtr ahead_;      // the packet that seeking came to
    bool sought_ = false;  // from then on packets must be those of the table
    bool lost_ = false;
    int64_t first_row_ = -1, last_row_ = -1;  // rows wanted since the last keyframe
};

}  // namespace ov2::media
