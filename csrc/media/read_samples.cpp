#include "media/read_samples.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "media/demuxer.h"
#include "media/error.h"
#include "media/motion_estimate.h"
#include "media/motion_field.h"
#include "media/packet_plan.h"
#include "media/picture_header.h"
#include "media/resize.h"
#include "media/worker_pool.h"

namespace ov2::media {
namespace {

// A decoded picture that more than one job may look at.
using SharedFrame = std::shared_ptr<const AVFrame>;

// What one conversion thread owns.
struct Converter {
    Converter(const ReadRequest& request, Orientation orientation)
        : resizer(request.width, request.height, orientation),
          field(request.width, request.height, orientation) {}
    Resizer resizer;
    MotionField field;
    std::optional<MotionEstimator> estimator;
};

class SampleReader {
  public:
    SampleReader(const ReadRequest& request, const SampleArrays& arrays)
        : request_(request),
          arrays_(arrays),
          table_(*request.table),
          demuxer_(request.path, /*table_only=*/false),
          plan_(table_, request.frame_indices),
          orientation_(demuxer_.orientation()),
          motion_(motion_source(demuxer_.codec(), table_, request.motion)),
          may_skip_(may_skip()),
          plane_(int64_t{request.height} * request.width),
          cells_(MotionField(request.width, request.height, {}).cells()),
          sides_(static_cast<size_t>(motion_ == MotionSource::codec ? cells_ * samples() : 0)),
          coded_sizes_(static_cast<size_t>(samples())),
          reference_(table_.size.size(), kUnknown),
          pool_(request.threads, 2 * request.threads + 2,
                [this] { return std::make_unique<Converter>(request_, orientation_); }) {
        open_decoder();
    }

    ReadStatistics run() {
        statistics_.motion = motion_;
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        while (!done()) {
            request_.poll(next_sample_);
            if (!demuxer_.next(*packet)) {
                flush_held();
                send(nullptr);
                break;
            }
            take(*packet);
        }
        if (next_sample_ < samples()) {
            throw VideoError(request_.path + ": cannot decode frame " + std::to_string(wanted()) + " of " +
                             std::to_string(table_.size.size()) +
                             ": the stream ends or breaks off before it");
        }
        pool_.finish([this] { request_.poll(next_sample_); });
        for (int64_t i = 0; motion_ == MotionSource::codec && i < samples(); ++i) normalize(i);
        return statistics_;
    }

  private:
    static constexpr uint8_t kUnknown = 2;

    int64_t samples() const { return static_cast<int64_t>(request_.frame_indices.size()); }
    int64_t wanted() const { return request_.frame_indices[static_cast<size_t>(next_sample_)]; }

    void open_decoder() {
        const AVCodecParameters* parameters = demuxer_.stream()->codecpar;
        shim::Codec* codec = avcodec_find_decoder(parameters->codec_id);
        if (codec == nullptr) {
            throw VideoError(request_.path + ": this FFmpeg has no decoder for " +
                             avcodec_get_name(parameters->codec_id));
        }
        decoder_.reset(avcodec_alloc_context3(codec));
        if (!decoder_) throw std::bad_alloc();
        check(avcodec_parameters_to_context(decoder_.get(), parameters), request_.path, "set up the decoder");
        decoder_->thread_count = request_.threads;
        decoder_->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE;
        if (motion_ == MotionSource::codec) {
            decoder_->export_side_data |= AV_CODEC_EXPORT_DATA_MVS;
            make_vectors_exact();
        }
        check(avcodec_open2(decoder_.get(), codec, nullptr), request_.path, "open the decoder");
    }

    // Whether packets may be kept from the decoder. Without timestamps nobody knows which picture they are;
    // and the MPEG-4 and MPEG-2 decoders export some vectors left over from pictures before, so that they
    // must see all of them.
    bool may_skip() const {
        return table_.has_timestamps &&
               (motion_ != MotionSource::codec || demuxer_.codec() == AV_CODEC_ID_H264);
    }

