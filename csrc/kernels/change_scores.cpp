#include "kernels/change_scores.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/comparison.h"
#include "parallel.h"
#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int64_t kUsual = 8191;  // the score of a change as large as is usual for its place
constexpr int64_t kPercent = 90;  // so many in a hundred of a place's changes are no larger than that
constexpr int64_t kFull = 65535;
constexpr int64_t kBeyondFull = 256;  // what is above grows so many times as slowly
constexpr int64_t kReach = 16;        // pixels by which a camera is followed from sample to sample
constexpr int64_t kElsewhere = 8;     // grey levels by which half the blocks of another scene differ
constexpr int64_t kAlike = 4;         // grey levels by which rows and columns of the same scene differ less
constexpr int64_t kSteady = 4;        // grey levels by which the mean of one picture is another's no more
constexpr int64_t kPatience = 6;      // samples among which one must show something else for that to matter
constexpr int32_t kNewShot = 5 * kUsual;

// The sum of |here - there|.
OV2_SIMD int64_t sum_of_differences(const int32_t* here, const int32_t* there, int64_t count) {
    int64_t total = 0;
    for (int64_t i = 0; i < count; ++i) total += std::abs(here[i] - there[i]);
    return total;
}

// How far on in `there` lies what `here` shows: the least sum of differences, the nearest such, -1 before 1;
// 0 if that is not less than half of the sum without a shift.
int64_t best_shift(const int32_t* here, const int32_t* there, int64_t side) {
    int64_t reach = std::min(kReach, side / 4);
    int64_t best = 0, least = std::numeric_limits<int64_t>::max(), unmoved = 0;
    for (int64_t i = 0; i <= 2 * reach; ++i) {
        int64_t shift = i % 2 == 0 ? i / 2 : -(i + 1) / 2;
        int64_t cost = sum_of_differences(here + reach, there + reach + shift, side - 2 * reach);
        if (i == 0) unmoved = cost;
        if (cost < least) {
            least = cost;
            best = shift;
        }
    }
    return 2 * least < unmoved ? best : 0;
}

// What is known of a frame before cameras are followed: its rows and columns, and what its blocks differ by
// from the sample before and from the frame before. One pass, for all of this waits for memory.
void measure_frame(const Geometry& g, const uint8_t* luma, const uint8_t* prev, bool opens, int32_t* profile,
                   int32_t* since_sample, int32_t* since_frame) {
    std::fill_n(since_sample, g.blocks(), 0);
    std::fill_n(since_frame, g.blocks(), 0);
    Comparison rows(g, luma);
    while (rows.next()) {
        rows.sum_profiles(profile);
        if (opens) continue;
        rows.add_since_sample(luma - g.pixels(), 0, 0, since_sample);
        rows.add_changes(prev, 0, 0, since_frame);
    }
}

// Element `rank` in ascending order.
int32_t order_statistic(std::vector<int32_t>& values, int64_t rank) {
    auto found = values.begin() + rank;
    std::nth_element(values.begin(), found, values.end());
    return *found;
}

// The lower median over a frame's blocks.
int32_t median_of(const int32_t* values, int64_t blocks, std::vector<int32_t>& scratch) {
    scratch.assign(values, values + blocks);
    return order_statistic(scratch, (blocks - 1) / 2);
}

// The change of every block of a frame since two others, less the lower median over its blocks. `profile` is
// the frame's own, behind that of the sample before; `change` what it differs by from that sample. Returns
// whether the frame shows something else than that sample, which then counts as no change.
bool frame_changes(const Geometry& g, const uint8_t* luma, const int32_t* profile, const int32_t* since_frame,
                   int32_t* change) {
    const int32_t* earlier = profile - (g.height + g.width);
    int64_t dy = best_shift(profile, earlier, g.height);
    int64_t dx = best_shift(profile + g.height, earlier + g.height, g.width);
    std::vector<int32_t> scratch;
    if (dy != 0 || dx != 0) {
        std::vector<int32_t> followed(static_cast<size_t>(g.blocks()), 0);
        Comparison rows(g, luma);
        while (rows.next()) rows.add_since_sample(luma - g.pixels(), dy, dx, followed.data());
        for (int64_t b = 0; b < g.blocks(); ++b)
            change[b] = std::min(change[b], followed[static_cast<size_t>(b)]);
    }
    bool elsewhere = median_of(change, g.blocks(), scratch) >= kElsewhere * g.block() * g.block();
    for (int64_t b = 0; b < g.blocks(); ++b) change[b] = since_frame[b] + (elsewhere ? 0 : change[b]);
    int32_t median = median_of(change, g.blocks(), scratch);
    for (int64_t b = 0; b < g.blocks(); ++b) change[b] = std::max(change[b] - median, 0);
    return elsewhere;
}

