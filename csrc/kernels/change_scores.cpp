#include "kernels/change_scores.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <vector>

#include "parallel.h"
#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int kDeadZone = 2;
constexpr int64_t kUsual = 8191;  // the score of a change as large as its place's mean
constexpr int64_t kFull = 65535;
constexpr int64_t kBeyondFull = 256;  // what is above grows so many times as slowly
constexpr int64_t kReach = 16;        // pixels by which a camera is followed from sample to sample
constexpr int64_t kElsewhere = 8;     // grey levels by which half the blocks of another scene differ
constexpr int64_t kAlike = 4;         // grey levels by which rows and columns of the same scene differ less
constexpr int32_t kNewShot = 4 * kUsual;

// Adds what |a - b| has beyond the dead zone, for one row of pixels, to the sums of their columns.
OV2_SIMD void add_beyond(const uint8_t* __restrict a, const uint8_t* __restrict b, int64_t width,
                         uint16_t* __restrict columns) {
    for (int64_t x = 0; x < width; ++x) {
        auto difference = static_cast<uint8_t>(a[x] > b[x] ? a[x] - b[x] : b[x] - a[x]);
        auto beyond = static_cast<uint8_t>(difference > kDeadZone ? difference - kDeadZone : 0);
        columns[x] = static_cast<uint16_t>(columns[x] + beyond);
    }
}

// Adds a row of pixels to the sums of their columns, and returns its own.
OV2_SIMD int32_t add_row(const uint8_t* __restrict row, int64_t width, int32_t* __restrict columns) {
    int32_t sum = 0;
    for (int64_t x = 0; x < width; ++x) {
        columns[x] += row[x];
        sum += row[x];
    }
    return sum;
}

// Sums of a frame's rows, then of its columns.
void sum_profiles(const Geometry& g, const uint8_t* luma, int32_t* sums) {
    std::fill_n(sums, g.height + g.width, 0);
    for (int64_t y = 0; y < g.height; ++y) sums[y] = add_row(luma + y * g.width, g.width, sums + g.height);
}

// How far on in `there` lies what `here` shows: the least sum of differences, the nearest such, -1 before 1;
// 0 if that is not less than half of the sum without a shift.
int64_t best_shift(const int32_t* here, const int32_t* there, int64_t side) {
    int64_t reach = std::min(kReach, side / 4);
    int64_t best = 0, least = std::numeric_limits<int64_t>::max(), unmoved = 0;
    for (int64_t i = 0; i <= 2 * reach; ++i) {
        int64_t shift = i % 2 == 0 ? i / 2 : -(i + 1) / 2;
        int64_t cost = 0;
        for (int64_t p = reach; p < side - reach; ++p) cost += std::abs(here[p] - there[p + shift]);
        if (i == 0) unmoved = cost;
        if (cost < least) {
            least = cost;
            best = shift;
        }
    }
    return 2 * least < unmoved ? best : 0;
}

// What every block of a frame differs by from another frame that is shifted, added to `change`.
void add_changes(const Geometry& g, const uint8_t* luma, const uint8_t* other, int64_t dy, int64_t dx,
                 int32_t* change) {
    std::vector<uint16_t> columns(static_cast<size_t>(g.width), 0);
    std::vector<uint8_t> moved(dx == 0 ? 0 : static_cast<size_t>(g.width));
    int64_t begin = std::clamp<int64_t>(-dx, 0, g.width), end = std::clamp<int64_t>(g.width - dx, 0, g.width);
    for (int64_t y = 0; y < g.height; ++y) {
        const uint8_t* row = other + std::clamp<int64_t>(y + dy, 0, g.height - 1) * g.width;
        if (dx != 0) {
            std::fill(moved.begin(), moved.begin() + begin, row[0]);
            std::copy(row + begin + dx, row + end + dx, moved.begin() + begin);
            std::fill(moved.begin() + end, moved.end(), row[g.width - 1]);
            row = moved.data();
        }
        add_beyond(luma + y * g.width, row, g.width, columns.data());
        // At the end of a block, and before 16 bits could overflow.
        if ((y + 1) % g.block() != 0 && y % 256 != 255) continue;
        int32_t* sums = change + y / g.block() * g.blocks_x();
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            auto first = columns.begin() + bx * g.block();
            sums[bx] += std::accumulate(first, first + g.block(), 0);
        }
        std::fill(columns.begin(), columns.end(), uint16_t{0});
    }
}

// The lower median over a frame's blocks.
int32_t median_of(const int32_t* values, int64_t blocks, std::vector<int32_t>& scratch) {
    scratch.assign(values, values + blocks);
    auto middle = scratch.begin() + (blocks - 1) / 2;
    std::nth_element(scratch.begin(), middle, scratch.end());
    return *middle;
}

