// What is kept of a macroblock for those that are parsed after it, and who its neighbours are.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstream/h264_slice_header.h"

namespace ov2::bitstream {

// Properties of a macroblock, as bits.
enum MbFlag : uint16_t {
    kIntra = 1,
    kIntraNxN = 2,
    kIntra16x16 = 4,
    kPcm = 8,
    kSkip = 16,
    kDirect = 32,  // B_Skip or B_Direct_16x16
    kTransform8x8 = 64,
    kField = 128,
    kChromaPred = 256,  // intra_chroma_pred_mode above 0
};

// Only the edges of a macroblock are ever looked at again: its rightmost column and its bottom row.
struct MbInfo {
    uint32_t slice = 0;  // number of the slice it came in, counted over the parser's life; 0: none yet
    uint16_t flags = 0;
    uint8_t cbp = 0;       // CodedBlockPatternLuma in bits 0-3, CodedBlockPatternChroma in 4-5
    uint8_t dc_coded = 0;  // coded_block_flag of the DC blocks of Y, Cb, Cr
    // total_coeff (CAVLC) or coded_block_flag (CABAC) of 4x4 blocks, for Y, Cb, Cr.
    uint8_t right_coeffs[3][4] = {};
    uint8_t bottom_coeffs[3][4] = {};
    // For each list: ref_idx of 8x8 blocks, and the absolute mvd of 4x4 blocks, both 0 where there is none.
    uint8_t right_ref[2][2] = {};
    uint8_t bottom_ref[2][2] = {};
    uint8_t right_mvd[2][4][2] = {};
    uint8_t bottom_mvd[2][4][2] = {};

    bool is(unsigned mask) const { return (flags & mask) != 0; }
};

// The neighbours of the current macroblock; null where there is none in the same slice.
struct Neighbours {
    const MbInfo* left[4];  // for each row of 4x4 blocks (they differ in MBAFF pictures only)
    uint8_t left_row[4];    // the row of 4x4 blocks in it
    const MbInfo* above;
    // mbAddrA of 6.4.11.1.
    const MbInfo* a() const { return left[0]; }
    const MbInfo* b() const { return above; }
};

// The macroblocks of one picture, or of one colour plane of it, by macroblock address.
class MbField {
  public:
    void reset(int width, int macroblocks, bool mbaff) {
        if (width_ != width || static_cast<size_t>(macroblocks) != mbs_.size()) {
            mbs_.assign(static_cast<size_t>(macroblocks), MbInfo{});
        }
        width_ = width;
        mbaff_ = mbaff;
    }
    MbInfo& operator[](int address) { return mbs_[static_cast<size_t>(address)]; }
    int size() const { return static_cast<int>(mbs_.size()); }
    int width() const { return width_; }
    bool mbaff() const { return mbaff_; }

    // 6.4.9 and 6.4.12.1: outside MBAFF pictures.
    // 6.4.10 and 6.4.12.2: in them, where the current pair may be one of fields (`field`) or of frames.
    Neighbours neighbours(int address, uint32_t slice, bool field) const;

    // The top macroblocks of the pairs to the left and above (6.4.10), null outside the slice.
    const MbInfo* left_pair(int address, uint32_t slice) const;
    const MbInfo* above_pair(int address, uint32_t slice) const;

  private:
    const MbInfo* in_slice(int address, uint32_t slice) const {
        const MbInfo& mb = mbs_[static_cast<size_t>(address)];
        return mb.slice == slice ? &mb : nullptr;
    }

    std::vector<MbInfo> mbs_;
    int width_ = 0;
    bool mbaff_ = false;
};

}  // namespace ov2::bitstream
