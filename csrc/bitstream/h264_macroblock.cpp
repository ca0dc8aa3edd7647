#include "bitstream/h264_macroblock.h"

namespace ov2::bitstream {

const MbInfo* MbField::left_pair(int address, uint32_t slice) const {
    int pair = address / 2;
    return pair % width_ == 0 ? nullptr : in_slice(2 * (pair - 1), slice);
}

const MbInfo* MbField::above_pair(int address, uint32_t slice) const {
    int pair = address / 2;
    return pair < width_ ? nullptr : in_slice(2 * (pair - width_), slice);
}

Neighbours MbField::neighbours(int address, uint32_t slice, bool field) const {
    Neighbours n{};
    if (!mbaff_) {
        const MbInfo* left = address % width_ == 0 ? nullptr : in_slice(address - 1, slice);
        for (uint8_t row = 0; row < 4; ++row) {
            n.left[row] = left;
            n.left_row[row] = row;
        }
        n.above = address < width_ ? nullptr : in_slice(address - width_, slice);
        return n;
    }

    // Table 6-4. The macroblocks of a pair lie one behind the other.
    bool bottom = (address & 1) != 0;
    const MbInfo* above = above_pair(address, slice);
    if (!field && bottom) {
        n.above = &mbs_[static_cast<size_t>(address) - 1];
    } else if (above != nullptr) {
        // A top field looks at the field of its parity, a top frame macroblock at whatever is lowest.
        bool upper = field && !bottom && above->is(kField);
        n.above = upper ? above : above + 1;
    }
    const MbInfo* left = left_pair(address, slice);
    if (left == nullptr) return n;
    bool left_field = left->is(kField);
    for (int row = 0; row < 4; ++row) {
        const MbInfo*& mb = n.left[row];
        uint8_t& left_row = n.left_row[row];
        if (left_field == field) {
            mb = left + (bottom ? 1 : 0);
            left_row = static_cast<uint8_t>(row);
        } else if (!field) {
            // Even lines of a frame are lines of the top field.
            mb = left;
            left_row = static_cast<uint8_t>(row / 2 + (bottom ? 2 : 0));
        } else {
            mb = left + row / 2;
            left_row = static_cast<uint8_t>(row % 2 * 2);
        }
    }
    return n;
}

}  // namespace ov2::bitstream
