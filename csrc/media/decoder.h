// A libavcodec decoder that hands each picture to a callback.
#pragma once

#include <string>

#include "media/demuxer.h"
#include "media/error.h"
#include "media/libav.h"

namespace ov2::media {

class Decoder {
  public:
    // `vectors`: export motion vectors, exactly. `reordering`: the most pictures that any waits for, or -1 if
    // unknown.
    Decoder(const Demuxer& demuxer, int threads, bool vectors, int64_t reordering);

    // Sends a packet, null to drain, and calls show(FramePtr) for every picture that is ready. A packet that
    // the decoder cannot use is passed over, as players do: pictures that are lost by it are found missing.
    template <typename Show>
    void decode(const AVPacket* packet, Show show) {
        if (packet == nullptr && round_) {
            context_->skip_frame = AVDISCARD_NONREF;  // a packet without a picture is no error then
            for (int thread = 0; thread < context_->thread_count; ++thread) send(round_.get(), show);
        }
        send(packet, show);
    }

    // Forgets everything, to go on at a keyframe that needs nothing before it.
    void reset() {
        avcodec_flush_buffers(context_.get());
        context_->skip_frame = AVDISCARD_DEFAULT;
    }

  private:
    template <typename Show>
    void send(const AVPacket* packet, Show& show) {
        for (;;) {
            int sent = avcodec_send_packet(context_.get(), packet);
            if (sent == AVERROR(ENOMEM)) check(sent, path_, "decode it");
            receive(show);
            if (sent != AVERROR(EAGAIN)) return;
        }
    }

    template <typename Show>
    void receive(Show& show) {
        for (;;) {
            FramePtr frame(av_frame_alloc());
            if (!frame) throw std::bad_alloc();
            int result = avcodec_receive_frame(context_.get(), frame.get());
            if (result == AVERROR_INVALIDDATA) continue;
            if (result == AVERROR(ENOMEM)) check(result, path_, "decode it");
            if (result < 0) return;
            check_size(limits_, path_, frame->width, frame->height);
            show(std::move(frame));
        }
    }

    std::string path_;
    const Limits& limits_;
    CodecContextPtr context_;
    PacketPtr
        round_;  // sent to every thread before draining, so that all have ended what they were at; or null
};

}  // namespace ov2::media
