// Decoded pictures to upright RGB and luma planes at canvas size.
#pragma once

#include <cstdint>
#include <vector>

#include "media/area_filter.h"
#include "media/color_planes.h"
#include "media/libav.h"
#include "media/orientation.h"

namespace ov2::media {

// Scalers are kept between pictures of the same format; one object serves one thread.
class Resizer {
  public:
    // `width` and `height` are those of the upright canvas.
    Resizer(int width, int height, Orientation orientation)
        : width_(width), height_(height), orientation_(orientation) {}

    // Luma [height, width] of a picture, and where its colour is: good until the next call, or while the
    // frame is.
    ColorPlanes planes(const AVFrame& frame, uint8_t* luma);
    // rgb [height, width, 3] and the same luma.
    void convert(const AVFrame& frame, uint8_t* rgb, uint8_t* luma);
    // The same luma, without the colour.
    void convert_luma(const AVFrame& frame, uint8_t* luma);

  private:
    struct Scaler {
        ScalerPtr context;
        int width = 0, height = 0;
        int source = AV_PIX_FMT_NONE, target = AV_PIX_FMT_NONE;
        int chroma_location = AVCHROMA_LOC_UNSPECIFIED;
    };
    // Scales the planes of `frame`, seen as `source`, into planes_ as `target`, in coded orientation.
    void scale(Scaler& scaler, const AVFrame& frame, AVPixelFormat source, AVPixelFormat target);
    // A plane of 8-bit samples, in coded orientation, and what brings it to canvas size.
    struct Plane {
        const uint8_t* data = nullptr;
        int64_t stride = 0;
        AreaFilter filter;
        std::vector<uint8_t> bytes;  // of deeper samples, rounded
    };
    // Whether pictures of this size and format go through the area filter; all others are libswscale's.
    bool is_averaged(const AVFrame& frame) const;
    void prepare(Plane& plane, const AVFrame& frame, int component);
    void average_luma(const AVFrame& frame, uint8_t* luma);

    int coded_width() const { return orientation_.transpose ? height_ : width_; }
    int coded_height() const { return orientation_.transpose ? width_ : height_; }
    void turn_luma(const uint8_t* plane, int stride, uint8_t* luma) const;
    void turn_luma_row(const uint8_t* row, int y, uint8_t* luma) const;

    int width_, height_;
    Orientation orientation_;
    Plane averaged_[3];
    std::vector<uint8_t> row_;
    std::vector<int16_t> scratch_;
    Scaler color_scaler_, luma_scaler_;
    std::vector<uint8_t> buffer_;
    uint8_t* planes_[4] = {};
    int strides_[4] = {};
};

}  // namespace ov2::media
