// The macroblock layer (ITU-T H.264, 7.3.5), the same for both ways of entropy coding.
#pragma once

#include <cstdint>

#include "bitstream/h264_mb_context.h"

namespace ov2::bitstream {

// Which lists a partition uses, as bits.
enum Lists : uint8_t { kNone = 0, kL0 = 1, kL1 = 2, kBi = 3 };

// Tables 7-13 and 7-14: partitions of 16x16, 16x8, 8x16 with the lists of each.
struct Partitioning {
    uint8_t width, height;  // in 4x4 blocks
    uint8_t lists[2];
};
constexpr Partitioning kPartitionings[] = {
    {4, 4, {kL0, 0}},                                          // the inter types of P slices, 0 to 2, ...
    {4, 2, {kL0, kL0}}, {2, 4, {kL0, kL0}}, {4, 4, {kL0, 0}},  // ... and of B slices, 1 to 21
    {4, 4, {kL1, 0}},   {4, 4, {kBi, 0}},   {4, 2, {kL0, kL0}}, {2, 4, {kL0, kL0}}, {4, 2, {kL1, kL1}},
    {2, 4, {kL1, kL1}}, {4, 2, {kL0, kL1}}, {2, 4, {kL0, kL1}}, {4, 2, {kL1, kL0}}, {2, 4, {kL1, kL0}},
    {4, 2, {kL0, kBi}}, {2, 4, {kL0, kBi}}, {4, 2, {kL1, kBi}}, {2, 4, {kL1, kBi}}, {4, 2, {kBi, kL0}},
    {2, 4, {kBi, kL0}}, {4, 2, {kBi, kL1}}, {2, 4, {kBi, kL1}}, {4, 2, {kBi, kBi}}, {2, 4, {kBi, kBi}},
};
constexpr int kFirstBPartitioning = 3 - 1;  // mb_type 1 of B slices stands at 3

// Tables 7-17 and 7-18: sub-macroblocks; `lists` is kNone for B_Direct_8x8.
struct SubPartitioning {
    uint8_t width, height;
    uint8_t lists;
};
constexpr SubPartitioning kSubPartitionings[] = {
    {2, 2, kL0},   {2, 1, kL0}, {1, 2, kL0}, {1, 1, kL0},                            // P, 0 to 3
    {2, 2, kNone}, {2, 2, kL0}, {2, 2, kL1}, {2, 2, kBi}, {2, 1, kL0}, {1, 2, kL0},  // B, 0 to 12
    {2, 1, kL1},   {1, 2, kL1}, {2, 1, kBi}, {1, 2, kBi}, {1, 1, kL0}, {1, 1, kL1}, {1, 1, kBi},
};
constexpr int kFirstBSubPartitioning = 4;

template <typename Syntax>
class MacroblockLayer {
  public:
    MacroblockLayer(Syntax& syntax, const SliceHeader& header)
        : syntax_(syntax), header_(header), sps_(*header.sps), pps_(*header.pps) {
        mb_.header = &header;
        mb_.mbaff = header.mbaff();
    }

    const MbContext& context() const { return mb_; }

    void look_around(const Neighbours& near, bool field) {
        mb_.near = near;
        mb_.field = field;
        mb_.field_coding = field || header_.field_pic;
        mb_.flags = field ? kField : 0;
        mb_.cbp = 0;
        mb_.dc_coded = 0;
    }

    // P_Skip or B_Skip.
    void skip(MbInfo& mb, bool field);

    // macroblock_layer. False where something stands there that the standard does not allow.
    bool parse(MbInfo& mb);

  private:
    bool pcm(MbInfo& mb);
    bool intra_pred(int mb_type);
    bool inter_pred(int mb_type);
    bool partitions(const Partitioning& shape);
    bool sub_mb_pred(bool refs_are_0);
    bool ref_idx(int list, int x, int y, int width, int height);
    bool qp_delta();
    bool residual();
    bool residual_plane(int plane);
    bool residual_chroma();

    int lists() const { return header_.type == SliceType::I ? 0 : header_.type == SliceType::P ? 1 : 2; }
    // num_ref_idx_lX_active_minus1 + 1, twice as many for the fields of a frame.
    int ref_count(int list) const { return header_.num_ref_idx[list] << (mb_.field ? 1 : 0); }

