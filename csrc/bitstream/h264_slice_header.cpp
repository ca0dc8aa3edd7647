#include "bitstream/h264_slice_header.h"

namespace ov2::bitstream {
namespace {

int bits_for(uint32_t values) {
    int bits = 0;
    while ((uint64_t{1} << bits) < values) ++bits;
    return bits;
}

// 7.3.3.1
bool skip_ref_pic_list_modification(BitReader& r, SliceType type) {
    for (int list = 0; list < (type == SliceType::I ? 0 : type == SliceType::P ? 1 : 2); ++list) {
        if (!r.flag()) continue;
        // As many commands as there are entries, and an end; no list has more than 32.
        for (int i = 0;; ++i) {
            uint32_t idc = r.ue();
            if (idc == 3) break;
            if (idc > 5 || i > 66 || r.overrun()) return false;
            r.ue();
        }
    }
    return true;
}

// 7.3.3.2
void skip_pred_weight_table(BitReader& r, const SliceHeader& header) {
    bool chroma = header.sps->chroma_array_type() != 0;
    r.ue();  // luma_log2_weight_denom
    if (chroma) r.ue();
    for (int list = 0; list < (header.type == SliceType::B ? 2 : 1); ++list) {
        for (int i = 0; i < header.num_ref_idx[list] && !r.overrun(); ++i) {
            if (r.flag()) {
                r.se();
                r.se();
            }
            if (!chroma || !r.flag()) continue;
            for (int j = 0; j < 4; ++j) r.se();
        }
    }
}

// 7.3.3.3
bool skip_dec_ref_pic_marking(BitReader& r, bool idr) {
    if (idr) {
        r.skip(2);  // no_output_of_prior_pics_flag, long_term_reference_flag
        return true;
    }
    if (!r.flag()) return true;  // adaptive_ref_pic_marking_mode_flag
    for (int i = 0;; ++i) {
        uint32_t operation = r.ue();
        if (operation == 0) return true;
        if (operation > 6 || i > 66 || r.overrun()) return false;
        if (operation != 5) r.ue();
        if (operation == 3) r.ue();
    }
}

// 7.3.3, from slice_group_change_cycle's conditions (7-35).
void read_slice_group_change(BitReader& r, SliceHeader& header) {
    const Pps& pps = *header.pps;
    int type = pps.slice_group_map_type;
    if (pps.num_slice_groups <= 1 || type < 3 || type > 5) return;
    int units = header.sps->width_in_mbs * header.sps->height_in_map_units;
    int rate = pps.slice_group_change_rate;
    header.slice_group_change_cycle = r.u(bits_for(static_cast<uint32_t>((units + rate - 1) / rate) + 1));
}

}  // namespace

bool SliceHeader::same_picture(const SliceHeader& other) const {
    return sps_id == other.sps_id && frame_num == other.frame_num && field_pic == other.field_pic &&
           bottom_field == other.bottom_field && (nal_ref_idc == 0) == (other.nal_ref_idc == 0) &&
           idr == other.idr && idr_pic_id == other.idr_pic_id &&
           pic_order_cnt_lsb == other.pic_order_cnt_lsb &&
           delta_pic_order_cnt_bottom == other.delta_pic_order_cnt_bottom &&
           delta_pic_order_cnt[0] == other.delta_pic_order_cnt[0] &&
           delta_pic_order_cnt[1] == other.delta_pic_order_cnt[1];
}

Status read_slice_header(BitReader& r, uint8_t unit_header, const ParameterSets& sets, SliceHeader& header) {
    header = SliceHeader{};
    header.nal_ref_idc = unit_header >> 5 & 3;
    header.idr = (unit_header & 31) == 5;
    header.first_mb = r.ue();
    uint32_t type = r.ue();
    header.pps_id = r.ue();
    if (r.overrun() || type > 9) return Status::broken;
    type %= 5;
    if (type > 2) return Status::switching_slices;
    header.type = static_cast<SliceType>(type);
    header.pps = sets.pps(header.pps_id);
    header.sps = header.pps == nullptr ? nullptr : sets.sps(static_cast<uint32_t>(header.pps->sps_id));
    if (header.sps == nullptr) return Status::parameter_sets;
    header.sps_id = header.pps->sps_id;
    const Sps& sps = *header.sps;
    const Pps& pps = *header.pps;

    if (sps.separate_colour_plane) {
        header.colour_plane = static_cast<int>(r.u(2));
        if (header.colour_plane > 2) return Status::broken;
    }
    header.frame_num = r.u(sps.frame_num_bits);
    if (!sps.frame_mbs_only) {
        header.field_pic = r.flag();
        if (header.field_pic) header.bottom_field = r.flag();
    }
    if (header.idr) header.idr_pic_id = r.ue();
    bool both_fields = pps.bottom_field_pic_order_in_frame_present && !header.field_pic;
    if (sps.pic_order_cnt_type == 0) {
        header.pic_order_cnt_lsb = r.u(sps.pic_order_cnt_lsb_bits);
        if (both_fields) header.delta_pic_order_cnt_bottom = r.se();
    } else if (sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero) {
        header.delta_pic_order_cnt[0] = r.se();
        if (both_fields) header.delta_pic_order_cnt[1] = r.se();
    }
    if (pps.redundant_pic_cnt_present) header.redundant_pic_cnt = r.ue();
    if (header.type == SliceType::B) r.skip(1);  // direct_spatial_mv_pred_flag
    if (header.type != SliceType::I) {
        int lists = header.type == SliceType::B ? 2 : 1;
        bool override = r.flag();  // num_ref_idx_active_override_flag
        for (int list = 0; list < lists; ++list) {
            uint32_t active = override ? r.ue() + 1 : static_cast<uint32_t>(pps.num_ref_idx_default[list]);
            if (active > 32 || active == 0) return Status::broken;
            header.num_ref_idx[list] = static_cast<int>(active);
        }
    }
    if (!skip_ref_pic_list_modification(r, header.type)) return Status::broken;
    if ((pps.weighted_pred && header.type == SliceType::P) ||
        (pps.weighted_bipred_idc == 1 && header.type == SliceType::B)) {
        skip_pred_weight_table(r, header);
    }
    if (header.nal_ref_idc != 0 && !skip_dec_ref_pic_marking(r, header.idr)) return Status::broken;
    if (pps.entropy_coding_mode && header.type != SliceType::I) {
        uint32_t idc = r.ue();
        if (idc > 2) return Status::broken;
        header.cabac_init_idc = static_cast<int>(idc);
    }
    int32_t delta = r.se();  // slice_qp_delta
    if (delta < -256 || delta > 256) return Status::broken;
    header.qp = pps.pic_init_qp + delta;
    if (header.qp < -6 * (sps.bit_depth_luma - 8) || header.qp > 51) return Status::broken;
    if (pps.deblocking_filter_control_present) {
        uint32_t idc = r.ue();  // disable_deblocking_filter_idc
        if (idc > 2) return Status::broken;
        if (idc != 1) {
            r.se();
            r.se();
        }
    }
    read_slice_group_change(r, header);
    if (r.overrun() || header.first_mb >= static_cast<uint32_t>(header.macroblocks())) return Status::broken;
    return Status::ok;
}

}  // namespace ov2::bitstream
