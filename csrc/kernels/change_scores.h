#pragma once

#include <cstdint>
#include <vector>

#include "kernels/geometry.h"

namespace ov2::kernels {

// One score per block from what changed since the sample and since the frame before (algorithm, section 6).
// luma, prev_luma [N, H, W]; group_edges [groups + 1]; scores [N, hb, wb], 0 in a group's first sample.
void change_scores(const Geometry& g, const uint8_t* luma, const uint8_t* prev_luma,
                   const int64_t* group_edges, int64_t groups, int threads, int32_t* scores);

// The same by and by: what is told of a sample once it is there, so that of its pictures the one before is
// not needed any more, and the scores of a group when all its samples are measured.
class Changes {
  public:
    // Of N samples, N being the geometry's frames, in groups as above.
    Changes(const Geometry& g, const int64_t* group_edges, int64_t groups);

    // Measures the samples [first, end) of luma and prev_luma [N, H, W]; those of their groups before them
    // are measured, and the one before them is still there.
    void measure(const uint8_t* luma, const uint8_t* prev_luma, int64_t first, int64_t end, int threads);

    // The scores of the samples of groups [first_group, end_group), as above.
    void scores(int64_t first_group, int64_t end_group, int threads, int32_t* scores) const;

    const Geometry& geometry() const { return g_; }
    const std::vector<int64_t>& group_edges() const { return edges_; }

  private:
    Geometry g_;
    int64_t sides_;
    std::vector<int64_t> edges_;
    std::vector<uint8_t> opens_, elsewhere_;
    std::vector<int32_t> profiles_, changes_;
};

}  // namespace ov2::kernels
