#include "kernels/cells.h"

#include <cmath>
#include <cstring>

#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ov2::kernels {
namespace {

constexpr int kVectorLimit = 2047;

typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));

// As memcpy does, which takes longer to get going than a row takes.
OV2_SIMD void copy_row(const uint8_t* from, int64_t width, uint8_t* to) {
    constexpr int64_t kPart = 64;
    if (width < kPart) {
        std::memcpy(to, from, static_cast<size_t>(width));
        return;
    }
    for (int64_t x = 0; x < width; x += kPart) {
        int64_t at = std::min(x, width - kPart);
        std::memcpy(to + at, from + at, kPart);
    }
}

// Cell by cell, on any target.
OV2_SIMD void measure_one_by_one(const CellRow& r, int32_t* residuals, int32_t* lengths) {
    for (int64_t c = 0; c < r.width / 4; ++c) {
        int vx = r.vectors[2 * c], vy = r.vectors[2 * c + 1];
        int64_t x = std::clamp<int64_t>(4 * c + (vx >> 2), -PaddedPlane::kReach, r.width - 1);
        int64_t y = std::clamp<int64_t>(r.y + (vy >> 2), -PaddedPlane::kReach, r.height - 1);
        const uint8_t* window = r.plane + (y - r.y) * r.stride + x;
        // Four rows of four pixels. A word holds a pixel of an even column and the next: they are parted, and
        // as the right tap of the first is the left one of the second, three taps are enough.
        auto four = [](const uint8_t* p, int64_t stride) {
            return reinterpret_cast<Words8>(Sums4{load<uint32_t>(p), load<uint32_t>(p + stride),
                                                  load<uint32_t>(p + 2 * stride),
                                                  load<uint32_t>(p + 3 * stride)});
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
        Words8 above = four(window, r.stride), above_right = four(window + 1, r.stride);
        Words8 below = four(window + r.stride, r.stride), below_right = four(window + r.stride + 1, r.stride);
        Words8 even = down(across(above & 255, above >> 8), across(below & 255, below >> 8));
        Words8 odd = down(across(above >> 8, above_right >> 8), across(below >> 8, below_right >> 8));
        Words8 actual = four(r.luma + 4 * c, r.width);
        auto sums = reinterpret_cast<Sums4>(distance(actual & 255, even) + distance(actual >> 8, odd));
        sums = (sums & 65535) + (sums >> 16);
        residuals[c] = static_cast<int32_t>(sums[0] + sums[1] + sums[2] + sums[3]);

        int dx = std::clamp(vx - r.median.x, -kVectorLimit, kVectorLimit);
        int dy = std::clamp(vy - r.median.y, -kVectorLimit, kVectorLimit);
        lengths[c] = static_cast<int32_t>(16.0F * std::sqrt(static_cast<float>(dx * dx + dy * dy)));
    }
}

#if defined(__x86_64__)
// The same for rows of at least kGroup cells, with instructions of AVX2 that compilers do not find by
// themselves: sums of products of neighbouring bytes, and of distances. The last group of a row begins within
// the one before, if need be. All cells are alike to it: whoever treats those with one vector apart is
// quicker on vectors that blocks have in common, and slower on those of clips.
constexpr int64_t kGroup = 8;
constexpr int64_t kWidest = 1 << 17;  // pixels, for places to have 32 bits: vectors reach 2^13 rows

#define OV2_AVX2 __attribute__((target("avx2")))
#define OV2_AVX2_INLINE inline __attribute__((always_inline, target("avx2")))

OV2_AVX2_INLINE __m256i clamp(__m256i values, int64_t low, int64_t high) {
    __m256i raised = _mm256_max_epi32(values, _mm256_set1_epi32(static_cast<int>(low)));
    return _mm256_min_epi32(raised, _mm256_set1_epi32(static_cast<int>(high)));
}

// A vector eight times, as near to (x, y) as its 16 bits allow.
OV2_AVX2_INLINE __m256i eight_times(int x, int y) {
    auto word = [](int v) { return static_cast<uint16_t>(std::clamp(v, -32768, 32767)); };
    return _mm256_set1_epi32(static_cast<int>(uint32_t{word(y)} << 16 | word(x)));
}

// Where in the padded plane each cell's window begins, from the row's first pixel on, and lengths: before
// residuals and apart from them, so that no window waits for its place.
OV2_AVX2 void measure_vectors(const CellRow r, int32_t* places, int32_t* lengths) {
    const int64_t cells = r.width / 4;
    const __m256i least = eight_times(r.median.x - kVectorLimit, r.median.y - kVectorLimit);
    const __m256i most = eight_times(r.median.x + kVectorLimit, r.median.y + kVectorLimit);
    const __m256i median = eight_times(r.median.x, r.median.y);
    __m256i columns = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i last = _mm256_add_epi32(columns, _mm256_set1_epi32(static_cast<int>(r.width - 4 * kGroup)));
    for (int64_t c = 0; c < cells; c += kGroup) {
        int64_t first = std::min(c, cells - kGroup);
        __m256i vectors = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(r.vectors + 2 * first));
        __m256i x = _mm256_srai_epi32(_mm256_slli_epi32(vectors, 16), 18);
        x = _mm256_add_epi32(x, _mm256_min_epi32(columns, last));
        x = clamp(x, -PaddedPlane::kReach, r.width - 1);
        columns = _mm256_add_epi32(columns, _mm256_set1_epi32(4 * kGroup));
        __m256i y = clamp(_mm256_srai_epi32(vectors, 18), -PaddedPlane::kReach - r.y, r.height - 1 - r.y);
        __m256i rows = _mm256_mullo_epi32(y, _mm256_set1_epi32(static_cast<int>(r.stride)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + first), _mm256_add_epi32(rows, x));

        __m256i moved = _mm256_sub_epi16(_mm256_min_epi16(_mm256_max_epi16(vectors, least), most), median);
        __m256 root = _mm256_sqrt_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(moved, moved)));
        __m256i length = _mm256_cvttps_epi32(_mm256_mul_ps(root, _mm256_set1_ps(16)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lengths + first), length);
    }
}

