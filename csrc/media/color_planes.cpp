#include "media/color_planes.h"

#include <cstring>
#include <utility>
#include <vector>

#include "media/prefetch.h"

namespace ov2::media {
namespace {

// The same part in coded orientation.
Area coded(const Area& area, Orientation o, int width, int height) {
    Area turned = area;
    if (o.flip_x) turned.left = width - area.left - area.width;
    if (o.flip_y) turned.top = height - area.top - area.height;
    if (o.transpose) {
        std::swap(turned.left, turned.top);
        std::swap(turned.width, turned.height);
    }
    return turned;
}

}  // namespace

void fetch_area_row(const ColorPlanes& planes, Orientation orientation, int width, int height,
                    const uint8_t* luma, const Area& area, int64_t row) {
    if (row < area.height && !planes.is_rgb)
        fetch_bytes(luma + (area.top + row) * width + area.left, area.width);
    Area part = coded(area, orientation, width, height);
    if (row >= part.height) return;
    auto y = static_cast<int>(part.top + row);
    auto left = static_cast<int>(part.left), right = static_cast<int>(part.left + part.width);
    for (int i = 0; i < 2 && planes.data[i] != nullptr; ++i) {
        if (planes.filter != nullptr) {
            planes.filter->fetch(planes.data[i], planes.stride[i], y, row > 0, left, right);
        } else {
            int64_t bytes = planes.is_rgb ? 3 : 1;
            fetch_bytes(planes.data[i] + y * planes.stride[i] + bytes * left, bytes * part.width);
        }
    }
}

void convert_area(const ColorPlanes& planes, Orientation orientation, int width, int height,
                  const uint8_t* luma, const Area& area, uint8_t* rgb,
                  const std::function<void(int64_t)>& before_row) {
    Placement place(orientation, width, height);
    Area part = coded(area, orientation, width, height);
    auto left = static_cast<int>(part.left);
    auto count = static_cast<int>(part.width);
    std::vector<uint8_t> grey(static_cast<size_t>(count), 128);
    std::vector<uint8_t> rows[2] = {grey, grey};
    std::vector<uint8_t> turned(static_cast<size_t>(count));
    std::vector<int16_t> scratch;
    for (auto y = static_cast<int>(part.top); y < part.top + part.height; ++y) {
        if (before_row) before_row(y - part.top);
        int64_t first = place.origin + left * place.step_x + y * place.step_y;  // of this row, on the canvas
        uint8_t* out = rgb + 3 * (first - area.top * width - area.left);
        if (planes.is_rgb) {
            const uint8_t* row = planes.data[0] + y * planes.stride[0] + 3 * part.left;
            for (int x = 0; x < count; ++x) std::memcpy(out + 3 * x * place.step_x, row + 3 * x, 3);
            continue;
        }
        const uint8_t* chroma[2] = {rows[0].data(), rows[1].data()};
        for (int i = 0; i < 2 && planes.data[i] != nullptr; ++i) {
            if (planes.filter != nullptr) {
                planes.filter->row(planes.data[i], planes.stride[i], y, left, left + count, scratch,
                                   rows[i].data());
            } else {
                chroma[i] = planes.data[i] + y * planes.stride[i] + left;
            }
        }
        const uint8_t* luma_row = luma + first;
        if (place.step_x != 1) {
            for (int x = 0; x < count; ++x) turned[static_cast<size_t>(x)] = luma[first + x * place.step_x];
            luma_row = turned.data();
        }
        convert_row(planes.matrix, luma_row, chroma[0], chroma[1], count, out, 3 * place.step_x);
    }
}

}  // namespace ov2::media
