// How a coded picture is turned to stand upright: one of the eight symmetries of the square.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace ov2::media {

// The upright x runs along the coded y where `transpose` is set, and each upright axis may run backwards.
struct Orientation {
    bool transpose = false;
    bool flip_x = false;
    bool flip_y = false;

    // From a display matrix (ISO/IEC 14496-12, 6.2.2), rounded to the nearest quarter turn.
    static Orientation from_matrix(const int32_t* m) {
        Orientation o;
        if (m == nullptr) return o;
        o.transpose = std::llabs(m[1]) + std::llabs(m[3]) > std::llabs(m[0]) + std::llabs(m[4]);
        o.flip_x = (o.transpose ? m[3] : m[0]) < 0;
        o.flip_y = (o.transpose ? m[1] : m[4]) < 0;
        return o;
    }

    // Clockwise degrees from the coded to the upright picture; a mirrored one is then flipped left to right.
    int rotation() const { return transpose ? (flip_y ? 270 : 90) : (flip_y ? 180 : 0); }
    bool mirrored() const { return transpose ? flip_x == flip_y : flip_x != flip_y; }
};

// Where the upright pixel of each coded pixel lies: index = origin + x * step_x + y * step_y, x and y coded.
struct Placement {
    int64_t origin, step_x, step_y;

    Placement(Orientation o, int64_t width, int64_t height) {
        int64_t along_x = o.flip_x ? -1 : 1;
        int64_t along_y = o.flip_y ? -width : width;
        origin = (o.flip_x ? width - 1 : 0) + (o.flip_y ? (height - 1) * width : 0);
        step_x = o.transpose ? along_y : along_x;
        step_y = o.transpose ? along_x : along_y;
    }
};

}  // namespace ov2::media
