#include "media/probe.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "media/demuxer.h"
#include "media/error.h"
#include "media/picture_header.h"

namespace ov2::media {
namespace {

constexpr AVRational kUnknownRate{25, 1};

std::string text(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.10g", value);
    return buffer;
}

template <typename T>
std::vector<T> permuted(const std::vector<T>& values, const std::vector<size_t>& order) {
    std::vector<T> result(values.size());
    std::transform(order.begin(), order.end(), result.begin(), [&](size_t i) { return values[i]; });
    return result;
}

// Throws VideoError where a video lasts longer than the limits; to salvage it, times that make it so are
// forgotten where it has not the pictures for that.
void check_duration(PacketTable& table, const std::string& path, const Limits& limits) {
    double counted = static_cast<double>(table.size.size()) / av_q2d(table.frame_rate);
    double seconds = counted;
    if (table.has_timestamps) {
        auto [first, last] = std::minmax_element(table.pts.begin(), table.pts.end());
        seconds = (static_cast<double>(*last) - static_cast<double>(*first)) * av_q2d(table.time_base);
        // What comes after works with the product of ticks and the numerator.
        double ticks = (static_cast<double>(*last) - static_cast<double>(*first)) * table.time_base.num;
        bool usable = table.time_base.num > 0 && table.time_base.den > 0 && ticks < 4e18;
        if (usable && seconds <= limits.max_source_seconds) return;
        if (limits.salvage) {
            table.has_timestamps = false;
            // The rate may be made of the same times.
            if (counted > limits.max_source_seconds) table.frame_rate = kUnknownRate;
            seconds = static_cast<double>(table.size.size()) / av_q2d(table.frame_rate);
        }
    }
    if (!(seconds <= limits.max_source_seconds)) {
        throw_too_large(path, "max_source_seconds", text(limits.max_source_seconds), text(seconds));
    }
    if (table.has_timestamps) throw VideoError(Fault::damaged, path + ": its times cannot be used");
}

}  // namespace

PacketTable probe(const std::string& path, const Limits& limits) {
    Demuxer demuxer(path, limits, /*table_only=*/true);
    const AVStream* stream = demuxer.stream();
    PacketTable table;
    PacketPtr packet(av_packet_alloc());
    int64_t hidden_bytes = 0;
    int64_t last_dts = INT64_MIN;
    // AVI has no display times; those that libavformat makes up are in decode order.
    table.has_timestamps = std::strcmp(demuxer.container(), "avi") != 0;
    for (int64_t index = 0; demuxer.next(*packet); ++index) {
        // Only VP8, whose containers are read whole, has packets that show nothing.
        bool shown =
            demuxer.codec() != AV_CODEC_ID_VP8 || read_picture_header(*stream->codecpar, *packet).shown;
        if (!shown || (packet->flags & AV_PKT_FLAG_DISCARD) != 0) {
            hidden_bytes += shown ? 0 : packet->size;
            continue;
        }
        if (static_cast<int64_t>(table.size.size()) == limits.max_source_frames) {
            throw_too_large(path, "max_source_frames", std::to_string(limits.max_source_frames), "more");
        }
        table.size.push_back(packet->size + hidden_bytes);
        table.pts.push_back(packet->pts);
        table.is_key.push_back((packet->flags & AV_PKT_FLAG_KEY) != 0);
        table.decode_index.push_back(index);
        // Times that run backwards in decode order are those of streams joined end to end.
        bool backwards = packet->dts != AV_NOPTS_VALUE && packet->dts < last_dts;
        if (packet->dts != AV_NOPTS_VALUE) last_dts = packet->dts;
        table.has_timestamps = table.has_timestamps && packet->pts != AV_NOPTS_VALUE && !backwards;
        hidden_bytes = 0;
    }
    table.missing = demuxer.missing();
    if ((table.missing > 0 || demuxer.partial() > 0) && !limits.salvage) {
        throw VideoError(Fault::damaged, path + ": cannot read it to the end: the file lacks " +
                                             std::to_string(table.missing + demuxer.partial()) +
                                             " of the pictures that its index lists");
    }
    if (table.size.empty()) throw VideoError(Fault::damaged, path + ": its video stream holds no picture");

    table.codec = avcodec_get_name(demuxer.codec());
    table.container = demuxer.container();
    table.width = stream->codecpar->width;
    table.height = stream->codecpar->height;
    if (table.width <= 0 || table.height <= 0)
        throw VideoError(Fault::damaged, path + ": the size of its pictures is unknown");
    table.orientation = demuxer.orientation();
    table.time_base = stream->time_base;
    // Without timestamps the average is the demuxer's guess, and what the bitstream states is better.
    table.frame_rate = table.has_timestamps ? stream->avg_frame_rate : demuxer.stated_frame_rate();
    if (table.frame_rate.num <= 0 || table.frame_rate.den <= 0)
        table.frame_rate = demuxer.stated_frame_rate();
    if (table.frame_rate.num <= 0 || table.frame_rate.den <= 0) table.frame_rate = kUnknownRate;
    check_duration(table, path, limits);

    if (table.has_timestamps) {
        std::vector<size_t> order(table.pts.size());
        std::iota(order.begin(), order.end(), size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return table.pts[a] < table.pts[b]; });
        table.size = permuted(table.size, order);
        table.pts = permuted(table.pts, order);
        table.is_key = permuted(table.is_key, order);
        table.decode_index = permuted(table.decode_index, order);
    } else {
        std::iota(table.pts.begin(), table.pts.end(), int64_t{0});
        table.time_base = av_inv_q(table.frame_rate);
    }
    return table;
}

}  // namespace ov2::media
