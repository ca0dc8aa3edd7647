#include "kernels/fuse_scores.h"

#include <algorithm>
#include <vector>

#include "parallel.h"

namespace ov2::kernels {
namespace {

// The value that the candidates are scaled by: their 95th percentile, an order statistic, but at least
// `floor`.
template <typename T>
int64_t scale_of(const T* energy, int64_t count, int64_t floor) {
    std::vector<T> values(energy, energy + count);
    auto rank = values.begin() + ((95 * count + 99) / 100 - 1);
    std::nth_element(values.begin(), rank, values.end());
    return std::max<int64_t>(floor, *rank);
}

template <typename T>
void add_normalized(const T* energy, int64_t count, int64_t floor, int64_t weight, int32_t* scores) {
    if (weight == 0) return;
    int64_t scale = scale_of(energy, count, floor);
    for (int64_t i = 0; i < count; ++i) {
        int64_t value = std::min<int64_t>(energy[i], scale) * 65535 / scale;
        scores[i] += static_cast<int32_t>(weight * value);
    }
}

}  // namespace

void fuse_scores(const int32_t* residual, const int32_t* motion_energy, const int64_t* bits, int64_t blocks,
                 const int64_t* group_edges, int64_t groups, Weights weights, int64_t patch, int threads,
                 int32_t* scores) {
    parallel_for(groups, threads, [&](int64_t k) {
        int64_t begin = group_edges[k] * blocks;
        int64_t end = group_edges[k + 1] * blocks;
        std::fill(scores + begin, scores + end, 0);
        begin += blocks;
        int64_t count = end - begin;
        if (count <= 0) return;
        add_normalized(motion_energy + begin, count, 16 * patch * patch, weights.motion, scores + begin);
        add_normalized(residual + begin, count, 8 * patch * patch, weights.residual, scores + begin);
        add_normalized(bits + begin, count, 1, weights.bits, scores + begin);
    });
}

}  // namespace ov2::kernels
