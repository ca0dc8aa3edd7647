#pragma once

#include "kernels/geometry.h"

namespace ov2::kernels {

// One score per block from what changed since the sample and since the frame before (algorithm, section 6).
// luma, prev_luma [N, H, W]; group_edges [groups + 1]; scores [N, hb, wb], 0 in a group's first sample.
void change_scores(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma,
                   const int64_t* group_edges, int64_t groups, int threads, int32_t* scores);

}  // namespace ov2::kernels
