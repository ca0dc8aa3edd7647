#include "media/demuxer.h"

#include <algorithm>
#include <cstring>

#include "media/error.h"
#include "media/log.h"
#include "media/mp4_boxes.h"
#include "media/picture_header.h"

namespace ov2::media {
namespace {

// The picture stream: the largest that is not cover art, the earliest such.
AVStream* video_stream(const AVFormatContext& format) {
    AVStream* best = nullptr;
    int64_t best_area = -1;
    for (unsigned i = 0; i < format.nb_streams; ++i) {
        AVStream* stream = format.streams[i];
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
        if ((stream->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) continue;
        int64_t area = int64_t{stream->codecpar->width} * stream->codecpar->height;
        if (area > best_area) {
            best = stream;
            best_area = area;
        }
    }
    return best;
}

}  // namespace

Demuxer::Demuxer(const std::string& path, const Limits& limits, bool table_only)
    : path_(path), limits_(limits), source_(path, limits) {
    open();
    look_into_streams(table_only);
    source_.opened();
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
        if (format_->streams[i] != stream_) format_->streams[i]->discard = AVDISCARD_ALL;
    }
    if (has_sample_table_ && table_only && !source_.has_movie_fragments()) source_.skip_payload();

    // AVI stores two MPEG-4 pictures in one chunk where B-frames were packed.
    if (codec() == AV_CODEC_ID_MPEG4 && !has_sample_table_) {
        AVBSFContext* filter = nullptr;
        check(av_bsf_alloc(av_bsf_get_by_name("mpeg4_unpack_bframes"), &filter), path, "unpack B-frames");
        unpack_.reset(filter);
        check(avcodec_parameters_copy(filter->par_in, stream_->codecpar), path, "unpack B-frames");
        filter->time_base_in = stream_->time_base;
        check(av_bsf_init(filter), path, "unpack B-frames");
    }
}

void Demuxer::open() {
    // By its bytes alone: a name proves nothing.
    shim::InputFormat* input = nullptr;
    constexpr int64_t kMostProbed = 1 << 20, kLeastProbed = 2048;
    auto most = static_cast<unsigned>(std::clamp(limits_.max_probe_bytes, kLeastProbed, kMostProbed));
    int result = av_probe_input_buffer2(source_.context(), &input, "", nullptr, 0, most);
    source_.rethrow();
    if (result < 0) throw VideoError(Fault::not_a_video, path_, "open it as a video", result);
    if (av_match_list(input->name, limits_.containers.c_str(), ',') <= 0) {
        throw VideoError(Fault::not_a_video, path_ + ": cannot open it as a video: " + input->name +
                                                 " is no container that is read");
    }

    has_sample_table_ = std::strncmp(input->name, "mov,", 4) == 0;
    if (has_sample_table_) check_frames(most_samples_claimed(source_));

    AVFormatContext* format = avformat_alloc_context();
    if (format == nullptr) throw std::bad_alloc();
    format->pb = source_.context();
    format->opaque = Log::current();
    format->probesize = std::min(format->probesize, limits_.max_probe_bytes);
    // Whatever the file names, nothing but its own bytes is opened.
    format->io_open = [](AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
        return AVERROR(EPERM);
    };
    av_opt_set(format, "protocol_whitelist", "none", 0);
    result = avformat_open_input(&format, "", input, nullptr);
    format_.reset(format);
    source_.rethrow();
    check(result, path_, "open it as a video");
    // MP4 and MOV state sizes, times and sync samples themselves, and parsing would only second-guess them.
    if (has_sample_table_) format_->flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
}

void Demuxer::look_into_streams(bool table_only) {
    // Looking into the streams means decoding a little. A sample table needs none of that for its own sake,
    // nor does H.264 beside one: its headers stand in the container, and how far it reorders pictures shows
    // in their times.
    find_video_stream();
    bool sized = stream_ != nullptr && stream_->codecpar->width > 0 && stream_->codecpar->height > 0;
    bool complete = has_sample_table_ && sized && (table_only || has_avc_record(*stream_->codecpar));
    if (!complete) {
        // Decoders are not to take memory for pictures that are too large.
        unsigned streams = format_->nb_streams;
        std::vector<AVDictionary*> options(streams, nullptr);
        for (AVDictionary*& option : options) {
            av_dict_set_int(&option, "max_pixels", most_decoded_pixels(limits_), 0);
        }
        int result = avformat_find_stream_info(format_.get(), options.data());
        for (AVDictionary*& option : options) av_dict_free(&option);
        source_.rethrow();
        check(result, path_, "read the stream headers");
        find_video_stream();
    }
    if (stream_ == nullptr) throw VideoError(Fault::no_video_stream, path_ + ": holds no video stream");
    if (avcodec_find_decoder(codec()) == nullptr) {
        throw VideoError(Fault::unsupported, path_ + ": cannot decode it: this FFmpeg has no decoder for " +
                                                 avcodec_get_name(codec()));
    }
    if (has_sample_table_) find_filled_samples();
}

void Demuxer::check_frames(int64_t frames) const {
    if (frames > limits_.max_source_frames) {
        throw_too_large(path_, "max_source_frames", std::to_string(limits_.max_source_frames),
                        std::to_string(frames));
    }
}

void Demuxer::find_video_stream() {
    stream_ = video_stream(*format_);
    if (stream_ != nullptr) check_size(limits_, path_, stream_->codecpar->width, stream_->codecpar->height);
}

bool Demuxer::read(AVPacket& packet) {
    for (;;) {
        limits_.check();
        av_packet_unref(&packet);
        int result = av_read_frame(format_.get(), &packet);
        source_.rethrow();
        if (result == AVERROR(EAGAIN)) continue;
        if (result < 0) {
            // A sample that cannot be read is behind us now, and the table tells where the others are.
            if (limits_.salvage && has_sample_table_ && ++failed_ <= missing()) continue;
            if (result != AVERROR_EOF && !limits_.salvage) check(result, path_, "read on");
            return false;
        }
        if (packet.stream_index != stream_->index) continue;
        ++delivered_;
        partial_ += (packet.flags & AV_PKT_FLAG_CORRUPT) != 0;
        if (packet.size > 0) return true;
    }
}

// Empty samples are no packets, so that places of packets are not those of the table where there are some.
void Demuxer::find_filled_samples() {
    const int64_t entries = shim::index_entries(stream_);
    check_frames(entries);
    for (int64_t i = 0; i < entries; ++i)
        if (shim::index_entry(stream_, i)->size > 0) filled_.push_back(i);
    if (static_cast<int64_t>(filled_.size()) == entries) filled_ = {};
}

std::vector<uint8_t> Demuxer::packet_at(int64_t index, int64_t size, int64_t most) const {
    std::vector<uint8_t> bytes;
    if (!filled_.empty()) {
        if (index >= static_cast<int64_t>(filled_.size())) return bytes;
        index = filled_[static_cast<size_t>(index)];
    }
    const AVIndexEntry* entry = has_sample_table_ ? shim::index_entry(stream_, index) : nullptr;
    // Where a sample could not be read, places are no longer those of the table.
    if (entry == nullptr || entry->size != size || limits_.salvage) return bytes;
    int64_t wanted = std::min(size, most);
    if (entry->pos < 0 || wanted > source_.size() - entry->pos) return bytes;
    bytes.resize(static_cast<size_t>(wanted));
    if (!source_.read_at(entry->pos, bytes.data(), static_cast<int64_t>(bytes.size()))) bytes.clear();
    return bytes;
}

bool Demuxer::seek(int64_t timestamp) {
    if (unpack_) return false;
    int result = av_seek_frame(format_.get(), stream_->index, timestamp, AVSEEK_FLAG_BACKWARD);
    source_.rethrow();
    return result >= 0;
}

bool Demuxer::next(AVPacket& packet) {
    if (!unpack_) return read(packet);
    for (;;) {
        int result = av_bsf_receive_packet(unpack_.get(), &packet);
        if (result == 0 && packet.size > 0) return true;
        if (result == AVERROR_EOF) return false;
        if (result == AVERROR(EAGAIN) && !drained_) {
            drained_ = !read(packet);
            av_bsf_send_packet(unpack_.get(), drained_ ? nullptr : &packet);
        } else if (result != 0 && result != AVERROR_INVALIDDATA) {
            return false;
        }
    }
}

}  // namespace ov2::media
