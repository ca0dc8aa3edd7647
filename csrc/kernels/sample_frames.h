#pragma once

#include <cstdint>
#include <vector>

namespace ov2::kernels {

enum class Sampling : int { uniform = 0, peaks = 1, near_keyframes = 2 };

// Rows of a packet table in display order, and what to take from it (algorithm, section 2).
struct SampleRequest {
    const int64_t* size;
    const int64_t* pts;
    const uint8_t* is_key;
    const int64_t* decode_index;
    int64_t frames;
    int64_t time_base_num, time_base_den;
    int64_t max_samples;
    Sampling sampling;
    bool avoid_keyframes;
    double start_time, end_time;  // seconds, inclusive
    double sample_fps;            // 0: by count
};

struct SampledFrames {
    std::vector<int64_t> frame_ids;  // strictly increasing
    int64_t range_start = 0;         // first frame of the range they were taken from
};

// Throws std::invalid_argument where the range holds no frame.
SampledFrames sample_frames(const SampleRequest& request);

}  // namespace ov2::kernels
