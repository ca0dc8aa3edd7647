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
typedef uint32_t Sums8 __attribute__((vector_size(32)));
typedef uint64_t Longs4 __attribute__((vector_size(32)));

// Adds the sum of |a - b| over each 4x4 cell of four rows of pixels.
OV2_SIMD void add_still(const uint8_t* a, const uint8_t* b, int64_t width, uint32_t* cells) {
    int64_t x = 0;
    for (; x + kWide <= width; x += kWide) {
        Words8 sum = {};
        for (int64_t j = 0; j < 4; ++j) {
            Bytes16 p, q;
            std::memcpy(&p, a + j * width + x, sizeof p);
            std::memcpy(&q, b + j * width + x, sizeof q);
            Bytes16 larger = p > q ? p : q;
            Bytes16 smaller = p > q ? q : p;
            auto pairs = reinterpret_cast<Words8>(larger - smaller);
            sum += (pairs & 255) + (pairs >> 8);
        }
        auto fours = reinterpret_cast<Sums4>(sum);
        Sums4 before;
        std::memcpy(&before, cells + x / 4, sizeof before);
        before += (fours & 65535) + (fours >> 16);
        std::memcpy(cells + x / 4, &before, sizeof before);
    }
    for (; x < width; x += 4) {
        for (int64_t j = 0; j < 4; ++j) {
            for (int64_t i = j * width + x; i < j * width + x + 4; ++i)
                cells[x / 4] += static_cast<uint32_t>(std::abs(a[i] - b[i]));
        }
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

// Adds the length of each vector of a row of cells after the median is taken off, in 1/16 of a quarter pixel.
OV2_SIMD void add_lengths(const int16_t* __restrict vectors, int64_t cells, int median_x, int median_y,
                          int32_t* __restrict out) {
    for (int64_t i = 0; i < cells; ++i) {
        int dx = std::clamp(vectors[2 * i] - median_x, -kVectorLimit, kVectorLimit);
        int dy = std::clamp(vectors[2 * i + 1] - median_y, -kVectorLimit, kVectorLimit);
        out[i] += static_cast<int32_t>(16.0F * std::sqrt(static_cast<float>(dx * dx + dy * dy)));
    }
}

// Five rows of five pixels of the previous picture, which predict the 4x4 cell at the first.
struct Window {
    const uint8_t* data;
    int64_t stride;

    uint32_t four(int row, int right) const {
        uint32_t pixels;
        std::memcpy(&pixels, data + row * stride + right, sizeof pixels);
        return pixels;
    }
};

// Where the window leaves the picture, its pixels are clamped one by one into `scratch`.
Window window_at(const Geometry& g, const uint8_t* plane, int64_t x, int64_t y, uint8_t* scratch) {
    if (x >= 0 && y >= 0 && x + 5 <= g.width && y + 5 <= g.height) return {plane + y * g.width + x, g.width};
    for (int64_t j = 0; j < 5; ++j) {
        const uint8_t* row = plane + std::clamp<int64_t>(y + j, 0, g.height - 1) * g.width;
        for (int64_t i = 0; i < 5; ++i) scratch[5 * j + i] = row[std::clamp<int64_t>(x + i, 0, g.width - 1)];
    }
    return {scratch, 5};
}

// Four cells side by side: what the previous picture holds for them, and by how many quarter pixels beyond.
struct Taps {
    Bytes16 left[5], right[5];
    Bytes16 fx, fy;
};

inline __attribute__((always_inline)) Bytes16 of_cells(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return reinterpret_cast<Bytes16>(Sums4{a, b, c, d});
}

// The taps of `count` cells from (cx, cy) on; of fewer than four the last is repeated.
inline __attribute__((always_inline)) void gather(const Geometry& g, const uint8_t* prev,
                                                  const int16_t* vectors, int64_t cx, int64_t cy,
                                                  int64_t count, Taps& taps) {
    Words8 all;
    if (count == 4) {
        std::memcpy(&all, vectors, sizeof all);
    } else {
        for (int64_t i = 0; i < 8; ++i)
            all[i] = static_cast<uint16_t>(vectors[2 * std::min(i / 2, count - 1) + i % 2]);
    }
    auto quarters = reinterpret_cast<Sums4>(all & 3);  // y above x
    auto fx = reinterpret_cast<Sums4>(quarters & 3) * 0x01010101;
    auto fy = (quarters >> 16) * 0x01010101;
    taps.fx = reinterpret_cast<Bytes16>(fx);
    taps.fy = reinterpret_cast<Bytes16>(fy);

    uint64_t pairs[2];
    std::memcpy(pairs, &all, sizeof pairs);
    bool alike = pairs[0] == pairs[1] && pairs[0] == (pairs[0] << 32 | pairs[0] >> 32);
    int64_t x = 4 * cx + (vectors[0] >> 2);
    int64_t y = 4 * cy + (vectors[1] >> 2);
    if (alike && x >= 0 && y >= 0 && x + kWide + 1 <= g.width && y + 5 <= g.height) {
        const uint8_t* from = prev + y * g.width + x;
        for (int64_t j = 0; j < 5; ++j) {
            std::memcpy(&taps.left[j], from + j * g.width, kWide);
            std::memcpy(&taps.right[j], from + j * g.width + 1, kWide);
        }
        return;
    }
    uint8_t scratch[4][25];
    Window cells[4];
    for (int64_t c = 0; c < 4; ++c) {
        int64_t at = std::min(c, count - 1);
        cells[c] = window_at(g, prev, 4 * (cx + at) + (vectors[2 * at] >> 2),
                             4 * cy + (vectors[2 * at + 1] >> 2), scratch[c]);
    }
    for (int j = 0; j < 5; ++j) {
        taps.left[j] =
            of_cells(cells[0].four(j, 0), cells[1].four(j, 0), cells[2].four(j, 0), cells[3].four(j, 0));
        taps.right[j] =
            of_cells(cells[0].four(j, 1), cells[1].four(j, 1), cells[2].four(j, 1), cells[3].four(j, 1));
    }
}

// The sum of |luma - prediction| over each of four cells; the prediction is bilinear in quarter pixels.
inline __attribute__((always_inline)) Sums4 residuals(const Taps& taps, const uint8_t* luma, int64_t stride) {
    Words16 fx = __builtin_convertvector(taps.fx, Words16);
    Words16 fy = __builtin_convertvector(taps.fy, Words16);
    Words16 above = {}, sum = {};
    for (int64_t j = 0; j < 5; ++j) {
        Words16 left = __builtin_convertvector(taps.left[j], Words16);
        Words16 right = __builtin_convertvector(taps.right[j], Words16);
        Words16 row = left * 4 + (right - left) * fx;
        if (j > 0) {
            Bytes16 pixels;
            std::memcpy(&pixels, luma + (j - 1) * stride, sizeof pixels);
            auto actual = __builtin_convertvector(pixels, Shorts16);
            auto predicted = reinterpret_cast<Shorts16>((above * 4 + (row - above) * fy + 8) >> 4);
            Shorts16 larger = actual > predicted ? actual : predicted;
            Shorts16 smaller = actual > predicted ? predicted : actual;
            sum += reinterpret_cast<Words16>(larger - smaller);
        }
        above = row;
    }
    auto pairs = reinterpret_cast<Sums8>(sum);
    auto fours = reinterpret_cast<Longs4>((pairs & 65535) + (pairs >> 16));
    return __builtin_convertvector((fours & 0xffffffff) + (fours >> 32), Sums4);
}

// Adds the residuals of a row of cells, each moved by its vector.
OV2_SIMD void add_moved(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* vectors,
                        int64_t cy, uint32_t* cells) {
    Taps taps;
    int64_t count = g.cells_x();
    int64_t cx = 0;
    for (; cx + 4 <= count; cx += 4) {
        gather(g, prev, vectors + 2 * cx, cx, cy, 4, taps);
        Sums4 sum;
        std::memcpy(&sum, cells + cx, sizeof sum);
        sum += residuals(taps, luma + 4 * (cy * g.width + cx), g.width);
        std::memcpy(cells + cx, &sum, sizeof sum);
    }
    if (cx == count) return;
    uint8_t last[4 * kWide] = {};
    for (int64_t j = 0; j < 4; ++j)
        std::memcpy(last + j * kWide, luma + (4 * cy + j) * g.width + 4 * cx,
                    static_cast<size_t>(g.width - 4 * cx));
    gather(g, prev, vectors + 2 * cx, cx, cy, count - cx, taps);
    Sums4 sum = residuals(taps, last, kWide);
    for (int64_t c = cx; c < count; ++c) cells[c] += sum[c - cx];
}

// Asks for the rows that vectors are about to reach: they jump too wildly for the processor to foresee it.
void fetch_ahead(const Geometry& g, const uint8_t* plane, int64_t first, int64_t rows) {
    const uint8_t* end = plane + std::min(first + rows, g.height) * g.width;
    for (const uint8_t* line = plane + first * g.width; line < end; line += 64) __builtin_prefetch(line);
}

// The energies of a frame's blocks: those of their cells, added up down each column of cells first.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    bool still = !any_motion(motion, g.cells());
    Vector median = still ? Vector{0, 0} : lower_median(motion, g.cells());
    int64_t cells_per_block = g.block() / 4;
    std::vector<uint32_t> differences(static_cast<size_t>(g.cells_x()));
    std::vector<int32_t> lengths(static_cast<size_t>(g.cells_x()));
    constexpr int64_t kAhead = 40;
    if (!still) fetch_ahead(g, prev, 0, kAhead);
    for (int64_t by = 0; by < g.blocks_y(); ++by) {
        std::fill(differences.begin(), differences.end(), 0);
        std::fill(lengths.begin(), lengths.end(), 0);
        for (int64_t cy = by * cells_per_block; cy < (by + 1) * cells_per_block; ++cy) {
            if (still) {
                add_still(luma + 4 * cy * g.width, prev + 4 * cy * g.width, g.width, differences.data());
                continue;
            }
            const int16_t* vectors = motion + 2 * cy * g.cells_x();
            fetch_ahead(g, prev, 4 * cy + kAhead, 4);
            add_moved(g, luma, prev, vectors, cy, differences.data());
            add_lengths(vectors, g.cells_x(), median.x, median.y, lengths.data());
        }
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            auto difference = differences.begin() + bx * cells_per_block;
            auto length = lengths.begin() + bx * cells_per_block;
            residual[by * g.blocks_x() + bx] =
                static_cast<int32_t>(std::accumulate(difference, difference + cells_per_block, uint32_t{0}));
            motion_energy[by * g.blocks_x() + bx] = std::accumulate(length, length + cells_per_block, 0);
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
        frame_energies(g, luma + n * g.pixels(), prev_luma + n * g.pixels(), motion + 2 * n * g.cells(),
                       residual + blocks, motion_energy + blocks);
        share_bits(g, residual + blocks, packet_bytes[n], bits + blocks);
    });
}

}  // namespace ov2::kernels
