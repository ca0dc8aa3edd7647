#include "media/area_filter.h"

#include <algorithm>

#include "media/prefetch.h"
#include "simd.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ov2::media {
namespace {

constexpr int kOne = 256;
constexpr int kStrip = 256;   // samples between which others are asked for: more at a time would wait in line
constexpr int kBias = 32768;  // brings sums of weights times bytes into the range of int16_t

struct Weighted {
    int64_t sample;
    int weight;
};

// Everything below is in units of 1/(2 * outputs) pixel, in which all edges and centres are whole.
std::vector<Weighted> mean_over(const SampleGrid& grid, int64_t outputs, int64_t x) {
    int64_t extent = int64_t{2} * grid.pixels;
    int64_t spacing = int64_t{2} * grid.step * outputs;
    std::vector<Weighted> found;
    // Weights are differences of rounded cumulative shares, so that they sum to one.
    int before = 0;
    for (int64_t i = extent * x / spacing; i < grid.samples && before < kOne; ++i) {
        int64_t end = i == grid.samples - 1 ? extent * (x + 1) : spacing * (i + 1);
        int64_t covered = std::min(end - extent * x, extent);
        auto upto = static_cast<int>((2 * kOne * covered + extent) / (2 * extent));
        if (upto > before) found.push_back({i, upto - before});
        before = upto;
    }
    return found;
}

std::vector<Weighted> interpolated(const SampleGrid& grid, int64_t outputs, int64_t x) {
    int64_t spacing = int64_t{2} * grid.step * outputs;
    int64_t from_first = (2 * x + 1) * grid.pixels - grid.step * outputs;
    int64_t last = grid.samples - 1;
    if (from_first <= 0) return {{0, kOne}};
    int64_t i = from_first / spacing;
    if (i >= last) return {{last, kOne}};
    auto upper = static_cast<int>((2 * kOne * (from_first - i * spacing) + spacing) / (2 * spacing));
    std::vector<Weighted> found;
    if (upper < kOne) found.push_back({i, kOne - upper});
    if (upper > 0) found.push_back({i + 1, upper});
    return found;
}

// out = the weighted sum of up to four rows, in 1/256, on top of what is there if `more`. Everything stays
// within 16 bits, as the weights of all rows sum to 256.
OV2_SIMD void blend(const uint8_t* const* rows, const int16_t* weights, int count, bool more, int width,
                    int16_t* __restrict out) {
    const uint8_t* a = rows[0];
    const uint8_t* b = rows[1];
    const uint8_t* c = rows[2];
    const uint8_t* d = rows[3];
    auto wa = static_cast<uint16_t>(weights[0]);
    auto wb = static_cast<uint16_t>(weights[1]);
    auto wc = static_cast<uint16_t>(weights[2]);
    auto wd = static_cast<uint16_t>(weights[3]);
    auto bias = static_cast<uint16_t>(more ? 0 : kBias);
    auto add = [](uint16_t x, uint16_t y) { return static_cast<uint16_t>(x + y); };
    auto times = [](uint16_t w, uint8_t v) { return static_cast<uint16_t>(w * v); };
    if (more) {
        for (int x = 0; x < width; ++x) {
            uint16_t sum = add(add(times(wa, a[x]), times(wb, b[x])), add(times(wc, c[x]), times(wd, d[x])));
            out[x] = static_cast<int16_t>(add(sum, static_cast<uint16_t>(out[x])));
        }
    } else if (count <= 1) {
        for (int x = 0; x < width; ++x) out[x] = static_cast<int16_t>(add(times(wa, a[x]), bias));
    } else if (count == 2) {
        for (int x = 0; x < width; ++x) {
            out[x] = static_cast<int16_t>(add(add(times(wa, a[x]), times(wb, b[x])), bias));
        }
    } else {
        for (int x = 0; x < width; ++x) {
            uint16_t sum = add(add(times(wa, a[x]), times(wb, b[x])), add(times(wc, c[x]), times(wd, d[x])));
            out[x] = static_cast<int16_t>(add(sum, bias));
        }
    }
}

// A sum in 1/65536, less the bias, to the nearest whole.
inline uint8_t finish(int sum) {
    return static_cast<uint8_t>((sum + kOne * kBias + 32768) >> 16);
}

// One output: `chunks` times four taps.
inline int dot(const int16_t* values, const int16_t* weights, int64_t chunks) {
    int sum = 0;
    for (int64_t c = 0; c < chunks; ++c) {
        for (int64_t t = 0; t < 4; ++t) sum += values[4 * c + t] * weights[8 * c + t];
    }
    return sum;
}

#if defined(__SSE2__)
// Of two outputs, two sums each that are still to be added.
inline __m128i dot_two(const int16_t* first, const int16_t* second, const int16_t* weights, int64_t chunks) {
    __m128i sum = _mm_setzero_si128();
    for (int64_t c = 0; c < chunks; ++c) {
        __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(first + 4 * c));
        __m128 both = _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(second + 4 * c));
        __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + 8 * c));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_castps_si128(both), w));
    }
    return sum;
}

// Four outputs, one in each lane, as whole numbers.
inline __m128i dot_four(const int16_t* values, const int* first, const int16_t* weights, int64_t chunks) {
    __m128 low = _mm_castsi128_ps(dot_two(values + first[0], values + first[1], weights, chunks));
    __m128 high =
        _mm_castsi128_ps(dot_two(values + first[2], values + first[3], weights + 8 * chunks, chunks));
    __m128i sum = _mm_add_epi32(_mm_castps_si128(_mm_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0))),
                                _mm_castps_si128(_mm_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1))));
    return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kOne * kBias + 32768)), 16);
}
#endif

