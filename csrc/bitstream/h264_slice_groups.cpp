#include "bitstream/h264_slice_groups.h"

#include <algorithm>

namespace ov2::bitstream {
namespace {

// 8.2.2.4: a box that grows around the middle in a spiral.
void box_out(std::vector<uint8_t>& map, int width, int height, int units_in_group0, bool direction) {
    std::fill(map.begin(), map.end(), uint8_t{1});
    int d = direction ? 1 : 0;
    int x = (width - d) / 2, y = (height - d) / 2;
    int left = x, right = x, top = y, bottom = y;
    int step_x = d - 1, step_y = d;
    for (int k = 0; k < units_in_group0;) {
        uint8_t& unit = map[static_cast<size_t>(y * width + x)];
        k += unit;
        unit = 0;
        if (step_x == -1 && x == left) {
            x = left = std::max(left - 1, 0);
            step_x = 0;
            step_y = 2 * d - 1;
        } else if (step_x == 1 && x == right) {
            x = right = std::min(right + 1, width - 1);
            step_x = 0;
            step_y = 1 - 2 * d;
        } else if (step_y == -1 && y == top) {
            y = top = std::max(top - 1, 0);
            step_x = 1 - 2 * d;
            step_y = 0;
        } else if (step_y == 1 && y == bottom) {
            y = bottom = std::min(bottom + 1, height - 1);
            step_x = 2 * d - 1;
            step_y = 0;
        } else {
            x += step_x;
            y += step_y;
        }
    }
}

// 8.2.2.3: rectangles, the first on top, and what is left.
void foreground(std::vector<uint8_t>& map, const Pps& pps, int width) {
    int groups = pps.num_slice_groups;
    auto units = static_cast<int>(map.size());
    std::fill(map.begin(), map.end(), static_cast<uint8_t>(groups - 1));
    for (int group = groups - 2; group >= 0; --group) {
        int first = pps.top_left[static_cast<size_t>(group)],
            last = pps.bottom_right[static_cast<size_t>(group)];
        if (first > last || last >= units) continue;
        for (int y = first / width; y <= last / width; ++y) {
            for (int x = first % width; x <= last % width; ++x) {
                map[static_cast<size_t>(y * width + x)] = static_cast<uint8_t>(group);
            }
        }
    }
}

// 8.2.2.1: runs of each group in turn.
void interleave(std::vector<uint8_t>& map, const Pps& pps) {
    size_t at = 0;
    for (int group = 0; at < map.size(); group = (group + 1) % pps.num_slice_groups) {
        size_t run =
            std::min(static_cast<size_t>(pps.run_length[static_cast<size_t>(group)]), map.size() - at);
        std::fill_n(map.begin() + static_cast<std::ptrdiff_t>(at), run, static_cast<uint8_t>(group));
        at += run;
    }
}

// 8.2.2.5 and 8.2.2.6: the first units of a raster or column scan against the rest.
void wipe(std::vector<uint8_t>& map, int width, int height, int upper_left, bool direction, bool columns) {
    for (int i = 0; i < width * height; ++i) {
        int place = columns ? (i % width) * height + i / width : i;
        map[static_cast<size_t>(i)] = (place < upper_left) == direction;
    }
}

}  // namespace

std::vector<uint8_t> slice_group_map(const SliceHeader& header) {
    const Sps& sps = *header.sps;
    const Pps& pps = *header.pps;
    if (pps.num_slice_groups <= 1) return {};
    int width = sps.width_in_mbs, height = sps.height_in_map_units;
    int units = width * height;
    std::vector<uint8_t> map(static_cast<size_t>(units));
    // (7-36) and (8-16)
    int64_t changed = int64_t{header.slice_group_change_cycle} * pps.slice_group_change_rate;
    auto in_group0 = static_cast<int>(std::min<int64_t>(changed, units));
    bool direction = pps.slice_group_change_direction;
    int upper_left = direction ? units - in_group0 : in_group0;
    switch (pps.slice_group_map_type) {
        case 0:
            interleave(map, pps);
            break;
        case 1:  // 8.2.2.2: dispersed
            for (int i = 0; i < units; ++i) {
                map[static_cast<size_t>(i)] = static_cast<uint8_t>(
                    (i % width + i / width * pps.num_slice_groups / 2) % pps.num_slice_groups);
            }
            break;
        case 2:
            foreground(map, pps, width);
            break;
        case 3:
            box_out(map, width, height, in_group0, direction);
            break;
        case 4:
        case 5:
            wipe(map, width, height, upper_left, direction, pps.slice_group_map_type == 5);
            break;
        default:  // 8.2.2.7: stated one by one
            std::copy_n(pps.slice_group_id.begin(), std::min(pps.slice_group_id.size(), map.size()),
                        map.begin());
    }
    // 8.2.2.8
    if (sps.frame_mbs_only || header.field_pic) return map;
    std::vector<uint8_t> by_mb(static_cast<size_t>(header.macroblocks()));
    for (int i = 0; i < header.macroblocks(); ++i) {
        int unit = header.mbaff() ? i / 2 : i / (2 * width) * width + i % width;
        by_mb[static_cast<size_t>(i)] = map[static_cast<size_t>(unit)];
    }
    return by_mb;
}

}  // namespace ov2::bitstream
