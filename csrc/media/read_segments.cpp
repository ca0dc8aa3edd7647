#include <algorithm>
#include <numeric>

#include "media/decoder.h"
#include "media/picture_header.h"
#include "media/readers.h"
#include "media/worker_pool.h"

namespace ov2::media {
namespace {

struct Segment {
    std::vector<PacketPtr> packets;
    int64_t bytes = 0;
    size_t wanted = 0;  // packets up to and including the last that carries a picture wanted
};

// What one thread owns.
struct Worker {
    Worker(const ReadContext& context)
        : decoder(context.demuxer, 1, context.writer.motion() == MotionSource::codec,
                  context.plan.reordering()),
          converter(context.writer.make_converter()) {}
    Decoder decoder;
    std::unique_ptr<Converter> converter;
};

int64_t total(const std::vector<int64_t>& loads) {
    return std::accumulate(loads.begin(), loads.end(), int64_t{0});
}

class SegmentReader {
  public:
    explicit SegmentReader(ReadContext& context)
        : context_(context),
          writer_(context.writer),
          parameter_sets_(container_parameter_sets(*context.demuxer.stream()->codecpar)),
          longest_(static_cast<size_t>(total(context.plan.loads()) * 9 / (10 * context.request.threads))),
          pool_(context.request.threads, context.request.threads,
                [this] { return std::make_unique<Worker>(context_); }) {}

    bool run() {
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        for (;;) {
            poll();
            if (context_.plan.finished(context_.feed.place()) && context_.references_known('B')) break;
            context_.pass_over(parameter_sets_);
            if (!context_.feed.next(*packet)) break;
            if (!take(*packet, context_.feed.place() - 1)) return false;
        }
        if (context_.feed.lost()) return false;
        dispatch();
        pool_.finish([this] { poll(); });
        context_.statistics.decoded = decoded_;
        context_.statistics.skipped = context_.feed.place() - sent_;
        return writer_.ready() == writer_.samples();
    }

  private:
    void poll() const { context_.request.poll(writer_.ready()); }

    // False where segments turn out not to stand by themselves.
    bool take(AVPacket& packet, int64_t index) {
        PictureHeader header = read_picture_header(*context_.demuxer.stream()->codecpar, packet);
        int64_t row = context_.plan.row(index);
        if (row >= 0) context_.is_reference[static_cast<size_t>(row)] = header.reference;
        if (header.clean_access) dispatch();
        // Parameter sets that a decoder elsewhere may need, or, where keyframes turn out to be no IDR
        // pictures, a stretch too long to hold or to share out.
        bool new_sets = !header.parameter_sets.empty() && header.parameter_sets != parameter_sets_;
        segment_.bytes += packet.size;
        bool too_long = segment_.bytes > kMostHeldBytes || segment_.packets.size() > longest_;
        if (new_sets || too_long) return false;
        if (!header.reference && !context_.plan.needed(row)) return true;
        PacketPtr kept(av_packet_alloc());
        if (!kept) throw std::bad_alloc();
        av_packet_move_ref(kept.get(), &packet);
        kept->pts = index;
        kept->dts = AV_NOPTS_VALUE;
        segment_.packets.push_back(std::move(kept));
        if (context_.plan.needed(row)) segment_.wanted = segment_.packets.size();
        return true;
    }

    void dispatch() {
        auto segment = std::make_shared<Segment>(std::move(segment_));
        segment_ = Segment{};
        segment->packets.resize(segment->wanted);
        if (segment->packets.empty()) return;
        sent_ += static_cast<int64_t>(segment->packets.size());
        pool_.run([this, segment](Worker& worker) { decode(worker, *segment); }, [this] { poll(); });
    }

    void decode(Worker& worker, Segment& segment) {
        auto show = [&](FramePtr frame) { write(*worker.converter, *frame); };
        for (PacketPtr& packet : segment.packets) {
            if (pool_.stopping()) return;
            worker.decoder.decode(packet.get(), show);
            packet.reset();
        }
        worker.decoder.decode(nullptr, show);
        worker.decoder.reset();
    }

    void write(Converter& converter, const AVFrame& frame) {
        ++decoded_;
        int64_t row = frame.pts < 0 ? -1 : context_.plan.row(frame.pts);
        Destination to = writer_.unwritten(writer_.destination(row));
        if (to.sample >= 0) {
            to.still = context_.table().is_key[static_cast<size_t>(row)] != 0;
            writer_.describe(to.sample, frame, context_.table().size[static_cast<size_t>(row)], row);
        }
        writer_.write(converter, frame, to);
        if (row == 0 && to.sample == 0 &&
            context_.request.predecessors) {  // nothing is shown before the first picture
            writer_.write(converter, frame, Destination{-1, 0, false});
        }
    }

    ReadContext& context_;
    SampleWriter& writer_;
    std::string parameter_sets_;  // of the container, which every decoder has
    size_t longest_;              // packets of a segment at most, a little less than a thread's share of all
    Segment segment_;
    int64_t sent_ = 0;
    std::atomic<int64_t> decoded_{0};
    WorkerPool<Worker> pool_;  // last: its threads use what stands above
};

}  // namespace

bool read_segments(ReadContext& context) {
    return SegmentReader(context).run();
}

bool segments_pay(const ReadContext& context) {
    const AVCodecParameters& codec = *context.demuxer.stream()->codecpar;
    int threads = context.request.threads;
    if (!has_avc_record(codec) || !context.table().has_timestamps || threads < 2) return false;
    // Each decoder holds up to 17 pictures; beside threads of one decoder that is a matter of memory.
    constexpr int64_t kMostBytes = int64_t{192} << 20;
    int64_t picture_bytes = int64_t{codec.width} * codec.height * 3 / 2;
    if (threads * 17 * picture_bytes > kMostBytes) return false;
    // Each stretch goes to the thread that is free first. Threads of one decoder lose about a fifth to each
    // other, so that much idling at the end is worth it.
    std::vector<int64_t> loads = context.plan.loads();
    std::vector<int64_t> busy(static_cast<size_t>(threads), 0);
    for (int64_t load : loads) *std::min_element(busy.begin(), busy.end()) += load;
    return 5 * threads * *std::max_element(busy.begin(), busy.end()) <= 6 * total(loads);
}

}  // namespace ov2::media
