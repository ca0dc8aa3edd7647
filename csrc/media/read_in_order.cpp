#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "media/decoder.h"
#include "media/error.h"
#include "media/log.h"
#include "media/picture_header.h"
#include "media/readers.h"
#include "media/worker_pool.h"

namespace ov2::media {
namespace {

// More would be in the decoder's way: converting a picture takes less than decoding it, or little more.
int converters(int threads) {
    return threads == 1 ? 0 : std::min((threads + 1) / 2, 8);
}

// Decoded pictures that may wait for one of them.
int waiting_pictures(int threads) {
    return converters(threads) + 5;
}

// A decoded picture that more than one job may look at.
using SharedFrame = std::shared_ptr<const AVFrame>;

// Threads of one decoder wait for each other, so those that the conversion of its pictures needs are not
// given to it. Codecs with a loop filter take all the same, as converting is little beside that. Without one,
// a pixel is decoded in twice the time that it is converted in, and a byte as quickly as 50 pixels (measured
// with 720p).
int decoding_threads(const ReadContext& context) {
    int threads = context.request.threads;
    if (context.every_picture) return 1;
    AVCodecID codec = context.demuxer.codec();
    if (codec != AV_CODEC_ID_MPEG1VIDEO && codec != AV_CODEC_ID_MPEG2VIDEO && codec != AV_CODEC_ID_MPEG4) {
        return threads;
    }
    const AVCodecParameters& parameters = *context.demuxer.stream()->codecpar;
    auto pixels = static_cast<double>(std::max<int64_t>(int64_t{parameters.width} * parameters.height, 1));
    auto sum = [](const std::vector<int64_t>& values) {
        return static_cast<double>(std::accumulate(values.begin(), values.end(), int64_t{0}));
    };
    const std::vector<int64_t>& sizes = context.table().size;
    double mean_bytes = sum(sizes) / static_cast<double>(sizes.size());
    double decoding = sum(context.plan.loads()) * (pixels + 50 * mean_bytes);
    double converting = static_cast<double>(context.plan.needed_pictures()) * pixels / 2;
    return std::max(static_cast<int>(std::lround(threads * decoding / (decoding + converting))), 1);
}

class OrderedReader {
  public:
    explicit OrderedReader(ReadContext& context)
        : context_(context),
          writer_(context.writer),
          by_vectors_(writer_.motion() == MotionSource::codec),
          may_skip_(timed() && !context.every_picture &&
                    (!by_vectors_ || context.demuxer.codec() == AV_CODEC_ID_H264)),
          decoder_(context.demuxer, decoding_threads(context), by_vectors_,
                   timed() ? context.plan.reordering() : -1),
          parameter_sets_(container_parameter_sets(*context.demuxer.stream()->codecpar)),
          has_previous_(static_cast<size_t>(writer_.samples()), context.request.predecessors ? 0 : 1),
          pool_(
              converters(context.request.threads), waiting_pictures(context.request.threads),
              [this] { return writer_.make_converter(); }, /*others_first=*/true) {}

    bool run() {
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        while (!done()) {
            poll();
            if (may_skip_ && !held_parameters_) pass_over();
            if (!context_.feed.next(*packet)) {
                if (context_.feed.lost()) return false;
                send_held();
                send(nullptr);
                break;
            }
            take(*packet);
            // What was needed has been sent, and shows less than was hoped: only more pictures can tell.
            if (drained_ && next_ < writer_.samples()) return false;
        }
        // Where pictures are only counted, those that could not be decoded leave the last ones without any.
        bool stand_ins = (!timed() || context_.request.limits.salvage) && previous_;
        while (stand_ins && next_ < writer_.samples()) stand_in();
        if (next_ < writer_.samples()) throw lost();
        pool_.finish([this] { poll(); });
        return true;
    }

