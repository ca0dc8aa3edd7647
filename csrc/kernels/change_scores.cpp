#include "kernels/change_scores.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int kDeadZone = 2;
constexpr int64_t kUsual = 8191;  // the score of a change as large as its place's mean
constexpr int64_t kFull = 65535;

inline uint8_t beyond(uint8_t a, uint8_t b) {
    auto difference = static_cast<uint8_t>(a > b ? a - b : b - a);
    return static_cast<uint8_t>(difference > kDeadZone ? difference - kDeadZone : 0);
}

// Adds what |a - b| and |a - c| have beyond the dead zone, for one row of pixels, to the sums of their
// columns.
OV2_SIMD void add_beyond(const uint8_t* __restrict a, const uint8_t* __restrict b,
                         const uint8_t* __restrict c, int64_t width, uint16_t* __restrict columns) {
    for (int64_t x = 0; x < width; ++x)
        columns[x] = static_cast<uint16_t>(columns[x] + beyond(a[x], b[x]) + beyond(a[x], c[x]));
}

// The change of every block of a frame since two others, less the lower median over its blocks.
void frame_changes(const Geometry& g, const uint8_t* luma, const uint8_t* before, const uint8_t* prev,
                   int32_t* change) {
    std::fill_n(change, g.blocks(), 0);
    std::vector<uint16_t> columns(static_cast<size_t>(g.width), 0);
    for (int64_t y = 0; y < g.height; ++y) {
        int64_t row_start = y * g.width;
        add_beyond(luma + row_start, before + row_start, prev + row_start, g.width, columns.data());
        // At the end of a block, and before 16 bits could overflow.
        if ((y + 1) % g.block() != 0 && y % 128 != 127) continue;
        int32_t* row = change + y / g.block() * g.blocks_x();
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            auto first = columns.begin() + bx * g.block();
            row[bx] += std::accumulate(first, first + g.block(), 0);
        }
        std::fill(columns.begin(), columns.end(), uint16_t{0});
    }
    std::vector<int32_t> sorted(change, change + g.blocks());
    auto middle = sorted.begin() + (g.blocks() - 1) / 2;
    std::nth_element(sorted.begin(), middle, sorted.end());
    for (int64_t b = 0; b < g.blocks(); ++b) change[b] = std::max(change[b] - *middle, 0);
}

// Changes become scores: each divided by what its place changes by on average.
void relate_to_place(const Geometry& g, int64_t frames, int32_t* scores) {
    for (int64_t b = 0; b < g.blocks(); ++b) {
        int64_t sum = 0;
        for (int64_t t = 0; t < frames; ++t) sum += scores[t * g.blocks() + b];
        int64_t usual = g.block() * g.block() / 16 + sum / frames;
        for (int64_t t = 0; t < frames; ++t) {
            int32_t& score = scores[t * g.blocks() + b];
            score = static_cast<int32_t>(std::min(score * kUsual / usual, kFull));
        }
    }
}

}  // namespace

void change_scores(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma,
                   const int64_t* group_edges, int64_t groups, int threads, int32_t* scores) {
    std::vector<uint8_t> opens(static_cast<size_t>(g.frames), 0);
    for (int64_t k = 0; k < groups; ++k) opens[static_cast<size_t>(group_edges[k])] = 1;
    parallel_for(g.frames, threads, [&](int64_t n) {
        int32_t* out = scores + n * g.blocks();
        if (opens[static_cast<size_t>(n)] != 0) {
            std::fill_n(out, g.blocks(), 0);
        } else {
            const uint8_t* here = luma + n * g.pixels();
            frame_changes(g, here, here - g.pixels(), prev_luma + n * g.pixels(), out);
        }
    });
    parallel_for(groups, threads, [&](int64_t k) {
        int64_t first = group_edges[k] + 1;
        if (first < group_edges[k + 1])
            relate_to_place(g, group_edges[k + 1] - first, scores + first * g.blocks());
    });
}

}  // namespace ov2::kernels