    Syntax& syntax_;
    const SliceHeader& header_;
    const Sps& sps_;
    const Pps& pps_;
    MbContext mb_;
    bool may_be_8x8_ = false;  // transform_size_8x8_flag may follow coded_block_pattern
};

template <typename Syntax>
void MacroblockLayer<Syntax>::skip(MbInfo& mb, bool field) {
    uint32_t slice = mb.slice;
    mb = MbInfo{};
    mb.slice = slice;
    mb.flags =
        static_cast<uint16_t>(kSkip | (header_.type == SliceType::B ? kDirect : 0) | (field ? kField : 0));
}

template <typename Syntax>
bool MacroblockLayer<Syntax>::parse(MbInfo& mb) {
    int type = syntax_.mb_type(mb_, header_.type);
    int first_intra = header_.type == SliceType::I ? 0 : header_.type == SliceType::P ? 5 : 23;
    if (type > first_intra + 25) return false;
    bool inter = type < first_intra;
    if (!inter) {
        type -= first_intra;
        mb_.flags |= static_cast<uint16_t>(kIntra | (type == 0    ? kIntraNxN
                                                     : type == 25 ? kPcm
                                                                  : kIntra16x16));
        if (type == 25) return pcm(mb);
    }
    may_be_8x8_ = pps_.transform_8x8_mode;
    bool intra_16x16 = mb_.is(kIntra16x16);
    if (!(inter ? inter_pred(type) : intra_pred(type))) return false;

    if (intra_16x16) {
        // Table 7-11: the pattern is part of the type.
        mb_.cbp = static_cast<uint8_t>((type > 12 ? 15 : 0) | ((type - 1) / 4 % 3) << 4);
    } else {
        int cbp = syntax_.coded_block_pattern(mb_);
        if (cbp < 0) return false;
        mb_.cbp = static_cast<uint8_t>(cbp);
        if (inter && may_be_8x8_ && (cbp & 15) != 0 && syntax_.transform_size_8x8_flag(mb_)) {
            mb_.flags |= kTransform8x8;
        }
    }
    bool coded = mb_.cbp != 0 || intra_16x16;
    if (coded) {
        if (!qp_delta() || !residual()) return false;
    } else if constexpr (Syntax::kArithmetic) {
        syntax_.no_qp_delta();
    }
    mb_.store(mb, coded, Syntax::kArithmetic && inter && !mb_.is(kDirect) ? lists() : 0);
    return true;
}

// The samples of I_PCM (7.3.5).
template <typename Syntax>
bool MacroblockLayer<Syntax>::pcm(MbInfo& mb) {
    static constexpr int kChromaSamples[4] = {0, 128, 256, 512};
    syntax_.skip_pcm(256 * sps_.bit_depth_luma +
                     kChromaSamples[sps_.chroma_array_type()] * sps_.bit_depth_chroma);
    mb_.cbp = 0x2f;
    mb_.dc_coded = 7;
    mb_.store(mb, false, 0);
    std::memset(mb.right_coeffs, 16, sizeof mb.right_coeffs);
    std::memset(mb.bottom_coeffs, 16, sizeof mb.bottom_coeffs);
    if constexpr (Syntax::kArithmetic) syntax_.no_qp_delta();
    return true;
}

// mb_pred of intra macroblocks (7.3.5.1), behind transform_size_8x8_flag.
template <typename Syntax>
bool MacroblockLayer<Syntax>::intra_pred(int) {
    if (mb_.is(kIntraNxN)) {
        if (may_be_8x8_ && syntax_.transform_size_8x8_flag(mb_)) mb_.flags |= kTransform8x8;
        syntax_.intra_pred_modes(mb_.is(kTransform8x8) ? 4 : 16);
    }
    int type = sps_.chroma_array_type();
    if (type == 1 || type == 2) {
        int mode = syntax_.intra_chroma_pred_mode(mb_);
        if (mode > 3) return false;
        if (mode != 0) mb_.flags |= kChromaPred;
    }
    return true;
}

template <typename Syntax>
bool MacroblockLayer<Syntax>::inter_pred(int type) {
    bool b = header_.type == SliceType::B;
    if constexpr (Syntax::kArithmetic) {
        if (!(b && type == 0)) {
            mb_.load_motion(lists());
            std::memset(mb_.ref_value, 0, sizeof mb_.ref_value);
        }
    }
    if (!b) return type < 3 ? partitions(kPartitionings[type]) : sub_mb_pred(type == 4);
    if (type == 0) {  // B_Direct_16x16
        mb_.flags |= kDirect;
        may_be_8x8_ = may_be_8x8_ && sps_.direct_8x8_inference;
        return true;
    }
    return type == 22 ? sub_mb_pred(false) : partitions(kPartitionings[kFirstBPartitioning + type]);
}

template <typename Syntax>
bool MacroblockLayer<Syntax>::ref_idx(int list, int x, int y, int width, int height) {
    int count = ref_count(list);
    if (count == 1) return true;
    int value = syntax_.ref_idx(mb_, list, x, y, count);
    if (value < 0 || value >= count) return false;
    if constexpr (Syntax::kArithmetic) mb_.fill_ref(list, x, y, width, height, value);
    return true;
}

// mb_pred of inter macroblocks (7.3.5.1).
template <typename Syntax>
bool MacroblockLayer<Syntax>::partitions(const Partitioning& shape) {
    int w = shape.width, h = shape.height;
    int count = w == 4 && h == 4 ? 1 : 2;
    for (int list = 0; list < lists(); ++list) {
        for (int i = 0; i < count; ++i) {
            if ((shape.lists[i] >> list & 1) == 0) continue;
            if (!ref_idx(list, w == 2 ? 2 * i : 0, h == 2 ? 2 * i : 0, w, h)) return false;
        }
    }
    for (int list = 0; list < lists(); ++list) {
        for (int i = 0; i < count; ++i) {
            if ((shape.lists[i] >> list & 1) == 0) continue;
            if (!syntax_.mvd(mb_, list, w == 2 ? 2 * i : 0, h == 2 ? 2 * i : 0, w, h)) return false;
        }
    }
    return true;
}

// 7.3.5.2
template <typename Syntax>
bool MacroblockLayer<Syntax>::sub_mb_pred(bool refs_are_0) {
    bool b = header_.type == SliceType::B;
    const SubPartitioning* subs[4];
    for (const SubPartitioning*& sub : subs) {
        int type = syntax_.sub_mb_type(header_.type);
        if (type >= (b ? 13 : 4)) return false;
        sub = &kSubPartitionings[(b ? kFirstBSubPartitioning : 0) + type];
        bool direct = sub->lists == kNone;
        if (direct ? !sps_.direct_8x8_inference : sub->width * sub->height < 4) may_be_8x8_ = false;
    }
    for (int list = 0; list < lists(); ++list) {
        for (int i = 0; i < 4; ++i) {
            if ((subs[i]->lists >> list & 1) == 0 || refs_are_0) continue;
            if (!ref_idx(list, i % 2 * 2, i / 2 * 2, 2, 2)) return false;
        }
    }
    for (int list = 0; list < lists(); ++list) {
        for (int i = 0; i < 4; ++i) {
            const SubPartitioning& sub = *subs[i];
            if ((sub.lists >> list & 1) == 0) continue;
            for (int y = 0; y < 2; y += sub.height) {
                for (int x = 0; x < 2; x += sub.width) {
                    if (!syntax_.mvd(mb_, list, i % 2 * 2 + x, i / 2 * 2 + y, sub.width, sub.height))
                        return false;
                }
            }
        }
    }
    return true;
}

// 7.4.5
template <typename Syntax>
bool MacroblockLayer<Syntax>::qp_delta() {
    int half_range = 26 + 3 * (sps_.bit_depth_luma - 8);  // 26 + QpBdOffsetY / 2
    int delta = syntax_.mb_qp_delta();
    return delta >= -half_range && delta < half_range;
}

// 7.3.5.3
template <typename Syntax>
bool MacroblockLayer<Syntax>::residual() {
    syntax_.load(mb_);
    if (!residual_plane(0)) return false;
    switch (sps_.chroma_array_type()) {
        case 0:
            return true;
        case 3:
            return residual_plane(1) && residual_plane(2);
        default:
            return residual_chroma();
    }
}

// residual_luma (7.3.5.3.1), for any plane that is coded like luma.
template <typename Syntax>
bool MacroblockLayer<Syntax>::residual_plane(int plane) {
    bool intra_16x16 = mb_.is(kIntra16x16);
    if (intra_16x16 && !syntax_.luma_dc(mb_, plane)) return false;
    for (int i = 0; i < 4; ++i) {
        if ((mb_.cbp >> i & 1) == 0) continue;
        int x = i % 2 * 2, y = i / 2 * 2;
        if (mb_.is(kTransform8x8)) {
            if (!syntax_.block_8x8(mb_, plane, x, y)) return false;
            continue;
        }
        for (int j = 0; j < 4; ++j) {
            if (!syntax_.block_4x4(mb_, plane, x + j % 2, y + j / 2, intra_16x16)) return false;
        }
    }
    return true;
}

template <typename Syntax>
bool MacroblockLayer<Syntax>::residual_chroma() {
    int chroma = mb_.cbp >> 4;
    if (chroma == 0) return true;
    for (int plane = 1; plane < 3; ++plane) {
        if (!syntax_.chroma_dc(mb_, plane)) return false;
    }
    if (chroma != 2) return true;
    int blocks = sps_.chroma_array_type() == 2 ? 8 : 4;
    for (int plane = 1; plane < 3; ++plane) {
        for (int i = 0; i < blocks; ++i) {
            if (!syntax_.chroma_ac(mb_, plane, i % 2, i / 2)) return false;
        }
    }
    return true;
}

}  // namespace ov2::bitstream
