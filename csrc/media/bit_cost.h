// Reads the coded pictures that are asked for, and no others where the container allows it, and parses them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bitstream/picture_cost.h"
#include "media/probe.h"

namespace ov2::media {

struct BitCostRequest {
    std::string path;
    const PacketTable* table = nullptr;
    std::vector<int64_t> frame_indices;  // rows of the table, strictly increasing
    int threads = 1;
    Limits limits;
    bitstream::CostRules rules;
    // Called often from the reading thread with the number of pictures read; may throw to stop.
    std::function<void(int64_t)> poll;
};

// One cost per frame index. Rows of a table without timestamps are packets in decode order here.
std::vector<bitstream::PictureCost> bit_cost(const BitCostRequest& request);

}  // namespace ov2::media