// `chunks` is a constant where this is inlined, for the commonest filters.
inline void dot_row(const int16_t* values, const int* first, const int16_t* weights, int outputs,
                    int64_t chunks, uint8_t* __restrict out) {
    int x = 0;
#if defined(__SSE2__)
    while (x + 2 <= outputs && outputs >= 8) {
        x = std::min(x, (outputs - 8) & ~1);  // the last eight may overlap those before
        const int16_t* w = weights + 4 * x * chunks;
        __m128i words = _mm_packs_epi32(dot_four(values, first + x, w, chunks),
                                        dot_four(values, first + x + 4, w + 16 * chunks, chunks));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + x), _mm_packus_epi16(words, words));
        x += 8;
    }
#endif
    for (; x < outputs; ++x) {
        out[x] = finish(dot(values + first[x], weights + x / 2 * 8 * chunks + x % 2 * 4, chunks));
    }
}

// Behind the last sample that an output looks at.
int behind(const AxisFilter& axis, int output) {
    return std::min(axis.first()[output] + AxisFilter::kChunk * axis.chunks(), axis.grid().samples);
}

// Outputs [begin, end), of values that stand at their source columns.
void filter_row(const int16_t* values, const AxisFilter& filter, int begin, int end, uint8_t* out) {
    const int* first = filter.first() + begin;
    const int16_t* weights = filter.pairs() + int64_t{begin} * AxisFilter::kChunk * filter.chunks();
    if (filter.chunks() == 1) {
        dot_row(values, first, weights, end - begin, 1, out);
    } else {
        dot_row(values, first, weights, end - begin, filter.chunks(), out);
    }
}

}  // namespace

void AxisFilter::prepare(const SampleGrid& grid, int outputs) {
    if (grid == grid_ && outputs == this->outputs()) return;
    grid_ = grid;
    bool shrinks = int64_t{grid.step} * outputs <= grid.pixels;
    std::vector<std::vector<Weighted>> all;
    size_t most = 1;
    for (int64_t x = 0; x < outputs; ++x) {
        all.push_back(shrinks ? mean_over(grid, outputs, x) : interpolated(grid, outputs, x));
        most = std::max(most, static_cast<size_t>(all.back().back().sample - all.back().front().sample) + 1);
    }
    chunks_ = static_cast<int>((most + kChunk - 1) / kChunk);
    first_.clear();
    pairs_.assign((all.size() + 1) / 2 * 2 * kChunk * static_cast<size_t>(chunks_), 0);
    for (size_t x = 0; x < all.size(); ++x) {
        first_.push_back(static_cast<int>(all[x].front().sample));
        for (const Weighted& tap : all[x]) {
            auto at = static_cast<int>(tap.sample - all[x].front().sample);
            pairs_[place(static_cast<int>(x), at)] = static_cast<int16_t>(tap.weight);
        }
    }
}

void AreaFilter::prepare(const SampleGrid& columns, const SampleGrid& rows, int width, int height) {
    columns_.prepare(columns, width);
    rows_.prepare(rows, height);
}

void AreaFilter::fetch(const uint8_t* plane, int64_t stride, int y, bool above, int begin, int end) const {
    int left = columns_.first()[begin];
    for (int row = above ? behind(rows_, y - 1) : rows_.first()[y]; row < behind(rows_, y); ++row)
        fetch_bytes(plane + row * stride + left, behind(columns_, end - 1) - left);
}

void AreaFilter::row(const uint8_t* plane, int64_t stride, int y, int begin, int end,
                     std::vector<int16_t>& scratch, uint8_t* out) const {
    int taps = AxisFilter::kChunk * columns_.chunks();
    if (scratch.size() < static_cast<size_t>(source_width() + taps)) {
        scratch.resize(static_cast<size_t>(source_width() + taps));
    }
    // The source columns that these outputs look at; those past the plane's end weigh nothing.
    int left = columns_.first()[begin];
    int width = std::min(columns_.first()[end - 1] + taps, source_width()) - left;
    // Where rows are whole, those below are wanted next.
    bool whole = begin == 0 && end == columns_.outputs() && y + 1 < rows_.outputs();
    int next = behind(rows_, y), last = whole ? behind(rows_, y + 1) : next;
    for (int c = 0; c < rows_.chunks(); ++c) {
        const uint8_t* rows[AxisFilter::kChunk];
        int16_t weights[AxisFilter::kChunk];
        int count = 0;
        for (int k = 0; k < AxisFilter::kChunk; ++k) {
            int tap = c * AxisFilter::kChunk + k;
            rows[k] = plane + std::min(rows_.first()[y] + tap, source_height() - 1) * stride + left;
            weights[k] = rows_.weight(y, tap);
            if (weights[k] != 0) count = k + 1;
        }
        if (c > 0 && count == 0) continue;
        for (int x = 0; x < width; x += kStrip) {
            int strip = std::min(kStrip, width - x);
            for (int below = c == 0 ? next : last; below < last; ++below)
                fetch_soon(plane + below * stride + left + x, strip);
            blend(rows, weights, count, c > 0, strip, scratch.data() + left + x);
            for (const uint8_t*& row : rows) row += strip;
        }
    }
    filter_row(scratch.data(), columns_, begin, end, out);
}

}  // namespace ov2::media