// The change of every block of a frame since two others, less the lower median over its blocks. `profile` is
// the frame's own, behind that of the sample before. Returns whether the frame shows something else than that
// sample, which then counts as no change.
bool frame_changes(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int32_t* profile,
                   int32_t* change) {
    const uint8_t* before = luma - g.pixels();
    const int32_t* earlier = profile - (g.height + g.width);
    std::fill_n(change, g.blocks(), 0);
    add_changes(g, luma, before, 0, 0, change);
    int64_t dy = best_shift(profile, earlier, g.height);
    int64_t dx = best_shift(profile + g.height, earlier + g.height, g.width);
    if (dy != 0 || dx != 0) {
        std::vector<int32_t> followed(static_cast<size_t>(g.blocks()), 0);
        add_changes(g, luma, before, dy, dx, followed.data());
        for (int64_t b = 0; b < g.blocks(); ++b)
            change[b] = std::min(change[b], followed[static_cast<size_t>(b)]);
    }
    std::vector<int32_t> scratch;
    bool elsewhere = median_of(change, g.blocks(), scratch) >= kElsewhere * g.block() * g.block();
    if (elsewhere) std::fill_n(change, g.blocks(), 0);
    add_changes(g, luma, prev, 0, 0, change);
    int32_t median = median_of(change, g.blocks(), scratch);
    for (int64_t b = 0; b < g.blocks(); ++b) change[b] = std::max(change[b] - median, 0);
    return elsewhere;
}

// Whether the sample of a profile shows what the one two before does: after a flash the shot goes on.
bool alike(const Geometry& g, const int32_t* profile) {
    int64_t sides = g.height + g.width;
    int64_t difference = 0;
    for (int64_t i = 0; i < sides; ++i) difference += std::abs(profile[i] - profile[i - 2 * sides]);
    return difference < kAlike * g.pixels();
}

// The first sample of a new shot, once the picture has settled, scores by every other block. `elsewhere` and
// `profiles` are those of the group's samples.
void show_new_shots(const Geometry& g, int64_t samples, const uint8_t* elsewhere, const int32_t* profiles,
                    int32_t* scores) {
    for (int64_t i = 1; i < samples; ++i) {
        if (elsewhere[i] == 0 || (i + 1 < samples && elsewhere[i + 1] != 0)) continue;
        if (i >= 2 && alike(g, profiles + i * (g.height + g.width))) continue;
        for (int64_t b = 0; b < g.blocks(); ++b)
            scores[i * g.blocks() + b] = (b / g.blocks_x() + b % g.blocks_x()) % 2 == 0 ? kNewShot : 0;
    }
}

// Changes become scores: each divided by what its place changes by on average.
void relate_to_place(const Geometry& g, int64_t frames, int32_t* scores) {
    for (int64_t b = 0; b < g.blocks(); ++b) {
        int64_t sum = 0;
        for (int64_t t = 0; t < frames; ++t) sum += scores[t * g.blocks() + b];
        int64_t usual = g.block() * g.block() / 16 + sum / frames;
        for (int64_t t = 0; t < frames; ++t) {
            int32_t& score = scores[t * g.blocks() + b];
            int64_t related = score * kUsual / usual;
            score = static_cast<int32_t>(std::min(related, kFull) +
                                         std::max<int64_t>(related - kFull, 0) / kBeyondFull);
        }
    }
}

}  // namespace

void change_scores(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma,
                   const int64_t* group_edges, int64_t groups, int threads, int32_t* scores) {
    std::vector<uint8_t> opens(static_cast<size_t>(g.frames), 0), elsewhere(static_cast<size_t>(g.frames), 0);
    for (int64_t k = 0; k < groups; ++k) opens[static_cast<size_t>(group_edges[k])] = 1;
    int64_t sides = g.height + g.width;
    std::vector<int32_t> profiles(static_cast<size_t>(g.frames * sides));
    parallel_for(g.frames, threads,
                 [&](int64_t n) { sum_profiles(g, luma + n * g.pixels(), profiles.data() + n * sides); });
    parallel_for(g.frames, threads, [&](int64_t n) {
        int32_t* out = scores + n * g.blocks();
        if (opens[static_cast<size_t>(n)] != 0) {
            std::fill_n(out, g.blocks(), 0);
        } else {
            elsewhere[static_cast<size_t>(n)] = static_cast<uint8_t>(frame_changes(
                g, luma + n * g.pixels(), prev_luma + n * g.pixels(), profiles.data() + n * sides, out));
        }
    });
    parallel_for(groups, threads, [&](int64_t k) {
        int64_t first = group_edges[k], samples = group_edges[k + 1] - first;
        if (samples < 2) return;
        relate_to_place(g, samples - 1, scores + (first + 1) * g.blocks());
        show_new_shots(g, samples, elsewhere.data() + first, profiles.data() + first * sides,
                       scores + first * g.blocks());
    });
}

}  // namespace ov2::kernels
