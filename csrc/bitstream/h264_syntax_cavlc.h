// The syntax elements of a macroblock where entropy_coding_mode_flag is 0 (ITU-T H.264, 7.3.5, 9.1 and 9.2).
#pragma once

#include "bitstream/h264_cavlc.h"
#include "bitstream/h264_mb_context.h"
#include "bitstream/h264_tables.h"

namespace ov2::bitstream {

class CavlcSyntax {
  public:
    static constexpr bool kArithmetic = false;

    CavlcSyntax(const Rbsp& rbsp, int64_t position, const SliceHeader&) : reader_(rbsp) {
        reader_.skip(position);
    }

    BitReader& reader() { return reader_; }
    int64_t position() const { return reader_.position(); }
    bool overrun() const { return reader_.overrun(); }

    bool mb_field_decoding_flag(int) { return reader_.flag(); }
    int mb_type(const MbContext&, SliceType) { return code(100); }
    int sub_mb_type(SliceType) { return code(100); }
    bool transform_size_8x8_flag(const MbContext&) { return reader_.flag(); }
    void intra_pred_modes(int count) {
        for (int i = 0; i < count; ++i) {
            if (!reader_.flag()) reader_.skip(3);  // rem_intraNxN_pred_mode
        }
    }
    int intra_chroma_pred_mode(const MbContext&) { return code(100); }
    // 9.1.2; -1 where there is no such code.
    int coded_block_pattern(const MbContext& mb) {
        int number = code(100);
        int inter = mb.is(kIntra) ? 0 : 1;
        int type = mb.chroma_array_type();
        if (type == 0 || type == 3) return number < 16 ? kCodedBlockPatternLumaOnly[inter][number] : -1;
        return number < 48 ? kCodedBlockPattern[inter][number] : -1;
    }
    int mb_qp_delta() {
        int32_t delta = reader_.se();
        return std::clamp(delta, -1000, 1000);
    }
    int ref_idx(const MbContext&, int, int, int, int count) {
        return static_cast<int>(std::min(reader_.te(static_cast<uint32_t>(count) - 1), 100u));
    }
    bool mvd(MbContext&, int, int, int, int, int) {
        reader_.ue();
        reader_.ue();
        return true;
    }

    // Behind the terminating syntax of I_PCM's mb_type nothing needs to be done.
    void skip_pcm(int64_t bits) { reader_.skip_checked((-reader_.position() & 7) + bits); }

    void load(MbContext& mb) const { mb.load_coeffs(kNotAvailable, false); }

    // 7.3.5.3.1: Intra16x16DCLevel and Intra16x16ACLevel, 4x4 and 8x8 blocks; of the planes Cb and Cr in
    // 4:4:4.
    bool luma_dc(MbContext& mb, int plane) {
        return !reader_.overrun() && read_cavlc_block(reader_, nc(mb, plane, 0, 0), 16) >= 0;
    }
    bool block_4x4(MbContext& mb, int plane, int x, int y, bool ac) {
        return block(mb, plane, x, y, ac ? 15 : 16);
    }
    bool block_8x8(MbContext& mb, int plane, int x, int y) {
        return block(mb, plane, x, y, 16) && block(mb, plane, x + 1, y, 16) &&
               block(mb, plane, x, y + 1, 16) && block(mb, plane, x + 1, y + 1, 16);
    }
    // 7.3.5.3: ChromaDCLevel and ChromaACLevel.
    bool chroma_dc(MbContext& mb, int) {
        bool tall = mb.chroma_array_type() == 2;
        return !reader_.overrun() &&
               read_cavlc_block(reader_, tall ? kChromaDc422 : kChromaDc420, tall ? 8 : 4) >= 0;
    }
    bool chroma_ac(MbContext& mb, int plane, int x, int y) { return block(mb, plane, x, y, 15); }

  private:
    int code(uint32_t most) { return static_cast<int>(std::min(reader_.ue(), most)); }

    bool block(MbContext& mb, int plane, int x, int y, int max_coeffs) {
        if (reader_.overrun()) return false;
        int total = read_cavlc_block(reader_, nc(mb, plane, x, y), max_coeffs);
        mb.coeffs[plane][block_at(x, y)] = static_cast<uint8_t>(total);
        return total >= 0;
    }

    // 9.2.1
    static int nc(const MbContext& mb, int plane, int x, int y) {
        int sum = mb.coeffs[plane][block_at(x - 1, y)] + mb.coeffs[plane][block_at(x, y - 1)];
        return sum < kNotAvailable ? (sum + 1) >> 1 : sum & (kNotAvailable - 1);
    }

    BitReader reader_;
};

}  // namespace ov2::bitstream
