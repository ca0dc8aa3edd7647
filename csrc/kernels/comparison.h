// What a frame's blocks differ by from another frame, and the sums of its rows and columns.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/geometry.h"

namespace ov2::kernels {

// Rows of a frame beside those of others, from the first row on, as many at a time as can be added up.
class Comparison {
  public:
    // Of one frame [H, W].
    Comparison(const Geometry& g, const uint8_t* luma);

    // Goes on to the next rows, which never belong to two rows of blocks; false behind the last.
    bool next();

    // Writes the sums of these rows; behind the last ones, the sums of all columns behind those of all rows.
    void sum_profiles(int32_t* sums);

    // Adds what the frame differs by from the sample before, shifted, to the sums of the frame's blocks.
    void add_since_sample(const uint8_t* before, int64_t dy, int64_t dx, int32_t* change);

    // The same since another frame, whose patches' means do not count.
    void add_changes(const uint8_t* other, int64_t dy, int64_t dx, int32_t* change);

  private:
    void add_means(int32_t* change);
    void move_rows(int64_t dx);

    const Geometry& g_;
    const uint8_t* luma_;
    int64_t most_, y_ = 0, rows_ = 0;
    std::vector<const uint8_t*> here_, there_;
    std::vector<uint16_t> pairs_;
    std::vector<int32_t> columns_;
    std::vector<int16_t> differences_;
    std::vector<int32_t> patches_;  // what patches differ by in the rows so far
    std::vector<uint8_t> moved_;
};

}  // namespace ov2::kernels
