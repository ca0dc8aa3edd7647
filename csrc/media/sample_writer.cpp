#include "media/sample_writer.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "media/error.h"
#include "media/motion_estimate.h"
#include "parallel.h"

namespace ov2::media {

SampleWriter::SampleWriter(const ReadRequest& request, const SampleArrays& arrays, Orientation orientation,
                           MotionSource motion)
    : request_(request),
      arrays_(arrays),
      orientation_(orientation),
      motion_(motion),
      plane_(int64_t{request.height} * request.width),
      cells_(MotionField(request.width, request.height, {}).cells()),
      sides_(static_cast<size_t>(motion == MotionSource::codec ? cells_ * samples() : 0)),
      coded_sizes_(static_cast<size_t>(samples())),
      still_(static_cast<size_t>(samples())),
      parts_(static_cast<size_t>(samples())) {
    if (arrays.colors != nullptr) arrays.colors->start(orientation);
    if (request.predecessors) return;
    for (std::atomic<uint8_t>& parts : parts_) parts = kPrevious;
}

Destination SampleWriter::destination(int64_t row) const {
    const std::vector<int64_t>& wanted = request_.frame_indices;
    auto at = std::lower_bound(wanted.begin(), wanted.end(), row);
    Destination to;
    if (row < 0) return to;  // a picture that is never displayed
    if (at != wanted.end() && *at == row) to.sample = at++ - wanted.begin();
    if (request_.predecessors && at != wanted.end() && *at == row + 1) to.successor = at - wanted.begin();
    return to;
}

Destination SampleWriter::unwritten(Destination to) const {
    auto has = [this](int64_t i, uint8_t part) { return (parts_[static_cast<size_t>(i)] & part) != 0; };
    if (to.sample >= 0 && has(to.sample, kOwn)) to.sample = -1;
    if (to.successor >= 0 && has(to.successor, kPrevious)) to.successor = -1;
    return to;
}

void SampleWriter::write(Converter& converter, const AVFrame& frame, const Destination& to) {
    uint8_t* successor = to.successor < 0 ? nullptr : arrays_.prev_luma + to.successor * plane_;
    if (to.sample < 0) {
        if (to.successor >= 0) {
            converter.resizer.convert_luma(frame, successor);
            parts_[static_cast<size_t>(to.successor)] |= kPrevious;
        }
        return;
    }
    auto i = static_cast<size_t>(to.sample);
    uint8_t* luma = arrays_.luma + to.sample * plane_;
    if (arrays_.frames != nullptr) {
        converter.resizer.convert(frame, arrays_.frames + 3 * to.sample * plane_, luma);
    } else {
        arrays_.colors->keep(to.sample, converter.resizer.planes(frame, luma));
    }
    if (to.successor >= 0) {
        std::memcpy(successor, luma, static_cast<size_t>(plane_));
        parts_[static_cast<size_t>(to.successor)] |= kPrevious;
    }
    coded_sizes_[i] = {frame.width, frame.height};
    still_[i] = to.still;
    const AVFrameSideData* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_MOTION_VECTORS);
    if (motion_ == MotionSource::codec && !to.still && side != nullptr) {
        converter.field.rasterize(reinterpret_cast<const AVMotionVector*>(side->data),
                                  side->size / sizeof(AVMotionVector), frame.width, frame.height,
                                  arrays_.motion + 2 * to.sample * cells_,
                                  sides_.data() + to.sample * cells_);
    }
    parts_[i] |= kOwn;
}

void SampleWriter::describe(int64_t sample, const AVFrame& frame, int64_t packet_bytes, int64_t shown) {
    arrays_.pict_types[sample] = static_cast<uint8_t>(av_get_picture_type_char(frame.pict_type));
    arrays_.shown[sample] = shown;
    arrays_.pts[sample] = request_.table->pts[static_cast<size_t>(row(sample))];
    arrays_.packet_bytes[sample] = packet_bytes;
}

void SampleWriter::finish(const std::vector<uint8_t>& is_reference, int threads) {
    if (motion_ == MotionSource::estimated) estimate(threads);
    if (motion_ != MotionSource::codec) return;
    MotionField field(request_.width, request_.height, orientation_);
    auto rows = static_cast<int64_t>(is_reference.size());
    parallel_for(samples(), threads, [&](int64_t i) {
        auto distance = [&](int64_t step) -> int64_t {
            for (int64_t u = row(i) + step; u >= 0 && u < rows; u += step) {
                if (is_reference[static_cast<size_t>(u)] == 1) return std::abs(u - row(i));
            }
            return 1;
        };
        auto [width, height] = coded_sizes_[static_cast<size_t>(i)];
        if (still_[static_cast<size_t>(i)] == 0) {
            field.normalize(width, height, distance(-1), distance(1), arrays_.motion + 2 * i * cells_,
                            sides_.data() + i * cells_);
        }
    });
}

void SampleWriter::estimate(int threads) {
    constexpr int64_t kRun = 8;  // samples for which setting up a filter graph pays
    std::thread::id caller = std::this_thread::get_id();
    parallel_for((samples() + kRun - 1) / kRun, threads, [&](int64_t run) {
        std::optional<MotionEstimator> estimator;
        for (int64_t i = run * kRun; i < std::min(samples(), (run + 1) * kRun); ++i) {
            if (std::this_thread::get_id() == caller) request_.poll(ready());
            if (still_[static_cast<size_t>(i)] != 0) continue;
            if (!estimator) estimator.emplace(request_.width, request_.height);
            estimator->estimate(arrays_.luma + i * plane_, arrays_.prev_luma + i * plane_,
                                arrays_.motion + 2 * i * cells_);
        }
    });
}

}  // namespace ov2::media
