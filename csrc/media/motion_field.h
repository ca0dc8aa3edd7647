// Exported motion vectors to a dense field of 4x4-pixel cells on the upright canvas.
#pragma once

#include <cstdint>
#include <vector>

#include "media/libav.h"
#include "media/orientation.h"

namespace ov2::media {

constexpr int kCell = 4;            // pixels on a side of a cell
constexpr int kVectorLimit = 2047;  // quarter pixels

// Which picture a cell's vector points to.
enum class Side : uint8_t { none = 0, past = 1, future = 2 };

class MotionField {
  public:
    MotionField(int width, int height, Orientation orientation)
        : width_(width), height_(height), orientation_(orientation) {}

    int cells_x() const { return width_ / kCell; }
    int cells_y() const { return height_ / kCell; }
    int64_t cells() const { return int64_t{cells_x()} * cells_y(); }

    // Rasterises vectors of a picture of the given coded size into `vectors` [cells, 2], in quarter pixels of
    // the source over the whole distance to the reference, and notes each cell's side. Cells no block covers
    // stay 0.
    void rasterize(const AVMotionVector* list, size_t count, int coded_width, int coded_height,
                   int16_t* vectors, Side* sides);

    // Turns what rasterize left into quarter pixels of the canvas per frame, in place.
    void normalize(int coded_width, int coded_height, int64_t past_distance, int64_t future_distance,
                   int16_t* vectors, const Side* sides) const;

  private:
    void prepare(int coded_width, int coded_height);

    int width_, height_;
    Orientation orientation_;
    int coded_width_ = 0, coded_height_ = 0;
    // first_x_[x] is the first cell whose centre lies at or right of the upright source column x; likewise
    // rows.
    std::vector<int> first_x_, first_y_;
};

}  // namespace ov2::media
