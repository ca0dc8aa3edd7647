// What an MP4 claims to hold, before libavformat makes room for it.
#pragma once

#include <cstdint>

#include "media/byte_source.h"

namespace ov2::media {

// The most samples that any table of a track of pictures, or any run of a movie fragment, claims. A table may
// claim billions in a few bytes.
int64_t most_samples_claimed(const ByteSource& source);

}  // namespace ov2::media
