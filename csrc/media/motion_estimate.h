// Motion by block matching, for codecs whose vectors libavcodec does not export.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "media/libav.h"
#include "media/motion_field.h"

namespace ov2::media {

struct FreeFilterGraph {
    void operator()(AVFilterGraph* graph) const;
};

// libavfilter's mestimate between two luma planes of canvas size. One object serves one thread; a result
// depends on its two planes alone, never on what was estimated before.
class MotionEstimator {
  public:
    MotionEstimator(int width, int height);

    // Fills vectors, zero on entry, [height/4, width/4, 2] with quarter pixels from `luma` back into
    // `previous`.
    void estimate(const uint8_t* luma, const uint8_t* previous, int16_t* vectors);

  private:
    void push(const uint8_t* plane);

    int width_, height_;
    MotionField field_;
    std::vector<Side> sides_;
    std::unique_ptr<AVFilterGraph, FreeFilterGraph> graph_;
    AVFilterContext* source_ = nullptr;
    AVFilterContext* sink_ = nullptr;
    int64_t pushed_ = 0;
};

}  // namespace ov2::media
