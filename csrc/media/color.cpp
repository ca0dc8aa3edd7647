#include "media/color.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "simd.h"

namespace ov2::media {
namespace {

int fixed(double value) {
    return static_cast<int>(std::floor(value * 65536.0 + 0.5));
}

// Pixels side by side, which the compiler can do many at a time.
OV2_SIMD void convert_adjacent(ColorMatrix matrix, const uint8_t* __restrict y, const uint8_t* __restrict cb,
                               const uint8_t* __restrict cr, int width, uint8_t* __restrict rgb) {
    for (int x = 0; x < width; ++x) {
        int luma = matrix.y * (y[x] - matrix.y_offset) + 32768;
        int u = cb[x] - 128;
        int v = cr[x] - 128;
        rgb[3 * x] = static_cast<uint8_t>(std::clamp((luma + matrix.r_cr * v) >> 16, 0, 255));
        rgb[3 * x + 1] =
            static_cast<uint8_t>(std::clamp((luma + matrix.g_cb * u + matrix.g_cr * v) >> 16, 0, 255));
        rgb[3 * x + 2] = static_cast<uint8_t>(std::clamp((luma + matrix.b_cb * u) >> 16, 0, 255));
    }
}

}  // namespace

ColorMatrix color_matrix(int space, bool full_range, int coded_height) {
    // Kr and Kb of ITU-T H.273, table 4.
    double kr = 0.299, kb = 0.114;
    switch (space) {
        case AVCOL_SPC_BT470BG:
        case AVCOL_SPC_SMPTE170M:
            break;
        case AVCOL_SPC_FCC:
            kr = 0.30, kb = 0.11;
            break;
        case AVCOL_SPC_SMPTE240M:
            kr = 0.212, kb = 0.087;
            break;
        case AVCOL_SPC_BT2020_NCL:
        case AVCOL_SPC_BT2020_CL:
            kr = 0.2627, kb = 0.0593;
            break;
        case AVCOL_SPC_BT709:
            kr = 0.2126, kb = 0.0722;
            break;
        default:
            if (coded_height >= 720) kr = 0.2126, kb = 0.0722;
    }
    double kg = 1.0 - kr - kb;
    double luma = full_range ? 1.0 : 255.0 / 219.0;
    double chroma = full_range ? 1.0 : 255.0 / 224.0;
    ColorMatrix matrix{};
    matrix.y_offset = full_range ? 0 : 16;
    matrix.y = fixed(luma);
    matrix.r_cr = fixed(chroma * 2.0 * (1.0 - kr));
    matrix.g_cb = -fixed(chroma * 2.0 * (1.0 - kb) * kb / kg);
    matrix.g_cr = -fixed(chroma * 2.0 * (1.0 - kr) * kr / kg);
    matrix.b_cb = fixed(chroma * 2.0 * (1.0 - kb));
    return matrix;
}

void convert_row(const ColorMatrix& matrix, const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int width,
                 uint8_t* rgb, int64_t step) {
    constexpr int kPart = 64;  // a whole number of vectors, whatever their size
    uint8_t planes[3][kPart] = {};
    uint8_t pixels[3 * kPart];
    int x = 0;
    if (step == 3) {
        x = width / kPart * kPart;
        convert_adjacent(matrix, y, cb, cr, x, rgb);
    }
    for (; x < width; x += kPart) {
        int count = std::min(kPart, width - x);
        std::memcpy(planes[0], y + x, static_cast<size_t>(count));
        std::memcpy(planes[1], cb + x, static_cast<size_t>(count));
        std::memcpy(planes[2], cr + x, static_cast<size_t>(count));
        convert_adjacent(matrix, planes[0], planes[1], planes[2], count <= kPart / 2 ? kPart / 2 : kPart,
                         pixels);
        if (step == 3) {
            std::memcpy(rgb + 3 * x, pixels, static_cast<size_t>(3 * count));
        } else {
            for (int i = 0; i < count; ++i) std::memcpy(rgb + (x + i) * step, pixels + 3 * i, 3);
        }
    }
}

}  // namespace ov2::media
