#pragma once

#include "kernels/geometry.h"

namespace ov2::kernels {

// Whether each frame is black, flat or green throughout: 0 or 1 each. Algorithm, section 13.
void bad_frames(const Geometry& geometry, const uint8_t* frames, int threads, uint8_t* bad);

}  // namespace ov2::kernels
