// A picture's colour before it is converted, and its conversion wherever it is wanted.
#pragma once

#include <cstdint>
#include <functional>

#include "media/area_filter.h"
#include "media/color.h"
#include "media/orientation.h"

namespace ov2::media {

// In coded orientation.
struct ColorPlanes {
    // Cb and Cr; nothing where the picture is grey.
    const uint8_t* data[2] = {};
    int64_t stride[2] = {};
    // What brings them to canvas size; null where they have it.
    const AreaFilter* filter = nullptr;
    ColorMatrix matrix{};
    // The first plane holds RGB pixels instead, at canvas size.
    bool is_rgb = false;
};

// A part of the upright canvas, whose edges are multiples of 2.
struct Area {
    int64_t left, top, width, height;
};

// RGB of a part of a canvas [height, width], with `luma` that of all of it. `rgb` points to the area's first
// pixel; its rows are as long as the canvas's. Before each row of the area as it is coded, `before_row` is
// called with its number, from 0 on.
void convert_area(const ColorPlanes& planes, Orientation orientation, int width, int height,
                  const uint8_t* luma, const Area& area, uint8_t* rgb,
                  const std::function<void(int64_t)>& before_row = {});

// Asks the processor for what that will read for a row of an area, of which those above were asked for:
// a row as it is coded of the colour, and an upright one of the luma.
void fetch_area_row(const ColorPlanes& planes, Orientation orientation, int width, int height,
                    const uint8_t* luma, const Area& area, int64_t row);

}  // namespace ov2::media
