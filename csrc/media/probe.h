// The packet table of a video: what the container tells about every picture, without decoding one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "media/libav.h"
#include "media/limits.h"
#include "media/orientation.h"

namespace ov2::media {

// Rows are pictures in display order, or in decode order where the stream has no usable timestamps.
struct PacketTable {
    std::vector<int64_t> size;          // bytes
    std::vector<int64_t> pts;           // ticks of time_base
    std::vector<uint8_t> is_key;        // 0 or 1
    std::vector<int64_t> decode_index;  // position of the picture's packet among all packets of the stream
    std::string codec;
    std::string container;
    int width = 0;  // of the coded picture, in pixels
    int height = 0;
    Orientation orientation;
    AVRational time_base{0, 1};
    AVRational frame_rate{0, 1};
    bool has_timestamps = true;
    int64_t missing = 0;  // pictures that the container lists and the file does not hold
};

PacketTable probe(const std::string& path, const Limits& limits);

}  // namespace ov2::media
