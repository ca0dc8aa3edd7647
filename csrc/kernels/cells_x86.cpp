// Cells measured with instructions that compilers do not find by themselves. All cells are alike here:
// whoever treats those with one vector apart is quicker on vectors that blocks have in common, and slower on
// those of clips.
#include "kernels/cells.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "simd.h"

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // in GCC's own headers for AVX-512
#endif

namespace ov2::kernels {
namespace {

constexpr int64_t kGroup = CellRoom::kGroup, kRows = CellRoom::kWindowRows;

#define OV2_AVX2 __attribute__((target("avx2")))
#define OV2_AVX2_INLINE inline __attribute__((always_inline, target("avx2")))
#define OV2_AVX512_TARGET target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#define OV2_AVX512 __attribute__((OV2_AVX512_TARGET))
#define OV2_AVX512_INLINE inline __attribute__((always_inline, OV2_AVX512_TARGET))

OV2_AVX2_INLINE __m256i load_wide(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

OV2_AVX2_INLINE void store_wide(void* to, __m256i values) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), values);
}

// A vector eight times.
OV2_AVX2_INLINE __m256i eight_vectors(int64_t x, int64_t y) {
    return _mm256_set1_epi32(static_cast<int>(static_cast<uint32_t>(y) << 16 | static_cast<uint16_t>(x)));
}

// Copies the window at (x, y), of which a part lies outside of the picture.
OV2_AVX2_INLINE void copy_window(const uint8_t* picture, int width, int height, int x, int y, uint8_t* to) {
    constexpr int kRead = CellRoom::kWindowRead;
    int from = std::clamp(x, 0, width - kRead), shift = std::clamp(x, -kRead, width - 1) - from;
    __m128i columns = _mm_add_epi8(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0),
                                   _mm_set1_epi8(static_cast<char>(shift)));
    columns = _mm_min_epi8(_mm_max_epi8(columns, _mm_setzero_si128()), _mm_set1_epi8(kRead - 1));
    const uint8_t* row = picture + int64_t{std::clamp(y, 0, height - 1)} * width + from;
    for (int j = 0; j < kRows; ++j) {
        __m128i pixels = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + int64_t{j} * width),
                         _mm_shuffle_epi8(pixels, columns));
        row += 0 <= y + j && y + j < height - 1 ? width : 0;
    }
}

// For each set of a group's cells, as bits: which cells these are, in ascending order.
constexpr auto kCellsOfSet = [] {
    std::array<std::array<uint8_t, kGroup>, 1 << kGroup> lists{};
    for (size_t set = 0; set < lists.size(); ++set)
        for (uint8_t cell = 0, at = 0; cell < kGroup; ++cell)
            if (set >> cell & 1) lists[set][at++] = cell;
    return lists;
}();

// Copies the windows that reach out of the picture, with its outermost pixels repeated.
OV2_AVX2 void copy_outside(const CellRows& r, const CellRoom& room, int64_t count) {
    const auto width = static_cast<int>(r.width), height = static_cast<int>(r.height);
    uint8_t *line = room.copies(), *copy = line;
    for (int64_t i = 0; i < count; ++i) {
        const auto place = static_cast<uint32_t>(room.outside_places()[i]);
        const int x = static_cast<int16_t>(place), y = static_cast<int16_t>(place >> 16);
        copy_window(r.prev, width, height, x, static_cast<int>(r.y) + y, copy);
        room.windows()[room.outside()[i]] = copy;
        copy += CellRoom::kWindowRead;
        if (copy + CellRoom::kWindowRead > line + width) copy = line += kRows * width;
    }
}

// What comes after a group is fetched, a part of it while vectors are measured and the rest while residuals
// are: of much at once the processor drops some. Only where it is fetched into the nearest cache, all of it
// is while residuals are measured.
constexpr int64_t kLine = 64;  // bytes that are fetched together
static_assert(16 * kGroup == 2 * kLine);

