// Sequence and picture parameter sets (ITU-T H.264, 7.3.2.1 and 7.3.2.2), as far as parsing slices needs
// them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace ov2::bitstream {

// The largest picture that is accepted, in macroblocks: level 6.2 allows 139264.
constexpr int kMostMacroblocks = 1 << 18;

struct Sps {
    int chroma_format_idc = 1;
    bool separate_colour_plane = false;
    int bit_depth_luma = 8;
    int bit_depth_chroma = 8;
    int frame_num_bits = 4;
    int pic_order_cnt_type = 0;
    int pic_order_cnt_lsb_bits = 4;
    bool delta_pic_order_always_zero = false;
    int width_in_mbs = 0;
    int height_in_map_units = 0;
    bool frame_mbs_only = true;
    bool mb_adaptive_frame_field = false;
    bool direct_8x8_inference = false;
    int crop_left = 0, crop_right = 0, crop_top = 0, crop_bottom = 0;  // in luma pixels

    int chroma_array_type() const { return separate_colour_plane ? 0 : chroma_format_idc; }
    int height_in_mbs() const { return height_in_map_units * (frame_mbs_only ? 1 : 2); }  // of a frame
};

struct Pps {
    int sps_id = 0;
    bool entropy_coding_mode = false;
    bool bottom_field_pic_order_in_frame_present = false;
    int num_slice_groups = 1;
    int slice_group_map_type = 0;
    std::array<int, 8> run_length{};
    std::array<int, 8> top_left{};
    std::array<int, 8> bottom_right{};
    bool slice_group_change_direction = false;
    int slice_group_change_rate = 1;
    std::vector<uint8_t> slice_group_id;
    std::array<int, 2> num_ref_idx_default{1, 1};
    bool weighted_pred = false;
    int weighted_bipred_idc = 0;
    int pic_init_qp = 26;
    bool deblocking_filter_control_present = false;
    bool constrained_intra_pred = false;
    bool redundant_pic_cnt_present = false;
    bool transform_8x8_mode = false;
};

// What is in force at a picture. Copies share the sets themselves.
class ParameterSets {
  public:
    // Takes up a NAL unit if it is a parameter set; one that cannot be read takes the old one's place as
    // none.
    void absorb(const uint8_t* unit, int64_t size);
    // The sets of an avcC record (ISO/IEC 14496-15, 5.3.3.1). Returns the length prefix of its NAL units in
    // bytes.
    int absorb_avc_record(const uint8_t* record, int64_t size);

    const Sps* sps(uint32_t id) const { return id < sps_.size() ? sps_[id].get() : nullptr; }
    const Pps* pps(uint32_t id) const { return id < pps_.size() ? pps_[id].get() : nullptr; }

  private:
    std::array<std::shared_ptr<const Sps>, 32> sps_;
    std::array<std::shared_ptr<const Pps>, 256> pps_;
};

}  // namespace ov2::bitstream
