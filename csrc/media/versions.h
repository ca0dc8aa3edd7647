// Which FFmpeg runs here.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ov2::media {

// FFmpeg's own version and those of its libraries, by name.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace ov2::media
