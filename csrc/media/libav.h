// Every libav include of the project, owning handles for its objects, and the shims that let one source
// compile against FFmpeg 4.4 to 9.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/motion_vector.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#if LIBAVCODEC_VERSION_MAJOR >= 59
#include <libavcodec/bsf.h>
#endif
}

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace ov2::media {

template <auto Free>
struct FreeByAddress {
    template <typename T>
    void operator()(T* object) const {
        Free(&object);
    }
};

using FormatContextPtr = std::unique_ptr<AVFormatContext, FreeByAddress<avformat_close_input>>;
using CodecContextPtr = std::unique_ptr<AVCodecContext, FreeByAddress<avcodec_free_context>>;
using PacketPtr = std::unique_ptr<AVPacket, FreeByAddress<av_packet_free>>;
using FramePtr = std::unique_ptr<AVFrame, FreeByAddress<av_frame_free>>;
using BitstreamFilterPtr = std::unique_ptr<AVBSFContext, FreeByAddress<av_bsf_free>>;
using IOContextPtr = std::unique_ptr<AVIOContext, FreeByAddress<avio_context_free>>;

struct FreeScaler {
    void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};
using ScalerPtr = std::unique_ptr<SwsContext, FreeScaler>;

// The number of an enumerator that libav took from a file without a look, and which may be none.
template <typename Enum>
int number_of(const Enum& value) {
    int number;
    static_assert(sizeof value == sizeof number);
    std::memcpy(&number, &value, sizeof number);
    return number;
}

namespace shim {

#if LIBAVFORMAT_VERSION_MAJOR >= 59
using Codec = const AVCodec;
using InputFormat = const AVInputFormat;
#else
using Codec = AVCodec;
using InputFormat = AVInputFormat;
#endif

inline bool is_key_frame(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return (frame.flags & AV_FRAME_FLAG_KEY) != 0;
#else
    return frame.key_frame != 0;
#endif
}

// The stream's display matrix (nine int32), or null.
inline const int32_t* display_matrix(const AVStream* stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
    const AVPacketSideData* side = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return side != nullptr && side->size >= 36 ? reinterpret_cast<const int32_t*>(side->data) : nullptr;
#else
#if LIBAVFORMAT_VERSION_MAJOR >= 59
    size_t size = 0;
#else
    int size = 0;
#endif
    const uint8_t* data = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data != nullptr && size >= 36 ? reinterpret_cast<const int32_t*>(data) : nullptr;
#endif
}

// The place of a packet in the file, or null where the container's index does not reach so far.
inline const AVIndexEntry* index_entry(AVStream* stream, int64_t index) {
#if LIBAVFORMAT_VERSION_MAJOR >= 59
    return avformat_index_get_entry(stream, static_cast<int>(index));
#else
    return index < stream->nb_index_entries ? stream->index_entries + index : nullptr;
#endif
}

// How many packets the container's index lists.
inline int64_t index_entries(const AVStream* stream) {
#if LIBAVFORMAT_VERSION_MAJOR >= 59
    return avformat_index_get_entries_count(stream);
#else
    return stream->nb_index_entries;
#endif
}

}  // namespace shim
}  // namespace ov2::media
