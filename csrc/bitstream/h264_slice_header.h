// The slice header (ITU-T H.264, 7.3.3).
#pragma once

#include <cstdint>

#include "bitstream/bit_reader.h"
#include "bitstream/h264_parameter_sets.h"
#include "bitstream/picture_cost.h"

namespace ov2::bitstream {

enum class SliceType : uint8_t { P = 0, B = 1, I = 2 };

struct SliceHeader {
    // Of the sets that were read with; gone when these change.
    const Sps* sps = nullptr;
    const Pps* pps = nullptr;
    bool idr = false;
    int nal_ref_idc = 0;
    uint32_t first_mb = 0;
    SliceType type = SliceType::I;
    uint32_t pps_id = 0;
    int sps_id = 0;
    int colour_plane = 0;
    uint32_t frame_num = 0;
    bool field_pic = false;
    bool bottom_field = false;
    uint32_t idr_pic_id = 0;
    uint32_t pic_order_cnt_lsb = 0;
    int32_t delta_pic_order_cnt_bottom = 0;
    int32_t delta_pic_order_cnt[2] = {0, 0};
    uint32_t redundant_pic_cnt = 0;
    int num_ref_idx[2] = {0, 0};  // num_ref_idx_lX_active_minus1 + 1
    int cabac_init_idc = 0;
    int qp = 26;  // SliceQPY
    uint32_t slice_group_change_cycle = 0;

    bool mbaff() const { return sps->mb_adaptive_frame_field && !field_pic; }  // MbaffFrameFlag
    // Of the picture, a field or a frame, in macroblocks.
    int height_in_mbs() const { return sps->height_in_mbs() >> (field_pic ? 1 : 0); }
    int macroblocks() const { return sps->width_in_mbs * height_in_mbs(); }

    // Whether both belong to the same primary coded picture (7.4.1.2.4). Looks at no parameter set.
    bool same_picture(const SliceHeader& other) const;
};

// Leaves the reader at the slice data. `unit_header` is the NAL unit's first byte.
Status read_slice_header(BitReader& reader, uint8_t unit_header, const ParameterSets& sets,
                         SliceHeader& header);

}  // namespace ov2::bitstream
