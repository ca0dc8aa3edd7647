#include "bitstream/h264_cabac.h"

namespace ov2::bitstream {
namespace {

constexpr int kMostSuffixBits = 24;  // levels of 14-bit samples need fewer

// The levels of `count` coefficients, last first (9.3.3.1.3), with their signs.
bool skip_levels(CabacDecoder& d, uint8_t* context, int cat, int count) {
    int equal_1 = 0, above_1 = 0;
    const int most_above = cat == kCatChromaDc ? 3 : 4;
    for (; count > 0; --count) {
        if (d.decide(context[above_1 != 0 ? 0 : std::min(4, 1 + equal_1)]) == 0) {
            ++equal_1;
        } else {
            uint8_t& state = context[5 + std::min(most_above, above_1)];
            int prefix = 1;
            while (prefix < 14 && d.decide(state) != 0) ++prefix;
            if (prefix == 14) {  // Exp-Golomb of order 0 (9.3.2.3)
                int k = 0;
                while (d.bypass() != 0) {
                    if (++k > kMostSuffixBits) return false;
                }
                while (k-- > 0) d.bypass();
            }
            ++above_1;
        }
        d.bypass();
    }
    return true;
}

// significant_coeff_flag and last_significant_coeff_flag: how many coefficients there are. The functions give
// ctxIdxInc of either by levelListIdx.
template <typename Significant, typename Last>
int count_coefficients(CabacDecoder& d, uint8_t* significant, uint8_t* last, int max_coeffs,
                       Significant significant_inc, Last last_inc) {
    int count = 0;
    for (int i = 0; i < max_coeffs - 1; ++i) {
        if (d.decide(significant[significant_inc(i)]) == 0) continue;
        ++count;
        if (d.decide(last[last_inc(i)]) != 0) return count;
    }
    return count + 1;
}

}  // namespace

CabacTables::CabacTables() {
    for (int s = 0; s < 128; ++s) {
        int index = s >> 1, mps = s & 1;
        for (int q = 0; q < 4; ++q) range_lps[q][s] = kRangeLps[index][q];
        next[s] = static_cast<uint8_t>(kTransIdx[index][1] << 1 | mps);
        int mps_after = index == 0 ? 1 - mps : mps;
        next[255 - s] = static_cast<uint8_t>(kTransIdx[index][0] << 1 | mps_after);
    }
    for (int range = 0; range < 512; ++range) {
        int doublings = 0;
        while (range != 0 && range << doublings < 256) ++doublings;
        shift[range] = static_cast<uint8_t>(doublings);
    }
}

const CabacTables& CabacTables::get() {
    static const CabacTables instance;
    return instance;
}

void CabacContexts::start(int table, int slice_qp) {
    int qp = std::clamp(slice_qp, 0, 51);
    for (int i = 0; i < kContexts; ++i) {
        int m = kContextInit[table][i][0], n = kContextInit[table][i][1];
        int pre = std::clamp(((m * qp) >> 4) + n, 1, 126);  // preCtxState
        state[i] = static_cast<uint8_t>(pre <= 63 ? (63 - pre) << 1 : (pre - 64) << 1 | 1);
    }
}

bool read_cabac_block(CabacDecoder& decoder, CabacContexts& contexts, int cat, bool field, int max_coeffs,
                      int chroma_dc_step) {
    CabacDecoder d = decoder;  // a copy that stays in registers
    uint8_t* significant = contexts.state + kSignificant[field][cat];
    uint8_t* last = contexts.state + kLastSignificant[field][cat];
    int count;
    if (max_coeffs == 64) {
        const uint8_t* table = kSignificant8x8[field];
        count = count_coefficients(
            d, significant, last, 64, [table](int i) { return table[i]; },
            [](int i) { return kLastSignificant8x8[i]; });
    } else if (cat == kCatChromaDc) {
        auto inc = [chroma_dc_step](int i) { return std::min(i / chroma_dc_step, 2); };
        count = count_coefficients(d, significant, last, max_coeffs, inc, inc);
    } else {
        auto inc = [](int i) { return i; };
        count = count_coefficients(d, significant, last, max_coeffs, inc, inc);
    }
    bool good = skip_levels(d, contexts.state + kCoeffAbsLevel[cat], cat, count);
    decoder = d;
    return good;
}

}  // namespace ov2::bitstream