    // With frame threads a decoder may export the vectors of a picture that another thread has not finished,
    // and some are lost. The H.264 decoder hands out a picture once `has_b_frames` others wait behind it.
    // When that exceeds the stream's reordering by the number of threads, every picture handed out was
    // decoded a full round of threads ago and is whole. Decoders without such a delay run without frame
    // threads.
    void make_vectors_exact() {
        constexpr int64_t kMostDelayed = 15;  // the H.264 decoder holds 16 pictures at most
        int64_t reordering = std::max<int64_t>(decoder_->has_b_frames, plan_.reordering());
        int64_t threads = std::min<int64_t>(request_.threads, kMostDelayed - reordering);
        if (demuxer_.codec() == AV_CODEC_ID_H264 && table_.has_timestamps && threads > 1) {
            decoder_->thread_count = static_cast<int>(threads);
            decoder_->has_b_frames = static_cast<int>(reordering + threads);
        } else {
            decoder_->thread_type = FF_THREAD_SLICE;
        }
    }

    // All samples are here, and the distances of the last one's references are known.
    bool done() const {
        if (next_sample_ < samples()) return false;
        if (motion_ != MotionSource::codec || samples() == 0) return true;
        if (arrays_.pict_types[samples() - 1] != 'B') return true;
        for (auto row = static_cast<size_t>(request_.frame_indices.back()) + 1; row < reference_.size();
             ++row) {
            if (reference_[row] == kUnknown) return false;
            if (reference_[row] != 0) return true;
        }
        return true;
    }

    void take(AVPacket& packet) {
        int64_t index = packets_++;
        int64_t row = plan_.row(index);
        PictureHeader header = read_picture_header(*demuxer_.stream()->codecpar, packet.data, packet.size,
                                                   (packet.flags & AV_PKT_FLAG_KEY) != 0);
        packet_sizes_.push_back(packet.size);
        packet_references_.push_back(header.reference);
        // The decoder hands a packet's pts on to its picture, so the packet's place in decode order travels
        // there.
        packet.pts = index;
        packet.dts = AV_NOPTS_VALUE;
        if (row >= 0 && table_.has_timestamps) reference_[static_cast<size_t>(row)] = header.reference;
        if (!may_skip_) {
            // Without timestamps only what comes out tells which pictures are references.
            if (next_sample_ < samples() || !table_.has_timestamps) send(&packet);
            return;
        }
        if (next_sample_ >= samples() || (!header.reference && !plan_.needed(row))) {
            ++statistics_.skipped;
            return;
        }
        if (plan_.is_key(index)) {
            if (header.clean_access) {
                statistics_.skipped += static_cast<int64_t>(held_.size());
                held_.clear();
            } else {
                flush_held();
            }
        }
        if (plan_.may_skip_to_next_key(index)) {
            PacketPtr held(av_packet_alloc());
            if (!held) throw std::bad_alloc();
            av_packet_move_ref(held.get(), &packet);
            held_.push_back(std::move(held));
            return;
        }
        flush_held();
        send(&packet);
        if (plan_.finished(packets_)) drain();
    }

    // Nothing behind is wanted, so the decoder need not see more packets to hand out what it has.
    void drain() {
        if (!drained_) send(nullptr);
        drained_ = true;
    }

    void flush_held() {
        for (const PacketPtr& packet : held_) send(packet.get());
        held_.clear();
    }

    // A packet the decoder cannot use is passed over, as players do: samples that are lost by it are found
    // missing.
    void send(const AVPacket* packet) {
        for (;;) {
            int result = avcodec_send_packet(decoder_.get(), packet);
            if (result < 0 && result != AVERROR(EAGAIN) && result != AVERROR_INVALIDDATA &&
                result != AVERROR_EOF) {
                check(result, request_.path, "decode it");
            }
            receive();
            if (result != AVERROR(EAGAIN)) return;
        }
    }

    void receive() {
        for (;;) {
            FramePtr frame(av_frame_alloc());
            if (!frame) throw std::bad_alloc();
            int result = avcodec_receive_frame(decoder_.get(), frame.get());
            if (result == AVERROR_INVALIDDATA) continue;
            if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
            check(result, request_.path, "decode it");
            ++statistics_.decoded;
            show(SharedFrame(std::move(frame)));
        }
    }

    // A picture in display order.
    void show(SharedFrame frame) {
        int64_t index = frame->pts;
        int64_t row = table_.has_timestamps ? plan_.row(index) : shown_++;
        if (!table_.has_timestamps && row < static_cast<int64_t>(reference_.size()) && index >= 0) {
            reference_[static_cast<size_t>(row)] = packet_references_[static_cast<size_t>(index)];
        }
        while (next_sample_ < samples() && wanted() <= row) {
            convert(next_sample_, frame, wanted() < row, index);
            ++next_sample_;
            request_.poll(next_sample_);
        }
        previous_ = std::move(frame);
    }

