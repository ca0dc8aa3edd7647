#pragma once

#include <cstdint>

namespace ov2::kernels {

// The source block of every block of every canvas (algorithm, section 7).
// scores [N, blocks] (not negative); group_edges [groups + 1]; attenuation [blocks]; selected [C, blocks]
// holds sample * blocks + block, ascending within a canvas. Each group writes its I-canvas, then its
// P-canvases.
void select_blocks(const int32_t* scores, int64_t blocks, const int64_t* group_edges, int64_t groups,
                   const int32_t* attenuation, int64_t images_per_group, bool global, int threads,
                   int64_t* selected);

// Canvases of a group of `samples`: an I-canvas and as many P-canvases as there are samples to fill them.
int64_t canvases_in_group(int64_t samples, int64_t images_per_group);

}  // namespace ov2::kernels
