#include "bitstream/h264_slice_data.h"

#include "bitstream/h264_macroblock_layer.h"
#include "bitstream/h264_syntax_cabac.h"
#include "bitstream/h264_syntax_cavlc.h"

namespace ov2::bitstream {
namespace {

template <typename Syntax>
class SliceData {
  public:
    explicit SliceData(SliceTask& task)
        : task_(task),
          header_(task.header),
          syntax_(task.rbsp, task.position, task.header),
          layer_(syntax_, task.header),
          start_(syntax_.position()) {}

    Status run() {
        address_ = static_cast<int>(header_.first_mb) * (mbaff() ? 2 : 1);
        Status status;
        if constexpr (Syntax::kArithmetic) {
            status = run_cabac();
        } else {
            status = run_cavlc();
        }
        task_.cost.payload_bits += syntax_.position() - start_;
        return status;
    }

  private:
    bool mbaff() const { return header_.mbaff(); }
    bool inter() const { return header_.type != SliceType::I; }

    // 7.3.4 with entropy_coding_mode_flag 0.
    Status run_cavlc() {
        BitReader& reader = syntax_.reader();
        for (bool more = true; more; advance()) {
            int64_t before = reader.position();
            bool skipped_before = false;
            if (inter()) {
                uint32_t run = reader.ue();  // mb_skip_run
                if (reader.overrun()) return Status::broken;
                if (run > 0) {
                    if (!skip_run(run, before)) return Status::broken;
                    if (!reader.more_data()) return finish(reader.position() == reader.end());
                    skipped_before = true;
                    if (task_.rules.run_to_first_skipped) before = reader.position();
                    advance();
                }
            }
            if (!begin()) return Status::broken;
            if (mbaff() && (top() || skipped_before)) read_field_flag();
            if (!top() && skipped_before) before = read_ahead(before);
            if (!macroblock()) return Status::broken;
            add(reader.position() - before);
            more = reader.more_data();
        }
        return finish(reader.position() == reader.end());
    }

    // Leaves the address at the last macroblock skipped.
    bool skip_run(uint32_t run, int64_t before) {
        BitReader& reader = syntax_.reader();
        int64_t bits = reader.position() - before;
        // The run belongs to the macroblock behind it; where none follows, to the last one skipped.
        bool to_last = !reader.more_data() && !task_.rules.run_to_first_skipped;
        for (uint32_t i = 0; i < run; ++i) {
            if (i > 0) advance();
            if (!begin()) return false;
            layer_.skip(current(), mbaff() && pair_field_);
            bool takes = task_.rules.run_to_first_skipped ? i == 0 : to_last && i + 1 == run;
            add(takes ? bits : 0);
        }
        return true;
    }

    // 7.3.4 with entropy_coding_mode_flag 1.
    Status run_cabac() {
        if constexpr (Syntax::kArithmetic) {
            bool skipped_before = false;
            for (bool more = true; more; advance()) {
                int64_t before = syntax_.position();
                if (!begin()) return Status::broken;
                bool skipped = false;
                if (inter()) {
                    layer_.look_around(task_.mbs.neighbours(address_, task_.slice, pair_field_), pair_field_);
                    skipped = syntax_.mb_skip_flag(layer_.context(), header_.type);
                }
                bool below_skipped = mbaff() && !top() && skipped_before;
                if (below_skipped && !skipped) read_field_flag();
                if (below_skipped) before = read_ahead(before);
                if (skipped) {
                    layer_.skip(current(), mbaff() && pair_field_);
                    syntax_.no_qp_delta();
                } else {
                    if (mbaff() && top()) read_field_flag();
                    if (!macroblock()) return Status::broken;
                }
                int64_t after = syntax_.position();
                more = (mbaff() && top()) || !syntax_.end_of_slice_flag();
                add(counted(task_.rules.terminate_to_nobody ? after : syntax_.position()) - counted(before));
                skipped_before = skipped;
            }
            // The last bit that the decoder has read is rbsp_stop_one_bit (9.3.4.5), and nothing but its byte
            // is left: x264 numbers its pictures by a bit behind it.
            int64_t stop = syntax_.position() - 1;
            bool at_end =
                stop / 8 == task_.rbsp.size() - 1 && (task_.rbsp.data()[stop / 8] >> (7 - stop % 8) & 1) != 0;
            return finish(at_end);
        }
        return Status::broken;
    }

