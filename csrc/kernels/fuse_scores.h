#pragma once

#include <cstdint>

namespace ov2::kernels {

struct Weights {
    int64_t motion, residual, bits;  // in 1/256
};

// One score per block, each energy normalised within its group (algorithm, section 6).
// residual, motion_energy, bits [N, blocks]; group_edges [groups + 1]; scores [N, blocks], 0 in a group's
// first sample.
void fuse_scores(const int32_t* residual, const int32_t* motion_energy, const int64_t* bits, int64_t blocks,
                 const int64_t* group_edges, int64_t groups, Weights weights, int64_t patch, int threads,
                 int32_t* scores);

}  // namespace ov2::kernels
