#pragma once

#include "kernels/geometry.h"

namespace ov2::kernels {

// Where the rows or columns of a grid over the picture begin, in source pixels; `at[count]` is the picture's
// end.
struct GridEdges {
    const int64_t* at;
    int64_t count;
};

// Hands what was measured on a grid of cells to the blocks of the canvas, by the area that they share.
// Algorithm, section 12.
void block_bits(const Geometry& geometry, const int64_t* cells, GridEdges rows, GridEdges columns,
                int threads, int64_t* bits);

}  // namespace ov2::kernels
