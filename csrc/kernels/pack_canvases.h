#pragma once

#include <cstdint>

#include "kernels/geometry.h"

namespace ov2::kernels {

// Blocks of a sample side by side, the first in row `y` and column `x` of blocks.
struct BlockRun {
    int64_t sample, y, x, count;
};

// Where blocks come from. Used by several threads at once.
class BlockSource {
  public:
    virtual ~BlockSource() = default;
    // Writes blocks; rows of `to` are 3 * W bytes long. `next` are those wanted after them, or none.
    virtual void copy(const BlockRun& run, const BlockRun& next, uint8_t* to) const = 0;
};

// Blocks of frames [N, H, W, 3].
class FrameBlocks final : public BlockSource {
  public:
    FrameBlocks(const Geometry& g, const uint8_t* frames) : g_(g), frames_(frames) {}
    void copy(const BlockRun& run, const BlockRun& next, uint8_t* to) const override;

  private:
    const Geometry g_;
    const uint8_t* frames_;
};

// Lays the selected blocks of the samples into canvases (algorithm, section 8).
// selected [C, blocks]; frame_ids [N]; canvases [C, H, W, 3]; positions [C * hp * wp, 3], row-major.
void pack_canvases(const Geometry& g, const BlockSource& source, const int64_t* selected, int64_t count,
                   const int64_t* frame_ids, int threads, uint8_t* canvases, int32_t* positions);

}  // namespace ov2::kernels
