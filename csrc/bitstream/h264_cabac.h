// The arithmetic decoder, and transform coefficients coded with it (ITU-T H.264, 9.3).
#pragma once

#include <algorithm>
#include <cstdint>

#include "bitstream/bit_reader.h"
#include "bitstream/h264_tables.h"

namespace ov2::bitstream {

// By a context's state, pStateIdx << 1 | valMPS.
struct CabacTables {
    uint8_t range_lps[4][128];  // table 9-44, by qCodIRangeIdx
    uint8_t next[256];   // the state after the most probable symbol, and, at 255 - state, after the other
    uint8_t shift[512];  // how often RenormD doubles a codIRange
    CabacTables();
    static const CabacTables& get();
};

// 9.3.1.2 and 9.3.3.2. codIOffset carries up to 47 bits more than its nine, so that memory is looked at only
// every 32 bits; position() is that of the standard's decoder.
class CabacDecoder {
  public:
    explicit CabacDecoder(const Rbsp& rbsp)
        : tables_(&CabacTables::get()),
          data_(rbsp.data()),
          next_(rbsp.data()),
          limit_(rbsp.data() + rbsp.size()) {}

    // 9.3.1.2, from a byte of the payload on.
    void start(int64_t byte) {
        next_ = data_ + std::min<int64_t>(byte, limit_ - data_);
        offset_ = load_be64(next_) >> 16;
        next_ += 6;
        more_ = 39;
        range_ = 510;
    }

    // Bits of the payload that the standard's decoder has read.
    int64_t position() const { return 8 * (next_ - data_) - more_; }

    // DecodeDecision (9.3.3.2.1), without a branch on the symbol.
    int decide(uint8_t& state) {
        uint32_t s = state;
        uint32_t lps = tables_->range_lps[range_ >> 6 & 3][s];
        range_ -= lps;
        uint64_t scaled = uint64_t{range_} << more_;
        // All ones where the least probable symbol came, that is, where offset_ >= scaled.
        auto least = static_cast<uint64_t>(static_cast<int64_t>(scaled - offset_ - 1) >> 63);
        auto least32 = static_cast<uint32_t>(least);
        offset_ -= scaled & least;
        range_ += (lps - range_) & least32;
        s = (s ^ least32) & 255;
        state = tables_->next[s];
        renormalise();
        return static_cast<int>(s & 1);
    }

    // DecodeBypass (9.3.3.2.3).
    int bypass() {
        --more_;
        uint64_t scaled = uint64_t{range_} << more_;
        auto one = static_cast<uint64_t>(static_cast<int64_t>(scaled - offset_ - 1) >> 63);
        offset_ -= scaled & one;
        if (more_ < 16) refill();
        return static_cast<int>(one & 1);
    }

    // DecodeTerminate (9.3.3.2.2.3): end_of_slice_flag, and the bin that tells I_PCM.
    bool terminate() {
        range_ -= 2;
        if (offset_ >= uint64_t{range_} << more_) return true;
        renormalise();
        return false;
    }

  private:
    void renormalise() {
        int shift = tables_->shift[range_];
        range_ <<= shift;
        more_ -= shift;
        if (more_ < 16) refill();
    }
    void refill() {
        // Behind the payload stand zeros; the pointer stays among them.
        offset_ = offset_ << 32 | load_be64(next_) >> 32;
        next_ = std::min(next_ + 4, limit_ + 64);
        more_ += 32;
    }

    const CabacTables* tables_;
    const uint8_t* data_;
    const uint8_t* next_;
    const uint8_t* limit_;
    uint64_t offset_ = 0;  // codIOffset << more_, and the bits loaded in advance
    uint32_t range_ = 510;
    int more_ = 0;
};

// The states of all contexts.
struct CabacContexts {
    uint8_t state[kContexts];
    // 9.3.1.1; `table` is 0 for I slices, else cabac_init_idc + 1.
    void start(int table, int slice_qp);
};

// ctxBlockCat (table 9-42); Cb and Cr have their own in 4:4:4.
enum BlockCat : int {
    kLumaDc = 0,
    kLumaAc = 1,
    kLuma4x4 = 2,
    kCatChromaDc = 3,
    kCatChromaAc = 4,
    kLuma8x8 = 5
};

// residual_block_cabac (7.3.5.3.3) behind coded_block_flag, of up to `max_coeffs` coefficients;
// `chroma_dc_step` is NumC8x8 for chroma DC. False where a level is larger than the standard allows.
bool read_cabac_block(CabacDecoder& decoder, CabacContexts& contexts, int cat, bool field, int max_coeffs,
                      int chroma_dc_step);

}  // namespace ov2::bitstream
