#include "kernels/sample_frames.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace ov2::kernels {
namespace {

double time_of(const SampleRequest& r, int64_t frame) {
    return static_cast<double>((r.pts[frame] - r.pts[0]) * r.time_base_num) /
           static_cast<double>(r.time_base_den);
}

// First frame in [0, frames) for which `late` holds, where it holds from some frame on.
template <typename Late>
int64_t first_frame(int64_t frames, Late late) {
    int64_t low = 0;
    while (low < frames) {
        int64_t middle = (low + frames) / 2;
        if (late(middle)) {
            frames = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// Frames nearest in time to instants spaced by 1 / sample_fps; empty where there would be more than
// max_samples.
std::vector<int64_t> by_rate(const SampleRequest& r, int64_t first, int64_t last) {
    double start = time_of(r, first);
    double count = std::floor((time_of(r, last) - start) * r.sample_fps + 1e-9) + 1.0;
    std::vector<int64_t> frame_ids;
    if (count > static_cast<double>(r.max_samples)) return frame_ids;
    // Of the range, and of frames shown at the same time the first.
    auto first_at = [&](double instant) {
        return std::clamp(first_frame(r.frames, [&](int64_t t) { return time_of(r, t) >= instant; }), first,
                          last);
    };
    for (int64_t k = 0; k < static_cast<int64_t>(count); ++k) {
        double instant = start + static_cast<double>(k) / r.sample_fps;
        int64_t frame = first_at(std::min(instant, time_of(r, last)));
        if (frame > first && instant - time_of(r, frame - 1) <= time_of(r, frame) - instant)
            frame = first_at(time_of(r, frame - 1));
        if (frame_ids.empty() || frame > frame_ids.back()) frame_ids.push_back(frame);
    }
    return frame_ids;
}

std::vector<int64_t> by_count(int64_t first, int64_t last, int64_t max_samples) {
    int64_t frames = last - first + 1;
    int64_t count = std::min(max_samples, frames);
    std::vector<int64_t> frame_ids(static_cast<size_t>(count), first);
    for (int64_t i = 1; i < count; ++i)
        frame_ids[static_cast<size_t>(i)] = first + i * (frames - 1) / (count - 1);
    return frame_ids;
}

// Packets the decoder must see from the keyframe before each frame, the frame's own not counted.
std::vector<int64_t> decode_costs(const SampleRequest& r) {
    std::vector<int64_t> keys;
    for (int64_t t = 0; t < r.frames; ++t) {
        if (r.is_key[t] != 0) keys.push_back(r.decode_index[t]);
    }
    std::sort(keys.begin(), keys.end());
    std::vector<int64_t> costs(static_cast<size_t>(r.frames));
    for (int64_t t = 0; t < r.frames; ++t) {
        auto after = std::upper_bound(keys.begin(), keys.end(), r.decode_index[t]);
        costs[static_cast<size_t>(t)] = r.decode_index[t] - (after == keys.begin() ? -1 : *(after - 1));
    }
    return costs;
}

constexpr int64_t kAhead =
    32;  // frames shown after a frame that are asked whether they are decoded before it
constexpr int64_t kNeighbours = 12;  // frames of a kind before and after a frame that tell what is usual

// 0: nothing shown soon after the frame is decoded before it; 1: one frame is; 2: several are.
size_t kind_of(const SampleRequest& r, int64_t frame) {
    size_t earlier = 0;
    for (int64_t t = frame + 1; t < std::min(frame + 1 + kAhead, r.frames) && earlier < 2; ++t) {
        if (r.decode_index[t] < r.decode_index[frame]) ++earlier;
    }
    return earlier;
}

// Bytes by which each packet exceeds the usual of its kind, 0 unless by more than half of that; keyframes
// have none.
std::vector<int64_t> packet_excess(const SampleRequest& r) {
    std::array<std::vector<int64_t>, 3> alike;
    for (int64_t t = 0; t < r.frames; ++t) {
        if (r.is_key[t] == 0) alike[kind_of(r, t)].push_back(t);
    }
    std::vector<int64_t> excess(static_cast<size_t>(r.frames), 0);
    std::vector<int64_t> sizes;
    for (const std::vector<int64_t>& frames : alike) {
        auto count = static_cast<int64_t>(frames.size());
        for (int64_t i = 0; i < count; ++i) {
            sizes.clear();
            for (int64_t j = std::max<int64_t>(0, i - kNeighbours); j < std::min(count, i + kNeighbours + 1);
                 ++j)
                sizes.push_back(r.size[frames[static_cast<size_t>(j)]]);
            auto middle = sizes.begin() + (static_cast<int64_t>(sizes.size()) - 1) / 2;
            std::nth_element(sizes.begin(), middle, sizes.end());
            int64_t frame = frames[static_cast<size_t>(i)];
            int64_t beyond = r.size[frame] - *middle;
            if (2 * beyond > *middle) excess[static_cast<size_t>(frame)] = beyond;
        }
    }
    return excess;
}

int64_t nearest_non_keyframe(const SampleRequest& r, int64_t sample, int64_t begin, int64_t end) {
    for (int64_t distance = 0; sample + distance < end || sample - distance >= begin; ++distance) {
        if (sample + distance < end && r.is_key[sample + distance] == 0) return sample + distance;
        if (sample - distance >= begin && r.is_key[sample - distance] == 0) return sample - distance;
    }
    return sample;
}

}  // namespace

SampledFrames sample_frames(const SampleRequest& r) {
    int64_t first = first_frame(r.frames, [&](int64_t t) { return time_of(r, t) >= r.start_time; });
    int64_t last = first_frame(r.frames, [&](int64_t t) { return time_of(r, t) > r.end_time; }) - 1;
    if (last < first) throw std::invalid_argument("no frame lies between start_time and end_time");

    std::vector<int64_t> base;
    if (r.sample_fps > 0) base = by_rate(r, first, last);
    if (base.empty()) base = by_count(first, last, r.max_samples);

    SampledFrames result{base, first};
    std::vector<int64_t> costs, excess;
    if (r.sampling == Sampling::near_keyframes) costs = decode_costs(r);
    if (r.sampling == Sampling::peaks) excess = packet_excess(r);
    for (size_t i = 0; i < base.size(); ++i) {
        int64_t begin = i == 0 ? first : (base[i - 1] + base[i]) / 2 + 1;
        int64_t end = 1 + (i + 1 == base.size() ? last : (base[i] + base[i + 1]) / 2);
        int64_t& frame = result.frame_ids[i];
        if (r.sampling == Sampling::peaks) {
            auto peak = std::max_element(excess.begin() + begin, excess.begin() + end);
            if (*peak > 0) frame = peak - excess.begin();
        }
        if (r.sampling == Sampling::near_keyframes) {
            frame = std::min_element(costs.begin() + begin, costs.begin() + end) - costs.begin();
        }
        if (r.avoid_keyframes) frame = nearest_non_keyframe(r, frame, begin, end);
    }
    return result;
}

}  // namespace ov2::kernels
