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

// Sixteen pixels, and four cells of them (vector extensions of GCC and Clang, on any target).
constexpr int64_t kWide = 16;
typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));
typedef uint16_t Words16 __attribute__((vector_size(32)));
typedef int16_t Shorts16 __attribute__((vector_size(32)));

// What a run of cells with one vector is predicted from: as `stride` says, rows of the previous picture, from
// the run's first tap on.
struct Window {
    const uint8_t* data;
    int64_t stride;
};

// Where the window of a cell leaves the picture, its pixels are clamped one by one into `scratch`, 16 to a
// row.
Window clamped_window(const uint8_t* plane, int64_t width, int64_t height, int64_t x, int64_t y,
                      uint8_t* scratch) {
    for (int64_t j = 0; j < 5; ++j) {
        const uint8_t* row = plane + std::clamp<int64_t>(y + j, 0, height - 1) * width;
        for (int64_t i = 0; i < 5; ++i) {
            scratch[2 * kWide * j + i] = row[std::clamp<int64_t>(x + i, 0, width - 1)];
        }
    }
    return {scratch, 2 * kWide};
}

// Four rows of `width` pixels as the window predicts them, bilinear in quarter pixels. Whole sixteens are
// read, with a pixel more, and written.
inline __attribute__((always_inline)) void predict(Window prev, int fx, int fy, int64_t width, uint8_t* out,
                                                   int64_t stride) {
    for (int64_t x = 0; x < width; x += kWide) {
        const uint8_t* from = prev.data + x;
        if (fx == 0 && fy == 0) {
            for (int64_t j = 0; j < 4; ++j) std::memcpy(out + j * stride + x, from + j * prev.stride, kWide);
            continue;
        }
        Words16 above = {};
        for (int64_t j = 0; j < 5; ++j) {
            Bytes16 left, right;
            std::memcpy(&left, from + j * prev.stride, sizeof left);
            std::memcpy(&right, from + j * prev.stride + 1, sizeof right);
            Words16 row = __builtin_convertvector(left, Words16) * static_cast<uint16_t>(4 - fx) +
                          __builtin_convertvector(right, Words16) * static_cast<uint16_t>(fx);
            if (j > 0) {
                Words16 sum = above * static_cast<uint16_t>(4 - fy) + row * static_cast<uint16_t>(fy) + 8;
                Bytes16 pixels = __builtin_convertvector(sum >> 4, Bytes16);
                std::memcpy(out + (j - 1) * stride + x, &pixels, sizeof pixels);
            }
            above = row;
        }
    }
}

