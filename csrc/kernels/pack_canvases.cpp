#include "kernels/pack_canvases.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace ov2::kernels {
namespace {

// The blocks from a slot of a canvas on that are neighbours in their sample too; none behind the last slot.
BlockRun run_from(const Geometry& g, const int64_t* sources, int64_t slot) {
    if (slot == g.blocks()) return {0, 0, 0, 0};
    const int64_t source = sources[slot], place = source % g.blocks();
    BlockRun run{source / g.blocks(), place / g.blocks_x(), place % g.blocks_x(), 1};
    const int64_t most = g.blocks_x() - std::max(run.x, slot % g.blocks_x());
    while (run.count < most && sources[slot + run.count] == source + run.count) ++run.count;
    return run;
}

void write_positions(const Geometry& g, const int64_t* sources, const int64_t* frame_ids,
                     int32_t* positions) {
    for (int64_t slot = 0; slot < g.blocks(); ++slot) {
        const int64_t sample = sources[slot] / g.blocks(), place = sources[slot] % g.blocks();
        for (int64_t patch = 0; patch < 4; ++patch) {
            int64_t row = 2 * (slot / g.blocks_x()) + patch / 2;
            int64_t column = 2 * (slot % g.blocks_x()) + patch % 2;
            int32_t* position = positions + 3 * (row * 2 * g.blocks_x() + column);
            position[0] = static_cast<int32_t>(frame_ids[sample]);
            position[1] = static_cast<int32_t>(2 * (place / g.blocks_x()) + patch / 2);
            position[2] = static_cast<int32_t>(2 * (place % g.blocks_x()) + patch % 2);
        }
    }
}

}  // namespace

void FrameBlocks::copy(const BlockRun& run, const BlockRun&, uint8_t* to) const {
    const uint8_t* from =
        frames_ + 3 * ((run.sample * g_.height + run.y * g_.block()) * g_.width + run.x * g_.block());
    const auto row_bytes = static_cast<size_t>(3 * run.count * g_.block());
    for (int64_t row = 0; row < g_.block(); ++row)
        std::memcpy(to + 3 * row * g_.width, from + 3 * row * g_.width, row_bytes);
}

void pack_canvases(const Geometry& g, const BlockSource& source, const int64_t* selected, int64_t count,
                   const int64_t* frame_ids, int threads, uint8_t* canvases, int32_t* positions) {
    parallel_for(count, threads, [&](int64_t c) {
        const int64_t* sources = selected + c * g.blocks();
        uint8_t* canvas = canvases + 3 * c * g.pixels();
        BlockRun run = run_from(g, sources, 0);
        for (int64_t slot = 0; slot < g.blocks();) {
            const BlockRun next = run_from(g, sources, slot + run.count);
            const int64_t row = slot / g.blocks_x(), column = slot % g.blocks_x();
            source.copy(run, next, canvas + 3 * g.block() * (row * g.width + column));
            slot += run.count;
            run = next;
        }
        write_positions(g, sources, frame_ids, positions + 3 * 4 * c * g.blocks());
    });
}

}  // namespace ov2::kernels
