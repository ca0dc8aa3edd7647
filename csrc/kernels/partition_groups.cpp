#include "kernels/partition_groups.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace ov2::kernels {
namespace {

using Edges = std::vector<int64_t>;

// Bytes of the non-key packets since the sample before, for each sample.
std::vector<int64_t> sample_energy(const PartitionRequest& r) {
    std::vector<int64_t> energy(static_cast<size_t>(r.samples), 0);
    int64_t t = r.range_start;
    for (int64_t i = 0; i < r.samples; ++i) {
        for (; t <= r.frame_ids[i]; ++t) {
            if (r.is_key[t] == 0) energy[static_cast<size_t>(i)] += r.size[t];
        }
    }
    return energy;
}

// Cuts where the energy gathered since the last cut reaches the quota, moved to the local valley.
Edges cut_by_quota(const std::vector<int64_t>& energy, int64_t quota, int64_t shortest, int64_t longest) {
    auto samples = static_cast<int64_t>(energy.size());
    Edges edges{0};
    int64_t start = 0;
    int64_t gathered = 0;
    for (int64_t i = 0; i < samples; ++i) {
        gathered += energy[static_cast<size_t>(i)];
        int64_t length = i - start + 1;
        if (length < longest && (length < shortest || gathered < quota)) continue;
        int64_t from = std::max(i - shortest / 2, start + shortest - 1);
        int64_t to = std::min({i + shortest / 2, start + longest - 1, samples - 1});
        auto rank = [&](int64_t c) { return std::tuple(energy[static_cast<size_t>(c)], std::abs(c - i), c); };
        int64_t cut = from;
        for (int64_t c = from + 1; c <= to; ++c) {
            if (rank(c) < rank(cut)) cut = c;
        }
        start = cut + 1;
        edges.push_back(start);
        gathered = 0;
        i = cut;
    }
    if (edges.back() != samples) edges.push_back(samples);
    auto last = edges.end() - 1;
    if (edges.size() > 2 && *last - *(last - 1) < shortest) edges.erase(last - 1);
    return edges;
}

Edges cut_by_energy(const std::vector<int64_t>& energy, const PartitionRequest& r) {
    int64_t average = (r.samples + r.max_groups - 1) / r.max_groups;
    int64_t longest = std::max(r.max_group_frames, 2 * average);
    int64_t low = 1;
    int64_t high = std::accumulate(energy.begin(), energy.end(), int64_t{1});
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        auto groups =
            static_cast<int64_t>(cut_by_quota(energy, middle, r.min_group_frames, longest).size()) - 1;
        if (groups <= r.max_groups) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return cut_by_quota(energy, high, r.min_group_frames, longest);
}

Edges cut_evenly(int64_t samples, int64_t groups) {
    Edges edges;
    for (int64_t i = 0; i <= groups; ++i) edges.push_back(i * samples / groups);
    return edges;
}

Edges cut_every(int64_t samples, int64_t length) {
    Edges edges;
    for (int64_t i = 0; i < samples; i += length) edges.push_back(i);
    edges.push_back(samples);
    return edges;
}

// Joins the shortest neighbours while there are too many groups.
void merge_to_budget(Edges& edges, int64_t max_groups) {
    while (static_cast<int64_t>(edges.size()) - 1 > max_groups) {
        size_t best = 1;
        for (size_t i = 2; i + 1 < edges.size(); ++i) {
            if (edges[i + 1] - edges[i - 1] < edges[best + 1] - edges[best - 1]) best = i;
        }
        edges.erase(edges.begin() + static_cast<std::ptrdiff_t>(best));
    }
}

// Halves the longest group while there is room for one more.
void split_to_budget(Edges& edges, int64_t max_groups, int64_t shortest) {
    while (static_cast<int64_t>(edges.size()) - 1 < max_groups) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < edges.size(); ++i) {
            if (edges[i + 1] - edges[i] > edges[best + 1] - edges[best]) best = i;
        }
        int64_t length = edges[best + 1] - edges[best];
        if (length < 2 * shortest) return;
        edges.insert(edges.begin() + static_cast<std::ptrdiff_t>(best) + 1, edges[best] + length / 2);
    }
}

}  // namespace

std::vector<int64_t> partition_groups(const PartitionRequest& r) {
    if (r.samples < r.min_group_frames) return {0, r.samples};
    std::vector<int64_t> energy = sample_energy(r);
    bool calm = std::all_of(energy.begin(), energy.end(), [](int64_t e) { return e == 0; });
    Edges edges;
    if (r.partition == Partition::fixed) {
        edges = cut_every(r.samples, r.group_size);
    } else if (r.partition == Partition::uniform || calm) {
        edges = cut_evenly(r.samples,
                           std::max<int64_t>(1, std::min(r.max_groups, r.samples / r.min_group_frames)));
    } else {
        edges = cut_by_energy(energy, r);
    }
    merge_to_budget(edges, r.max_groups);
    if (r.partition != Partition::fixed) split_to_budget(edges, r.max_groups, r.min_group_frames);
    return edges;
}

}  // namespace ov2::kernels
