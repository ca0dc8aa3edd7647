// YCbCr to RGB in integers, so that every implementation gives the same bits.
#pragma once

#include <cstdint>

#include "media/libav.h"

namespace ov2::media {

// Rows of the inverse matrix in 1/65536, for (Y - y_offset, Cb - 128, Cr - 128).
struct ColorMatrix {
    int y_offset;
    int y;
    int r_cr;
    int g_cb;
    int g_cr;
    int b_cb;
};

// The matrix a picture states; where it is silent, BT.601 below 720 coded lines and BT.709 from there on.
ColorMatrix color_matrix(int space, bool full_range, int coded_height);

// One row of `width` pixels; `rgb` advances by `step` bytes per pixel (3 where pixels are adjacent).
void convert_row(const ColorMatrix& matrix, const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int width,
                 uint8_t* rgb, int64_t step);

}  // namespace ov2::media