// A row of four cells' windows: each pixel beside the one to its right.
OV2_AVX2_INLINE __m256i pairs(const uint8_t* row, const int64_t* places) {
    auto eight = [&](int i) { return load<int64_t>(row + places[i]); };
    return _mm256_shuffle_epi8(_mm256_setr_epi64x(eight(0), eight(1), eight(2), eight(3)),
                               _mm256_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 8, 9, 9, 10, 10, 11, 11, 12,  //
                                                0, 1, 1, 2, 2, 3, 3, 4, 8, 9, 9, 10, 10, 11, 11, 12));
}

// The residuals of a row of four cells, in 64 bits each, predicted from two rows of their windows.
OV2_AVX2_INLINE __m256i row_residuals(const uint8_t* luma, __m256i upper, __m256i lower, __m256i above,
                                      __m256i below) {
    __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(upper, above), _mm256_maddubs_epi16(lower, below));
    __m256i predicted = _mm256_mulhrs_epi16(sum, _mm256_set1_epi16(1 << 11));  // (sum + 8) >> 4
    return _mm256_sad_epu8(predicted, _mm256_cvtepu8_epi16(load<__m128i>(luma)));
}

// Residuals of cells whose windows begin at `places`.
OV2_AVX2 void measure_residuals(const CellRow r, const int32_t* places, int32_t* residuals) {
    const int64_t cells = r.width / 4;
    const uint8_t* rows[5];
    for (int64_t j = 0; j < 5; ++j) rows[j] = r.plane + j * r.stride;
    for (int64_t c = 0; c < cells; c += 4) {
        // A little for every few cells: many at once would have to wait for one another.
        __builtin_prefetch(r.next_luma + 16 * c, 0, 2);
        __builtin_prefetch(r.next_prev + 16 * c, 0, 2);
        __builtin_prefetch(r.next_vectors + 2 * c, 0, 2);
        int64_t first = std::min(c, cells - 4);
        __m256i fractions = _mm256_and_si256(
            _mm256_broadcastsi128_si256(load<__m128i>(r.vectors + 2 * first)), _mm256_set1_epi16(3));
        // A pair's weights are 4 - fx and fx, in the bytes of a word, by 4 - fy in the row above and by fy in
        // the one below. Each cell has four words in a row.
        __m256i weights = _mm256_sub_epi16(_mm256_slli_epi16(fractions, 8), fractions);
        __m256i across =
            _mm256_shuffle_epi8(_mm256_add_epi16(weights, _mm256_set1_epi16(4)),
                                _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 4, 5, 4, 5, 4, 5, 4, 5,  //
                                                 8, 9, 8, 9, 8, 9, 8, 9, 12, 13, 12, 13, 12, 13, 12, 13));
        __m256i down = _mm256_shuffle_epi8(
            fractions, _mm256_setr_epi8(2, 3, 2, 3, 2, 3, 2, 3, 6, 7, 6, 7, 6, 7, 6, 7,  //
                                        10, 11, 10, 11, 10, 11, 10, 11, 14, 15, 14, 15, 14, 15, 14, 15));
        __m256i below = _mm256_mullo_epi16(across, down);
        __m256i above = _mm256_sub_epi16(_mm256_slli_epi16(across, 2), below);

        const int64_t at[] = {places[first], places[first + 1], places[first + 2], places[first + 3]};
        const uint8_t* luma = r.luma + 4 * first;
        __m256i upper = pairs(rows[0], at), sums = _mm256_setzero_si256();
        for (int64_t j = 0; j < 4; ++j) {
            __m256i lower = pairs(rows[j + 1], at);
            sums = _mm256_add_epi64(sums, row_residuals(luma + j * r.width, upper, lower, above, below));
            upper = lower;
        }
        sums = _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(residuals + first), _mm256_castsi256_si128(sums));
    }
}
#endif

}  // namespace

void PaddedPlane::copy_rows(int64_t end) {
    for (end = std::min(end, height_ + kReach); copied_ < end; ++copied_) {
        const uint8_t* from = picture_ + std::clamp<int64_t>(copied_, 0, height_ - 1) * width_;
        uint8_t* to = pixels_.get() + (copied_ + kReach) * stride_ + kBeside;
        std::memset(to - kBeside, from[0], kBeside);
        std::memset(to + width_, from[width_ - 1], kBeside);
        copy_row(from, width_, to);
    }
}

void measure_cells(const CellRow& row, [[maybe_unused]] int32_t* places, int32_t* residuals,
                   int32_t* lengths) {
#if defined(__x86_64__)
    if (row.width / 4 >= kGroup && row.width <= kWidest && __builtin_cpu_supports("avx2")) {
        measure_vectors(row, places, lengths);
        measure_residuals(row, places, residuals);
        return;
    }
#endif
    measure_one_by_one(row, residuals, lengths);
}

}  // namespace ov2::kernels
