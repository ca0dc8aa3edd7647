#include "bitstream/h264_parameter_sets.h"

#include <algorithm>

#include "bitstream/bit_reader.h"

namespace ov2::bitstream {
namespace {

// 7.3.2.1.1.1
void skip_scaling_list(BitReader& r, int size) {
    int last = 8, next = 8;
    for (int j = 0; j < size && next != 0; ++j) {
        next = static_cast<int>((static_cast<uint32_t>(last) + static_cast<uint32_t>(r.se())) & 255);
        if (next != 0) last = next;
        if (r.overrun()) return;
    }
}

bool has_chroma_format(uint32_t profile_idc) {
    for (uint32_t profile : {100u, 110u, 122u, 244u, 44u, 83u, 86u, 118u, 128u, 138u, 139u, 134u, 135u}) {
        if (profile == profile_idc) return true;
    }
    return false;
}

// The end of 7.3.2.1.1; offsets are in units of 6.4.1, (7-19) to (7-22).
void read_cropping(BitReader& r, Sps& sps) {
    int type = sps.chroma_array_type();
    int unit_x = type == 1 || type == 2 ? 2 : 1;
    int unit_y = (type == 1 ? 2 : 1) * (sps.frame_mbs_only ? 1 : 2);
    for (int* side : {&sps.crop_left, &sps.crop_right, &sps.crop_top, &sps.crop_bottom}) {
        int unit = side == &sps.crop_left || side == &sps.crop_right ? unit_x : unit_y;
        *side = static_cast<int>(std::min(r.ue(), uint32_t{1} << 20)) * unit;
    }
}

// 7.3.2.1.1; the video usability information at its end tells nothing that parsing needs.
std::shared_ptr<const Sps> read_sps(BitReader& r, uint32_t& id) {
    auto sps = std::make_shared<Sps>();
    uint32_t profile_idc = r.u(8);
    r.skip(16);  // constraint flags, level_idc
    id = r.ue();
    if (has_chroma_format(profile_idc)) {
        sps->chroma_format_idc = static_cast<int>(r.ue());
        if (sps->chroma_format_idc < 0 || sps->chroma_format_idc > 3) return nullptr;
        if (sps->chroma_format_idc == 3) sps->separate_colour_plane = r.flag();
        uint32_t luma = r.ue(), chroma = r.ue();
        if (luma > 6 || chroma > 6) return nullptr;
        sps->bit_depth_luma = 8 + static_cast<int>(luma);
        sps->bit_depth_chroma = 8 + static_cast<int>(chroma);
        r.skip(1);       // qpprime_y_zero_transform_bypass_flag
        if (r.flag()) {  // seq_scaling_matrix_present_flag
            for (int i = 0; i < (sps->chroma_format_idc == 3 ? 12 : 8); ++i) {
                if (r.flag()) skip_scaling_list(r, i < 6 ? 16 : 64);
            }
        }
    }
    uint32_t frame_num_bits = r.ue() + 4;
    uint32_t order_type = r.ue();
    if (r.overrun() || frame_num_bits > 16 || order_type > 2) return nullptr;
    sps->frame_num_bits = static_cast<int>(frame_num_bits);
    sps->pic_order_cnt_type = static_cast<int>(order_type);
    if (order_type == 0) {
        uint32_t bits = r.ue() + 4;
        if (bits > 16) return nullptr;
        sps->pic_order_cnt_lsb_bits = static_cast<int>(bits);
    } else if (order_type == 1) {
        sps->delta_pic_order_always_zero = r.flag();
        r.se();  // offset_for_non_ref_pic
        r.se();  // offset_for_top_to_bottom_field
        uint32_t cycle = r.ue();
        if (cycle > 255) return nullptr;
        for (uint32_t i = 0; i < cycle && !r.overrun(); ++i) r.se();
    }
    r.ue();     // max_num_ref_frames
    r.skip(1);  // gaps_in_frame_num_value_allowed_flag
    uint32_t width = r.ue(), height = r.ue();
    if (r.overrun() || width >= kMostMacroblocks || height >= kMostMacroblocks) return nullptr;
    sps->width_in_mbs = static_cast<int>(width) + 1;
    sps->height_in_map_units = static_cast<int>(height) + 1;
    sps->frame_mbs_only = r.flag();
    if (!sps->frame_mbs_only) sps->mb_adaptive_frame_field = r.flag();
    sps->direct_8x8_inference = r.flag();
    if (r.flag()) read_cropping(r, *sps);
    if (int64_t{sps->width_in_mbs} * sps->height_in_mbs() > kMostMacroblocks) return nullptr;
    return r.overrun() ? nullptr : sps;
}

int at_most(uint32_t value, int most) {
    return static_cast<int>(std::min<uint32_t>(value, static_cast<uint32_t>(most)));
}

// The part of 7.3.2.2 about slice groups.
bool read_slice_groups(BitReader& r, Pps& pps) {
    uint32_t type = r.ue();
    if (type > 6) return false;
    pps.slice_group_map_type = static_cast<int>(type);
    auto groups = static_cast<size_t>(pps.num_slice_groups);
    if (type == 0) {
        for (size_t i = 0; i < groups; ++i) pps.run_length[i] = at_most(r.ue(), kMostMacroblocks) + 1;
    } else if (type == 2) {
        for (size_t i = 0; i + 1 < groups; ++i) {
            pps.top_left[i] = at_most(r.ue(), kMostMacroblocks);
            pps.bottom_right[i] = at_most(r.ue(), kMostMacroblocks);
        }
    } else if (type >= 3 && type <= 5) {
        pps.slice_group_change_direction = r.flag();
        pps.slice_group_change_rate = at_most(r.ue(), kMostMacroblocks) + 1;
    } else if (type == 6) {
        uint32_t count = r.ue() + 1;
        int bits = groups > 4 ? 3 : groups > 2 ? 2 : 1;
        if (count > kMostMacroblocks) return false;
        pps.slice_group_id.reserve(count);
        for (uint32_t i = 0; i < count && !r.overrun(); ++i) {
            pps.slice_group_id.push_back(static_cast<uint8_t>(r.u(bits)));
        }
    }
    return !r.overrun();
}

// 7.3.2.2, up to transform_8x8_mode_flag.
std::shared_ptr<const Pps> read_pps(BitReader& r, uint32_t& id) {
    auto pps = std::make_shared<Pps>();
    id = r.ue();
    uint32_t sps_id = r.ue();
    if (sps_id > 31) return nullptr;
    pps->sps_id = static_cast<int>(sps_id);
    pps->entropy_coding_mode = r.flag();
    pps->bottom_field_pic_order_in_frame_present = r.flag();
    uint32_t groups = r.ue() + 1;
    if (groups > 8) return nullptr;
    pps->num_slice_groups = static_cast<int>(groups);
    if (groups > 1 && !read_slice_groups(r, *pps)) return nullptr;
    for (int& active : pps->num_ref_idx_default) active = at_most(r.ue(), 31) + 1;
    pps->weighted_pred = r.flag();
    pps->weighted_bipred_idc = static_cast<int>(r.u(2));
    int32_t qp = r.se();  // pic_init_qp_minus26
    if (qp < -128 || qp > 127) return nullptr;
    pps->pic_init_qp = 26 + qp;
    r.se();  // pic_init_qs_minus26
    r.se();  // chroma_qp_index_offset
    pps->deblocking_filter_control_present = r.flag();
    pps->constrained_intra_pred = r.flag();
    pps->redundant_pic_cnt_present = r.flag();
    if (r.overrun()) return nullptr;
    if (r.more_data()) pps->transform_8x8_mode = r.flag();
    return pps;
}

}  // namespace

void ParameterSets::absorb(const uint8_t* unit, int64_t size) {
    int type = unit[0] & 31;
    if ((type != 7 && type != 8) || size < 2) return;
    Rbsp rbsp;
    rbsp.assign(unit, size);
    BitReader reader(rbsp);
    uint32_t id = 0;
    if (type == 7) {
        auto sps = read_sps(reader, id);
        if (id < sps_.size()) sps_[id] = std::move(sps);
    } else {
        auto pps = read_pps(reader, id);
        if (id < pps_.size()) pps_[id] = std::move(pps);
    }
}

int ParameterSets::absorb_avc_record(const uint8_t* record, int64_t size) {
    if (size < 7 || record[0] != 1) return 0;
    int64_t at = 5;
    for (int mask : {31, 255}) {
        if (at >= size) break;
        for (int count = record[at++] & mask; count > 0 && size - at > 2; --count) {
            int64_t bytes = std::min<int64_t>(record[at] << 8 | record[at + 1], size - at - 2);
            if (bytes > 0) absorb(record + at + 2, bytes);
            at += 2 + bytes;
        }
    }
    return (record[4] & 3) + 1;
}

}  // namespace ov2::bitstream
