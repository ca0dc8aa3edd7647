#pragma once

#include "kernels/geometry.h"

namespace ov2::kernels {

// Lays the selected blocks of the frames into canvases (algorithm, section 8).
// frames [N, H, W, 3]; selected [C, blocks]; frame_ids [N]; canvases [C, H, W, 3]; positions [C * hp * wp,
// 3], row-major.
void pack_canvases(const Geometry& g, const uint8_t* frames, const int64_t* selected, int64_t count,
                   const int64_t* frame_ids, int threads, uint8_t* canvases, int32_t* positions);

}  // namespace ov2::kernels
