#include "media/bit_cost.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "bitstream/h264_parser.h"
#include "media/packet_feed.h"
#include "media/worker_pool.h"

namespace ov2::media {
namespace {

using bitstream::H264Parser;
using bitstream::ParameterSets;
using bitstream::PictureCost;
using Bytes = std::vector<uint8_t>;

// What of a keyframe is read for the parameter sets that may stand before its first slice.
constexpr int64_t kHead = 4096;

class BitCostReader {
  public:
    explicit BitCostReader(const BitCostRequest& request)
        : request_(request),
          plan_(*request.table, request.frame_indices),
          costs_(request.frame_indices.size()),
          pool_(request.threads, request.threads + 2,
                [this] { return std::make_unique<H264Parser>(request_.rules); }) {
        open();
        const PacketTable& table = *request.table;
        order_.resize(costs_.size());
        std::iota(order_.begin(), order_.end(), size_t{0});
        std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
            return table.decode_index[row(a)] < table.decode_index[row(b)];
        });
    }

    std::vector<PictureCost> run() {
        if (demuxer_->codec() != AV_CODEC_ID_H264) {
            for (PictureCost& cost : costs_) cost.status = bitstream::Status::codec;
            return std::move(costs_);
        }
        if (!finished(read_by_index())) {
            // Where new parameter sets came with packets passed over, pictures behind them cannot be parsed.
            bool done = finished(read_by_seeking()) && (!sought_ || all_exact());
            if (!done) finished(read_through());
        }
        return std::move(costs_);
    }

  private:
    void poll() const { request_.poll(read_); }

    // At the first packet, with the parameter sets of the container.
    void open() {
        demuxer_ = std::make_unique<Demuxer>(request_.path, request_.limits, /*table_only=*/false);
        begin();
    }

    void begin() {
        read_ = 0;
        std::fill(costs_.begin(), costs_.end(), PictureCost{});
        const AVCodecParameters& codec = *demuxer_->stream()->codecpar;
        ParameterSets sets;
        if (codec.extradata_size > 0) {
            length_size_ = sets.absorb_avc_record(codec.extradata, codec.extradata_size);
            if (length_size_ == 0) {
                bitstream::absorb_parameter_sets(codec.extradata, codec.extradata_size, 0, sets);
            }
        }
        sets_ = std::make_shared<const ParameterSets>(std::move(sets));
    }

    // Waits for what was begun.
    bool finished(bool done) {
        pool_.finish([this] { poll(); });
        return done;
    }

    bool all_exact() const {
        return std::all_of(costs_.begin(), costs_.end(),
                           [](const PictureCost& cost) { return cost.status == bitstream::Status::ok; });
    }

    // Goes straight to the packets wanted. False where the container does not know where they are.
    bool read_by_index() {
        const PacketTable& table = *request_.table;
        // Parameter sets that stand in the stream come with keyframes.
        int64_t next = 0;
        for (size_t i : order_) {
            for (; next <= index_of(i); ++next) {
                if (!plan_.is_key(next)) continue;
                int64_t size = table.size[static_cast<size_t>(plan_.row(next))];
                Bytes head = demuxer_->packet_at(next, size, kHead);
                if (head.empty()) return false;
                take_sets(head.data(), static_cast<int64_t>(head.size()));
            }
            Bytes bytes = demuxer_->packet_at(index_of(i), table.size[row(i)], INT64_MAX);
            if (bytes.empty()) return false;
            parse(i, std::move(bytes));
        }
        return true;
    }

    // Goes to the keyframe before each packet wanted, where that is far, and reads on from there. False where
    // packets cannot be told by their times, or are not where the container says.
    bool read_by_seeking() {
        if (!request_.table->has_timestamps) return false;
        begin();  // what was read by the index left the demuxer where it was
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        PacketFeed feed(*demuxer_, *request_.table, plan_);
        for (size_t i : order_) {
            if (!feed.go_to(plan_.key_before(index_of(i)))) return false;
            while (feed.place() <= index_of(i)) {
                if (!feed.next(*packet)) return false;
                use(*packet, feed.place() - 1, i);
            }
        }
        sought_ = feed.sought();
        return true;
    }

    // Reads all packets up to the last one wanted.
    bool read_through() {
        open();
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        auto wanted = order_.begin();
        for (int64_t next = 0; wanted != order_.end() && demuxer_->next(*packet); ++next) {
            wanted += use(*packet, next, *wanted) ? 1 : 0;
        }
        return wanted == order_.end();
    }

    // Takes what a packet holds of use; true where it is the one that `i` wants.
    bool use(const AVPacket& packet, int64_t index, size_t i) {
        poll();
        bool wanted = index == index_of(i);
        if (wanted) parse(i, Bytes(packet.data, packet.data + packet.size));
        take_sets(packet.data, packet.size);
        return wanted;
    }

    int64_t index_of(size_t i) const { return request_.table->decode_index[row(i)]; }
    size_t row(size_t i) const { return static_cast<size_t>(request_.frame_indices[i]); }

    void take_sets(const uint8_t* packet, int64_t size) {
        bool any = false;
        for (bitstream::NalUnits units(packet, size, length_size_); !any && units.next();) {
            int type = units.type();
            if (type >= 1 && type <= 5) break;
            any = type == 7 || type == 8;
        }
        if (!any) return;
        auto sets = std::make_shared<ParameterSets>(*sets_);
        bitstream::absorb_parameter_sets(packet, size, length_size_, *sets);
        sets_ = std::move(sets);
    }

    void parse(size_t i, Bytes bytes) {
        auto job = [this, i, packet = std::make_shared<Bytes>(std::move(bytes)),
                    sets = sets_](H264Parser& parser) {
            costs_[i] =
                parser.parse(packet->data(), static_cast<int64_t>(packet->size()), length_size_, *sets);
        };
        pool_.run(std::move(job), [this] { poll(); });
        ++read_;
    }

    const BitCostRequest& request_;
    std::unique_ptr<Demuxer> demuxer_;
    PacketPlan plan_;
    int length_size_ = 0;
    std::shared_ptr<const ParameterSets> sets_;  // in force where reading has come to
    std::vector<PictureCost> costs_;
    std::vector<size_t> order_;  // those of the costs by decode order
    bool sought_ = false;
    int64_t read_ = 0;
    WorkerPool<H264Parser> pool_;  // last: its threads use what stands above
};

}  // namespace

std::vector<PictureCost> bit_cost(const BitCostRequest& request) {
    if (request.frame_indices.empty()) return {};
    return BitCostReader(request).run();
}

}  // namespace ov2::media
