#include "bitstream/h264_parser.h"

#include <algorithm>
#include <optional>

#include "bitstream/h264_slice_data.h"
#include "bitstream/h264_slice_groups.h"

namespace ov2::bitstream {
namespace {

// nal_unit_type (table 7-1)
enum Nal { kSlice = 1, kPartitionA = 2, kPartitionC = 4, kIdrSlice = 5, kSps = 7, kPps = 8 };

// Profiles with slice groups end at level 5.1.
constexpr int kMostMacroblocksInGroups = 36864;

// The frame that a picture belongs to.
void shape(const Sps& sps, PictureCost& cost) {
    cost.width = sps.width_in_mbs;
    cost.height = sps.height_in_mbs();
    cost.crop_left = sps.crop_left;
    cost.crop_top = sps.crop_top;
    cost.shown_width = 16 * cost.width - sps.crop_left - sps.crop_right;
    cost.shown_height = 16 * cost.height - sps.crop_top - sps.crop_bottom;
    cost.bits.assign(static_cast<size_t>(cost.width) * static_cast<size_t>(cost.height), 0);
    cost.field_pair.assign(cost.bits.size(), 0);
}

}  // namespace

// What the slices of a packet have in common.
struct H264Parser::Picture {
    bool started = false;
    SliceHeader first;  // of the current field or frame
    uint32_t first_slice = 0;
    int64_t expected = 0;  // macroblocks
    int64_t found = 0;
    bool has_field[2] = {false, false};
    bool has_type[3] = {false, false, false};
    std::vector<uint8_t> group_map;
    uint32_t group_map_pps = 0, group_map_cycle = 0;

    bool complete() const { return found == expected; }
};

PictureCost H264Parser::parse(const uint8_t* packet, int64_t size, int length_size,
                              const ParameterSets& sets) {
    PictureCost cost;
    cost.status = parse_units(packet, size, length_size, sets, cost);
    if (cost.status != Status::ok) {
        Status status = cost.status;
        cost = PictureCost{};
        cost.status = status;
    }
    return cost;
}

Status H264Parser::parse_units(const uint8_t* packet, int64_t size, int length_size,
                               const ParameterSets& sets, PictureCost& cost) {
    Picture picture;
    std::optional<ParameterSets> own;  // with those that the packet brings
    for (NalUnits units(packet, size, length_size); units.next();) {
        int type = units.type();
        if (type == kSps || type == kPps) {
            if (!own) own = sets;
            own->absorb(units.data(), units.size());
            picture.group_map.clear();
        }
        if (type >= kPartitionA && type <= kPartitionC) return Status::data_partitioning;
        if (type != kSlice && type != kIdrSlice) continue;
        Status status = parse_slice(units, own ? *own : sets, picture, cost);
        if (status != Status::ok) return status;
    }
    if (!picture.started) return Status::no_picture;
    for (SliceType type : {SliceType::P, SliceType::B, SliceType::I}) {
        if (picture.has_type[static_cast<int>(type)]) cost.slice_types += "PBI"[static_cast<int>(type)];
    }
    return picture.complete() ? Status::ok : Status::incomplete;
}

Status H264Parser::parse_slice(const NalUnits& unit, const ParameterSets& sets, Picture& picture,
                               PictureCost& cost) {
    if (unit.size() < 2) return Status::broken;
    rbsp_.assign(unit.data(), unit.size());
    BitReader reader(rbsp_);
    SliceHeader header;
    Status status = read_slice_header(reader, unit.data()[0], sets, header);
    if (status != Status::ok) return status;
    // A second version of what is there already (7.4.3).
    if (header.redundant_pic_cnt > 0) return Status::ok;

    if (!picture.started || !header.same_picture(picture.first)) {
        // A second field may follow the first one; nothing else may.
        bool first = !picture.started;
        bool second_field = !first && header.field_pic && !picture.has_field[header.bottom_field] &&
                            picture.first.field_pic && header.frame_num == picture.first.frame_num;
        if (!first && !picture.complete()) return Status::incomplete;
        if (!first && !second_field) return Status::several_pictures;
        if (first) shape(*header.sps, cost);
        bool same_size = cost.width == header.sps->width_in_mbs && cost.height == header.sps->height_in_mbs();
        if (!same_size) return Status::several_pictures;
        int planes = header.sps->separate_colour_plane ? 3 : 1;
        picture.started = true;
        picture.first = header;
        picture.first_slice = slices_ + 1;
        picture.expected = int64_t{header.macroblocks()} * planes;
        picture.found = 0;
        picture.group_map.clear();
        if (header.field_pic) {
            picture.has_field[header.bottom_field] = true;
            std::fill(cost.field_pair.begin(), cost.field_pair.end(), uint8_t{1});
        }
        for (int plane = 0; plane < planes; ++plane) {
            planes_[plane].reset(header.sps->width_in_mbs, header.macroblocks(), header.mbaff());
        }
    }
    MbField& mbs = planes_[header.colour_plane];
    // A parameter set that changed under way may want more than was set up.
    if (mbs.size() != header.macroblocks() || mbs.width() != header.sps->width_in_mbs ||
        mbs.mbaff() != header.mbaff()) {
        return Status::broken;
    }
    if (header.pps->num_slice_groups > 1) {
        if (header.macroblocks() > kMostMacroblocksInGroups) return Status::broken;
        bool known = !picture.group_map.empty() && picture.group_map_pps == header.pps_id &&
                     picture.group_map_cycle == header.slice_group_change_cycle;
        if (!known) picture.group_map = slice_group_map(header);
        picture.group_map_pps = header.pps_id;
        picture.group_map_cycle = header.slice_group_change_cycle;
    }
    static const std::vector<uint8_t> kOneGroup;
    picture.has_type[static_cast<int>(header.type)] = true;
    SliceTask task{header,
                   rbsp_,
                   reader.position(),
                   rules_,
                   header.pps->num_slice_groups > 1 ? picture.group_map : kOneGroup,
                   mbs,
                   ++slices_,
                   picture.first_slice,
                   cost};
    status = parse_slice_data(task);
    picture.found += task.macroblocks;
    return status;
}

void absorb_parameter_sets(const uint8_t* packet, int64_t size, int length_size, ParameterSets& sets) {
    for (NalUnits units(packet, size, length_size); units.next();) {
        int type = units.type();
        if (type >= kSlice && type <= kIdrSlice) return;
        if (type == kSps || type == kPps) sets.absorb(units.data(), units.size());
    }
}

}  // namespace ov2::bitstream