  private:
    bool timed() const { return context_.table().has_timestamps; }
    void poll() const { context_.request.poll(writer_.ready()); }
    bool done() const { return next_ == writer_.samples() && context_.references_known(last_type_); }

    void pass_over() {
        context_.pass_over(parameter_sets_);
        if (context_.feed.place() == packets_) return;
        // What was kept back led to a keyframe that is passed over now, and is as little needed.
        context_.statistics.skipped += static_cast<int64_t>(held_.size());
        forget_held();
        packets_ = context_.feed.place();
        packet_sizes_.resize(static_cast<size_t>(packets_));
        packet_references_.resize(static_cast<size_t>(packets_));
    }

    VideoError lost() const {
        const std::string& path = context_.request.path;
        const Log* log = Log::current();
        std::string refused = log == nullptr ? "" : log->refused_size();
        if (!refused.empty()) {
            return {Fault::too_large, path + ": max_source_pixels is " +
                                          std::to_string(context_.request.limits.max_source_pixels) +
                                          ": cannot decode it: " + refused};
        }
        std::string last = log == nullptr ? "" : log->last_error();
        return {Fault::damaged, path + ": cannot decode frame " + std::to_string(writer_.row(next_)) +
                                    " of " + std::to_string(context_.table().size.size()) +
                                    ": the stream ends or breaks off before it" +
                                    (last.empty() ? "" : " (" + last + ")")};
    }

    void take(AVPacket& packet) {
        int64_t index = packets_++;
        int64_t row = context_.plan.row(index);
        PictureHeader header = read_picture_header(*context_.demuxer.stream()->codecpar, packet);
        packet_sizes_.push_back(packet.size);
        packet_references_.push_back(header.reference);
        // The decoder hands a packet's pts on to its picture, so the packet's place in decode order travels
        // there.
        packet.pts = index;
        packet.dts = AV_NOPTS_VALUE;
        if (timed() && row >= 0) context_.is_reference[static_cast<size_t>(row)] = header.reference;
        if (!may_skip_) {
            // Without timestamps nobody knows which picture a packet is, nor, until it comes out, whether it
            // is a reference. And the MPEG-4 and MPEG-2 decoders export some vectors left over from pictures
            // before.
            if (next_ < writer_.samples() || !timed()) send(&packet);
            return;
        }
        // Sets that are repeated tell the decoder nothing new.
        bool new_sets = !header.parameter_sets.empty() && header.parameter_sets != parameter_sets_;
        if (new_sets) parameter_sets_ = header.parameter_sets;
        bool passed_over = !header.reference && !new_sets && !context_.plan.needed(row);
        if (next_ == writer_.samples() || passed_over) {
            ++context_.statistics.skipped;
            return;
        }
        if (context_.plan.is_key(index)) {
            if (header.clean_access && !held_parameters_) {
                context_.statistics.skipped += static_cast<int64_t>(held_.size());
                forget_held();
            } else {
                send_held();
            }
        }
        if (context_.plan.may_skip_to_next_key(index) && held_bytes_ + packet.size <= kMostHeldBytes) {
            held_parameters_ |= new_sets;
            held_bytes_ += packet.size;
            PacketPtr held(av_packet_alloc());
            if (!held) throw std::bad_alloc();
            av_packet_move_ref(held.get(), &packet);
            held_.push_back(std::move(held));
            return;
        }
        send_held();
        send(&packet);
        if (context_.plan.finished(packets_) && !drained_) {
            send(nullptr);  // nothing behind is wanted, so the decoder may hand out what it has
            drained_ = true;
        }
    }

    void send_held() {
        for (const PacketPtr& packet : held_) send(packet.get());
        forget_held();
    }

    void forget_held() {
        held_.clear();
        held_bytes_ = 0;
        held_parameters_ = false;
    }

    void send(const AVPacket* packet) {
        decoder_.decode(packet, [this](FramePtr frame) { show(SharedFrame(std::move(frame))); });
    }

