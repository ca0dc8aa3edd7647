// The syntax elements of a macroblock where entropy_coding_mode_flag is 1 (ITU-T H.264, 7.3.5 and 9.3).
#pragma once

#include "bitstream/h264_cabac.h"
#include "bitstream/h264_mb_context.h"

namespace ov2::bitstream {

class CabacSyntax {
  public:
    static constexpr bool kArithmetic = true;

    // Passes over cabac_alignment_one_bits and starts the decoder (9.3.1).
    CabacSyntax(const Rbsp& rbsp, int64_t position, const SliceHeader& header);

    int64_t position() const { return decoder_.position(); }
    bool overrun() const { return decoder_.position() > end_ + 1; }

    bool mb_skip_flag(const MbContext& mb, SliceType type);
    // `field_neighbours`: how many of the pairs to the left and above are field pairs.
    bool mb_field_decoding_flag(int field_neighbours) { return bin(70 + field_neighbours) != 0; }
    bool end_of_slice_flag() { return decoder_.terminate(); }
    int mb_type(const MbContext& mb, SliceType type);
    int sub_mb_type(SliceType type);
    bool transform_size_8x8_flag(const MbContext& mb);
    void intra_pred_modes(int count);
    int intra_chroma_pred_mode(const MbContext& mb);
    int coded_block_pattern(const MbContext& mb);
    int mb_qp_delta();
    // -1 where the value is out of range, as for all that follow. `x`, `y` in 4x4 blocks.
    int ref_idx(const MbContext& mb, int list, int x, int y, int count);
    // Both components of a partition's vector difference; false where one is too long.
    bool mvd(MbContext& mb, int list, int x, int y, int width, int height);
    void skip_pcm(int64_t bits);
    // Says that a macroblock had no mb_qp_delta.
    void no_qp_delta() { last_qp_delta_ = 0; }

    void load(MbContext& mb) const {
        bool only_8x8 = mb.is(kTransform8x8) && mb.chroma_array_type() == 3;
        mb.load_coeffs(mb.is(kIntra) ? 1 : 0, only_8x8);
    }
    bool luma_dc(MbContext& mb, int plane) { return dc(mb, plane, kPlaneCat[plane] + kLumaDc, 16, 1); }
    bool block_4x4(MbContext& mb, int plane, int x, int y, bool ac) {
        return block(mb, plane, x, y, kPlaneCat[plane] + (ac ? kLumaAc : kLuma4x4), ac ? 15 : 16);
    }
    bool block_8x8(MbContext& mb, int plane, int x, int y);
    bool chroma_dc(MbContext& mb, int plane) {
        int blocks = mb.chroma_array_type() == 2 ? 2 : 1;  // NumC8x8
        return dc(mb, plane, kCatChromaDc, 4 * blocks, blocks);
    }
    bool chroma_ac(MbContext& mb, int plane, int x, int y) {
        return block(mb, plane, x, y, kCatChromaAc, 15);
    }

  private:
    // ctxBlockCat of the DC, AC and 4x4 blocks of Y, Cb and Cr start here.
    static constexpr int kPlaneCat[3] = {0, 6, 10};

    int bin(int context) { return decoder_.decide(contexts_.state[context]); }
    int intra_mb_type(int base, bool intra_slice, int first_inc);
    int b_mb_type(const MbContext& mb);
    int mvd_component(int base, int sum);
    bool dc(MbContext& mb, int plane, int cat, int max_coeffs, int chroma_dc_step);
    bool block(MbContext& mb, int plane, int x, int y, int cat, int max_coeffs) {
        uint8_t* coeffs = mb.coeffs[plane];
        int inc = (coeffs[block_at(x - 1, y)] != 0 ? 1 : 0) + (coeffs[block_at(x, y - 1)] != 0 ? 2 : 0);
        int coded = bin(kCodedBlockFlag[cat] + inc);
        coeffs[block_at(x, y)] = static_cast<uint8_t>(coded);
        return coded == 0 || read_cabac_block(decoder_, contexts_, cat, mb.field_coding, max_coeffs, 1);
    }

    CabacDecoder decoder_;
    CabacContexts contexts_;
    int64_t end_;
    int last_qp_delta_ = 0;
};

}  // namespace ov2::bitstream
