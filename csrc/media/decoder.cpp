#include "media/decoder.h"

#include <algorithm>
#include <vector>

namespace ov2::media {
namespace {

constexpr int kMostThreads = 16;      // each holds pictures of its own
constexpr int64_t kMostDelayed = 15;  // the H.264 decoder holds 16 pictures at most

// An H.264 packet with an access unit delimiter and no picture, framed as the stream's own packets are.
PacketPtr pictureless(const AVCodecParameters& parameters) {
    std::vector<uint8_t> bytes{0, 0, 0, 1};
    if (parameters.extradata_size > 4 && parameters.extradata[0] == 1) {
        bytes.assign((parameters.extradata[4] & 3) + 1, 0);
        bytes.back() = 2;
    }
    bytes.insert(bytes.end(), {0x09, 0xF0});
    PacketPtr packet(av_packet_alloc());
    if (!packet || av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) throw std::bad_alloc();
    std::copy(bytes.begin(), bytes.end(), packet->data);
    return packet;
}

}  // namespace

Decoder::Decoder(const Demuxer& demuxer, int threads, bool vectors, int64_t reordering)
    : path_(demuxer.path()), limits_(demuxer.limits()) {
    const AVCodecParameters* parameters = demuxer.stream()->codecpar;
    shim::Codec* codec = avcodec_find_decoder(parameters->codec_id);
    context_.reset(avcodec_alloc_context3(codec));
    if (!context_) throw std::bad_alloc();
    check(avcodec_parameters_to_context(context_.get(), parameters), path_, "set up the decoder");
    context_->opaque = demuxer.opaque();
    context_->max_pixels = most_decoded_pixels(limits_);
    // Pictures come out in order from the first only if the decoder knows how long to wait for others.
    context_->has_b_frames =
        static_cast<int>(std::max<int64_t>(context_->has_b_frames, std::min(reordering, kMostDelayed)));
    context_->thread_count = std::min(threads, kMostThreads);
    context_->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE;
    if (vectors) {
        context_->export_side_data |= AV_CODEC_EXPORT_DATA_MVS;
        // With frame threads a decoder may export the vectors of a picture that another thread has not
        // finished, and some are lost. The H.264 decoder hands out a picture once `has_b_frames` others wait
        // behind it. When that exceeds the stream's reordering by the number of threads, every picture handed
        // out was decoded a full round of threads ago and is whole. Decoders without such a delay run without
        // frame threads.
        reordering = reordering < 0 ? kMostDelayed : context_->has_b_frames;
        auto delayed = std::min<int64_t>(threads, kMostDelayed - reordering);
        if (parameters->codec_id == AV_CODEC_ID_H264 && delayed > 1) {
            context_->thread_count = static_cast<int>(delayed);
            context_->has_b_frames = static_cast<int>(reordering + delayed);
            // Whoever is told to drain hands out all that wait, while others may still be at work (seen with
            // libavcodec 61).
            round_ = pictureless(*parameters);
        } else {
            context_->thread_type = FF_THREAD_SLICE;
        }
    }
    check(avcodec_open2(context_.get(), codec, nullptr), path_, "open the decoder");
}

}  // namespace ov2::media
