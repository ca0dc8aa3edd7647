#include "media/demuxer.h"

#include <algorithm>
#include <cstring>

#include "media/error.h"
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

Demuxer::Demuxer(const std::string& path, bool table_only) : path_(path), source_(path) {
    AVFormatContext* format = avformat_alloc_context();
    if (format == nullptr) throw std::bad_alloc();
    format->pb = source_.context();
    // A playlist could name other files and addresses; nothing but the bytes of this file is opened.
    format->io_open = [](AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
        return AVERROR(EPERM);
    };
    av_opt_set(format, "protocol_whitelist", "none", 0);
    check(avformat_open_input(&format, path.c_str(), nullptr, nullptr), path, "open it as a video");
    format_.reset(format);

    // MP4 and MOV state sizes, times and sync samples themselves, and parsing would only second-guess them.
    has_sample_table_ = std::strncmp(container(), "mov,", 4) == 0;
    if (has_sample_table_) format_->flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
    // Looking into the streams means decoding a little. A sample table needs none of that for its own sake,
    // nor does H.264 beside one: its headers stand in the container, and how far it reorders pictures shows
    // in their times.
    stream_ = video_stream(*format_);
    bool sized = stream_ != nullptr && stream_->codecpar->width > 0 && stream_->codecpar->height > 0;
    bool complete = has_sample_table_ && sized && (table_only || has_avc_record(*stream_->codecpar));
    if (!complete) {
        check(avformat_find_stream_info(format_.get(), nullptr), path, "read the stream headers");
        stream_ = video_stream(*format_);
    }
    if (stream_ == nullptr) throw VideoError(path + ": holds no video stream");
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

bool Demuxer::read(AVPacket& packet) {
    for (;;) {
        av_packet_unref(&packet);
        int result = av_read_frame(format_.get(), &packet);
        if (result == AVERROR(EAGAIN)) continue;
        // A file that was cut off ends early; samples that are then missing are reported by whoever wants
        // them.
        if (result < 0) {
            if (source_.error() != 0) throw FileError(source_.error(), path_);
            return false;
        }
        if (packet.stream_index == stream_->index && packet.size > 0) return true;
    }
}

std::vector<uint8_t> Demuxer::packet_at(int64_t index, int64_t size, int64_t most) const {
    std::vector<uint8_t> bytes;
    const AVIndexEntry* entry = has_sample_table_ ? shim::index_entry(stream_, index) : nullptr;
    if (entry == nullptr || entry->size != size) return bytes;
    bytes.resize(static_cast<size_t>(std::min(size, most)));
    if (!source_.read_at(entry->pos, bytes.data(), static_cast<int64_t>(bytes.size()))) bytes.clear();
    return bytes;
}

bool Demuxer::seek(int64_t timestamp) {
    return !unpack_ && av_seek_frame(format_.get(), stream_->index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0;
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
