#include "kernels/block_energies.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int kVectorLimit = 2047;

// Four pixels of each of two rows, as bytes and widened (a vector extension of GCC and Clang, on any target).
typedef uint8_t Bytes8 __attribute__((vector_size(8)));
typedef uint16_t Words8 __attribute__((vector_size(16)));

inline Words8 load_rows(const uint8_t* upper, const uint8_t* lower) {
    uint8_t pixels[8];
    std::memcpy(pixels, upper, 4);
    std::memcpy(pixels + 4, lower, 4);
    Bytes8 bytes;
    std::memcpy(&bytes, pixels, sizeof bytes);
    return __builtin_convertvector(bytes, Words8);
}

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

// The 4x4 cell that the window predicts: bilinear in quarter pixels.
void predict_cell(const Window& prev, int fx, int fy, uint8_t* out, int64_t stride) {
    if (fx == 0 && fy == 0) {
        for (int64_t j = 0; j < 4; ++j) std::memcpy(out + j * stride, prev.data + j * prev.stride, 4);
        return;
    }
    auto a = static_cast<uint16_t>((4 - fx) * (4 - fy));
    auto b = static_cast<uint16_t>(fx * (4 - fy));
    auto c = static_cast<uint16_t>((4 - fx) * fy);
    auto d = static_cast<uint16_t>(fx * fy);
    for (int64_t j = 0; j < 4; j += 2) {
        const uint8_t* upper = prev.data + j * prev.stride;
        const uint8_t* middle = upper + prev.stride;
        const uint8_t* lower = middle + prev.stride;
        Words8 sum = a * load_rows(upper, middle) + b * load_rows(upper + 1, middle + 1) +
                     c * load_rows(middle, lower) + d * load_rows(middle + 1, lower + 1) + 8;
        Bytes8 bytes = __builtin_convertvector(sum >> 4, Bytes8);
        uint8_t pixels[8];
        std::memcpy(pixels, &bytes, sizeof bytes);
        std::memcpy(out + j * stride, pixels, 4);
        std::memcpy(out + (j + 1) * stride, pixels + 4, 4);
    }
}

// Adds |a - b| of one row of pixels to the sums of their columns.
OV2_SIMD void add_differences(const uint8_t* __restrict a, const uint8_t* __restrict b, int64_t width,
                              uint16_t* __restrict columns) {
    for (int64_t x = 0; x < width; ++x) {
        columns[x] = static_cast<uint16_t>(columns[x] + (a[x] > b[x] ? a[x] - b[x] : b[x] - a[x]));
    }
}

struct Vector {
    int x, y;
};

// The value of this rank, and how far into it the rank lies.
int value_at(const int64_t* counts, int64_t& rank) {
    int value = 0;
    while (rank >= counts[value]) rank -= counts[value++];
    return value;
}

// Lower medians of both components over all cells: their upper bytes by counting, then their lower bytes.
Vector lower_median(const int16_t* motion, int64_t cells) {
    int64_t counts[2][256] = {};
    auto key = [&](int64_t i) { return motion[i] + 32768; };
    for (int64_t i = 0; i < 2 * cells; i += 2) {
        ++counts[0][key(i) >> 8];
        ++counts[1][key(i + 1) >> 8];
    }
    int64_t rank_x = (cells - 1) / 2;
    int64_t rank_y = rank_x;
    int upper_x = value_at(counts[0], rank_x);
    int upper_y = value_at(counts[1], rank_y);
    std::memset(counts, 0, sizeof counts);
    for (int64_t i = 0; i < 2 * cells; i += 2) {
        counts[0][key(i) & 255] += key(i) >> 8 == upper_x;
        counts[1][key(i + 1) & 255] += key(i + 1) >> 8 == upper_y;
    }
    return {(upper_x << 8 | value_at(counts[0], rank_x)) - 32768,
            (upper_y << 8 | value_at(counts[1], rank_y)) - 32768};
}

// Length of each vector of a row of cells after the median is taken off, in 1/16 of a quarter pixel.
OV2_SIMD void magnitudes(const int16_t* __restrict vectors, int64_t cells, int median_x, int median_y,
                         int32_t* __restrict out) {
    for (int64_t i = 0; i < cells; ++i) {
        int dx = std::clamp(vectors[2 * i] - median_x, -kVectorLimit, kVectorLimit);
        int dy = std::clamp(vectors[2 * i + 1] - median_y, -kVectorLimit, kVectorLimit);
        out[i] = static_cast<int32_t>(16.0F * std::sqrt(static_cast<float>(dx * dx + dy * dy)));
    }
}

// Adds the energies of all cells of a frame to their blocks, one row of cells after the other.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    bool still = std::all_of(motion, motion + 2 * g.cells(), [](int16_t v) { return v == 0; });
    Vector median = still ? Vector{0, 0} : lower_median(motion, g.cells());
    int64_t cells_per_block = g.block() / 4;
    std::vector<uint8_t> predicted(static_cast<size_t>(4 * g.width));
    std::vector<uint16_t> columns(static_cast<size_t>(g.width), 0);
    std::vector<int32_t> lengths(static_cast<size_t>(g.cells_x()));
    uint8_t clamped[25];
    for (int64_t cy = 0; cy < g.cells_y(); ++cy) {
        const int16_t* vectors = motion + 2 * cy * g.cells_x();
        int64_t block_row = cy / cells_per_block * g.blocks_x();
        const uint8_t* rows = prev + 4 * cy * g.width;
        if (!still) {
            for (int64_t cx = 0; cx < g.cells_x(); ++cx) {
                int vx = vectors[2 * cx];
                int vy = vectors[2 * cx + 1];
                Window window =
                    window_at(prev, g.width, g.height, 4 * cx + (vx >> 2), 4 * cy + (vy >> 2), clamped);
                predict_cell(window, vx & 3, vy & 3, predicted.data() + 4 * cx, g.width);
            }
            magnitudes(vectors, g.cells_x(), median.x, median.y, lengths.data());
            for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
                auto first = lengths.begin() + bx * cells_per_block;
                motion_energy[block_row + bx] += std::accumulate(first, first + cells_per_block, 0);
            }
            rows = predicted.data();
        }
        for (int64_t j = 0; j < 4; ++j) {
            add_differences(luma + (4 * cy + j) * g.width, rows + j * g.width, g.width, columns.data());
        }
        // At the end of a block, and before 16 bits could overflow.
        if ((cy + 1) % cells_per_block == 0 || cy % 64 == 63) {
            for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
                auto first = columns.begin() + bx * g.block();
                residual[block_row + bx] += std::accumulate(first, first + g.block(), 0);
            }
            std::fill(columns.begin(), columns.end(), uint16_t{0});
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
