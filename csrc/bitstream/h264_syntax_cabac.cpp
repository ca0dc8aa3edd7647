#include "bitstream/h264_syntax_cabac.h"

namespace ov2::bitstream {
namespace {

constexpr int kBIntra = 23;  // mb_type of I_NxN in B slices, behind those of B macroblocks
constexpr int kPIntra = 5;

// condTermFlagA + condTermFlagB of a property: neighbours that are there and have none of the flags
// `without`.
int neighbours_without(const MbContext& mb, unsigned without) {
    const MbInfo *a = mb.near.a(), *b = mb.near.b();
    return (a != nullptr && !a->is(without) ? 1 : 0) + (b != nullptr && !b->is(without) ? 1 : 0);
}
int neighbours_with(const MbContext& mb, unsigned flag) {
    const MbInfo *a = mb.near.a(), *b = mb.near.b();
    return (a != nullptr && a->is(flag) ? 1 : 0) + (b != nullptr && b->is(flag) ? 1 : 0);
}

}  // namespace

CabacSyntax::CabacSyntax(const Rbsp& rbsp, int64_t position, const SliceHeader& header)
    : decoder_(rbsp), end_(rbsp.payload_bits()) {
    decoder_.start((position + 7) / 8);
    contexts_.start(header.type == SliceType::I ? 0 : header.cabac_init_idc + 1, header.qp);
}

// 9.3.3.1.1.1
bool CabacSyntax::mb_skip_flag(const MbContext& mb, SliceType type) {
    return bin((type == SliceType::P ? 11 : 24) + neighbours_without(mb, kSkip)) != 0;
}

// 9.3.2.5, table 9-36; ctxIdxInc of the first bin by 9.3.3.1.1.3.
int CabacSyntax::intra_mb_type(int base, bool intra_slice, int first_inc) {
    if (bin(base + first_inc) == 0) return 0;  // I_NxN
    if (decoder_.terminate()) return 25;       // I_PCM
    int at = base + (intra_slice ? 3 : 1);
    int extra = intra_slice ? 1 : 0;
    int type = 1 + 12 * bin(at);
    if (bin(at + 1) != 0) type += 4 + 4 * bin(at + 1 + extra);
    type += 2 * bin(at + 2 + extra);
    return type + bin(at + 2 + 2 * extra);
}

// Table 9-37, bins of B slices.
int CabacSyntax::b_mb_type(const MbContext& mb) {
    if (bin(27 + neighbours_without(mb, kDirect)) == 0) return 0;  // B_Direct_16x16
    if (bin(27 + 3) == 0) return 1 + bin(27 + 5);
    int bits = bin(27 + 4) << 3;
    bits |= bin(27 + 5) << 2;
    bits |= bin(27 + 5) << 1;
    bits |= bin(27 + 5);
    if (bits < 8) return bits + 3;
    if (bits == 13) return kBIntra + intra_mb_type(32, false, 0);
    if (bits == 14) return 11;  // B_L1_L0_8x16
    if (bits == 15) return 22;  // B_8x8
    return (bits << 1 | bin(27 + 5)) - 4;
}

int CabacSyntax::mb_type(const MbContext& mb, SliceType type) {
    if (type == SliceType::I) return intra_mb_type(3, true, neighbours_without(mb, kIntraNxN));
    if (type == SliceType::B) return b_mb_type(mb);
    if (bin(14) != 0) return kPIntra + intra_mb_type(17, false, 0);
    if (bin(15) == 0) return 3 * bin(16);  // P_L0_16x16 or P_8x8
    return 2 - bin(17);                    // P_L0_L0_8x16 or P_L0_L0_16x8
}

// 9.3.2.5, table 9-38.
int CabacSyntax::sub_mb_type(SliceType type) {
    if (type == SliceType::P) {
        if (bin(21) != 0) return 0;
        if (bin(22) == 0) return 1;
        return bin(23) != 0 ? 2 : 3;
    }
    if (bin(36) == 0) return 0;
    if (bin(37) == 0) return 1 + bin(39);
    int sub_type = 3;
    if (bin(38) != 0) {
        if (bin(39) != 0) return 11 + bin(39);
        sub_type += 4;
    }
    sub_type += 2 * bin(39);
    return sub_type + bin(39);
}

// 9.3.3.1.1.10
bool CabacSyntax::transform_size_8x8_flag(const MbContext& mb) {
    return bin(399 + neighbours_with(mb, kTransform8x8)) != 0;
}

void CabacSyntax::intra_pred_modes(int count) {
    for (int i = 0; i < count; ++i) {
        if (bin(68) != 0) continue;  // prev_intraNxN_pred_mode_flag
        bin(69);
        bin(69);
        bin(69);
    }
}

// 9.3.3.1.1.8
int CabacSyntax::intra_chroma_pred_mode(const MbContext& mb) {
    if (bin(64 + neighbours_with(mb, kChromaPred)) == 0) return 0;
    if (bin(64 + 3) == 0) return 1;
    return bin(64 + 3) == 0 ? 2 : 3;
}

// 9.3.3.1.1.4
int CabacSyntax::coded_block_pattern(const MbContext& mb) {
    int above = mb.near.above == nullptr ? 15 : mb.near.above->cbp;
    int cbp = 0;
    for (int block = 0; block < 4; ++block) {
        int x = block & 1, y = block >> 1;
        int left_bit;
        if (x == 1) {
            left_bit = cbp >> (2 * y) & 1;
        } else {
            const MbInfo* left = mb.near.left[2 * y];
            left_bit = left == nullptr ? 1 : left->cbp >> (2 * (mb.near.left_row[2 * y] >> 1) + 1) & 1;
        }
        int above_bit = y == 1 ? cbp >> x & 1 : above >> (2 + x) & 1;
        cbp |= bin(73 + (1 - left_bit) + 2 * (1 - above_bit)) << block;
    }
    int type = mb.chroma_array_type();
    if (type == 0 || type == 3) return cbp;
    int left_chroma = mb.near.a() == nullptr ? 0 : mb.near.a()->cbp >> 4;
    int above_chroma = mb.near.b() == nullptr ? 0 : mb.near.b()->cbp >> 4;
    if (bin(77 + (left_chroma != 0 ? 1 : 0) + (above_chroma != 0 ? 2 : 0)) == 0) return cbp;
    int both = bin(77 + 4 + (left_chroma == 2 ? 1 : 0) + (above_chroma == 2 ? 2 : 0));
    return cbp | (1 + both) << 4;
}

// 9.3.3.1.1.5; the mapped value is undone as in 9.1.1.
int CabacSyntax::mb_qp_delta() {
    int context = last_qp_delta_ != 0 ? 1 : 0;
    int value = 0;
    while (value < 512 && bin(60 + context) != 0) {
        context = 2 + (context >> 1);
        ++value;
    }
    last_qp_delta_ = (value & 1) != 0 ? (value + 1) / 2 : -(value / 2);
    return last_qp_delta_;
}

// 9.3.3.1.1.6
int CabacSyntax::ref_idx(const MbContext& mb, int list, int x, int y, int count) {
    const uint8_t* ref = mb.ref[list];
    int context = ref[block_at(x - 1, y)] + 2 * ref[block_at(x, y - 1)];
    int value = 0;
    while (bin(54 + context) != 0) {
        context = (context >> 2) + 4;
        if (++value >= count) return -1;
    }
    return value;
}

// 9.3.3.1.1.7, and the UEG3 binarisation with uCoff 9 (9.3.2.3). The absolute value, or -1.
int CabacSyntax::mvd_component(int base, int sum) {
    if (bin(base + (sum < 3 ? 0 : sum > 32 ? 2 : 1)) == 0) return 0;
    int value = 1;
    for (int context = 3; value < 9 && bin(base + context) != 0; ++value) {
        if (context < 6) ++context;
    }
    if (value == 9) {
        int k = 3;
        while (decoder_.bypass() != 0) {
            value += 1 << k;
            if (++k > 20) return -1;
        }
        while (k-- > 0) value += decoder_.bypass() << k;
    }
    decoder_.bypass();
    return value;
}

bool CabacSyntax::mvd(MbContext& mb, int list, int x, int y, int width, int height) {
    const uint8_t* left = mb.mvd[list][block_at(x - 1, y)];
    const uint8_t* above = mb.mvd[list][block_at(x, y - 1)];
    int dx = mvd_component(40, left[0] + above[0]);
    int dy = mvd_component(47, left[1] + above[1]);
    if (dx < 0 || dy < 0) return false;
    mb.fill_mvd(list, x, y, width, height, dx, dy);
    return true;
}

// 9.3.1.2: what follows the samples is decoded anew.
void CabacSyntax::skip_pcm(int64_t bits) {
    decoder_.start((decoder_.position() + 7) / 8 + bits / 8);
}

// 9.3.3.1.1.9 for the blocks of which a plane has one.
bool CabacSyntax::dc(MbContext& mb, int plane, int cat, int max_coeffs, int chroma_dc_step) {
    int missing = mb.is(kIntra) ? 1 : 0;
    const MbInfo *a = mb.near.a(), *b = mb.near.b();
    int left = a == nullptr ? missing : a->dc_coded >> plane & 1;
    int above = b == nullptr ? missing : b->dc_coded >> plane & 1;
    if (bin(kCodedBlockFlag[cat] + left + 2 * above) == 0) return true;
    mb.dc_coded = static_cast<uint8_t>(mb.dc_coded | 1 << plane);
    return read_cabac_block(decoder_, contexts_, cat, mb.field_coding, max_coeffs, chroma_dc_step);
}

bool CabacSyntax::block_8x8(MbContext& mb, int plane, int x, int y) {
    static constexpr int kCats[3] = {kLuma8x8, 9, 13};
    uint8_t* coeffs = mb.coeffs[plane];
    int coded = 1;  // inferred, except in 4:4:4
    if (mb.chroma_array_type() == 3) {
        int inc = (coeffs[block_at(x - 1, y)] != 0 ? 1 : 0) + (coeffs[block_at(x, y - 1)] != 0 ? 2 : 0);
        coded = bin(kCodedBlockFlag[kCats[plane]] + inc);
    }
    for (int i = 0; i < 4; ++i) coeffs[block_at(x + (i & 1), y + (i >> 1))] = static_cast<uint8_t>(coded);
    return coded == 0 || read_cabac_block(decoder_, contexts_, kCats[plane], mb.field_coding, 64, 1);
}

}  // namespace ov2::bitstream
