#include "kernels/block_bits.h"

#include <algorithm>
#include <vector>

#include "parallel.h"

namespace ov2::kernels {
namespace {

// A cell and a block that meet on one axis, and how far, in 1/`size` source pixels where the canvas has
// `size`.
struct Meeting {
    int64_t cell;
    int64_t block;
    int64_t overlap;
    int64_t length;  // of the cell
};

std::vector<Meeting> meetings(GridEdges edges, int64_t block, int64_t size) {
    int64_t source = edges.at[edges.count];
    std::vector<Meeting> result;
    for (int64_t cell = 0; cell < edges.count; ++cell) {
        int64_t begin = edges.at[cell] * size, end = edges.at[cell + 1] * size;
        // Block b covers the source pixels from b * block * source / size on.
        for (int64_t b = begin / (block * source); begin < end && b * block * source < end; ++b) {
            int64_t overlap = std::min(end, (b + 1) * block * source) - std::max(begin, b * block * source);
            result.push_back({cell, b, overlap, end - begin});
        }
    }
    return result;
}

}  // namespace

void block_bits(const Geometry& g, const int64_t* cells, GridEdges rows, GridEdges columns, int threads,
                int64_t* bits) {
    const std::vector<Meeting> across = meetings(columns, g.block(), g.width);
    const std::vector<Meeting> down = meetings(rows, g.block(), g.height);
    parallel_for(g.frames, threads, [&](int64_t i) {
        const int64_t* frame = cells + i * rows.count * columns.count;
        int64_t* out = bits + i * g.blocks();
        std::fill_n(out, g.blocks(), int64_t{0});
        for (const Meeting& y : down) {
            const int64_t* row = frame + y.cell * columns.count;
            int64_t* out_row = out + y.block * g.blocks_x();
            for (const Meeting& x : across) {
                if (row[x.cell] == 0) continue;
                auto part = static_cast<__int128>(row[x.cell]) * (x.overlap * y.overlap);
                out_row[x.block] += static_cast<int64_t>(part / (x.length * y.length));
            }
        }
    });
}

}  // namespace ov2::kernels
