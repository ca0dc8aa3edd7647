#include "media/limits.h"

#include "media/error.h"

namespace ov2::media {

void check_size(const Limits& limits, const std::string& path, int64_t width, int64_t height) {
    auto require = [&](const char* name, int64_t most, int64_t got) {
        if (got > most) throw_too_large(path, name, std::to_string(most), std::to_string(got));
    };
    require("max_source_width", limits.max_source_width, width);
    require("max_source_height", limits.max_source_height, height);
    require("max_source_pixels", limits.max_source_pixels, width * height);
}

}  // namespace ov2::media