inline __attribute__((always_inline)) void fetch_with_vectors(CellRows& r) {
    __builtin_prefetch(r.next_prev, 0, 2);
    __builtin_prefetch(r.next_vectors, 0, 2);
    r.next_prev += 2 * kLine;
    r.next_vectors += 2 * kGroup;
}

inline __attribute__((always_inline)) void fetch_with_residuals(CellRows& r) {
    __builtin_prefetch(r.next_luma, 0, 2);
    __builtin_prefetch(r.next_luma + kLine, 0, 2);
    __builtin_prefetch(r.next_prev + kLine, 0, 2);
    r.next_luma += 2 * kLine;
    r.next_prev += 2 * kLine;
}

inline __attribute__((always_inline)) void fetch_nearest(CellRows& r) {
    for (int64_t i = 0; i < 2 * kLine; i += kLine) {
        __builtin_prefetch(r.next_luma + i, 0, 3);
        __builtin_prefetch(r.next_prev + i, 0, 3);
    }
    __builtin_prefetch(r.next_vectors, 0, 3);
    r.next_luma += 2 * kLine;
    r.next_prev += 2 * kLine;
    r.next_vectors += 2 * kGroup;
}

// Where each cell's window begins, and lengths: before residuals and apart from them, so that no window waits
// for its place. Windows lie in the picture; which do not is listed without a branch, to be copied.
template <bool kFetch>
OV2_AVX2 void measure_vectors(CellRows r, const CellRoom& room, int32_t* lengths) {
    // As near to the limits as 16 bits allow.
    auto near = [](int v) { return std::clamp(v, -32768, 32767); };
    const __m256i least = eight_vectors(near(r.median.x - kVectorLimit), near(r.median.y - kVectorLimit));
    const __m256i most = eight_vectors(near(r.median.x + kVectorLimit), near(r.median.y + kVectorLimit));
    const __m256i median = eight_vectors(r.median.x, r.median.y);
    const int64_t cells = r.cells();
    const auto width = static_cast<int>(r.width), height = static_cast<int>(r.height);
    const __m256i strides = eight_vectors(1, width);
    const __m256i base = _mm256_set1_epi64x(reinterpret_cast<int64_t>(r.prev + r.y * r.width));
    // Where windows may begin and end. At the end that is a row less than there are, as eight pixels of the
    // last row may lie behind the picture.
    const __m256i first = eight_vectors(0, -r.y), last = eight_vectors(width - 4, height - 6 - r.y);
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const uint8_t** windows = room.windows();
    int index = 0, count = 0;
    for (int64_t row = 0; row < r.rows; ++row) {
        for (int64_t c = 0; c < cells; c += kGroup, windows += kGroup) {
            if constexpr (kFetch) fetch_with_vectors(r);
            const int64_t column = std::min(c, cells - kGroup);
            __m256i vectors = load_wide(r.vectors + 2 * (row * cells + column));
            __m256i places =
                _mm256_add_epi32(_mm256_slli_epi32(lanes, 2), eight_vectors(4 * column, 4 * row));
            __m256i begin = _mm256_add_epi16(_mm256_srai_epi16(vectors, 2), places);
            __m256i end = _mm256_srai_epi16(_mm256_adds_epi16(vectors, _mm256_set1_epi16(3)), 2);
            end = _mm256_add_epi16(end, places);
            __m256i out = _mm256_or_si256(_mm256_cmpgt_epi16(first, begin), _mm256_cmpgt_epi16(end, last));
            __m256i in = _mm256_cmpeq_epi32(out, _mm256_setzero_si256());
            auto set = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(in))) ^ 255U;
            __m256i listed = _mm256_cvtepu8_epi32(
                _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kCellsOfSet[set].data())));
            store_wide(room.outside() + count, _mm256_add_epi32(listed, _mm256_set1_epi32(index)));
            store_wide(room.outside_places() + count, _mm256_permutevar8x32_epi32(begin, listed));
            count += __builtin_popcount(set);
            index += kGroup;

            __m256i offsets = _mm256_madd_epi16(begin, strides);
            __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(offsets));
            __m256i high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(offsets, 1));
            store_wide(windows, _mm256_add_epi64(base, low));
            store_wide(windows + 4, _mm256_add_epi64(base, high));

            __m256i moved =
                _mm256_sub_epi16(_mm256_min_epi16(_mm256_max_epi16(vectors, least), most), median);
            __m256 root = _mm256_sqrt_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(moved, moved)));
            __m256i length = _mm256_cvttps_epi32(_mm256_mul_ps(root, _mm256_set1_ps(16)));
            store_wide(lengths + c, _mm256_add_epi32(load_wide(lengths + c), length));
        }
    }
    copy_outside(r, room, count);
}