// The first sample of a new shot, once the picture has settled, scores by every other block; not if it shows
// what was there before the picture became unsettled: after a flash the shot goes on. `elsewhere`, which is 0
// for the first, and `profiles` are those of the group's samples.
void show_new_shots(const Geometry& g, int64_t samples, const uint8_t* elsewhere, const int32_t* profiles,
                    int32_t* scores) {
    const int64_t sides = g.height + g.width;
    auto light = [&](int64_t i) {
        return std::accumulate(profiles + i * sides, profiles + i * sides + g.height, int64_t{0});
    };
    auto any = [&](int64_t first, int64_t last) {
        return std::any_of(elsewhere + first, elsewhere + last + 1, [](uint8_t e) { return e != 0; });
    };
    auto settled = [&](int64_t i) {
        if (any(i + 1, i + 2)) return false;
        if (!any(std::max(i + 1 - kPatience, int64_t{0}), i)) return true;
        const int64_t here = light(i), most = kSteady * g.pixels();
        return std::abs(light(i + 1) - here) < most && std::abs(light(i + 2) - here) < most;
    };
    int64_t unsettled = 0;  // since this sample
    for (int64_t i = 1; i + 2 < samples; ++i) {
        if (unsettled == 0 && elsewhere[i] != 0) unsettled = i;
        if (unsettled == 0 || !settled(i)) continue;
        const int32_t* before = profiles + (unsettled - 1) * sides;
        unsettled = 0;
        if (sum_of_differences(profiles + i * sides, before, sides) < kAlike * g.pixels()) continue;
        for (int64_t b = 0; b < g.blocks(); ++b)
            scores[i * g.blocks() + b] = (b / g.blocks_x() + b % g.blocks_x()) % 2 == 0 ? kNewShot : 0;
    }
}

// Changes become scores: each divided by what is usual for its place.
void relate_to_place(const Geometry& g, int64_t frames, int32_t* scores) {
    std::vector<int32_t> changes(static_cast<size_t>(frames));
    for (int64_t b = 0; b < g.blocks(); ++b) {
        for (int64_t t = 0; t < frames; ++t) changes[static_cast<size_t>(t)] = scores[t * g.blocks() + b];
        int64_t usual = g.block() * g.block() / 8 + order_statistic(changes, kPercent * (frames - 1) / 100);
        for (int64_t t = 0; t < frames; ++t) {
            int32_t& score = scores[t * g.blocks() + b];
            int64_t related = score * kUsual / usual;
            score = static_cast<int32_t>(std::min(related, kFull) +
                                         std::max<int64_t>(related - kFull, 0) / kBeyondFull);
        }
    }
}

}  // namespace

Changes::Changes(const Geometry& g, const int64_t* group_edges, int64_t groups)
    : g_(g),
      sides_(g.height + g.width),
      edges_(group_edges, group_edges + groups + 1),
      opens_(static_cast<size_t>(g.frames), 0),
      elsewhere_(static_cast<size_t>(g.frames), 0),
      profiles_(static_cast<size_t>(g.frames * sides_)),
      changes_(static_cast<size_t>(g.frames * g.blocks())) {
    for (int64_t k = 0; k < groups; ++k) opens_[static_cast<size_t>(edges_[static_cast<size_t>(k)])] = 1;
}

void Changes::measure(const uint8_t* luma, const uint8_t* prev_luma, int64_t first, int64_t end,
                      int threads) {
    std::vector<int32_t> since_frame(static_cast<size_t>((end - first) * g_.blocks()));
    parallel_for(end - first, threads, [&](int64_t i) {
        int64_t n = first + i;
        measure_frame(g_, luma + n * g_.pixels(), prev_luma + n * g_.pixels(),
                      opens_[static_cast<size_t>(n)] != 0, profiles_.data() + n * sides_,
                      changes_.data() + n * g_.blocks(), since_frame.data() + i * g_.blocks());
    });
    parallel_for(end - first, threads, [&](int64_t i) {
        int64_t n = first + i;
        if (opens_[static_cast<size_t>(n)] != 0) return;
        elsewhere_[static_cast<size_t>(n)] = static_cast<uint8_t>(
            frame_changes(g_, luma + n * g_.pixels(), profiles_.data() + n * sides_,
                          since_frame.data() + i * g_.blocks(), changes_.data() + n * g_.blocks()));
    });
}

void Changes::scores(int64_t first_group, int64_t end_group, int threads, int32_t* scores) const {
    auto edge = [&](int64_t k) { return edges_[static_cast<size_t>(k)]; };
    int64_t begin = edge(first_group);
    std::copy(changes_.begin() + begin * g_.blocks(), changes_.begin() + edge(end_group) * g_.blocks(),
              scores);
    parallel_for(end_group - first_group, threads, [&](int64_t k) {
        int64_t first = edge(first_group + k), samples = edge(first_group + k + 1) - first;
        if (samples < 2) return;
        int32_t* own = scores + (first - begin) * g_.blocks();
        relate_to_place(g_, samples - 1, own + g_.blocks());
        show_new_shots(g_, samples, elsewhere_.data() + first, profiles_.data() + first * sides_, own);
    });
}

void change_scores(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma,
                   const int64_t* group_edges, int64_t groups, int threads, int32_t* scores) {
    Changes changes(g, group_edges, groups);
    changes.measure(luma, prev_luma, 0, g.frames, threads);
    changes.scores(0, groups, threads, scores);
}

}  // namespace ov2::kernels
