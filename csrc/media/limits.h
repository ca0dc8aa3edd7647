// How far a file is trusted. Whoever calls sets all of it; ov2_kernels/limits.py holds the defaults and the
// names.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace ov2::media {

struct Limits {
    std::string containers;  // libavformat's names of those that are read, with commas between
    int64_t max_source_width = 0;
    int64_t max_source_height = 0;
    int64_t max_source_pixels = 0;
    int64_t max_source_frames = 0;
    double max_source_seconds = 0.0;
    int64_t max_file_bytes = 0;
    int64_t max_probe_bytes = 0;
    bool follow_symlinks = false;
    // Whether damage is lived with as far as can be: what is there is used.
    bool salvage = false;
    // Called often from the reading thread, also in the middle of libav's reads; may throw to stop.
    std::function<void()> check;
};

// Throws VideoError where a picture is larger than the limits.
void check_size(const Limits& limits, const std::string& path, int64_t width, int64_t height);

// What a decoder is told: a little more, for coded pictures are larger than what is shown of them.
inline int64_t most_decoded_pixels(const Limits& limits) {
    return limits.max_source_pixels + limits.max_source_pixels / 4 + (1 << 16);
}

// Tells libav how many bytes it may take at once, for the whole process, so that this only ever grows. Not
// for several threads at a time.
void limit_allocations(const Limits& limits);

}  // namespace ov2::media