// Of a row of four cells' windows: each pixel beside the one to its right.
OV2_AVX2_INLINE __m256i pairs(__m256i pixels) {
    return _mm256_shuffle_epi8(pixels,
                               _mm256_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 8, 9, 9, 10, 10, 11, 11, 12,  //
                                                0, 1, 1, 2, 2, 3, 3, 4, 8, 9, 9, 10, 10, 11, 11, 12));
}

// What pairs are multiplied by, in the first word of each cell's vector: the bytes are 4 - fx and fx, by 4 -
// fy in the row above and by fy in the one below.
OV2_AVX2_INLINE void find_weights(__m256i vectors, __m256i* above, __m256i* below) {
    __m256i fractions = _mm256_and_si256(vectors, _mm256_set1_epi16(3));
    __m256i across = _mm256_sub_epi16(_mm256_slli_epi16(fractions, 8), fractions);
    across = _mm256_add_epi16(across, _mm256_set1_epi16(4));
    *below = _mm256_mullo_epi16(across, _mm256_srli_epi32(fractions, 16));
    *above = _mm256_sub_epi16(_mm256_slli_epi16(across, 2), *below);
}

// The first words of two cells in 16 bytes, four times each: of cells 0 and 1, or of cells 2 and 3.
OV2_AVX2_INLINE __m128i lower_cells() {
    return _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 4, 5, 4, 5, 4, 5, 4, 5);
}

OV2_AVX2_INLINE __m128i upper_cells() {
    return _mm_add_epi8(lower_cells(), _mm_set1_epi8(8));
}

// A row of four cells, predicted from two rows of their windows: 16 bits a pixel.
OV2_AVX2_INLINE __m256i predict(__m256i upper, __m256i lower, __m256i above, __m256i below) {
    __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(upper, above), _mm256_maddubs_epi16(lower, below));
    return _mm256_mulhrs_epi16(sum, _mm256_set1_epi16(1 << 11));  // (sum + 8) >> 4
}

// A row of four cells' windows.
OV2_AVX2_INLINE __m256i gather(const uint8_t* const* windows, int64_t offset) {
    auto eight = [&](int i) { return load<int64_t>(windows[i] + offset); };
    return pairs(_mm256_setr_epi64x(eight(0), eight(1), eight(2), eight(3)));
}

