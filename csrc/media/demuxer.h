// Opens a container and hands out the coded pictures of its video stream, in decode order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "media/byte_source.h"
#include "media/libav.h"
#include "media/orientation.h"

namespace ov2::media {

class Demuxer {
  public:
    // `table_only`: nobody will look at the payload, so it is not read where the container has a sample
    // table. `limits` must outlive it.
    Demuxer(const std::string& path, const Limits& limits, bool table_only);

    // The next coded picture, or false at the end. Packets of other streams and empty ones are passed over.
    // Throws VideoError where the container is damaged, or else, to salvage what there is, goes on or ends
    // there.
    bool next(AVPacket& packet);

    // At the end: packets that the sample table lists and the file does not hold; and those of which it holds
    // a part.
    int64_t missing() const { return has_sample_table_ ? shim::index_entries(stream_) - delivered_ : 0; }
    int64_t partial() const { return has_sample_table_ ? partial_ : 0; }

    // The first `most` bytes of the packet at a place in decode order, straight from the file, where the
    // container has a sample table that knows it and gives it `size` bytes; else empty.
    std::vector<uint8_t> packet_at(int64_t index, int64_t size, int64_t most) const;

    // Goes to about where the stream's clock says so, before rather than behind, by the container's index or
    // by bisection; false where that is impossible. What next() then hands out tells where reading has come
    // to.
    bool seek(int64_t timestamp);

    const std::string& path() const { return path_; }
    const Limits& limits() const { return limits_; }
    void* opaque() const { return format_->opaque; }
    const AVStream* stream() const { return stream_; }
    AVCodecID codec() const { return stream_->codecpar->codec_id; }
    AVRational stated_frame_rate() const { return av_guess_frame_rate(format_.get(), stream_, nullptr); }
    const char* container() const { return format_->iformat->name; }
    Orientation orientation() const { return Orientation::from_matrix(shim::display_matrix(stream_)); }

  private:
    void open();
    void look_into_streams(bool table_only);
    void find_video_stream();
    void check_frames(int64_t frames) const;
    void find_filled_samples();
    bool read(AVPacket& packet);

    std::string path_;
    const Limits& limits_;
    ByteSource source_;
    FormatContextPtr format_;
    AVStream* stream_ = nullptr;
    BitstreamFilterPtr unpack_;
    bool drained_ = false;
    bool has_sample_table_ = false;
    int64_t delivered_ = 0;  // packets of the stream, empty ones too
    int64_t partial_ = 0;
    int64_t failed_ = 0;  // reads that gave none
    // Of the sample table, the places of samples that are not empty, if some are.
    std::vector<int64_t> filled_;
};

}  // namespace ov2::media
