#pragma once

#include "kernels/geometry.h"

namespace ov2::kernels {

// The encoder's input straight from the frames (algorithm, section 9). `Value` is any type as wide as the
// output's: the table [3, 256] gives the normalised value of each channel and level, so nothing is computed
// here. values [C * 4 * blocks, 3 * patch * patch] and positions [C * 4 * blocks, 3], both in block order.
template <typename Value>
void pack_pixel_values(const Geometry& g, const uint8_t* frames, const int64_t* selected, int64_t count,
                       const int64_t* frame_ids, const Value* table, int threads, Value* values,
                       int64_t* positions);

}  // namespace ov2::kernels
