// Which slice group each macroblock belongs to (flexible macroblock ordering; ITU-T H.264, 8.2.2).
#pragma once

#include <cstdint>
#include <vector>

#include "bitstream/h264_slice_header.h"

namespace ov2::bitstream {

// mbToSliceGroupMap of the slice's picture by macroblock address; empty where there is one group only.
std::vector<uint8_t> slice_group_map(const SliceHeader& header);

}  // namespace ov2::bitstream
