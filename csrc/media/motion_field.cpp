#include "media/motion_field.h"

#include <algorithm>
#include <utility>

namespace ov2::media {
namespace {

std::vector<int> first_cells(int64_t source, int64_t canvas) {
    std::vector<int> first(static_cast<size_t>(source) + 1);
    int64_t cells = canvas / kCell;
    int64_t cell = 0;
    for (int64_t x = 0; x <= source; ++x) {
        while (cell < cells && (cell * kCell + kCell / 2) * source / canvas < x) ++cell;
        first[static_cast<size_t>(x)] = static_cast<int>(cell);
    }
    return first;
}

// The cells whose centres lie in the source interval [begin, end), which may run backwards on the upright
// axis.
std::pair<int, int> covered(const std::vector<int>& first, int begin, int end, bool flip) {
    int size = static_cast<int>(first.size()) - 1;
    begin = std::clamp(begin, 0, size);
    end = std::clamp(end, 0, size);
    if (flip) {
        std::swap(begin, end);
        begin = size - begin;
        end = size - end;
    }
    return {first[static_cast<size_t>(begin)], first[static_cast<size_t>(end)]};
}

int16_t saturate(int value) {
    return static_cast<int16_t>(std::clamp(value, -32768, 32767));
}

// value * canvas / (distance * source), to nearest, halves away from zero.
int16_t rescale(int64_t value, int64_t canvas, int64_t distance, int64_t source) {
    int64_t numerator = value * canvas;
    int64_t denominator = distance * source;
    int64_t magnitude = (2 * std::abs(numerator) + denominator) / (2 * denominator);
    magnitude = std::min<int64_t>(magnitude, kVectorLimit);
    return static_cast<int16_t>(numerator < 0 ? -magnitude : magnitude);
}

}  // namespace

void MotionField::prepare(int coded_width, int coded_height) {
    if (coded_width == coded_width_ && coded_height == coded_height_) return;
    coded_width_ = coded_width;
    coded_height_ = coded_height;
    first_x_ = first_cells(orientation_.transpose ? coded_height : coded_width, width_);
    first_y_ = first_cells(orientation_.transpose ? coded_width : coded_height, height_);
}

void MotionField::rasterize(const AVMotionVector* list, size_t count, int coded_width, int coded_height,
                            int16_t* vectors, Side* sides) {
    prepare(coded_width, coded_height);
    // The past is written last, so that it wins; within a list the last exported wins by the same order.
    for (Side side : {Side::future, Side::past}) {
        for (size_t i = 0; i < count; ++i) {
            const AVMotionVector& mv = list[i];
            if ((mv.source < 0) != (side == Side::past) || mv.motion_scale == 0) continue;
            int left = mv.dst_x - mv.w / 2;
            int top = mv.dst_y - mv.h / 2;
            int sign = side == Side::past ? 4 : -4;
            int dx = sign * mv.motion_x / mv.motion_scale;
            int dy = sign * mv.motion_y / mv.motion_scale;
            int right = left + mv.w;
            int bottom = top + mv.h;
            if (orientation_.transpose) {
                std::swap(left, top);
                std::swap(right, bottom);
                std::swap(dx, dy);
            }
            auto [x0, x1] = covered(first_x_, left, right, orientation_.flip_x);
            auto [y0, y1] = covered(first_y_, top, bottom, orientation_.flip_y);
            int16_t vx = saturate(orientation_.flip_x ? -dx : dx);
            int16_t vy = saturate(orientation_.flip_y ? -dy : dy);
            for (int y = y0; y < y1; ++y) {
                for (int x = x0; x < x1; ++x) {
                    int64_t cell = int64_t{y} * cells_x() + x;
                    vectors[2 * cell] = vx;
                    vectors[2 * cell + 1] = vy;
                    sides[cell] = side;
                }
            }
        }
    }
}

void MotionField::normalize(int coded_width, int coded_height, int64_t past_distance, int64_t future_distance,
                            int16_t* vectors, const Side* sides) const {
    int source_width = orientation_.transpose ? coded_height : coded_width;
    int source_height = orientation_.transpose ? coded_width : coded_height;
    // Cells of one block follow each other, so that most divisions have just been done.
    Side side = Side::none;
    int16_t raw_x = 0, raw_y = 0, x = 0, y = 0;
    for (int64_t cell = 0; cell < cells(); ++cell) {
        if (sides[cell] == Side::none) continue;
        int16_t* vector = vectors + 2 * cell;
        if (sides[cell] != side || vector[0] != raw_x || vector[1] != raw_y) {
            side = sides[cell];
            raw_x = vector[0];
            raw_y = vector[1];
            int64_t distance = side == Side::past ? past_distance : future_distance;
            x = rescale(raw_x, width_, distance, source_width);
            y = rescale(raw_y, height_, distance, source_height);
        }
        vector[0] = x;
        vector[1] = y;
    }
}

}  // namespace ov2::media
