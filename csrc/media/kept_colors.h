// The colour of samples as it was decoded, kept until it is known which parts of it are wanted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "media/arena.h"
#include "media/color_planes.h"

namespace ov2::media {

class KeptColors {
  public:
    // `width` and `height` are those of the upright canvas.
    KeptColors(int64_t samples, int width, int height)
        : width_(width), height_(height), samples_(static_cast<size_t>(samples)) {}

    // Before the first picture of each attempt; what was kept before is gone.
    void start(Orientation orientation) {
        orientation_ = orientation;
        std::fill(samples_.begin(), samples_.end(), ColorPlanes{});
        bytes_ = Arena();
    }
    // Copies what a sample needs. May run on several threads at once, for different samples.
    void keep(int64_t sample, const ColorPlanes& planes);
    // The samples [begin, end) are wanted no more; what they are converted to from then on is grey. While
    // others are kept, but not these.
    void release(int64_t begin, int64_t end);
    // A part of a sample; `luma` is that of all samples.
    struct Part {
        int64_t sample;
        const uint8_t* luma;
        Area area;
    };
    // Its RGB, as convert_area; meanwhile the processor is asked for what `next`, if given, is made of, as
    // far as it has no more rows.
    void convert(const Part& part, uint8_t* rgb, const Part* next = nullptr) const;

    int64_t samples() const { return static_cast<int64_t>(samples_.size()); }
    int width() const { return width_; }
    int height() const { return height_; }

  private:
    const uint8_t* luma_of(const Part& part) const;
    const AreaFilter* share(const AreaFilter& filter);
    uint8_t* take(int64_t bytes);

    int width_, height_;
    Orientation orientation_;
    std::vector<ColorPlanes> samples_;
    std::mutex mutex_;
    Arena bytes_;                                             // of all planes
    std::vector<std::unique_ptr<const AreaFilter>> filters_;  // each once
};

}  // namespace ov2::media