OV2_AVX2 void measure_residuals_avx2(CellRows r, const uint8_t* const* windows, int32_t* residuals) {
    const int64_t cells = r.cells();
    for (int64_t row = 0; row < r.rows; ++row) {
        for (int64_t c = 0; c < CellRoom::grouped(cells); c += 4, windows += 4) {
            if (c % kGroup == 0) fetch_with_residuals(r);
            // As the groups are, in halves.
            const int64_t column = std::min(c - c % kGroup, cells - kGroup) + c % kGroup;
            __m256i vectors =
                _mm256_broadcastsi128_si256(load<__m128i>(r.vectors + 2 * (row * cells + column)));
            __m256i above, below;
            find_weights(vectors, &above, &below);
            above = _mm256_shuffle_epi8(above, _mm256_set_m128i(upper_cells(), lower_cells()));
            below = _mm256_shuffle_epi8(below, _mm256_set_m128i(upper_cells(), lower_cells()));
            const uint8_t* luma = r.luma + 4 * (row * r.width + column);
            __m256i upper = gather(windows, 0), sums = _mm256_setzero_si256();
            for (int64_t j = 0; j < 4; ++j) {
                __m256i lower = gather(windows, (j + 1) * r.width);
                __m256i actual = _mm256_cvtepu8_epi16(load<__m128i>(luma + j * r.width));
                sums = _mm256_add_epi64(sums, _mm256_sad_epu8(predict(upper, lower, above, below), actual));
                upper = lower;
            }
            sums = _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
            auto* to = reinterpret_cast<__m128i*>(residuals + c);
            _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), _mm256_castsi256_si128(sums)));
        }
    }
}

// A row of the windows of a group's cells 0, 1, 4 and 5, as pairs. Each is put in its place as it is loaded:
// unlike the obvious instructions, which broadcast or insert, this one does without the ports that shuffle.
OV2_AVX512_INLINE __m256i gather_256(const uint8_t* const* windows, int64_t offset) {
    constexpr int kThird = 0xAA;  // of three operands
    auto eight = [&](int i) { return load<int64_t>(windows[i] + offset); };
    __m256i row =
        _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(windows[0] + offset)));
    row = _mm256_mask_ternarylogic_epi64(row, 2, row, _mm256_set1_epi64x(eight(1)), kThird);
    row = _mm256_mask_ternarylogic_epi64(row, 4, row, _mm256_set1_epi64x(eight(4)), kThird);
    row = _mm256_mask_ternarylogic_epi64(row, 8, row, _mm256_set1_epi64x(eight(5)), kThird);
    return pairs(row);
}

// As with AVX2, a group at a time, in halves that are packed into a row of the picture: cells 0, 1, 4 and 5,
// and cells 2, 3, 6 and 7.
OV2_AVX512 void measure_residuals_256(CellRows r, const uint8_t* const* windows, int32_t* residuals) {
    const int64_t cells = r.cells();
    for (int64_t row = 0; row < r.rows; ++row) {
        for (int64_t c = 0; c < cells; c += kGroup, windows += kGroup) {
            fetch_with_residuals(r);
            const int64_t column = std::min(c, cells - kGroup);
            __m256i above, below;
            find_weights(load_wide(r.vectors + 2 * (row * cells + column)), &above, &below);
            const __m256i lower = _mm256_broadcastsi128_si256(lower_cells());
            const __m256i upper = _mm256_broadcastsi128_si256(upper_cells());
            const __m256i above1 = _mm256_shuffle_epi8(above, lower),
                          below1 = _mm256_shuffle_epi8(below, lower);
            const __m256i above2 = _mm256_shuffle_epi8(above, upper),
                          below2 = _mm256_shuffle_epi8(below, upper);
            __m256i rows1[kRows], rows2[kRows];
            for (int64_t j = 0; j < kRows; ++j) rows1[j] = gather_256(windows, j * r.width);
            for (int64_t j = 0; j < kRows; ++j) rows2[j] = gather_256(windows + 2, j * r.width);
            const uint8_t* luma = r.luma + 4 * (row * r.width + column);
            __m256i sums = load_wide(residuals + c);
            for (int64_t j = 0; j < 4; ++j) {
                __m256i predicted = _mm256_packus_epi16(predict(rows1[j], rows1[j + 1], above1, below1),
                                                        predict(rows2[j], rows2[j + 1], above2, below2));
                __m256i actual = load_wide(luma + j * r.width);
                __m256i distance =
                    _mm256_sub_epi8(_mm256_max_epu8(predicted, actual), _mm256_min_epu8(predicted, actual));
                sums = _mm256_dpbusd_epi32(sums, distance, _mm256_set1_epi8(1));
            }
            store_wide(residuals + c, sums);
        }
    }
}

