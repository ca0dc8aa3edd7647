#include "kernels/cells.h"

#include <algorithm>
#include <cmath>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int64_t kRows = CellRoom::kWindowRows, kRead = CellRoom::kWindowRead;

typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));

// Copies a window of which a part lies outside of the picture, with its outermost pixels repeated.
void copy_window(const CellRows& r, int64_t x, int64_t y, uint8_t* to) {
    int64_t columns[5];
    for (int64_t i = 0; i < 5; ++i) columns[i] = std::clamp<int64_t>(x + i, 0, r.width - 1);
    for (int64_t j = 0; j < kRows; ++j) {
        const uint8_t* row = r.prev + std::clamp<int64_t>(y + j, 0, r.height - 1) * r.width;
        for (int64_t i = 0; i < 5; ++i) to[j * kRead + i] = row[columns[i]];
    }
}

// A row, cell by cell, on any target.
OV2_SIMD void measure_one_by_one(const CellRows& r, int64_t row, int32_t* residuals, int32_t* lengths) {
    const int16_t* vectors = r.vectors + 2 * row * r.cells();
    for (int64_t c = 0; c < r.cells(); ++c) {
        int vx = vectors[2 * c], vy = vectors[2 * c + 1];
        int64_t x = 4 * c + (vx >> 2), y = r.y + 4 * row + (vy >> 2), stride = r.width;
        const uint8_t* window = r.prev;
        uint8_t copied[kRows * kRead];
        if (x >= 0 && x <= r.width - 5 && y >= 0 && y <= r.height - kRows) {
            window += y * stride + x;
        } else {
            copy_window(r, x, y, copied);
            window = copied;
            stride = kRead;
        }
        // Four rows of four pixels. A word holds a pixel of an even column and the next: they are parted, and
        // as the right tap of the first is the left one of the second, three taps are enough.
        auto four = [](const uint8_t* p, int64_t step) {
            return reinterpret_cast<Words8>(Sums4{load<uint32_t>(p), load<uint32_t>(p + step),
                                                  load<uint32_t>(p + 2 * step),
                                                  load<uint32_t>(p + 3 * step)});
        };
        auto across = [&](Words8 left, Words8 right) {
            return left * static_cast<uint16_t>(4 - (vx & 3)) + right * static_cast<uint16_t>(vx & 3);
        };
        auto down = [&](Words8 above, Words8 below) {
            return (above * static_cast<uint16_t>(4 - (vy & 3)) + below * static_cast<uint16_t>(vy & 3) +
                    8) >>
                   4;
        };
        auto distance = [](Words8 a, Words8 b) { return a > b ? a - b : b - a; };
        Words8 above = four(window, stride), above_right = four(window + 1, stride);
        Words8 below = four(window + stride, stride), below_right = four(window + stride + 1, stride);
        Words8 even = down(across(above & 255, above >> 8), across(below & 255, below >> 8));
        Words8 odd = down(across(above >> 8, above_right >> 8), across(below >> 8, below_right >> 8));
        Words8 actual = four(r.luma + 4 * (row * r.width + c), r.width);
        auto sums = reinterpret_cast<Sums4>(distance(actual & 255, even) + distance(actual >> 8, odd));
        sums = (sums & 65535) + (sums >> 16);
        residuals[c] += static_cast<int32_t>(sums[0] + sums[1] + sums[2] + sums[3]);

        int dx = std::clamp(vx - r.median.x, -kVectorLimit, kVectorLimit);
        int dy = std::clamp(vy - r.median.y, -kVectorLimit, kVectorLimit);
        lengths[c] += static_cast<int32_t>(16.0F * std::sqrt(static_cast<float>(dx * dx + dy * dy)));
    }
}

}  // namespace

Instructions quickest_instructions() {
#if defined(__x86_64__)
    // AMD's leaf of performance hints; its bit FP512 is of Zen 5. Intel has no such leaf, and more ports for
    // 256 bits than for 512.
    unsigned hints = 0, rest = 0;
    if (__get_cpuid(0x8000001A, &hints, &rest, &rest, &rest) != 0 && (hints & 8) != 0)
        return Instructions::kAvx512Wide;
#endif
    return Instructions::kAvx512;
}

Instructions usable_instructions([[maybe_unused]] Instructions most, [[maybe_unused]] int64_t width,
                                 [[maybe_unused]] int64_t height) {
#if defined(__x86_64__)
    // Places have 16 bits, and vectors reach 2^13 pixels.
    constexpr int64_t kLargest = 1 << 14;
    if (width / 4 < CellRoom::kGroup || std::max(width, height) > kLargest) return Instructions::kAny;
    if (most >= Instructions::kAvx512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        return most;
    if (most >= Instructions::kAvx2 && __builtin_cpu_supports("avx2")) return Instructions::kAvx2;
#endif
    return Instructions::kAny;
}

CellRoom::CellRoom(int64_t width, int64_t rows) {
    int64_t cells = rows * grouped(width / 4);
    int64_t lines = cells / std::max(width / kWindowRead, int64_t{1}) + 1;  // of copies
    windows_.reset(new const uint8_t*[static_cast<size_t>(cells)]);
    outside_.reset(new int32_t[static_cast<size_t>(cells + kGroup)]);
    outside_places_.reset(new int32_t[static_cast<size_t>(cells + kGroup)]);
    copies_.reset(new uint8_t[static_cast<size_t>(lines * kWindowRows * width)]);
}

void measure_cells(const CellRows& rows, [[maybe_unused]] const CellRoom& room, int32_t* residuals,
                   int32_t* lengths) {
    std::fill_n(residuals, CellRoom::grouped(rows.cells()), 0);
    std::fill_n(lengths, CellRoom::grouped(rows.cells()), 0);
#if defined(__x86_64__)
    if (rows.instructions != Instructions::kAny) return measure_cells_x86(rows, room, residuals, lengths);
#endif
    for (int64_t row = 0; row < rows.rows; ++row) measure_one_by_one(rows, row, residuals, lengths);
}

}  // namespace ov2::kernels
