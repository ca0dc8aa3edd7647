#include "kernels/block_energies.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "kernels/parallel.h"

namespace ov2::kernels {
namespace {

constexpr int kVectorLimit = 2047;

// A 5x5 window of the previous picture: the four taps of a 4x4 cell's pixels.
struct Window {
    const uint8_t* data;
    int64_t stride;
};

// Where the window leaves the picture, its pixels are clamped one by one into `scratch`.
Window window_at(const uint8_t* plane, int64_t width, int64_t height, int64_t x, int64_t y,
                 uint8_t* scratch) {
    if (x >= 0 && y >= 0 && x + 5 <= width && y + 5 <= height) return {plane + y * width + x, width};
    for (int64_t j = 0; j < 5; ++j) {
        const uint8_t* row = plane + std::clamp<int64_t>(y + j, 0, height - 1) * width;
        for (int64_t i = 0; i < 5; ++i) scratch[5 * j + i] = row[std::clamp<int64_t>(x + i, 0, width - 1)];
    }
    return {scratch, 5};
}

int32_t cell_residual(const uint8_t* luma, int64_t stride, const Window& prev, int fx, int fy) {
    int32_t sum = 0;
    if (fx == 0 && fy == 0) {
        for (int64_t j = 0; j < 4; ++j) {
            for (int64_t i = 0; i < 4; ++i)
                sum += std::abs(luma[j * stride + i] - prev.data[j * prev.stride + i]);
        }
        return sum;
    }
    int weights[4] = {(4 - fx) * (4 - fy), fx * (4 - fy), (4 - fx) * fy, fx * fy};
    for (int64_t j = 0; j < 4; ++j) {
        const uint8_t* above = prev.data + j * prev.stride;
        const uint8_t* below = above + prev.stride;
        for (int64_t i = 0; i < 4; ++i) {
            int predicted = (weights[0] * above[i] + weights[1] * above[i + 1] + weights[2] * below[i] +
                             weights[3] * below[i + 1] + 8) >>
                            4;
            sum += std::abs(luma[j * stride + i] - predicted);
        }
    }
    return sum;
}

// Lower median of one vector component over all cells.
int lower_median(const int16_t* motion, int64_t cells, int component, std::vector<int16_t>& scratch) {
    scratch.resize(static_cast<size_t>(cells));
    for (int64_t i = 0; i < cells; ++i) scratch[static_cast<size_t>(i)] = motion[2 * i + component];
    auto middle = scratch.begin() + (cells - 1) / 2;
    std::nth_element(scratch.begin(), middle, scratch.end());
    return *middle;
}

int32_t magnitude(int dx, int dy) {
    dx = std::clamp(dx, -kVectorLimit, kVectorLimit);
    dy = std::clamp(dy, -kVectorLimit, kVectorLimit);
    return static_cast<int32_t>(16.0F * std::sqrt(static_cast<float>(dx * dx + dy * dy)));
}

// Adds the energies of all cells of a frame to their blocks. A cell may straddle two blocks where the block's
// side is not a multiple of 4 pixels; with an even patch it never is.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    std::vector<int16_t> scratch;
    bool still = std::all_of(motion, motion + 2 * g.cells(), [](int16_t v) { return v == 0; });
    int median_x = still ? 0 : lower_median(motion, g.cells(), 0, scratch);
    int median_y = still ? 0 : lower_median(motion, g.cells(), 1, scratch);
    int64_t cells_per_block = g.block() / 4;
    uint8_t clamped[25];
    for (int64_t cy = 0; cy < g.cells_y(); ++cy) {
        const uint8_t* row = luma + 4 * cy * g.width;
        const int16_t* vectors = motion + 2 * cy * g.cells_x();
        int32_t* block_residual = residual + cy / cells_per_block * g.blocks_x();
        int32_t* block_motion = motion_energy + cy / cells_per_block * g.blocks_x();
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            for (int64_t cx = bx * cells_per_block; cx < (bx + 1) * cells_per_block; ++cx) {
                int vx = vectors[2 * cx];
                int vy = vectors[2 * cx + 1];
                Window window =
                    window_at(prev, g.width, g.height, 4 * cx + (vx >> 2), 4 * cy + (vy >> 2), clamped);
                block_residual[bx] += cell_residual(row + 4 * cx, g.width, window, vx & 3, vy & 3);
                if (!still) block_motion[bx] += magnitude(vx - median_x, vy - median_y);
            }
        }
    }
}

void share_bits(const Geometry& g, const int32_t* residual, int64_t packet_bytes, int64_t* bits) {
    int64_t floor = g.block() * g.block() / 16;
    int64_t sum = 0;
    for (int64_t b = 0; b < g.blocks(); ++b) sum += residual[b] + floor;
    for (int64_t b = 0; b < g.blocks(); ++b) bits[b] = 8 * 256 * packet_bytes * (residual[b] + floor) / sum;
}

}  // namespace

void block_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma, const int16_t* motion,
                    const int64_t* packet_bytes, int threads, int32_t* residual, int32_t* motion_energy,
                    int64_t* bits) {
    parallel_for(g.frames, threads, [&](int64_t n) {
        int64_t blocks = n * g.blocks();
        std::fill_n(residual + blocks, g.blocks(), 0);
        std::fill_n(motion_energy + blocks, g.blocks(), 0);
        frame_energies(g, luma + n * g.pixels(), prev_luma + n * g.pixels(), motion + 2 * n * g.cells(),
                       residual + blocks, motion_energy + blocks);
        share_bits(g, residual + blocks, packet_bytes[n], bits + blocks);
    });
}

}  // namespace ov2::kernels
