// Reads off a coded H.264 picture how many bits each of its macroblocks took, without decoding it.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstream/h264_macroblock.h"
#include "bitstream/h264_parameter_sets.h"
#include "bitstream/nal_unit.h"
#include "bitstream/picture_cost.h"

namespace ov2::bitstream {

// Keeps memory from picture to picture; each thread needs one of its own.
class H264Parser {
  public:
    explicit H264Parser(const CostRules& rules) : rules_(rules) {}

    // The picture of a packet, a frame or one or two fields of one. `sets` are those in force before it, and
    // `length_size` is that of NalUnits. Whatever the bytes, this ends, throws nothing but std::bad_alloc,
    // and says in the status whether the result can be used.
    PictureCost parse(const uint8_t* packet, int64_t size, int length_size, const ParameterSets& sets);

  private:
    struct Picture;
    Status parse_units(const uint8_t* packet, int64_t size, int length_size, const ParameterSets& sets,
                       PictureCost& cost);
    Status parse_slice(const NalUnits& unit, const ParameterSets& sets, Picture& picture, PictureCost& cost);

    CostRules rules_;
    Rbsp rbsp_;
    MbField planes_[3];
    uint32_t slices_ = 0;  // parsed so far, in all pictures
};

// Takes up the parameter sets of a packet, as far as they stand before its first slice.
void absorb_parameter_sets(const uint8_t* packet, int64_t size, int length_size, ParameterSets& sets);

}  // namespace ov2::bitstream
