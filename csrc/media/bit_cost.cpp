#include "media/bit_cost.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "bitstream/h264_parser.h"
#include "media/demuxer.h"
#include "media/packet_plan.h"
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
          demuxer_(request.path, /*table_only=*/false),
          plan_(*request.table, request.frame_indices),
          costs_(request.frame_indices.size()),
          pool_(request.threads, request.threads + 2,
                [this] { return std::make_unique<H264Parser>(request_.rules); }) {
        const AVCodecParameters& codec = *demuxer_.stream()->codecpar;
        ParameterSets sets;
        if (codec.extradata_size > 0) {
            length_size_ = sets.absorb_avc_record(codec.extradata, codec.extradata_size);
            if (length_size_ == 0) {
                bitstream::absorb_parameter_sets(codec.extradata, codec.extradata_size, 0, sets);
            }
        }
        sets_ = std::make_shared<const ParameterSets>(std::move(sets));
    }

    std::vector<PictureCost> run() {
        if (demuxer_.codec() != AV_CODEC_ID_H264) {
            for (PictureCost& cost : costs_) cost.status = bitstream::Status::codec;
            return std::move(costs_);
        }
        if (!read_by_index()) {
            pool_.finish([this] { poll(); });
            read_ = 0;
            read_through();
        }
        pool_.finish([this] { poll(); });
        return std::move(costs_);
    }

  private:
    void poll() const { request_.poll(read_); }

    // Goes straight to the packets wanted. False where the container does not know where they are.
    bool read_by_index() {
        const PacketTable& table = *request_.table;
        std::vector<size_t> order(costs_.size());
        std::iota(order.begin(), order.end(), size_t{0});
        auto index_of = [&](size_t i) { return table.decode_index[row(i)]; };
        std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return index_of(a) < index_of(b); });
        // Parameter sets that stand in the stream come with keyframes.
        int64_t next = 0;
        for (size_t i : order) {
            for (; next <= index_of(i); ++next) {
                if (!plan_.is_key(next)) continue;
                int64_t size = table.size[static_cast<size_t>(plan_.row(next))];
                Bytes head = demuxer_.packet_at(next, size, kHead);
                if (head.empty()) return false;
                take_sets(head.data(), static_cast<int64_t>(head.size()));
            }
            Bytes bytes = demuxer_.packet_at(index_of(i), table.size[row(i)], INT64_MAX);
            if (bytes.empty()) return false;
            parse(i, std::move(bytes));
        }
        return true;
    }

    // Reads all packets up to the last one wanted.
    void read_through() {
        PacketPtr packet(av_packet_alloc());
        if (!packet) throw std::bad_alloc();
        const std::vector<int64_t>& wanted = request_.frame_indices;
        for (int64_t index = 0; demuxer_.next(*packet) && !plan_.finished(index); ++index) {
            poll();
            int64_t at = plan_.row(index);
            auto found = std::lower_bound(wanted.begin(), wanted.end(), at);
            if (found != wanted.end() && *found == at) {
                parse(static_cast<size_t>(found - wanted.begin()),
                      Bytes(packet->data, packet->data + packet->size));
            }
            take_sets(packet->data, packet->size);
        }
    }

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
    Demuxer demuxer_;
    PacketPlan plan_;
    int length_size_ = 0;
    std::shared_ptr<const ParameterSets> sets_;  // in force where reading has come to
    std::vector<PictureCost> costs_;
    int64_t read_ = 0;
    WorkerPool<H264Parser> pool_;  // last: its threads use what stands above
};

}  // namespace

std::vector<PictureCost> bit_cost(const BitCostRequest& request) {
    if (request.frame_indices.empty()) return {};
    return BitCostReader(request).run();
}

}  // namespace ov2::media
