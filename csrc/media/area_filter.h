// Area averaging in integers: shrinks planes of 8-bit samples to the same bits on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ov2::media {

// How the samples of a plane lie along one axis of its picture: each in the middle of its pixels.
struct SampleGrid {
    int samples;  // of the plane
    int pixels;   // of the picture
    int step;     // pixels that a sample stands for

    bool operator==(const SampleGrid& other) const {
        return samples == other.samples && pixels == other.pixels && step == other.step;
    }
};

// Weights of an axis, in 1/256, which sum to 256 for each output. Where samples lie closer than outputs, each
// output is the mean over its extent; where they lie further apart, it is interpolated linearly.
class AxisFilter {
  public:
    static constexpr int kChunk = 4;

    // Does nothing where the filter is that one already.
    void prepare(const SampleGrid& grid, int outputs);

    const SampleGrid& grid() const { return grid_; }
    int outputs() const { return static_cast<int>(first_.size()); }
    bool operator==(const AxisFilter& other) const {
        return grid_ == other.grid_ && outputs() == other.outputs();
    }
    // The first tap's sample, of each output.
    const int* first() const { return first_.data(); }
    // Taps of every output, in fours; those past the plane's end weigh nothing.
    int chunks() const { return chunks_; }
    int16_t weight(int output, int tap) const { return pairs_[place(output, tap)]; }
    // The weights of two outputs side by side: four of the first, four of the second, and so on.
    const int16_t* pairs() const { return pairs_.data(); }

  private:
    SampleGrid grid_{};
    int chunks_ = 0;
    std::vector<int> first_;
    std::vector<int16_t> pairs_;

    size_t place(int output, int tap) const {
        int64_t chunk = int64_t{output / 2} * chunks_ + tap / kChunk;
        return static_cast<size_t>(2 * kChunk * chunk + output % 2 * kChunk + tap % kChunk);
    }
};

// A plane's two axes.
class AreaFilter {
  public:
    // Does nothing where the filter is that one already.
    void prepare(const SampleGrid& columns, const SampleGrid& rows, int width, int height);

    // Size of the planes that it shrinks.
    int source_width() const { return columns_.grid().samples; }
    int source_height() const { return rows_.grid().samples; }
    bool operator==(const AreaFilter& other) const {
        return columns_ == other.columns_ && rows_ == other.rows_;
    }

    // Outputs [begin, end) of row `y`; `begin` is even. `scratch` is the caller's, of any size.
    void row(const uint8_t* plane, int64_t stride, int y, int begin, int end, std::vector<int16_t>& scratch,
             uint8_t* out) const;

    // Asks the processor for what the outputs [begin, end) of row `y` are made of, less what those of the row
    // above were asked for; rows of taps that weigh nothing may be among it.
    void fetch(const uint8_t* plane, int64_t stride, int y, bool above, int begin, int end) const;

  private:
    AxisFilter columns_, rows_;
};

}  // namespace ov2::media
