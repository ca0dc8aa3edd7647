#include "media/limits.h"

#include <algorithm>

#include "media/error.h"
#include "media/libav.h"

namespace ov2::media {

void check_size(const Limits& limits, const std::string& path, int64_t width, int64_t height) {
    auto require = [&](const char* name, int64_t most, int64_t got) {
        if (got > most) throw_too_large(path, name, std::to_string(most), std::to_string(got));
    };
    require("max_source_width", limits.max_source_width, width);
    require("max_source_height", limits.max_source_height, height);
    require("max_source_pixels", limits.max_source_pixels, width * height);
}

void limit_allocations(const Limits& limits) {
    // For a header that lies; a plane of the largest picture that the default limits admit takes half of it.
    static size_t most = size_t{1} << 29;
    most = std::max(most, static_cast<size_t>(8 * most_decoded_pixels(limits)));
    av_max_alloc(most);
}

}  // namespace ov2::media