// A row of a group's windows, as pairs.
OV2_AVX512_INLINE __m512i gather_512(const uint8_t* const* windows, int64_t offset) {
    __m512i row =
        _mm512_castsi128_si512(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(windows[0] + offset)));
#pragma GCC unroll 7
    for (int i = 1; i < kGroup; ++i) {
        constexpr int kThird = 0xAA;  // of three operands
        const __m512i everywhere = _mm512_set1_epi64(load<int64_t>(windows[i] + offset));
        row = _mm512_mask_ternarylogic_epi64(row, static_cast<__mmask8>(1 << i), row, everywhere, kThird);
    }
    const __m128i two = _mm_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 8, 9, 9, 10, 10, 11, 11, 12);
    return _mm512_shuffle_epi8(row, _mm512_broadcast_i32x4(two));
}

// The first word of each cell, four times.
OV2_AVX512_INLINE __m512i spread_512(__m256i cells) {
    const __m128i two = _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 8, 9, 8, 9, 8, 9, 8, 9);
    return _mm512_shuffle_epi8(_mm512_cvtepu32_epi64(cells), _mm512_broadcast_i32x4(two));
}

// A group at a time.
OV2_AVX512 void measure_residuals_512(CellRows r, const uint8_t* const* windows, int32_t* residuals) {
    const int64_t cells = r.cells();
    for (int64_t row = 0; row < r.rows; ++row) {
        for (int64_t c = 0; c < cells; c += kGroup, windows += kGroup) {
            fetch_nearest(r);
            const int64_t column = std::min(c, cells - kGroup);
            __m256i above8, below8;
            find_weights(load_wide(r.vectors + 2 * (row * cells + column)), &above8, &below8);
            const __m512i above = spread_512(above8), below = spread_512(below8);
            const uint8_t* luma = r.luma + 4 * (row * r.width + column);
            __m512i upper = gather_512(windows, 0), sums = _mm512_setzero_si512();
            for (int64_t j = 0; j < 4; ++j) {
                __m512i lower = gather_512(windows, (j + 1) * r.width);
                __m512i sum =
                    _mm512_add_epi16(_mm512_maddubs_epi16(upper, above), _mm512_maddubs_epi16(lower, below));
                __m512i predicted = _mm512_mulhrs_epi16(sum, _mm512_set1_epi16(1 << 11));  // (sum + 8) >> 4
                __m512i actual = _mm512_cvtepu8_epi16(load_wide(luma + j * r.width));
                sums = _mm512_add_epi64(sums, _mm512_sad_epu8(predicted, actual));
                upper = lower;
            }
            __m256i sum = _mm256_add_epi32(load_wide(residuals + c), _mm512_cvtepi64_epi32(sums));
            store_wide(residuals + c, sum);
        }
    }
}

}  // namespace

void measure_cells_x86(const CellRows& rows, const CellRoom& room, int32_t* residuals, int32_t* lengths) {
    const uint8_t* const* windows = room.windows();
    if (rows.instructions == Instructions::kAvx512Wide) {
        measure_vectors<false>(rows, room, lengths);
        measure_residuals_512(rows, windows, residuals);
    } else if (rows.instructions == Instructions::kAvx512) {
        measure_vectors<true>(rows, room, lengths);
        measure_residuals_256(rows, windows, residuals);
    } else {
        measure_vectors<true>(rows, room, lengths);
        measure_residuals_avx2(rows, windows, residuals);
    }
    // What the last group of each row adds up was kept apart: it follows those before.
    const int64_t cells = rows.cells();
    for (int32_t* sums : {residuals, lengths})
        std::memmove(sums + cells - kGroup, sums + CellRoom::grouped(cells) - kGroup, kGroup * sizeof *sums);
}

}  // namespace ov2::kernels
#endif
