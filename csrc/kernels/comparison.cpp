#include "kernels/comparison.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "simd.h"

namespace ov2::kernels {
namespace {

constexpr int kDeadZone = 2;

// Thirty-two pixels (vector extensions of GCC and Clang, on any target).
constexpr int64_t kWide = 32;
typedef uint8_t Bytes32 __attribute__((vector_size(32)));
typedef uint16_t Words16 __attribute__((vector_size(32)));
// Rows whose pixels, two by two, can be added in 16 bits.
constexpr int64_t kRows = 128;

inline uint8_t beyond(int a, int b) {
    return static_cast<uint8_t>(std::max(std::abs(a - b) - kDeadZone, 0));
}

// What |a - b| has beyond the dead zone, summed down up to kRows rows, for each two columns. Meanwhile the
// processor is asked for what follows the rows in memory, which it does not foresee of so many rows at once.
OV2_SIMD void sum_beyond(const uint8_t* const* a, const uint8_t* const* b, int64_t rows, int64_t width,
                         uint16_t* pairs) {
    const Bytes32 zone = Bytes32{} + static_cast<uint8_t>(kDeadZone);
    if (width < kWide) {
        for (int64_t i = 0; i < width / 2; ++i) {
            pairs[i] = 0;
            for (int64_t j = 0; j < rows; ++j) {
                int sum = beyond(a[j][2 * i], b[j][2 * i]) + beyond(a[j][2 * i + 1], b[j][2 * i + 1]);
                pairs[i] = static_cast<uint16_t>(pairs[i] + sum);
            }
        }
        return;
    }
    const uint8_t *next_a = a[rows - 1] + width, *next_b = b[rows - 1] + width;
    for (int64_t at = 0; at < width; at += kWide) {
        int64_t x = std::min(at, width - kWide);  // the last ones begin within those before
        Words16 sum = {};
        for (int64_t j = 0; j < rows; ++j) {
            Bytes32 p, q;
            std::memcpy(&p, a[j] + x, sizeof p);
            std::memcpy(&q, b[j] + x, sizeof q);
            Bytes32 difference = (p > q ? p : q) - (p > q ? q : p);
            auto two = reinterpret_cast<Words16>((difference > zone ? difference : zone) - zone);
            sum += (two & 255) + (two >> 8);
            __builtin_prefetch(next_a += kWide);
            __builtin_prefetch(next_b += kWide);
        }
        std::memcpy(pairs + x / 2, &sum, sizeof sum);
    }
}

// Rows of which the differences, two by two, can be added in 16 bits with a sign.
constexpr int64_t kSignedRows = 64;

// a - b, summed down up to kSignedRows rows, for each two columns.
OV2_SIMD void sum_differences(const uint8_t* const* a, const uint8_t* const* b, int64_t rows, int64_t width,
                              int16_t* pairs) {
    if (width < kWide) {
        for (int64_t i = 0; i < width / 2; ++i) {
            int sum = 0;
            for (int64_t j = 0; j < rows; ++j)
                sum += a[j][2 * i] + a[j][2 * i + 1] - b[j][2 * i] - b[j][2 * i + 1];
            pairs[i] = static_cast<int16_t>(sum);
        }
        return;
    }
    for (int64_t at = 0; at < width; at += kWide) {
        int64_t x = std::min(at, width - kWide);  // the last ones begin within those before
        Words16 sum = {};
        for (int64_t j = 0; j < rows; ++j) {
            Words16 p, q;
            std::memcpy(&p, a[j] + x, sizeof p);
            std::memcpy(&q, b[j] + x, sizeof q);
            sum += (p & 255) + (p >> 8) - (q & 255) - (q >> 8);  // modulo 2^16, which no sum reaches
        }
        std::memcpy(pairs + x / 2, &sum, sizeof sum);
    }
}

// From kWide - n on: what leaves out the first n of thirty-two pixels.
constexpr auto kAllBut = [] {
    std::array<uint8_t, 2 * kWide> mask{};
    for (size_t i = kWide; i < mask.size(); ++i) mask[i] = 255;
    return mask;
}();

// The sum of a row of pixels.
OV2_SIMD int32_t sum_row(const uint8_t* row, int64_t width) {
    int32_t total = 0;
    if (width < kWide) return std::accumulate(row, row + width, 0);
    int64_t x = 0;
    while (x < width) {
        Words16 sum = {};
        for (int64_t n = 0; n < kRows && x < width; ++n, x += kWide) {
            int64_t taken =
                std::max<int64_t>(x + kWide - width, 0);  // the last ones begin within those before
            Bytes32 pixels, mask;
            std::memcpy(&pixels, row + x - taken, sizeof pixels);
            std::memcpy(&mask, kAllBut.data() + kWide - taken, sizeof mask);
            auto pairs = reinterpret_cast<Words16>(pixels & mask);
            sum += (pairs & 255) + (pairs >> 8);
        }
        for (int64_t lane = 0; lane < kWide / 2; ++lane) total += sum[lane];
    }
    return total;
}

// Adds up to kRows rows of pixels to the sums of their columns: those of even columns, then those of odd
// ones.
OV2_SIMD void add_rows(const uint8_t* plane, int64_t rows, int64_t width, int32_t* columns) {
    int32_t* of_odd = columns + width / 2;
    if (width < kWide) {
        for (int64_t i = 0; i < rows * width; ++i) columns[i % width / 2 + i % 2 * (width / 2)] += plane[i];
        return;
    }
    for (int64_t at = 0; at < width; at += kWide) {
        int64_t taken = std::max<int64_t>(at + kWide - width, 0), x = at - taken;
        Words16 even = {}, odd = {};
        for (int64_t j = 0; j < rows; ++j) {
            Bytes32 pixels;
            std::memcpy(&pixels, plane + j * width + x, sizeof pixels);
            auto pairs = reinterpret_cast<Words16>(pixels);
            even += pairs & 255;
            odd += pairs >> 8;
        }
        for (int64_t lane = taken / 2; lane < kWide / 2; ++lane) {
            columns[x / 2 + lane] += even[lane];
            of_odd[x / 2 + lane] += odd[lane];
        }
    }
}

}  // namespace

Comparison::Comparison(const Geometry& g, const uint8_t* luma)
    : g_(g),
      luma_(luma),
      most_(std::min(kRows, g.block())),
      here_(static_cast<size_t>(most_)),
      there_(static_cast<size_t>(most_)),
      pairs_(static_cast<size_t>(g.width / 2)),
      columns_(static_cast<size_t>(g.width), 0),
      differences_(static_cast<size_t>(g.width / 2)),
      patches_(static_cast<size_t>(g.width / g.patch), 0) {}

bool Comparison::next() {
    y_ += rows_;
    if (y_ == g_.height) return false;
    rows_ = std::min(most_, g_.block() - y_ % g_.block());
    for (int64_t j = 0; j < rows_; ++j) here_[static_cast<size_t>(j)] = luma_ + (y_ + j) * g_.width;
    return true;
}

void Comparison::sum_profiles(int32_t* sums) {
    for (int64_t j = 0; j < rows_; ++j) sums[y_ + j] = sum_row(here_[static_cast<size_t>(j)], g_.width);
    add_rows(here_[0], rows_, g_.width, columns_.data());
    if (y_ + rows_ < g_.height) return;
    for (int64_t x = 0; x < g_.width; ++x)
        sums[g_.height + x] = columns_[static_cast<size_t>(x / 2 + x % 2 * (g_.width / 2))];
}

void Comparison::add_since_sample(const uint8_t* before, int64_t dy, int64_t dx, int32_t* change) {
    add_changes(before, dy, dx, change);
    add_means(change);
}

void Comparison::add_changes(const uint8_t* other, int64_t dy, int64_t dx, int32_t* change) {
    for (int64_t j = 0; j < rows_; ++j)
        there_[static_cast<size_t>(j)] =
            other + std::clamp<int64_t>(y_ + j + dy, 0, g_.height - 1) * g_.width;
    if (dx != 0) move_rows(dx);
    sum_beyond(here_.data(), there_.data(), rows_, g_.width, pairs_.data());
    int32_t* sums = change + y_ / g_.block() * g_.blocks_x();
    for (int64_t bx = 0; bx < g_.blocks_x(); ++bx) {
        auto first = pairs_.begin() + bx * g_.patch;
        sums[bx] += std::accumulate(first, first + g_.patch, 0);
    }
}

// Adds what the means of patches differ by in these rows, as soon as their last one is among them.
void Comparison::add_means(int32_t* change) {
    const int64_t patch = g_.patch;
    for (int64_t j = 0, rows; j < rows_; j += rows) {
        const int64_t y = y_ + j;
        rows = std::min({kSignedRows, patch - y % patch, rows_ - j});
        sum_differences(here_.data() + j, there_.data() + j, rows, g_.width, differences_.data());
        const bool last = (y + rows) % patch == 0;
        for (int64_t px = 0; px < g_.width / patch; ++px) {
            auto first = differences_.begin() + px * (patch / 2);
            int32_t& sum = patches_[static_cast<size_t>(px)];
            sum = std::accumulate(first, first + patch / 2, sum);
            if (!last) continue;
            change[y / g_.block() * g_.blocks_x() + px / 2] +=
                std::max(std::abs(sum) - static_cast<int32_t>(patch * patch / 4), 0) / 2;
            sum = 0;
        }
    }
}

// The other's rows, shifted, with their ends repeated.
void Comparison::move_rows(int64_t dx) {
    moved_.resize(static_cast<size_t>(most_ * g_.width));
    int64_t begin = std::clamp<int64_t>(-dx, 0, g_.width);
    int64_t end = std::clamp<int64_t>(g_.width - dx, 0, g_.width);
    for (int64_t j = 0; j < rows_; ++j) {
        const uint8_t*& row = there_[static_cast<size_t>(j)];
        uint8_t* to = moved_.data() + j * g_.width;
        std::fill(to, to + begin, row[0]);
        std::copy(row + begin + dx, row + end + dx, to + begin);
        std::fill(to + end, to + g_.width, row[g_.width - 1]);
        row = to;
    }
}

}  // namespace ov2::kernels
