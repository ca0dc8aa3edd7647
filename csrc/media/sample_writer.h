// Turns decoded pictures into the arrays of a read.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "media/motion_field.h"
#include "media/read_samples.h"
#include "media/resize.h"

namespace ov2::media {

// What one conversion thread owns.
struct Converter {
    Converter(const ReadRequest& request, Orientation orientation)
        : resizer(request.width, request.height, orientation),
          field(request.width, request.height, orientation) {}
    Resizer resizer;
    MotionField field;
};

// Where a picture goes: it may be a sample, the picture before a sample, or both.
struct Destination {
    int64_t sample = -1;     // index of the sample that it is
    int64_t successor = -1;  // index of the sample that is displayed right after it
    bool still = false;      // its vectors do not count
};

class SampleWriter {
  public:
    SampleWriter(const ReadRequest& request, const SampleArrays& arrays, Orientation orientation,
                 MotionSource motion);

    int64_t samples() const { return static_cast<int64_t>(request_.frame_indices.size()); }
    int64_t row(int64_t sample) const { return request_.frame_indices[static_cast<size_t>(sample)]; }
    std::unique_ptr<Converter> make_converter() const {
        return std::make_unique<Converter>(request_, orientation_);
    }

    // The samples that a picture serves by its row of the packet table.
    Destination destination(int64_t row) const;
    // Those of them that have no picture yet: where a packet gives two, the first counts, for it may be in
    // use.
    Destination unwritten(Destination to) const;

    // Writes pixels and raw vectors. May run on several threads at once, for different samples.
    void write(Converter& converter, const AVFrame& frame, const Destination& to);
    // The facts of a sample that cost nothing; `shown` is the row of the picture.
    void describe(int64_t sample, const AVFrame& frame, int64_t packet_bytes, int64_t shown);

    // Once all pictures are written: vectors per frame, from which rows are reference pictures, or estimated
    // ones.
    void finish(const std::vector<uint8_t>& is_reference, int threads);

    // Vectors as they were before the first picture.
    void clear_motion() { std::fill_n(arrays_.motion, 2 * cells_ * samples(), int16_t{0}); }

    // How many samples, from the first on, have their pictures; for the reading thread alone.
    int64_t ready() const {
        while (ready_ < samples() && parts_[static_cast<size_t>(ready_)] == kComplete) ++ready_;
        return ready_;
    }
    MotionSource motion() const { return motion_; }

  private:
    void estimate(int threads);

    const ReadRequest& request_;
    const SampleArrays& arrays_;
    Orientation orientation_;
    MotionSource motion_;
    int64_t plane_;
    int64_t cells_;
    std::vector<Side> sides_;                       // of each cell of each sample
    std::vector<std::pair<int, int>> coded_sizes_;  // of each sample
    std::vector<uint8_t> still_;                    // of each sample
    // Of each sample: its own picture is there, and the one before it.
    static constexpr uint8_t kOwn = 1, kPrevious = 2, kComplete = 3;
    std::vector<std::atomic<uint8_t>> parts_;
    mutable int64_t ready_ = 0;
};

}  // namespace ov2::media
