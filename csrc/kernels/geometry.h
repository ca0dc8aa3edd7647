// Sizes of a batch of canvas-sized frames, in pixels, patches, blocks and cells.
#pragma once

#include <cstdint>

namespace ov2::kernels {

struct Geometry {
    int64_t frames;
    int64_t height;  // pixels, a multiple of 2 * patch
    int64_t width;
    int64_t patch;  // pixels, even

    int64_t block() const { return 2 * patch; }
    int64_t blocks_y() const { return height / block(); }
    int64_t blocks_x() const { return width / block(); }
    int64_t blocks() const { return blocks_y() * blocks_x(); }
    int64_t cells_y() const { return height / 4; }
    int64_t cells_x() const { return width / 4; }
    int64_t cells() const { return cells_y() * cells_x(); }
    int64_t pixels() const { return height * width; }
};

}  // namespace ov2::kernels
