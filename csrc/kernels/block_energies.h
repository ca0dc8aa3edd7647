#pragma once

#include "kernels/cells.h"
#include "kernels/geometry.h"

namespace ov2::kernels {

// Residual, motion and estimated bits per block (algorithm, section 5).
// luma, prev_luma [N, H, W]; motion [N, H/4, W/4, 2]; packet_bytes [N]; outputs [N, hb, wb].
// `most` is for tests.
void block_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma, const int16_t* motion,
                    const int64_t* packet_bytes, int threads, Instructions most, int32_t* residual,
                    int32_t* motion_energy, int64_t* bits);

}  // namespace ov2::kernels
