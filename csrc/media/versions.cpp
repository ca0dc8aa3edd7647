#include "media/versions.h"

#include "media/libav.h"

namespace ov2::media {

std::vector<std::pair<std::string, std::string>> library_versions() {
    auto text = [](unsigned version) {
        return std::to_string(AV_VERSION_MAJOR(version)) + "." + std::to_string(AV_VERSION_MINOR(version)) +
               "." + std::to_string(AV_VERSION_MICRO(version));
    };
    return {{"ffmpeg", av_version_info()},
            {"libavformat", text(avformat_version())},
            {"libavcodec", text(avcodec_version())},
            {"libavutil", text(avutil_version())},
            {"libswscale", text(swscale_version())}};
}

}  // namespace ov2::media
