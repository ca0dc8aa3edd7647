// Decodes a video once and keeps what the sampled frames need.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "media/kept_colors.h"
#include "media/probe.h"

namespace ov2::media {

enum class MotionSource : int { none = 0, codec = 1, estimated = 2 };

struct ReadRequest {
    std::string path;
    const PacketTable* table = nullptr;
    std::vector<int64_t> frame_indices;  // strictly increasing rows of the table
    int height = 0;                      // of the upright canvas, multiples of 4
    int width = 0;
    int threads = 1;
    Limits limits;
    MotionSource motion = MotionSource::codec;
    bool predecessors = true;  // whether the pictures before the samples are wanted
    // Called often from the reading thread with the number of samples, from the first on, whose pictures are
    // written; falls back to 0 where reading starts anew. May throw to stop the read.
    std::function<void(int64_t)> poll;
};

// One row per sample; every array is C-contiguous, and `motion` zero on entry.
struct SampleArrays {
    uint8_t* frames;        // [N, H, W, 3], or null: then colours are only kept
    KeptColors* colors;     // in the stead of frames
    uint8_t* luma;          // [N, H, W]
    uint8_t* prev_luma;     // [N, H, W], or nothing without predecessors
    int16_t* motion;        // [N, H/4, W/4, 2]
    int64_t* packet_bytes;  // [N]
    int64_t* pts;           // [N]
    uint8_t* pict_types;    // [N], the letter of the picture type
    int64_t* shown;         // [N], the row whose picture it is: its own, or that of one that stands in
};

struct ReadStatistics {
    int64_t decoded = 0;  // pictures the decoder gave
    int64_t skipped = 0;  // packets that no sample needed
    MotionSource motion = MotionSource::none;
};

ReadStatistics read_samples(const ReadRequest& request, const SampleArrays& arrays);

// What read_samples uses when `wanted` is asked for: codecs without exported vectors are estimated, and where
// every picture is a keyframe there is no motion at all.
MotionSource motion_source(AVCodecID codec, const PacketTable& table, MotionSource wanted);

}  // namespace ov2::media
