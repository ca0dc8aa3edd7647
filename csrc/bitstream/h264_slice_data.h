// Slice data (ITU-T H.264, 7.3.4): walks the macroblocks of a slice and notes how many bits each took.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstream/h264_macroblock.h"
#include "bitstream/h264_slice_header.h"
#include "bitstream/nal_unit.h"
#include "bitstream/picture_cost.h"

namespace ov2::bitstream {

struct SliceTask {
    const SliceHeader& header;
    const Rbsp& rbsp;
    int64_t position;  // where the header ends
    const CostRules& rules;
    const std::vector<uint8_t>& group_map;  // of slice groups; empty where there is one only
    MbField& mbs;                           // of the picture or colour plane
    uint32_t slice;                         // its number; earlier ones are lower
    uint32_t first_slice;                   // number of the picture's first
    PictureCost& cost;
    int64_t macroblocks = 0;  // out: how many it held
};

// Adds to `task.cost`; anything but Status::ok means that what was added is worth nothing.
Status parse_slice_data(SliceTask& task);

}  // namespace ov2::bitstream
