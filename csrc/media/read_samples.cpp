#include "media/read_samples.h"

#include <algorithm>

#include "media/picture_header.h"
#include "media/readers.h"

namespace ov2::media {
namespace {

enum class Way { quickest, in_order, every_picture };

}  // namespace

MotionSource motion_source(AVCodecID codec, const PacketTable& table, MotionSource wanted) {
    bool all_key =
        std::all_of(table.is_key.begin(), table.is_key.end(), [](uint8_t key) { return key != 0; });
    if (all_key) return MotionSource::none;
    return wanted == MotionSource::codec && !exports_motion_vectors(codec) ? MotionSource::estimated : wanted;
}

void ReadContext::pass_over(const std::string& parameter_sets) {
    static const std::vector<uint8_t> kNone;
    if (!by_seeking || !table().has_timestamps) return;
    statistics.skipped +=
        feed.pass_over(parameter_sets, writer.motion() == MotionSource::codec ? is_reference : kNone);
}

bool ReadContext::references_known(char last_picture_type) const {
    if (writer.motion() != MotionSource::codec || last_picture_type != 'B') return true;
    for (auto row = static_cast<size_t>(request.frame_indices.back()) + 1; row < is_reference.size(); ++row) {
        if (is_reference[row] == kUnknown) return false;
        if (is_reference[row] != 0) return true;
    }
    return true;
}

ReadStatistics read_samples(const ReadRequest& request, const SampleArrays& arrays) {
    ReadStatistics statistics;
    if (request.frame_indices.empty()) return statistics;
    PacketPlan plan(*request.table, request.frame_indices, request.predecessors);
    // True where the samples are read; a further attempt starts from scratch, and takes no short cuts.
    auto attempt = [&](Way way) {
        Demuxer demuxer(request.path, request.limits, /*table_only=*/false);
        PacketFeed feed(demuxer, *request.table, plan);
        statistics = {};
        statistics.motion = motion_source(demuxer.codec(), *request.table, request.motion);
        SampleWriter writer(request, arrays, demuxer.orientation(), statistics.motion);
        if (way == Way::every_picture) writer.clear_motion();
        bool by_seeking = way == Way::quickest && !request.limits.salvage;
        ReadContext context{
            request, demuxer, feed, plan, writer, statistics, by_seeking, {}, way == Way::every_picture};
        context.is_reference.assign(request.table->size.size(), ReadContext::kUnknown);
        bool in_segments = way == Way::quickest && segments_pay(context);
        bool done = in_segments ? read_segments(context) : read_in_order(context);
        if (done) {
            writer.finish(context.is_reference, request.threads);
        } else {
            writer.clear_motion();
        }
        return done;
    };
    Way way = Way::quickest;
    while (!attempt(way) && way != Way::every_picture) {
        way = way == Way::quickest ? Way::in_order : Way::every_picture;
        request.poll(0);
    }
    // Of the pictures near one that is lost, some may not have been decoded, for no sample needed them.
    const std::vector<int64_t>& wanted = request.frame_indices;
    if (way != Way::every_picture && request.limits.salvage && request.table->has_timestamps &&
        !std::equal(wanted.begin(), wanted.end(), arrays.shown)) {
        request.poll(0);
        attempt(Way::every_picture);
    }
    return statistics;
}

}  // namespace ov2::media