// The sum of |a - b| over each 4x4 cell of four rows of pixels; `cells` in fours may be written beyond the
// width.
OV2_SIMD void cell_differences(const uint8_t* a, int64_t a_stride, const uint8_t* b, int64_t b_stride,
                               int64_t width, uint32_t* cells) {
    int64_t x = 0;
    for (; x + kWide <= width; x += kWide) {
        Words8 sum = {};
        for (int64_t j = 0; j < 4; ++j) {
            Bytes16 p, q;
            std::memcpy(&p, a + j * a_stride + x, sizeof p);
            std::memcpy(&q, b + j * b_stride + x, sizeof q);
            Bytes16 larger = p > q ? p : q;
            Bytes16 smaller = p > q ? q : p;
            auto pairs = reinterpret_cast<Words8>(larger - smaller);
            sum += (pairs & 255) + (pairs >> 8);
        }
        auto fours = reinterpret_cast<Sums4>(sum);
        fours = (fours & 65535) + (fours >> 16);
        std::memcpy(cells + x / 4, &fours, sizeof fours);
    }
    for (; x < width; x += 4) {
        uint32_t sum = 0;
        for (int64_t j = 0; j < 4; ++j) {
            for (int64_t i = x; i < x + 4; ++i) {
                sum += static_cast<uint32_t>(std::abs(a[j * a_stride + i] - b[j * b_stride + i]));
            }
        }
        cells[x / 4] = sum;
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

// How many of the vectors' components are negative, and how many are not positive: of x, then of y.
OV2_SIMD void count_signs(const int16_t* motion, int64_t cells, int64_t* negative, int64_t* not_positive) {
    constexpr int64_t kMost = 16384;  // vectors of sixteen before a lane could overflow
    int64_t i = 0;
    while (i + 16 <= 2 * cells) {
        Shorts16 below = {}, upto = {};
        for (int64_t n = 0; n < kMost && i + 16 <= 2 * cells; ++n, i += 16) {
            Shorts16 v;
            std::memcpy(&v, motion + i, sizeof v);
            below -= v < 0;
            upto -= v <= 0;
        }
        for (int lane = 0; lane < 16; ++lane) {
            negative[lane % 2] += below[lane];
            not_positive[lane % 2] += upto[lane];
        }
    }
    for (; i < 2 * cells; ++i) {
        negative[i % 2] += motion[i] < 0;
        not_positive[i % 2] += motion[i] <= 0;
    }
}

OV2_SIMD bool any_motion(const int16_t* motion, int64_t cells) {
    int16_t any = 0;
    for (int64_t i = 0; i < 2 * cells; ++i) any = static_cast<int16_t>(any | motion[i]);
    return any != 0;
}

// Lower medians of both components over all cells. Mostly 0; else their upper bytes by counting, then their
// lower bytes.
Vector lower_median(const int16_t* motion, int64_t cells) {
    int64_t rank_x = (cells - 1) / 2;
    int64_t rank_y = rank_x;
    int64_t negative[2] = {}, not_positive[2] = {};
    count_signs(motion, cells, negative, not_positive);
    auto is_zero = [&](int axis) { return negative[axis] <= rank_x && rank_x < not_positive[axis]; };
    if (is_zero(0) && is_zero(1)) return {0, 0};
    int64_t counts[2][256] = {};
    auto key = [&](int64_t i) { return motion[i] + 32768; };
    for (int64_t i = 0; i < 2 * cells; i += 2) {
        ++counts[0][key(i) >> 8];
        ++counts[1][key(i + 1) >> 8];
    }
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

// Four rows of pixels as the previous picture and a row of cells' vectors predict them; `out` has room for
// kWide pixels more in each.
OV2_SIMD void predict_rows(const Geometry& g, const uint8_t* prev, const int16_t* vectors, int64_t cy,
                           uint8_t* out, int64_t stride) {
    uint8_t clamped[5 * 2 * kWide] = {};
    for (int64_t cx = 0; cx < g.cells_x();) {
        int vx = vectors[2 * cx];
        int vy = vectors[2 * cx + 1];
        int64_t end = cx + 1;
        while (end < g.cells_x() && vectors[2 * end] == vx && vectors[2 * end + 1] == vy) ++end;
        int64_t x = 4 * cx + (vx >> 2);
        int64_t y = 4 * cy + (vy >> 2);
        // The run is predicted in sixteens, and what comes out beyond it is overwritten by the next.
        bool rows_inside = y >= 0 && y + 5 <= g.height;
        int64_t width =
            rows_inside && x >= 0 ? std::min(4 * (end - cx), (g.width - 1 - x) / kWide * kWide) : 0;
        if (width > 0) {
            predict({prev + y * g.width + x, g.width}, vx & 3, vy & 3, width, out + 4 * cx, stride);
            cx += (width + 3) / 4;
        } else {
            Window window = clamped_window(prev, g.width, g.height, x, y, clamped);
            predict(window, vx & 3, vy & 3, 4, out + 4 * cx, stride);
            ++cx;
        }
    }
}

// Asks for the rows that vectors are about to reach: they jump too wildly for the processor to foresee it.
void fetch_ahead(const Geometry& g, const uint8_t* plane, int64_t first, int64_t rows) {
    const uint8_t* end = plane + std::min(first + rows, g.height) * g.width;
    for (const uint8_t* line = plane + first * g.width; line < end; line += 64) __builtin_prefetch(line);
}

// Adds the energies of all cells of a frame to their blocks, one row of cells after the other.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    bool still = !any_motion(motion, g.cells());
    Vector median = still ? Vector{0, 0} : lower_median(motion, g.cells());
    int64_t cells_per_block = g.block() / 4;
    int64_t stride = g.width + kWide;
    std::vector<uint8_t> predicted(static_cast<size_t>(still ? 0 : 4 * stride));
    std::vector<uint32_t> differences(static_cast<size_t>(g.cells_x() + 4));
    std::vector<int32_t> lengths(static_cast<size_t>(g.cells_x()));
    constexpr int64_t kAhead = 40;
    if (!still) fetch_ahead(g, prev, 0, kAhead);
    for (int64_t cy = 0; cy < g.cells_y(); ++cy) {
        const int16_t* vectors = motion + 2 * cy * g.cells_x();
        int64_t block_row = cy / cells_per_block * g.blocks_x();
        const uint8_t* row = luma + 4 * cy * g.width;
        if (still) {
            cell_differences(row, g.width, prev + 4 * cy * g.width, g.width, g.width, differences.data());
        } else {
            fetch_ahead(g, prev, 4 * cy + kAhead, 4);
            predict_rows(g, prev, vectors, cy, predicted.data(), stride);
            cell_differences(row, g.width, predicted.data(), stride, g.width, differences.data());
            magnitudes(vectors, g.cells_x(), median.x, median.y, lengths.data());
        }
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            int64_t first = bx * cells_per_block;
            uint32_t sum = 0;
            for (int64_t c = first; c < first + cells_per_block; ++c)
                sum += differences[static_cast<size_t>(c)];
            residual[block_row + bx] += static_cast<int32_t>(sum);
            if (still) continue;
            auto length = lengths.begin() + first;
            motion_energy[block_row + bx] += std::accumulate(length, length + cells_per_block, 0);
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
