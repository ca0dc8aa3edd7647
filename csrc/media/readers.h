// The two ways to decode what a read needs. Both fill the same arrays with the same bits.
#pragma once

#include "media/packet_feed.h"
#include "media/sample_writer.h"

namespace ov2::media {

// Compressed bytes that a reader keeps back at most.
constexpr int64_t kMostHeldBytes = int64_t{32} << 20;

// What both ways share.
struct ReadContext {
    const ReadRequest& request;
    Demuxer& demuxer;
    PacketFeed& feed;
    const PacketPlan& plan;
    SampleWriter& writer;
    ReadStatistics& statistics;
    bool by_seeking;                    // or packet by packet
    std::vector<uint8_t> is_reference;  // by row of the table: 0, 1, or kUnknown
    bool every_picture = false;         // decode also those that nothing needs
    static constexpr uint8_t kUnknown = 2;

    const PacketTable& table() const { return *request.table; }

    // Leaves out packets that no sample needs, up to a keyframe, where that is quicker than reading them.
    void pass_over(const std::string& parameter_sets);

    // Whether the distances of the last sample's references are known, so that reading may end.
    bool references_known(char last_picture_type) const;
};

// One decoder with threads of its own, pictures in display order; converters work beside it. Throws
// VideoError where a sample cannot be decoded; false where seeking went wrong.
bool read_in_order(ReadContext& context);

// One single-threaded decoder a thread, each on its own stretch from one IDR picture to the next, converting
// what it decodes. False where that does not give every picture wanted: then the arrays hold nothing of use.
bool read_segments(ReadContext& context);

// Whether read_segments can work on this stream, and keeps the threads evenly busy.
bool segments_pay(const ReadContext& context);

}  // namespace ov2::media
