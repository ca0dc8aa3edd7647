// What an entropy parser tells about a picture, whatever the codec.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ov2::bitstream {

// Why a picture has no exact cost.
enum class Status : uint8_t {
    ok = 0,
    no_picture,         // the packet holds none, or there is no packet
    parameter_sets,     // those that a slice refers to are missing or unreadable
    broken,             // a slice does not end where its data end, or holds what the standard forbids
    incomplete,         // macroblocks are missing, or there twice
    data_partitioning,  // slice data partitions of the Extended profile
    switching_slices,   // SI and SP slices
    several_pictures,   // more than one picture in a packet
    codec,              // not a codec that can be parsed
    size,               // not of the size that the container states
};

// How bits are counted. The defaults are the truth; the others are how codec-video-prep 0.2.5 counts.
struct CostRules {
    bool whole_bytes = false;           // CABAC positions are rounded up to bytes
    bool run_to_first_skipped = false;  // mb_skip_run belongs to the first macroblock that it skips
    bool terminate_to_nobody = false;   // end_of_slice_flag belongs to no macroblock
};

// Square units of `unit` pixels, row by row, from the top left corner of the coded picture.
struct PictureCost {
    int unit = 16;
    int width = 0;  // in units
    int height = 0;
    int crop_left = 0, crop_top = 0;        // pixels of the first units that are not shown
    int shown_width = 0, shown_height = 0;  // in pixels
    std::vector<int32_t> bits;
    // 1 where a unit and the one below (even row) or above it (odd row) hold the lines of a field each.
    std::vector<uint8_t> field_pair;
    std::string slice_types;   // each letter once, in the order P, B, I
    int64_t payload_bits = 0;  // of slice data in all, by the positions where they begin and end
    Status status = Status::no_picture;

    bool same_shape(const PictureCost& other) const {
        return unit == other.unit && width == other.width && height == other.height &&
               crop_left == other.crop_left && crop_top == other.crop_top &&
               shown_width == other.shown_width && shown_height == other.shown_height;
    }
};

}  // namespace ov2::bitstream
