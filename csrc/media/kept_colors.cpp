#include "media/kept_colors.h"

#include <cstring>
#include <functional>

namespace ov2::media {

const AreaFilter* KeptColors::share(const AreaFilter& filter) {
    std::lock_guard lock(mutex_);
    for (const auto& known : filters_) {
        if (*known == filter) return known.get();
    }
    filters_.push_back(std::make_unique<const AreaFilter>(filter));
    return filters_.back().get();
}

uint8_t* KeptColors::take(int64_t bytes) {
    std::lock_guard lock(mutex_);
    return bytes_.take(static_cast<size_t>(bytes));
}

void KeptColors::keep(int64_t sample, const ColorPlanes& planes) {
    ColorPlanes& kept = samples_[static_cast<size_t>(sample)];
    kept = planes;
    if (planes.data[0] == nullptr) return;
    // Planes that are large beside the canvas are brought to its size now, others where they are wanted.
    int64_t canvas = int64_t{width_} * height_;
    bool small = planes.filter == nullptr ||
                 int64_t{planes.filter->source_width()} * planes.filter->source_height() <= 2 * canvas;
    int width = orientation_.transpose ? height_ : width_;
    int height = orientation_.transpose ? width_ : height_;
    int columns = planes.filter != nullptr && small ? planes.filter->source_width() : width;
    int rows = planes.filter != nullptr && small ? planes.filter->source_height() : height;
    int64_t row_bytes = planes.is_rgb ? 3 * columns : columns;
    kept.filter = planes.filter != nullptr && small ? share(*planes.filter) : nullptr;
    uint8_t* to = take((planes.is_rgb ? 1 : 2) * rows * row_bytes);
    std::vector<int16_t> scratch;
    for (int i = 0; i < 2 && planes.data[i] != nullptr; ++i) {
        kept.data[i] = to;
        kept.stride[i] = row_bytes;
        for (int y = 0; y < rows; ++y, to += row_bytes) {
            if (small) {
                std::memcpy(to, planes.data[i] + y * planes.stride[i], static_cast<size_t>(row_bytes));
            } else {
                planes.filter->row(planes.data[i], planes.stride[i], y, 0, columns, scratch, to);
            }
        }
    }
}

void KeptColors::release(int64_t begin, int64_t end) {
    std::lock_guard lock(mutex_);
    for (int64_t i = begin; i < end; ++i) {
        ColorPlanes& kept = samples_[static_cast<size_t>(i)];
        if (kept.data[0] != nullptr) bytes_.give_back(kept.data[0]);
        kept = {};
    }
}

const uint8_t* KeptColors::luma_of(const Part& part) const {
    return part.luma + part.sample * width_ * height_;
}

void KeptColors::convert(const Part& part, uint8_t* rgb, const Part* next) const {
    std::function<void(int64_t)> before_row;
    if (next != nullptr) {
        before_row = [this, next](int64_t row) {
            fetch_area_row(samples_[static_cast<size_t>(next->sample)], orientation_, width_, height_,
                           luma_of(*next), next->area, row);
        };
    }
    convert_area(samples_[static_cast<size_t>(part.sample)], orientation_, width_, height_, luma_of(part),
                 part.area, rgb, before_row);
}

}  // namespace ov2::media
