#pragma once

#include <functional>

#include "kernels/geometry.h"

namespace ov2::kernels {

// Writes `count` blocks of a sample side by side, the first in row `y` and column `x` of blocks; rows of `to`
// are 3 * W bytes long. Runs on several threads at once.
using CopyBlocks = std::function<void(int64_t sample, int64_t y, int64_t x, int64_t count, uint8_t* to)>;

// Blocks of frames [N, H, W, 3].
CopyBlocks copy_from(const Geometry& g, const uint8_t* frames);

// Lays the selected blocks of the samples into canvases (algorithm, section 8).
// selected [C, blocks]; frame_ids [N]; canvases [C, H, W, 3]; positions [C * hp * wp, 3], row-major.
void pack_canvases(const Geometry& g, const CopyBlocks& copy_blocks, const int64_t* selected, int64_t count,
                   const int64_t* frame_ids, int threads, uint8_t* canvases, int32_t* positions);

}  // namespace ov2::kernels