    // A picture in display order.
    void show(SharedFrame frame) {
        ++context_.statistics.decoded;
        int64_t index = frame->pts;
        bool known = index >= 0 && index < packets_;
        int64_t row = timed() ? (known ? context_.plan.row(index) : -1) : shown_++;
        auto rows = static_cast<int64_t>(context_.is_reference.size());
        if (!timed() && row < rows && known) {
            context_.is_reference[static_cast<size_t>(row)] = packet_references_[static_cast<size_t>(index)];
        }
        while (next_ < writer_.samples() && writer_.row(next_) <= row) {
            int64_t wanted = writer_.row(next_);
            bool substituted = wanted < row;
            if (context_.request.limits.salvage && previous_ && wanted - previous_row_ < row - wanted) {
                stand_in();
                continue;
            }
            bool from_table = timed() || !known;
            int64_t bytes = from_table ? context_.table().size[static_cast<size_t>(wanted)]
                                       : packet_sizes_[static_cast<size_t>(index)];
            writer_.describe(next_, *frame, bytes, row);
            if (has_previous_[static_cast<size_t>(next_)] == 0) {
                convert(previous_ ? previous_ : frame, Destination{-1, next_, false});
            }
            Destination to = substituted ? Destination{next_, -1, true} : writer_.destination(row);
            if (to.successor >= 0 && has_previous_[static_cast<size_t>(to.successor)] != 0) to.successor = -1;
            to.still = substituted || is_keyframe(row, *frame);
            convert(frame, to);
            last_type_ = av_get_picture_type_char(frame->pict_type);
            ++next_;
        }
        // Not a sample itself, but shown right before one.
        Destination to = writer_.destination(row);
        bool first = to.successor >= 0 && has_previous_[static_cast<size_t>(to.successor)] == 0;
        if (to.sample < 0 && first) convert(frame, to);
        previous_ = std::move(frame);
        if (row >= 0) previous_row_ = row;
    }

    // The last picture shown serves a sample that has none.
    void stand_in() {
        writer_.describe(next_, *previous_, context_.table().size[static_cast<size_t>(writer_.row(next_))],
                         previous_row_);
        if (has_previous_[static_cast<size_t>(next_)] == 0) convert(previous_, Destination{-1, next_, false});
        convert(previous_, Destination{next_, -1, true});
        ++next_;
    }

    void convert(SharedFrame frame, const Destination& to) {
        if (to.successor >= 0) has_previous_[static_cast<size_t>(to.successor)] = 1;
        pool_.run([this, frame = std::move(frame), to](Converter& c) { writer_.write(c, *frame, to); },
                  [this] { poll(); });
    }

    bool is_keyframe(int64_t row, const AVFrame& frame) const {
        return timed() ? context_.table().is_key[static_cast<size_t>(row)] != 0 : shim::is_key_frame(frame);
    }

    ReadContext& context_;
    SampleWriter& writer_;
    bool by_vectors_;
    bool may_skip_;
    Decoder decoder_;
    std::deque<PacketPtr> held_;  // needed only if the next keyframe turns out to be no clean point of access
    std::string parameter_sets_;  // the last that were met
    int64_t held_bytes_ = 0;
    bool held_parameters_ = false;  // new parameter sets among them, which pictures after them may need
    std::vector<int64_t> packet_sizes_;
    std::vector<uint8_t> packet_references_;
    std::vector<uint8_t> has_previous_;  // by sample
    SharedFrame previous_;
    int64_t previous_row_ = -1;
    int64_t packets_ = 0;
    int64_t shown_ = 0;
    int64_t next_ = 0;  // first sample that no picture has served
    char last_type_ = '?';
    bool drained_ = false;
    WorkerPool<Converter> pool_;  // last: its threads use what stands above
};

}  // namespace

bool read_in_order(ReadContext& context) {
    return OrderedReader(context).run();
}

}  // namespace ov2::media
