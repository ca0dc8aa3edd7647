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

// Wide vectors are passed between functions that are inlined only, so it does not matter how.
#pragma GCC diagnostic ignored "-Wpsabi"

// Sixteen or thirty-two pixels, and sums over cells of them (vector extensions of GCC and Clang, on any
// target).
constexpr int64_t kWide = 16;
typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));
typedef uint64_t Longs2 __attribute__((vector_size(16)));
typedef uint16_t Words16 __attribute__((vector_size(32)));
typedef int16_t Shorts16 __attribute__((vector_size(32)));
typedef uint32_t Sums8 __attribute__((vector_size(32)));
typedef uint64_t Longs4 __attribute__((vector_size(32)));

template <typename T>
inline __attribute__((always_inline)) T load(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Adds the sum of |a - b| over each 4x4 cell of four rows of pixels.
OV2_SIMD void add_still(const uint8_t* a, const uint8_t* b, int64_t width, uint32_t* cells) {
    int64_t x = 0;
    for (; x + kWide <= width; x += kWide) {
        Words8 sum = {};
        for (int64_t j = 0; j < 4; ++j) {
            auto p = load<Bytes16>(a + j * width + x);
            auto q = load<Bytes16>(b + j * width + x);
            Bytes16 larger = p > q ? p : q;
            Bytes16 smaller = p > q ? q : p;
            auto pairs = reinterpret_cast<Words8>(larger - smaller);
            sum += (pairs & 255) + (pairs >> 8);
        }
        auto fours = reinterpret_cast<Sums4>(sum);
        fours = load<Sums4>(cells + x / 4) + (fours & 65535) + (fours >> 16);
        std::memcpy(cells + x / 4, &fours, sizeof fours);
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

    int& operator[](int64_t axis) { return axis == 0 ? x : y; }
};

// The least and the largest of each component.
OV2_SIMD void find_range(const int16_t* motion, int64_t cells, Vector* least, Vector* most) {
    Shorts16 low = {}, high = {};
    int64_t i = 0;
    for (; i + 16 <= 2 * cells; i += 16) {
        auto v = load<Shorts16>(motion + i);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    for (int lane = 0; lane < 16; ++lane) {
        (*least)[lane % 2] = std::min<int>((*least)[lane % 2], low[lane]);
        (*most)[lane % 2] = std::max<int>((*most)[lane % 2], high[lane]);
    }
    for (; i < 2 * cells; ++i) {
        (*least)[i % 2] = std::min<int>((*least)[i % 2], motion[i]);
        (*most)[i % 2] = std::max<int>((*most)[i % 2], motion[i]);
    }
}

// How many of the vectors have a component of at most `bound`'s: of x, and of y.
OV2_SIMD void count_upto(const int16_t* motion, int64_t cells, Vector bound, int64_t* counts) {
    constexpr int64_t kMost = 16384;  // rounds before a lane could overflow
    Shorts16 bounds;
    for (int lane = 0; lane < 16; ++lane) bounds[lane] = static_cast<int16_t>(bound[lane % 2]);
    counts[0] = counts[1] = 0;
    int64_t i = 0;
    while (i + 16 <= 2 * cells) {
        Shorts16 upto = {};
        for (int64_t n = 0; n < kMost && i + 16 <= 2 * cells; ++n, i += 16)
            upto -= load<Shorts16>(motion + i) <= bounds;
        for (int lane = 0; lane < 16; ++lane) counts[lane % 2] += upto[lane];
    }
    for (; i < 2 * cells; ++i) counts[i % 2] += motion[i] <= bound[i % 2];
}

// Lower medians of both components over all cells, which lie from `least` to `most`: by bisection, after a
// look at 0, which they mostly are.
Vector lower_median(const int16_t* motion, int64_t cells, Vector least, Vector most) {
    for (int round = 0; least.x < most.x || least.y < most.y; ++round) {
        Vector middle;
        for (int axis : {0, 1}) {
            int low = least[axis], high = most[axis];
            int guess = round < 2 ? -round : low + (high - low) / 2;
            middle[axis] = std::clamp(guess, low, std::max(low, high - 1));
        }
        int64_t counts[2];
        count_upto(motion, cells, middle, counts);
        for (int axis : {0, 1}) {
            if (least[axis] == most[axis]) continue;
            if (counts[axis] > (cells - 1) / 2) {
                most[axis] = middle[axis];
            } else {
                least[axis] = middle[axis] + 1;
            }
        }
    }
    return least;
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

// What predicts four cells side by side: five rows of sixteen pixels, and those one to the right of each.
struct Taps {
    const uint8_t* left;
    const uint8_t* right;
    int64_t stride;
};

// Sixteen pixels of a row from `x` on, those outside taken from its ends.
inline __attribute__((always_inline)) Bytes16 clamped_row(const uint8_t* row, int64_t width, int64_t x) {
    int64_t inside = std::clamp<int64_t>(x, 0, width - kWide);
    if (x == inside) return load<Bytes16>(row + x);
    uint8_t line[3 * kWide];
    std::memset(line, row[inside], kWide);
    std::memcpy(line + kWide, row + inside, kWide);
    std::memset(line + 2 * kWide, row[inside + kWide - 1], kWide);
    return load<Bytes16>(line + kWide + std::clamp<int64_t>(x - inside, -kWide, kWide));
}

// Taps of `count` cells from (cx, cy) on, brought together in `room`: for cells that move apart or out of the
// picture, and where there are fewer than four.
OV2_SIMD Taps gather(const Geometry& g, const uint8_t* prev, const int16_t* vectors, int64_t cx, int64_t cy,
                     int64_t count, bool alike, Bytes16* room) {
    Taps taps{reinterpret_cast<const uint8_t*>(room), reinterpret_cast<const uint8_t*>(room + 5), kWide};
    auto row = [&](int64_t y) { return prev + std::clamp<int64_t>(y, 0, g.height - 1) * g.width; };
    if (alike && g.width >= kWide) {
        int64_t x = 4 * cx + (vectors[0] >> 2);
        for (int64_t j = 0; j < 5; ++j) {
            const uint8_t* from = row(4 * cy + j + (vectors[1] >> 2));
            room[j] = clamped_row(from, g.width, x);
            room[5 + j] = clamped_row(from, g.width, x + 1);
        }
        return taps;
    }
    const uint8_t* cells[4];
    bool all_inside = count == 4;
    for (int64_t c = 0; c < count; ++c) {
        int64_t x = 4 * (cx + c) + (vectors[2 * c] >> 2);
        int64_t y = 4 * cy + (vectors[2 * c + 1] >> 2);
        all_inside &= x >= 0 && y >= 0 && x + 8 <= g.width && y + 5 <= g.height;
        cells[c] = prev + y * g.width + x;
    }
    if (all_inside) {
        for (int64_t j = 0; j < 5; ++j) {
            // Of eight pixels the first four, and those after the first.
            auto from = [&](int c) { return load<uint64_t>(cells[c] + j * g.width); };
            Longs4 eights = {from(0), from(1), from(2), from(3)};
            room[j] = reinterpret_cast<Bytes16>(__builtin_convertvector(eights, Sums4));
            room[5 + j] = reinterpret_cast<Bytes16>(__builtin_convertvector(eights >> 8, Sums4));
        }
        return taps;
    }
    uint32_t left[5][4] = {}, right[5][4] = {};
    for (int64_t c = 0; c < count; ++c) {
        int64_t x = 4 * (cx + c) + (vectors[2 * c] >> 2);
        int64_t y = 4 * cy + (vectors[2 * c + 1] >> 2);
        bool inside = x >= 0 && x + 5 <= g.width;
        for (int64_t j = 0; j < 5; ++j) {
            const uint8_t* from = row(y + j);
            uint8_t clamped[5];
            if (!inside)
                for (int64_t i = 0; i < 5; ++i) clamped[i] = from[std::clamp<int64_t>(x + i, 0, g.width - 1)];
            const uint8_t* five = inside ? from + x : clamped;
            left[j][c] = load<uint32_t>(five);
            right[j][c] = load<uint32_t>(five + 1);
        }
    }
    std::memcpy(room, left, sizeof left);
    std::memcpy(room + 5, right, sizeof right);
    return taps;
}

// The same, from where they lie if that will do.
inline __attribute__((always_inline)) Taps taps_of(const Geometry& g, const uint8_t* prev,
                                                   const int16_t* vectors, int64_t cx, int64_t cy,
                                                   int64_t count, Bytes16* room) {
    if (count < 4) return gather(g, prev, vectors, cx, cy, count, false, room);
    auto first = load<uint64_t>(vectors);
    bool alike = first == load<uint64_t>(vectors + 4) && first == (first << 32 | first >> 32);
    int64_t x = 4 * cx + (vectors[0] >> 2);
    int64_t y = 4 * cy + (vectors[1] >> 2);
    // At the right edge whole pixels need no tap beyond it; what is read there, in the next row, counts
    // nothing.
    bool edge = x + kWide == g.width && (vectors[0] & 3) == 0 && y + 5 < g.height;
    if (!alike || x < 0 || y < 0 || (x + kWide >= g.width && !edge) || y + 5 > g.height)
        return gather(g, prev, vectors, cx, cy, 4, alike, room);
    const uint8_t* from = prev + y * g.width + x;
    return {from, from + 1, g.width};
}

inline __attribute__((always_inline)) Words16 two_rows(const uint8_t* a, const uint8_t* b) {
    return reinterpret_cast<Words16>(__builtin_shufflevector(load<Longs2>(a), load<Longs2>(b), 0, 1, 2, 3));
}

inline __attribute__((always_inline)) Words16 distance(Words16 a, Words16 b) {
    auto p = reinterpret_cast<Shorts16>(a), q = reinterpret_cast<Shorts16>(b);
    return reinterpret_cast<Words16>((p > q ? p : q) - (p > q ? q : p));
}

// The sum of |luma - prediction| over each of eight cells; the prediction is bilinear in quarter pixels. A
// word holds a pixel of an even column and the next: they are parted, and as the right tap of the first is
// the left one of the second, three taps are enough.
inline __attribute__((always_inline)) Sums8 residuals(Taps a, Taps b, const int16_t* vectors,
                                                      const uint8_t* luma, int64_t stride) {
    auto fractions = reinterpret_cast<Sums8>(load<Words16>(vectors) & 3);  // y above x
    auto right_weight = reinterpret_cast<Words16>((fractions & 3) * 0x10001);
    auto below_weight = reinterpret_cast<Words16>((fractions >> 16) * 0x10001);
    Words16 left_weight = 4 - right_weight, above_weight = 4 - below_weight;
    Words16 above_even = {}, above_odd = {}, sum = {};
    for (int64_t j = 0; j < 5; ++j) {
        Words16 left = two_rows(a.left + j * a.stride, b.left + j * b.stride);
        Words16 right = two_rows(a.right + j * a.stride, b.right + j * b.stride);
        Words16 even = (left & 255) * left_weight + (left >> 8) * right_weight;
        Words16 odd = (left >> 8) * left_weight + (right >> 8) * right_weight;
        if (j > 0) {
            auto actual = load<Words16>(luma + (j - 1) * stride);
            sum += distance(actual & 255, (above_even * above_weight + even * below_weight + 8) >> 4);
            sum += distance(actual >> 8, (above_odd * above_weight + odd * below_weight + 8) >> 4);
        }
        above_even = even;
        above_odd = odd;
    }
    auto pairs = reinterpret_cast<Sums8>(sum);
    return (pairs & 65535) + (pairs >> 16);
}

// Adds the residuals of a row of cells, each moved by its vector.
OV2_SIMD void add_moved(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* vectors,
                        int64_t cy, uint32_t* cells) {
    Bytes16 room[2][10];
    int64_t count = g.cells_x();
    int64_t cx = 0;
    for (; cx + 8 <= count; cx += 8) {
        const int16_t* of_eight = vectors + 2 * cx;
        Taps a = taps_of(g, prev, of_eight, cx, cy, 4, room[0]);
        Taps b = taps_of(g, prev, of_eight + 8, cx + 4, cy, 4, room[1]);
        Sums8 sum =
            load<Sums8>(cells + cx) + residuals(a, b, of_eight, luma + 4 * (cy * g.width + cx), g.width);
        std::memcpy(cells + cx, &sum, sizeof sum);
    }
    int64_t left = count - cx;
    if (left == 0) return;
    int16_t of_eight[16] = {};
    uint8_t last[4][2 * kWide] = {};
    std::copy_n(vectors + 2 * cx, 2 * left, of_eight);
    for (int64_t j = 0; j < 4; ++j) std::copy_n(luma + (4 * cy + j) * g.width + 4 * cx, 4 * left, last[j]);
    Taps a = taps_of(g, prev, of_eight, cx, cy, std::min<int64_t>(left, 4), room[0]);
    Taps b = taps_of(g, prev, of_eight + 8, cx + 4, cy, std::max<int64_t>(left - 4, 0), room[1]);
    Sums8 sum = residuals(a, b, of_eight, last[0], sizeof last[0]);
    for (int64_t c = 0; c < left; ++c) cells[cx + c] += sum[c];
}

// Asks for the rows that vectors are about to reach: they jump too wildly for the processor to foresee it.
void fetch_ahead(const Geometry& g, const uint8_t* plane, int64_t first, int64_t rows) {
    const uint8_t* end = plane + std::min(first + rows, g.height) * g.width;
    for (const uint8_t* line = plane + first * g.width; line < end; line += 64) __builtin_prefetch(line);
}

// The energies of a frame's blocks: those of their cells, added up down each column of cells first.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    Vector least{0, 0}, most{0, 0};
    find_range(motion, g.cells(), &least, &most);
    bool still = least.x == most.x && least.y == most.y;  // both are 0 or beyond it
    Vector median = lower_median(motion, g.cells(), least, most);
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