    int64_t counted(int64_t position) const {
        return Syntax::kArithmetic && task_.rules.whole_bytes ? (position + 7) / 8 * 8 : position;
    }

    // What was read from `before` on tells how the skipped macroblock above is to be decoded: where runs
    // belong to what they skip, so does this. Returns where the current macroblock begins.
    int64_t read_ahead(int64_t before) {
        if (!mbaff() || !task_.rules.run_to_first_skipped) return before;
        int64_t bits = counted(syntax_.position()) - counted(before);
        if (Syntax::kArithmetic) task_.cost.bits[place(address_ - 1)] += static_cast<int32_t>(bits);
        return syntax_.position();
    }

    Status finish(bool at_end) const {
        bool whole_pairs = !mbaff() || top_of_last_ == 1;
        return at_end && whole_pairs ? Status::ok : Status::broken;
    }

    // Whether the current address is free; looks after what a pair of macroblocks shares.
    bool begin() {
        if (address_ >= task_.mbs.size() || current().slice >= task_.first_slice) return false;
        if (mbaff() && top()) pair_field_ = inferred_field();
        current().slice = task_.slice;
        ++task_.macroblocks;
        top_of_last_ = address_ & 1;
        return true;
    }

    bool top() const { return (address_ & 1) == 0; }
    MbInfo& current() { return task_.mbs[address_]; }

    // 7.4.4: where mb_field_decoding_flag is not there for either macroblock of a pair.
    bool inferred_field() const {
        const MbInfo* pair = task_.mbs.left_pair(address_, task_.slice);
        if (pair == nullptr) pair = task_.mbs.above_pair(address_, task_.slice);
        return pair != nullptr && pair->is(kField);
    }

    void read_field_flag() {
        const MbInfo* left = task_.mbs.left_pair(address_, task_.slice);
        const MbInfo* above = task_.mbs.above_pair(address_, task_.slice);
        int fields =
            (left != nullptr && left->is(kField) ? 1 : 0) + (above != nullptr && above->is(kField) ? 1 : 0);
        pair_field_ = syntax_.mb_field_decoding_flag(fields);
        if (!top()) {  // the one above it was skipped, and is what its pair is
            MbInfo& upper = task_.mbs[address_ - 1];
            upper.flags = static_cast<uint16_t>((upper.flags & ~kField) | (pair_field_ ? kField : 0));
            mark_field(address_ - 1);
        }
    }

    bool macroblock() {
        layer_.look_around(task_.mbs.neighbours(address_, task_.slice, pair_field_), pair_field_);
        return layer_.parse(current()) && !syntax_.overrun();
    }

    // 8.2.1's NextMbAddress.
    void advance() {
        const std::vector<uint8_t>& map = task_.group_map;
        int from = address_++;
        if (map.empty()) return;
        while (address_ < task_.mbs.size() &&
               map[static_cast<size_t>(address_)] != map[static_cast<size_t>(from)]) {
            ++address_;
        }
    }

    // The place of a macroblock in the frame (6.4.1): the rows of two fields alternate.
    size_t place(int address) const {
        int width = task_.mbs.width();
        if (mbaff())
            return static_cast<size_t>((address / 2 / width * 2 + (address & 1)) * width +
                                       address / 2 % width);
        if (!header_.field_pic) return static_cast<size_t>(address);
        return static_cast<size_t>((address / width * 2 + (header_.bottom_field ? 1 : 0)) * width +
                                   address % width);
    }

    void add(int64_t bits) {
        task_.cost.bits[place(address_)] += static_cast<int32_t>(bits);
        if (mbaff() && pair_field_) mark_field(address_);
    }
    void mark_field(int address) { task_.cost.field_pair[place(address)] = pair_field_ ? 1 : 0; }

    SliceTask& task_;
    const SliceHeader& header_;
    Syntax syntax_;
    MacroblockLayer<Syntax> layer_;
    int64_t start_;
    int address_ = 0;
    bool pair_field_ = false;
    int top_of_last_ = 1;
};

}  // namespace

Status parse_slice_data(SliceTask& task) {
    return task.header.pps->entropy_coding_mode ? SliceData<CabacSyntax>(task).run()
                                                : SliceData<CavlcSyntax>(task).run();
}

}  // namespace ov2::bitstream
