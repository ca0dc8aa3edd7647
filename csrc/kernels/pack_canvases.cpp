#include "kernels/pack_canvases.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace ov2::kernels {

CopyBlocks copy_from(const Geometry& g, const uint8_t* frames) {
    return [g, frames](int64_t sample, int64_t y, int64_t x, int64_t count, uint8_t* to) {
        const uint8_t* from = frames + 3 * ((sample * g.height + y * g.block()) * g.width + x * g.block());
        auto row_bytes = static_cast<size_t>(3 * count * g.block());
        for (int64_t row = 0; row < g.block(); ++row) {
            std::memcpy(to + 3 * row * g.width, from + 3 * row * g.width, row_bytes);
        }
    };
}

void pack_canvases(const Geometry& g, const CopyBlocks& copy_blocks, const int64_t* selected, int64_t count,
                   const int64_t* frame_ids, int threads, uint8_t* canvases, int32_t* positions) {
    parallel_for(count, threads, [&](int64_t c) {
        const int64_t* sources = selected + c * g.blocks();
        for (int64_t slot = 0; slot < g.blocks(); ++slot) {
            int64_t source = sources[slot];
            int64_t sample = source / g.blocks();
            int64_t from_y = source % g.blocks() / g.blocks_x();
            int64_t from_x = source % g.blocks() % g.blocks_x();
            int64_t to_y = slot / g.blocks_x();
            int64_t to_x = slot % g.blocks_x();
            // Neighbours that stay neighbours go together.
            bool goes_on = from_x > 0 && to_x > 0 && sources[slot - 1] == source - 1;
            if (!goes_on) {
                int64_t run = 1;
                int64_t most = g.blocks_x() - std::max(from_x, to_x);
                while (run < most && sources[slot + run] == source + run) ++run;
                copy_blocks(sample, from_y, from_x, run,
                            canvases + 3 * ((c * g.height + to_y * g.block()) * g.width + to_x * g.block()));
            }
            for (int64_t patch = 0; patch < 4; ++patch) {
                int64_t row = 2 * (c * g.blocks_y() + to_y) + patch / 2;
                int32_t* position = positions + 3 * (row * 2 * g.blocks_x() + 2 * to_x + patch % 2);
                position[0] = static_cast<int32_t>(frame_ids[sample]);
                position[1] = static_cast<int32_t>(2 * from_y + patch / 2);
                position[2] = static_cast<int32_t>(2 * from_x + patch % 2);
            }
        }
    });
}

}  // namespace ov2::kernels
