#include "kernels/bad_frames.h"

#include <algorithm>

#include "parallel.h"

namespace ov2::kernels {
namespace {

// Sums over the values of a plane; exact, so that order does not matter.
struct Moments {
    int64_t sum = 0;
    int64_t squares = 0;
    int lowest = 255;
    int highest = 0;

    void add(int value) {
        sum += value;
        squares += value * value;
        lowest = std::min(lowest, value);
        highest = std::max(highest, value);
    }
    // count^2 times the variance.
    int64_t spread(int64_t count) const { return count * squares - sum * sum; }
    bool deviates_by_at_most(int64_t deviation, int64_t count) const {
        return spread(count) <= deviation * deviation * count * count;
    }
    int range() const { return highest - lowest; }
};

bool is_bad(const uint8_t* rgb, int64_t count) {
    Moments luma, channel[3];
    int64_t green = 0;
    for (int64_t i = 0; i < count; ++i, rgb += 3) {
        int r = rgb[0], g = rgb[1], b = rgb[2];
        // BT.601 in 1/16384, rounded half up.
        luma.add((4899 * r + 9617 * g + 1868 * b + 8192) >> 14);
        channel[0].add(r);
        channel[1].add(g);
        channel[2].add(b);
        green += g >= 180 && r <= 90 && b <= 90;
    }
    bool black = luma.sum <= 8 * count && luma.deviates_by_at_most(6, count);
    bool flat =
        luma.deviates_by_at_most(4, count) && std::all_of(channel, channel + 3, [count](const Moments& c) {
            return c.deviates_by_at_most(4, count) && c.range() <= 12;
        });
    int64_t others = std::max(channel[0].sum, channel[2].sum);
    bool mostly_green = 20 * green >= 7 * count;
    bool green_cast = channel[1].sum > 120 * count && channel[1].sum - others > 80 * count &&
                      channel[1].spread(count) < 2500 * count * count;
    return black || flat || mostly_green || green_cast;
}

}  // namespace

void bad_frames(const Geometry& g, const uint8_t* frames, int threads, uint8_t* bad) {
    parallel_for(g.frames, threads,
                 [&](int64_t i) { bad[i] = is_bad(frames + 3 * i * g.pixels(), g.pixels()) ? 1 : 0; });
}

}  // namespace ov2::kernels
