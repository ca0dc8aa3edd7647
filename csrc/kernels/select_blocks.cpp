#include "kernels/select_blocks.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "parallel.h"

namespace ov2::kernels {
namespace {

// Scores of one frame after attenuation by their rank in it, which equal ones share.
void attenuate(const int32_t* scores, int64_t blocks, const int32_t* attenuation, std::vector<int32_t>& order,
               int32_t* attenuated) {
    order.resize(static_cast<size_t>(blocks));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    int64_t rank = 0;
    for (int64_t place = 0; place < blocks; ++place) {
        int32_t b = order[static_cast<size_t>(place)];
        if (scores[b] != scores[order[static_cast<size_t>(rank)]]) rank = place;
        attenuated[b] = static_cast<int32_t>(int64_t{scores[b]} * attenuation[rank] >> 16);
    }
}

// First candidate frame of each of `stretches` stretches of equal saliency mass, and the end: stretches + 1
// edges.
std::vector<int64_t> stretch_edges(const std::vector<int32_t>& attenuated, int64_t blocks, int64_t frames,
                                   int64_t stretches) {
    std::vector<int64_t> mass(static_cast<size_t>(frames), 0);
    int64_t total = 0;
    for (int64_t t = 0; t < frames; ++t) {
        auto first = attenuated.begin() + t * blocks;
        mass[static_cast<size_t>(t)] = std::accumulate(first, first + blocks, int64_t{0});
        total += mass[static_cast<size_t>(t)];
    }
    if (total == 0) {
        std::fill(mass.begin(), mass.end(), 1);
        total = frames;
    }
    std::vector<int64_t> edges(static_cast<size_t>(stretches) + 1, frames);
    int64_t before = 0;
    int64_t reached = -1;
    for (int64_t t = 0; t < frames; ++t) {
        // A frame's level is below `stretches` unless only empty frames remain.
        int64_t level = std::min(stretches * before / total, stretches - 1);
        while (reached < level) edges[static_cast<size_t>(++reached)] = t;
        before += mass[static_cast<size_t>(t)];
    }
    for (int64_t r = 1; r < stretches; ++r) {
        edges[static_cast<size_t>(r)] =
            std::max(edges[static_cast<size_t>(r)], edges[static_cast<size_t>(r) - 1] + 1);
    }
    for (int64_t r = 0; r < stretches; ++r) {
        edges[static_cast<size_t>(r)] = std::min(edges[static_cast<size_t>(r)], frames - (stretches - r));
    }
    return edges;
}

// The `count` best of the blocks [begin, end): score descending, index ascending; returned ascending by
// index.
void best_blocks(const std::vector<int32_t>& attenuated, int64_t begin, int64_t end, int64_t count,
                 int64_t offset, std::vector<int64_t>& scratch, int64_t* selected) {
    scratch.resize(static_cast<size_t>(end - begin));
    std::iota(scratch.begin(), scratch.end(), begin);
    auto last = scratch.begin() + count;
    std::nth_element(scratch.begin(), last - 1, scratch.end(), [&](int64_t a, int64_t b) {
        int32_t x = attenuated[static_cast<size_t>(a)];
        int32_t y = attenuated[static_cast<size_t>(b)];
        return x != y ? x > y : a < b;
    });
    std::sort(scratch.begin(), last);
    std::transform(scratch.begin(), last, selected, [&](int64_t block) { return block + offset; });
}

void select_in_group(const int32_t* scores, int64_t blocks, int64_t first, int64_t samples,
                     const int32_t* attenuation, int64_t images_per_group, bool global, int64_t* selected) {
    std::iota(selected, selected + blocks, first * blocks);
    selected += blocks;
    int64_t canvases = canvases_in_group(samples, images_per_group) - 1;
    if (canvases == 0) return;
    int64_t frames = samples - 1;
    int64_t offset = (first + 1) * blocks;
    std::vector<int32_t> attenuated(static_cast<size_t>(frames * blocks));
    std::vector<int32_t> order;
    for (int64_t t = 0; t < frames; ++t) {
        attenuate(scores + offset + t * blocks, blocks, attenuation, order, attenuated.data() + t * blocks);
    }
    std::vector<int64_t> scratch;
    if (global) {
        best_blocks(attenuated, 0, frames * blocks, canvases * blocks, offset, scratch, selected);
        return;
    }
    std::vector<int64_t> edges = stretch_edges(attenuated, blocks, frames, canvases);
    for (int64_t r = 0; r < canvases; ++r) {
        best_blocks(attenuated, edges[static_cast<size_t>(r)] * blocks,
                    edges[static_cast<size_t>(r) + 1] * blocks, blocks, offset, scratch,
                    selected + r * blocks);
    }
}

}  // namespace

int64_t canvases_in_group(int64_t samples, int64_t images_per_group) {
    return std::min(samples, images_per_group);
}

void select_blocks(const int32_t* scores, int64_t blocks, const int64_t* group_edges, int64_t groups,
                   const int32_t* attenuation, int64_t images_per_group, bool global, int threads,
                   int64_t* selected) {
    std::vector<int64_t> first_canvas(static_cast<size_t>(groups) + 1, 0);
    for (int64_t k = 0; k < groups; ++k) {
        first_canvas[static_cast<size_t>(k) + 1] =
            first_canvas[static_cast<size_t>(k)] +
            canvases_in_group(group_edges[k + 1] - group_edges[k], images_per_group);
    }
    parallel_for(groups, threads, [&](int64_t k) {
        select_in_group(scores, blocks, group_edges[k], group_edges[k + 1] - group_edges[k], attenuation,
                        images_per_group, global, selected + first_canvas[static_cast<size_t>(k)] * blocks);
    });
}

}  // namespace ov2::kernels
