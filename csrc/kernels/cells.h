// Cells of 4x4 pixels: by how much each differs from its prediction, and how far it moved.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "kernels/geometry.h"

namespace ov2::kernels {

struct Vector {
    int x, y;

    int& operator[](int64_t axis) { return axis == 0 ? x : y; }
};

// The picture before with its outermost pixels repeated around it, so that windows may lie outside: one that
// begins kReach pixels before the picture, or at its last pixel, sees what any farther out sees.
class PaddedPlane {
  public:
    static constexpr int64_t kReach = 4;

    PaddedPlane(const Geometry& g, const uint8_t* picture)
        : picture_(picture),
          width_(g.width),
          height_(g.height),
          stride_(g.width + 2 * kBeside),
          pixels_(new uint8_t[static_cast<size_t>((g.height + 2 * kReach) * stride_)]) {}

    int64_t stride() const { return stride_; }

    // The first pixel of the picture's row `y`.
    const uint8_t* row(int64_t y) const { return pixels_.get() + (y + kReach) * stride_ + kBeside; }

    // What of the picture is to be copied next.
    const uint8_t* rest() const { return picture_ + std::max<int64_t>(copied_, 0) * width_; }

    // Copies the rows before `end`, and repeats their outermost pixels.
    void copy_rows(int64_t end);

  private:
    static constexpr int64_t kBeside = 8;  // pixels, for eight are read where a window has five

    const uint8_t* picture_;
    int64_t width_, height_, stride_;
    int64_t copied_ = -kReach;
    std::unique_ptr<uint8_t[]> pixels_;
};

// A row of cells, and what is needed to measure them. A cell is predicted from its window: five rows of five
// pixels of the padded plane.
struct CellRow {
    const uint8_t* luma;
    int64_t width, height;  // of the picture
    int64_t y;              // of the row's first pixels
    const uint8_t* plane;   // these in the padded plane
    int64_t stride;
    const int16_t* vectors;
    Vector median;
    // What the processor is asked to fetch meanwhile: for each cell 16 bytes of pictures, and one vector.
    // Behind the last picture it finds nothing, which does no harm.
    const uint8_t* next_luma;
    const uint8_t* next_prev;
    const int16_t* next_vectors;
};

// The residual of each cell, and the length of its vector after the median is taken off, in 1/16 of a quarter
// pixel. `places` is room for a number per cell.
void measure_cells(const CellRow& row, int32_t* places, int32_t* residuals, int32_t* lengths);

}  // namespace ov2::kernels
