// What the first bytes of a coded picture tell about it, without decoding.
#pragma once

#include <cstdint>
#include <string>

#include "media/libav.h"

namespace ov2::media {

struct PictureHeader {
    bool shown = true;           // false for a VP8 alternate reference, which is never displayed
    bool reference = true;       // other pictures may be predicted from it
    bool clean_access = false;   // what follows it in decode and display order needs nothing before it
    std::string parameter_sets;  // those it carries, which pictures after it may need
};

PictureHeader read_picture_header(const AVCodecParameters& codec, const AVPacket& packet);

// Whether this is H.264 with its parameter sets in the container (avcC), at hand for every decoder.
bool has_avc_record(const AVCodecParameters& codec);

// Those of the container, in the same form; empty where the stream brings its own.
std::string container_parameter_sets(const AVCodecParameters& codec);

// Whether libavcodec exports the motion vectors of this codec.
bool exports_motion_vectors(AVCodecID codec);

}  // namespace ov2::media
