#include "media/resize.h"

#include <algorithm>
#include <cstring>

#include "media/error.h"
#include "simd.h"

namespace ov2::media {
namespace {

bool is_full_range(const AVFrame& frame) {
    switch (frame.format) {
        case AV_PIX_FMT_YUVJ420P:
        case AV_PIX_FMT_YUVJ422P:
        case AV_PIX_FMT_YUVJ444P:
        case AV_PIX_FMT_YUVJ440P:
        case AV_PIX_FMT_YUVJ411P:
            return true;
        default:
            return number_of(frame.color_range) == AVCOL_RANGE_JPEG;
    }
}

// The yuvj formats are the yuv ones with the range said twice.
AVPixelFormat without_range(int format) {
    switch (format) {
        case AV_PIX_FMT_YUVJ420P:
            return AV_PIX_FMT_YUV420P;
        case AV_PIX_FMT_YUVJ422P:
            return AV_PIX_FMT_YUV422P;
        case AV_PIX_FMT_YUVJ444P:
            return AV_PIX_FMT_YUV444P;
        case AV_PIX_FMT_YUVJ440P:
            return AV_PIX_FMT_YUV440P;
        case AV_PIX_FMT_YUVJ411P:
            return AV_PIX_FMT_YUV411P;
        default:
            return static_cast<AVPixelFormat>(format);
    }
}

bool is_rgb(const AVPixFmtDescriptor& format) {
    return (format.flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
}

// Whether plane 0 of the format is 8-bit luma and nothing else. Deeper luma goes the way that colour goes, so
// that both round alike.
bool has_luma_plane(const AVPixFmtDescriptor& format) {
    bool alone = !is_rgb(format) && format.comp[0].depth == 8 && format.comp[0].step == 1;
    for (int i = 1; i < format.nb_components; ++i) alone = alone && format.comp[i].plane != 0;
    return alone;
}

// Whether each component is a plane of its own, of samples that a byte or a native 16-bit word holds.
bool is_planar(const AVPixFmtDescriptor& format) {
    constexpr auto kUnfit = AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER;
    int components = format.nb_components < 3 ? 1 : 3;
    bool fits = !is_rgb(format) && (format.flags & kUnfit) == 0;
    for (int i = 0; i < components; ++i) {
        const AVComponentDescriptor& c = format.comp[i];
        bool native = c.depth <= 8 || ((format.flags & AV_PIX_FMT_FLAG_BE) != 0) == (AV_HAVE_BIGENDIAN != 0);
        fits = fits && native && c.plane == i && c.offset == 0 && c.shift == 0 && c.depth >= 8 &&
               c.depth <= 16 && c.step == (c.depth > 8 ? 2 : 1);
    }
    return fits;
}

// Samples of more than 8 bits, rounded to 8, halves up.
OV2_SIMD void round_to_bytes(const uint16_t* __restrict in, int count, int depth, uint8_t* __restrict out) {
    int drop = depth - 8;
    int half = 1 << (drop - 1);
    for (int x = 0; x < count; ++x) out[x] = static_cast<uint8_t>(std::min((in[x] + half) >> drop, 255));
}

// Where chroma samples lie, in 1/256 of a luma pixel from the first one's centre; -513 where it does not
// matter.
struct ChromaPosition {
    int x, y;
};

ChromaPosition chroma_position(const AVFrame& frame, const AVPixFmtDescriptor& format) {
    int x = 128, y = 128;  // the centre, which is also what libswscale takes where the stream is silent
    switch (number_of(frame.chroma_location)) {
        case AVCHROMA_LOC_LEFT:
            x = 0;
            break;
        case AVCHROMA_LOC_TOPLEFT:
            x = 0, y = 0;
            break;
        case AVCHROMA_LOC_TOP:
            y = 0;
            break;
        case AVCHROMA_LOC_BOTTOMLEFT:
            x = 0, y = 256;
            break;
        case AVCHROMA_LOC_BOTTOM:
            y = 256;
            break;
        default:
            break;
    }
    return {format.log2_chroma_w == 1 ? x : -513, format.log2_chroma_h == 1 ? y : -513};
}

const AVPixFmtDescriptor& descriptor(AVPixelFormat format) {
    const AVPixFmtDescriptor* found = av_pix_fmt_desc_get(format);
    if (found == nullptr)
        throw VideoError(Fault::unsupported, "the decoder gave pictures of an unknown pixel format");
    return *found;
}

}  // namespace

void Resizer::scale(Scaler& scaler, const AVFrame& frame, AVPixelFormat source, AVPixelFormat target) {
    int width = coded_width();
    int height = coded_height();
    if (scaler.width != frame.width || scaler.height != frame.height || scaler.source != source ||
        scaler.target != target || scaler.chroma_location != number_of(frame.chroma_location)) {
        bool shrinks = width < frame.width || height < frame.height;
        ChromaPosition chroma = chroma_position(frame, descriptor(source));
        scaler.context.reset(sws_alloc_context());
        if (!scaler.context) throw std::bad_alloc();
        SwsContext* context = scaler.context.get();
        av_opt_set_int(context, "srcw", frame.width, 0);
        av_opt_set_int(context, "srch", frame.height, 0);
        av_opt_set_int(context, "src_format", source, 0);
        av_opt_set_int(context, "dstw", width, 0);
        av_opt_set_int(context, "dsth", height, 0);
        av_opt_set_int(context, "dst_format", target, 0);
        av_opt_set_int(context, "src_h_chr_pos", chroma.x, 0);
        av_opt_set_int(context, "src_v_chr_pos", chroma.y, 0);
        av_opt_set_int(context, "sws_flags",
                       (shrinks ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_BITEXACT, 0);
        if (sws_init_context(context, nullptr, nullptr) < 0) {
            throw VideoError(Fault::unsupported, std::string("pictures in the pixel format ") +
                                                     descriptor(source).name + " cannot be resized");
        }
        // The range stays what it is: the colour matrix deals with it.
        const int* coefficients = sws_getCoefficients(SWS_CS_DEFAULT);
        sws_setColorspaceDetails(context, coefficients, 1, coefficients, 1, 0, 1 << 16, 1 << 16);
        scaler.width = frame.width;
        scaler.height = frame.height;
        scaler.source = source;
        scaler.target = target;
        scaler.chroma_location = number_of(frame.chroma_location);
    }
    int size = av_image_get_buffer_size(target, width, height, 64);
    buffer_.resize(static_cast<size_t>(size) + 64);
    auto aligned = (reinterpret_cast<uintptr_t>(buffer_.data()) + 63) & ~uintptr_t{63};
    av_image_fill_arrays(planes_, strides_, reinterpret_cast<uint8_t*>(aligned), target, width, height, 64);
    sws_scale(scaler.context.get(), frame.data, frame.linesize, 0, frame.height, planes_, strides_);
}

bool Resizer::is_averaged(const AVFrame& frame) const {
    bool shrinks = coded_width() < frame.width || coded_height() < frame.height;
    return shrinks && is_planar(descriptor(without_range(frame.format)));
}

void Resizer::prepare(Plane& plane, const AVFrame& frame, int component) {
    AVPixelFormat source = without_range(frame.format);
    const AVPixFmtDescriptor& format = descriptor(source);
    bool chroma = component > 0;
    int step_x = chroma ? 1 << format.log2_chroma_w : 1;
    int step_y = chroma ? 1 << format.log2_chroma_h : 1;
    SampleGrid columns{(frame.width + step_x - 1) / step_x, frame.width, step_x};
    SampleGrid rows{(frame.height + step_y - 1) / step_y, frame.height, step_y};
    plane.filter.prepare(columns, rows, coded_width(), coded_height());
    plane.data = frame.data[component];
    plane.stride = frame.linesize[component];
    int depth = format.comp[component].depth;
    if (depth == 8) return;
    plane.bytes.resize(static_cast<size_t>(columns.samples) * static_cast<size_t>(rows.samples));
    for (int y = 0; y < rows.samples; ++y) {
        round_to_bytes(reinterpret_cast<const uint16_t*>(plane.data + y * plane.stride), columns.samples,
                       depth, plane.bytes.data() + int64_t{y} * columns.samples);
    }
    plane.data = plane.bytes.data();
    plane.stride = columns.samples;
}

void Resizer::average_luma(const AVFrame& frame, uint8_t* luma) {
    prepare(averaged_[0], frame, 0);
    const Plane& plane = averaged_[0];
    Placement place(orientation_, width_, height_);
    row_.resize(static_cast<size_t>(coded_width()));
    for (int y = 0; y < coded_height(); ++y) {
        bool in_place = place.step_x == 1;
        uint8_t* row = in_place ? luma + place.origin + y * place.step_y : row_.data();
        plane.filter.row(plane.data, plane.stride, y, 0, coded_width(), scratch_, row);
        if (!in_place) turn_luma_row(row, y, luma);
    }
}

void Resizer::turn_luma(const uint8_t* plane, int stride, uint8_t* luma) const {
    for (int y = 0; y < coded_height(); ++y) turn_luma_row(plane + int64_t{y} * stride, y, luma);
}

void Resizer::turn_luma_row(const uint8_t* row, int y, uint8_t* luma) const {
    Placement place(orientation_, width_, height_);
    uint8_t* out = luma + place.origin + y * place.step_y;
    if (place.step_x == 1) {
        std::memcpy(out, row, static_cast<size_t>(coded_width()));
    } else {
        for (int x = 0; x < coded_width(); ++x) out[x * place.step_x] = row[x];
    }
}

ColorPlanes Resizer::planes(const AVFrame& frame, uint8_t* luma) {
    ColorPlanes planes;
    AVPixelFormat source = without_range(frame.format);
    planes.matrix = color_matrix(number_of(frame.colorspace), is_full_range(frame), frame.height);
    if (is_averaged(frame)) {
        average_luma(frame, luma);
        if (descriptor(source).nb_components < 3) return planes;
        for (int i = 1; i < 3; ++i) {
            prepare(averaged_[i], frame, i);
            planes.data[i - 1] = averaged_[i].data;
            planes.stride[i - 1] = averaged_[i].stride;
        }
        planes.filter = &averaged_[1].filter;
    } else if (is_rgb(descriptor(source))) {
        convert_luma(frame, luma);
        scale(color_scaler_, frame, source, AV_PIX_FMT_RGB24);
        planes.is_rgb = true;
        planes.data[0] = planes_[0];
        planes.stride[0] = strides_[0];
    } else {
        scale(color_scaler_, frame, source, AV_PIX_FMT_YUV444P);
        turn_luma(planes_[0], strides_[0], luma);
        for (int i = 1; i < 3; ++i) {
            planes.data[i - 1] = planes_[i];
            planes.stride[i - 1] = strides_[i];
        }
    }
    return planes;
}

void Resizer::convert(const AVFrame& frame, uint8_t* rgb, uint8_t* luma) {
    convert_area(planes(frame, luma), orientation_, width_, height_, luma, {0, 0, width_, height_}, rgb);
}

void Resizer::convert_luma(const AVFrame& frame, uint8_t* luma) {
    if (is_averaged(frame)) {
        average_luma(frame, luma);
        return;
    }
    AVPixelFormat source = without_range(frame.format);
    const AVPixFmtDescriptor& format = descriptor(source);
    if (has_luma_plane(format)) source = AV_PIX_FMT_GRAY8;
    bool grey = source == AV_PIX_FMT_GRAY8 || is_rgb(format);
    scale(luma_scaler_, frame, source, grey ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_YUV444P);
    turn_luma(planes_[0], strides_[0], luma);
}

}  // namespace ov2::media
