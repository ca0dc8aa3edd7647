#include "kernels/block_energies.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "parallel.h"
#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ov2::kernels {
namespace {

constexpr int kVectorLimit = 2047;

// Sixteen bytes in parts (vector extensions of GCC and Clang, on any target).
constexpr int64_t kWide = 16;
typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Words8 __attribute__((vector_size(16)));
typedef uint32_t Sums4 __attribute__((vector_size(16)));
typedef int16_t Shorts16 __attribute__((vector_size(32)));

template <typename T>
inline __attribute__((always_inline)) T load(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

// Adds the sum of |a - b| over each 4x4 cell of four rows of pixels.
OV2_SIMD void add_still(const uint8_t* a, const uint8_t* b, int64_t width, int32_t* cells) {
    int64_t x = 0;
    for (; x + kWide <= width; x += kWide) {
        Words8 sum = {};
        for (int64_t j = 0; j < 4; ++j) {
            auto p = load<Bytes16>(a + j * width + x);
            auto q = load<Bytes16>(b + j * width + x);
            Bytes16 larger = p > q ? p : q;
            Bytes16 smaller = p > q ? q : p;
            auto pairs = reinterpret_cast<Words8>(larger - smaller);
            sum += (pairs & 255) + (pairs >> 8);
        }
        auto fours = reinterpret_cast<Sums4>(sum);
        fours = load<Sums4>(cells + x / 4) + (fours & 65535) + (fours >> 16);
        std::memcpy(cells + x / 4, &fours, sizeof fours);
    }
    for (; x < width; x += 4) {
        for (int64_t j = 0; j < 4; ++j) {
            for (int64_t i = j * width + x; i < j * width + x + 4; ++i) cells[x / 4] += std::abs(a[i] - b[i]);
        }
    }
}

struct Vector {
    int x, y;

    int& operator[](int64_t axis) { return axis == 0 ? x : y; }
};

// The least and the largest of each component.
OV2_SIMD void find_range(const int16_t* motion, int64_t cells, Vector* least, Vector* most) {
    Shorts16 low = {}, high = {};
    int64_t i = 0;
    for (; i + 16 <= 2 * cells; i += 16) {
        Shorts16 v;
        std::memcpy(&v, motion + i, sizeof v);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    for (int lane = 0; lane < 16; ++lane) {
        (*least)[lane % 2] = std::min<int>((*least)[lane % 2], low[lane]);
        (*most)[lane % 2] = std::max<int>((*most)[lane % 2], high[lane]);
    }
    for (; i < 2 * cells; ++i) {
        (*least)[i % 2] = std::min<int>((*least)[i % 2], motion[i]);
        (*most)[i % 2] = std::max<int>((*most)[i % 2], motion[i]);
    }
}

// How many of the vectors have a component of at most `bound`'s: of x, and of y.
OV2_SIMD void count_upto(const int16_t* motion, int64_t cells, Vector bound, int64_t* counts) {
    constexpr int64_t kMost = 16384;  // rounds before a lane could overflow
    Shorts16 bounds;
    for (int lane = 0; lane < 16; ++lane) bounds[lane] = static_cast<int16_t>(bound[lane % 2]);
    counts[0] = counts[1] = 0;
    int64_t i = 0;
    while (i + 16 <= 2 * cells) {
        Shorts16 upto = {};
        for (int64_t n = 0; n < kMost && i + 16 <= 2 * cells; ++n, i += 16) {
            Shorts16 v;
            std::memcpy(&v, motion + i, sizeof v);
            upto -= v <= bounds;
        }
        for (int lane = 0; lane < 16; ++lane) counts[lane % 2] += upto[lane];
    }
    for (; i < 2 * cells; ++i) counts[i % 2] += motion[i] <= bound[i % 2];
}

// Lower medians of both components over all cells, which lie from `least` to `most`: by bisection, after a
// look at 0, which they mostly are.
Vector lower_median(const int16_t* motion, int64_t cells, Vector least, Vector most) {
    for (int round = 0; least.x < most.x || least.y < most.y; ++round) {
        Vector middle;
        for (int axis : {0, 1}) {
            int low = least[axis], high = most[axis];
            int guess = round < 2 ? -round : low + (high - low) / 2;
            middle[axis] = std::clamp(guess, low, std::max(low, high - 1));
        }
        int64_t counts[2];
        count_upto(motion, cells, middle, counts);
        for (int axis : {0, 1}) {
            if (least[axis] == most[axis]) continue;
            if (counts[axis] > (cells - 1) / 2) {
                most[axis] = middle[axis];
            } else {
                least[axis] = middle[axis] + 1;
            }
        }
    }
    return least;
}

// The picture before with its outermost pixels repeated around it, so that windows may lie outside: one that
// begins kReach pixels before the picture, or at its last pixel, sees what any farther out sees.
class PaddedPlane {
  public:
    static constexpr int64_t kReach = 4;

    PaddedPlane(const Geometry& g, const uint8_t* picture)
        : picture_(picture),
          width_(g.width),
          height_(g.height),
          stride_(g.width + 2 * kBeside),
          pixels_(new uint8_t[static_cast<size_t>((g.height + 2 * kReach) * stride_)]) {}

    int64_t stride() const { return stride_; }

    // The first pixel of the picture's row `y`.
    const uint8_t* row(int64_t y) const { return pixels_.get() + (y + kReach) * stride_ + kBeside; }

    // What of the picture is to be copied next.
    const uint8_t* rest() const { return picture_ + std::max<int64_t>(copied_, 0) * width_; }

    // Copies the rows before `end`, and repeats their outermost pixels.
    void copy_rows(int64_t end) {
        for (end = std::min(end, height_ + kReach); copied_ < end; ++copied_) {
            const uint8_t* from = picture_ + std::clamp<int64_t>(copied_, 0, height_ - 1) * width_;
            uint8_t* to = pixels_.get() + (copied_ + kReach) * stride_ + kBeside;
            std::memset(to - kBeside, from[0], kBeside);
            std::memset(to + width_, from[width_ - 1], kBeside);
            copy_row(from, width_, to);
        }
    }

  private:
    static constexpr int64_t kBeside = 8;  // pixels, for eight are read where a window has five

    // As memcpy does, which takes longer to get going than a row takes.
    OV2_SIMD static void copy_row(const uint8_t* from, int64_t width, uint8_t* to) {
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

    const uint8_t* picture_;
    int64_t width_, height_, stride_;
    int64_t copied_ = -kReach;
    std::unique_ptr<uint8_t[]> pixels_;
};

// A row of cells, and what is needed to measure them. A cell is predicted from its window: five rows of five
// pixels of the padded plane.
struct CellRow {
    const uint8_t* luma;
    int64_t width, height;  // of the picture
    int64_t y;              // of the row's first pixels
    const uint8_t* plane;   // these in the padded plane
    int64_t stride;
    const int16_t* vectors;
    Vector median;
    // What the processor is asked to fetch meanwhile: for each cell 16 bytes of pictures, and one vector.
    // Behind the last picture it finds nothing, which does no harm.
    const uint8_t* next_luma;
    const uint8_t* next_prev;
    const int16_t* next_vectors;
};

// The residual of each cell, and the length of its vector after the median is taken off, in 1/16 of a quarter
// pixel.
OV2_SIMD void measure_cells(const CellRow& r, int32_t* residuals, int32_t* lengths) {
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

// Adds to the first of some rows of values those below.
OV2_SIMD void add_columns(int64_t rows, int64_t columns, int32_t* values) {
    for (int64_t j = 1; j < rows; ++j)
        for (int64_t c = 0; c < columns; ++c) values[c] += values[j * columns + c];
}

// The energies of a frame's blocks: those of their cells, added up down each column of cells first.
void frame_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev, const int16_t* motion,
                    int32_t* residual, int32_t* motion_energy) {
    Vector least{0, 0}, most{0, 0};
    find_range(motion, g.cells(), &least, &most);
    bool still = least.x == most.x && least.y == most.y;  // both are 0 or beyond it
    Vector median = lower_median(motion, g.cells(), least, most);
    int64_t cells = g.cells_x(), rows = g.block() / 4;
    // Of the cells of a row of blocks.
    std::vector<int32_t> residuals(static_cast<size_t>(rows * cells));
    std::vector<int32_t> lengths(static_cast<size_t>(rows * cells));
    std::vector<int32_t> places(static_cast<size_t>(cells));
    PaddedPlane plane(g, prev);
    auto measure_row = [&](int64_t cy, int32_t* row_residuals, int32_t* row_lengths) {
        constexpr int64_t kAhead = 4096;
        const int16_t* vectors = motion + 2 * cy * cells;
        CellRow row{luma + 4 * cy * g.width,
                    g.width,
                    g.height,
                    4 * cy,
                    plane.row(4 * cy),
                    plane.stride(),
                    vectors,
                    median,
                    luma + 4 * cy * g.width + kAhead,
                    plane.rest() + kAhead,
                    vectors + 2 * g.cells()};
#if defined(__x86_64__)
        if (cells >= kGroup && g.width <= kWidest && __builtin_cpu_supports("avx2")) {
            measure_vectors(row, places.data(), row_lengths);
            measure_residuals(row, places.data(), row_residuals);
            return;
        }
#endif
        measure_cells(row, row_residuals, row_lengths);
    };
    for (int64_t by = 0; by < g.blocks_y(); ++by) {
        if (still) std::fill_n(residuals.begin(), cells, 0);
        for (int64_t j = 0; j < rows; ++j) {
            int64_t cy = by * rows + j;
            if (still) {
                add_still(luma + 4 * cy * g.width, prev + 4 * cy * g.width, g.width, residuals.data());
                continue;
            }
            // No farther than vectors reach, which is not far in most pictures: memory is busy all the time.
            plane.copy_rows(4 * cy + 5 + (most.y >> 2));
            measure_row(cy, residuals.data() + j * cells, lengths.data() + j * cells);
        }
        if (!still) {
            add_columns(rows, cells, residuals.data());
            add_columns(rows, cells, lengths.data());
        }
        for (int64_t bx = 0; bx < g.blocks_x(); ++bx) {
            int32_t difference = 0, length = 0;
            for (int64_t c = bx * rows; c < (bx + 1) * rows; ++c) {
                difference += residuals[static_cast<size_t>(c)];
                length += lengths[static_cast<size_t>(c)];
            }
            residual[by * g.blocks_x() + bx] = difference;
            motion_energy[by * g.blocks_x() + bx] = length;
        }
    }
}

void share_bits(const Geometry& g, const int32_t* residual, int64_t packet_bytes, int64_t* bits) {
    int64_t floor = g.block() * g.block() / 16;
    int64_t sum = 0;
    for (int64_t b = 0; b < g.blocks(); ++b) sum += residual[b] + floor;
    for (int64_t b = 0; b < g.blocks(); ++b) bits[b] = 8 * 256 * packet_bytes * (residual[b] + floor) / sum;
}

}  // namespace

void block_energies(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma, const int16_t* motion,
                    const int64_t* packet_bytes, int threads, int32_t* residual, int32_t* motion_energy,
                    int64_t* bits) {
    parallel_for(g.frames, threads, [&](int64_t n) {
        int64_t blocks = n * g.blocks();
        frame_energies(g, luma + n * g.pixels(), prev_luma + n * g.pixels(), motion + 2 * n * g.cells(),
                       residual + blocks, motion_energy + blocks);
        share_bits(g, residual + blocks, packet_bytes[n], bits + blocks);
    });
}

}  // namespace ov2::kernels