    void convert(int64_t i, const SharedFrame& frame, bool substituted, int64_t index) {
        bool by_packet = index >= 0 && index < packets_;
        int64_t row = wanted();
        arrays_.pict_types[i] = static_cast<uint8_t>(av_get_picture_type_char(frame->pict_type));
        arrays_.substituted[i] = substituted;
        arrays_.pts[i] = table_.pts[static_cast<size_t>(row)];
        arrays_.packet_bytes[i] = table_.has_timestamps || !by_packet
                                      ? table_.size[static_cast<size_t>(row)]
                                      : packet_sizes_[static_cast<size_t>(index)];
        coded_sizes_[static_cast<size_t>(i)] = {frame->width, frame->height};
        // A keyframe has no motion, nor has a picture that merely stands in for another.
        bool still = substituted || is_keyframe(row, *frame);
        SharedFrame previous = previous_ ? previous_ : frame;
        pool_.run([this, i, frame, previous, still](Converter& c) { fill(c, i, *frame, *previous, still); });
    }

    bool is_keyframe(int64_t row, const AVFrame& frame) const {
        return table_.has_timestamps ? table_.is_key[static_cast<size_t>(row)] != 0
                                     : shim::is_key_frame(frame);
    }

    void fill(Converter& c, int64_t i, const AVFrame& frame, const AVFrame& previous, bool still) {
        uint8_t* luma = arrays_.luma + i * plane_;
        uint8_t* prev_luma = arrays_.prev_luma + i * plane_;
        int16_t* vectors = arrays_.motion + 2 * i * cells_;
        c.resizer.convert(frame, arrays_.frames + 3 * i * plane_, luma);
        c.resizer.convert_luma(previous, prev_luma);
        if (still) return;
        if (motion_ == MotionSource::codec) {
            const AVFrameSideData* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_MOTION_VECTORS);
            if (side == nullptr) return;
            c.field.rasterize(reinterpret_cast<const AVMotionVector*>(side->data),
                              side->size / sizeof(AVMotionVector), frame.width, frame.height, vectors,
                              sides_.data() + i * cells_);
        } else if (motion_ == MotionSource::estimated) {
            if (!c.estimator) c.estimator.emplace(request_.width, request_.height);
            c.estimator->estimate(luma, prev_luma, vectors);
        }
    }

    void normalize(int64_t i) {
        int64_t row = request_.frame_indices[static_cast<size_t>(i)];
        auto distance = [&](int step) -> int64_t {
            for (int64_t u = row + step; u >= 0 && u < static_cast<int64_t>(reference_.size()); u += step) {
                if (reference_[static_cast<size_t>(u)] == 1) return std::abs(u - row);
            }
            return 1;
        };
        auto [width, height] = coded_sizes_[static_cast<size_t>(i)];
        MotionField field(request_.width, request_.height, orientation_);
        field.normalize(width, height, distance(-1), distance(1), arrays_.motion + 2 * i * cells_,
                        sides_.data() + i * cells_);
    }

    const ReadRequest& request_;
    const SampleArrays& arrays_;
    const PacketTable& table_;
    Demuxer demuxer_;
    PacketPlan plan_;
    Orientation orientation_;
    MotionSource motion_;
    bool may_skip_;
    int64_t plane_;
    int64_t cells_;
    std::vector<Side> sides_;
    std::vector<std::pair<int, int>> coded_sizes_;
    std::vector<uint8_t> reference_;  // by row: 0, 1 or kUnknown
    std::vector<int64_t> packet_sizes_;
    std::vector<uint8_t> packet_references_;
    CodecContextPtr decoder_;
    std::deque<PacketPtr> held_;
    SharedFrame previous_;
    int64_t packets_ = 0;
    int64_t shown_ = 0;
    int64_t next_sample_ = 0;
    bool drained_ = false;
    ReadStatistics statistics_;
    WorkerPool<Converter> pool_;  // last: its threads use what stands above
};

}  // namespace

MotionSource motion_source(AVCodecID codec, const PacketTable& table, MotionSource wanted) {
    bool all_key =
        std::all_of(table.is_key.begin(), table.is_key.end(), [](uint8_t key) { return key != 0; });
    if (all_key) return MotionSource::none;
    return wanted == MotionSource::codec && !exports_motion_vectors(codec) ? MotionSource::estimated : wanted;
}

ReadStatistics read_samples(const ReadRequest& request, const SampleArrays& arrays) {
    if (request.frame_indices.empty()) return {};
    return SampleReader(request, arrays).run();
}

}  // namespace ov2::media
