#pragma once

#include <cstdint>
#include <vector>

namespace ov2::kernels {

enum class Partition : int { energy = 0, uniform = 1, fixed = 2 };

struct PartitionRequest {
    const int64_t* size;    // [frames], packet bytes in display order
    const uint8_t* is_key;  // [frames]
    const int64_t* frame_ids;
    int64_t samples;
    int64_t range_start;
    Partition partition;
    int64_t max_groups;
    int64_t group_size;
    int64_t min_group_frames, max_group_frames;
};

// Edges of the groups, [groups + 1], in samples (algorithm, section 3).
std::vector<int64_t> partition_groups(const PartitionRequest& request);

}  // namespace ov2::kernels
