#include "kernels/block_energies.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cells.h"
#include "parallel.h"
#include "simd.h"

namespace ov2::kernels {
namespace {

// Sixteen bytes in parts (vector extensions of GCC and Clang, on any target).
constexpr int64_t kWide = 16;
typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));
typedef int16_t Shorts16 __attribute__((vector_size(32)));
constexpr int64_t kMostRounds = 16384;  // before a lane that counts could overflow

inline __attribute__((always_inline)) void fetch(const uint8_t* a, const uint8_t* b, bool nearest) {
    if (nearest) {
        __builtin_prefetch(a, 0, 3);
        __builtin_prefetch(b, 0, 3);
    } else {
        __builtin_prefetch(a, 0, 2);
        __builtin_prefetch(b, 0, 2);
    }
}

// Adds the sum of |a - b| over each 4x4 cell of four rows of pixels, and has as many fetched from ahead: into
// the nearest cache or into the second.
OV2_SIMD void add_still(const uint8_t* a, const uint8_t* b, int64_t width, bool nearest,
                        const uint8_t* next_a, const uint8_t* next_b, int32_t* cells) {
    int64_t x = 0;
    for (; x + kWide <= width; x += kWide) {
        fetch(next_a + 4 * x, next_b + 4 * x, nearest);
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
    fetch(next_a + 4 * x, next_b + 4 * x, nearest);  // of the line that is begun
    for (; x < width; x += 4) {
        for (int64_t j = 0; j < 4; ++j) {
            for (int64_t i = j * width + x; i < j * width + x + 4; ++i) cells[x / 4] += std::abs(a[i] - b[i]);
        }
    }
}

// Of each component of vectors: the least and the largest, and how many are negative, and positive.
struct Spread {
    Vector least{0, 0}, most{0, 0};  // 0 or beyond it
    int64_t negative[2] = {0, 0}, positive[2] = {0, 0};
};

OV2_SIMD void find_spread(const int16_t* motion, int64_t cells, Spread* spread) {
    Shorts16 least = {}, most = {};
    int64_t i = 0;
    while (i + 16 <= 2 * cells) {
        Shorts16 negative = {}, positive = {};
        for (int64_t n = 0; n < kMostRounds && i + 16 <= 2 * cells; ++n, i += 16) {
            Shorts16 v;
            std::memcpy(&v, motion + i, sizeof v);
            least = v < least ? v : least;
            most = v > most ? v : most;
            negative -= v < 0;
            positive -= v > 0;
        }
        for (int lane = 0; lane < 16; ++lane) {
            spread->negative[lane % 2] += negative[lane];
            spread->positive[lane % 2] += positive[lane];
        }
    }
    for (int lane = 0; lane < 16; ++lane) {
        spread->least[lane % 2] = std::min<int>(spread->least[lane % 2], least[lane]);
        spread->most[lane % 2] = std::max<int>(spread->most[lane % 2], most[lane]);
    }
    for (; i < 2 * cells; ++i) {
        spread->least[i % 2] = std::min<int>(spread->least[i % 2], motion[i]);
        spread->most[i % 2] = std::max<int>(spread->most[i % 2], motion[i]);
        spread->negative[i % 2] += motion[i] < 0;
        spread->positive[i % 2] += motion[i] > 0;
    }
}

// How many of the vectors have a component of at most `bound`'s: of x, and of y.
OV2_SIMD void count_upto(const int16_t* motion, int64_t cells, Vector bound, int64_t* counts) {
    Shorts16 bounds;
    for (int lane = 0; lane < 16; ++lane) bounds[lane] = static_cast<int16_t>(bound[lane % 2]);
    counts[0] = counts[1] = 0;
    int64_t i = 0;
    while (i + 16 <= 2 * cells) {
        Shorts16 upto = {};
        for (int64_t n = 0; n < kMostRounds && i + 16 <= 2 * cells; ++n, i += 16) {
            Shorts16 v;
            std::memcpy(&v, motion + i, sizeof v);
            upto -= v <= bounds;
        }
        for (int lane = 0; lane < 16; ++lane) counts[lane % 2] += upto[lane];
    }
    for (; i < 2 * cells; ++i) counts[i % 2] += motion[i] <= bound[i % 2];
}

// Lower medians of both components over all cells: mostly 0, and seldom far from it, where bisection begins.
Vector lower_median(const int16_t* motion, int64_t cells, const Spread& spread) {
    Vector least = spread.least, most = spread.most;
    auto narrow = [&](int axis, int bound, int64_t upto) {
        if (upto > (cells - 1) / 2) {
            most[axis] = bound;
        } else {
            least[axis] = bound + 1;
        }
    };
    for (int axis : {0, 1}) {
        narrow(axis, -1, spread.negative[axis]);
        if (least[axis] == 0) narrow(axis, 0, cells - spread.positive[axis]);
    }
    for (int reach = 2; least.x < most.x || least.y < most.y; reach = std::min(2 * reach, 32768)) {
        Vector middle;
        for (int axis : {0, 1}) {
            int low = least[axis], high = most[axis];
            int guess = std::clamp(low + (high - low) / 2, -reach, reach);
            middle[axis] = std::clamp(guess, low, std::max(low, high - 1));
        }
        int64_t counts[2];
        count_upto(motion, cells, middle, counts);
        for (int axis : {0, 1})
            if (least[axis] < most[axis]) narrow(axis, middle[axis], counts[axis]);
    }
    return least;
}

// The energies of a frame's blocks: those of their cells, added up down each column of cells first.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    Instructions instructions, int32_t* residual, int32_t* motion_energy) {
    Spread spread;
    find_spread(motion, g.cells(), &spread);
    bool still = spread.least.x == spread.most.x && spread.least.y == spread.most.y;
    Vector median = lower_median(motion, g.cells(), spread);
    int64_t cells = g.cells_x(), rows = g.block() / 4, blocks_x = g.blocks_x();
    // Of the columns of cells in a row of blocks.
    auto grouped = static_cast<size_t>(CellRoom::grouped(cells));
    std::vector<int32_t> residuals(grouped), lengths(grouped);
    CellRoom room(g.width, rows);
    // How far ahead pictures are fetched: streams that are whole pages apart get in each other's way.
    constexpr int64_t kAhead = 16384, kPage = 4096;
    const auto apart =
        static_cast<int64_t>(reinterpret_cast<uintptr_t>(luma) - reinterpret_cast<uintptr_t>(prev));
    const int64_t prev_ahead = kAhead + kPage + ((apart + kPage / 2) & (kPage - 1));
    const bool nearest = instructions == Instructions::kAvx512Wide;
    for (int64_t by = 0; by < g.blocks_y(); ++by) {
        int64_t y = by * g.block(), at = y * g.width;
        const int16_t* vectors = motion + 2 * by * rows * cells;
        if (still) {
            std::fill(residuals.begin(), residuals.end(), 0);
            for (int64_t j = 0; j < g.block(); j += 4) {
                const uint8_t *a = luma + at + j * g.width, *b = prev + at + j * g.width;
                add_still(a, b, g.width, nearest, a + kAhead, b + prev_ahead, residuals.data());
            }
        } else {
            CellRows measured{instructions,
                              luma + at,
                              prev,
                              g.width,
                              g.height,
                              y,
                              rows,
                              vectors,
                              median,
                              luma + at + kAhead,
                              prev + at + prev_ahead,
                              vectors + 2 * g.cells()};
            measure_cells(measured, room, residuals.data(), lengths.data());
        }
        for (int64_t bx = 0; bx < blocks_x; ++bx) {
            int32_t difference = 0, length = 0;
            for (int64_t c = bx * rows; c < (bx + 1) * rows; ++c) {
                difference += residuals[static_cast<size_t>(c)];
                length += lengths[static_cast<size_t>(c)];
            }
            residual[by * blocks_x + bx] = difference;
            motion_energy[by * blocks_x + bx] = length;
        }
    }
}

void share_bits(const Geometry& g, const int32_t* residual, int64_t packet_bytes, int64_t* bits) {
    int64_t floor = g.block() * g.block() / 16, blocks = g.blocks();
    int64_t sum = 0;
    for (int64_t b = 0; b < blocks; ++b) sum += residual[b] + floor;
    for (int64_t b = 0; b < blocks; ++b) bits[b] = 8 * 256 * packet_bytes * (residual[b] + floor) / sum;
}

}  // namespace

void block_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma, const int16_t* motion,
                    const int64_t* packet_bytes, int threads, Instructions most, int32_t* residual,
                    int32_t* motion_energy, int64_t* bits) {
    const Instructions instructions = usable_instructions(most, g.width, g.height);
    parallel_for(g.frames, threads, [&](int64_t n) {
        int64_t blocks = n * g.blocks();
        frame_energies(g, luma + n * g.pixels(), prev_luma + n * g.pixels(), motion + 2 * n * g.cells(),
                       instructions, residual + blocks, motion_energy + blocks);
        share_bits(g, residual + blocks, packet_bytes[n], bits + blocks);
    });
}

}  // namespace ov2::kernels
