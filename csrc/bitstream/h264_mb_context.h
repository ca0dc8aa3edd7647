// The macroblock that is being parsed, with what its contexts look at.
#pragma once

#include <algorithm>
#include <cstring>

#include "bitstream/h264_macroblock.h"

namespace ov2::bitstream {

// What a table of 4x4 blocks says of a macroblock that is not there (CAVLC).
constexpr uint8_t kNotAvailable = 64;

// Tables of 4x4 blocks have a row above and a column to the left for the neighbours: 5 rows of kStride.
constexpr int kStride = 8;
constexpr int block_at(int x, int y) {
    return (y + 1) * kStride + x + 1;
}

struct MbContext {
    const SliceHeader* header = nullptr;
    bool mbaff = false;
    Neighbours near{};
    bool field = false;         // the macroblock is one of a field pair (MBAFF)
    bool field_coding = false;  // its coefficients are those of a field
    uint16_t flags = 0;
    uint8_t cbp = 0;
    uint8_t dc_coded = 0;
    uint8_t coeffs[3][5 * kStride];
    uint8_t ref[2][5 * kStride];  // 1 where ref_idx counts as above 0
    uint8_t mvd[2][5 * kStride][2];

    bool is(unsigned mask) const { return (flags & mask) != 0; }
    int chroma_array_type() const { return header->sps->chroma_array_type(); }

    // Rows and columns of 4x4 blocks of a plane.
    int rows(int plane) const { return plane == 0 || chroma_array_type() >= 2 ? 4 : 2; }
    int columns(int plane) const { return plane == 0 || chroma_array_type() == 3 ? 4 : 2; }

    // The coefficient counts around the macroblock; `missing` stands for a neighbour that is not there, and
    // `only_8x8` leaves out those of 4x4 transforms (9.3.3.1.1.9, ctxBlockCat 5, 9 and 13).
    void load_coeffs(uint8_t missing, bool only_8x8) {
        auto blind = [only_8x8](const MbInfo* mb) {
            return only_8x8 && !mb->is(kPcm) && !mb->is(kTransform8x8);
        };
        int planes = chroma_array_type() == 0 ? 1 : 3;
        for (int plane = 0; plane < planes; ++plane) {
            int height = rows(plane);
            uint8_t* table = coeffs[plane];
            std::memset(table, 0, sizeof coeffs[plane]);
            const MbInfo* above = near.above;
            for (int x = 0; x < columns(plane); ++x) {
                table[block_at(x, -1)] = above == nullptr ? missing
                                         : blind(above)   ? 0
                                                          : above->bottom_coeffs[plane][x];
            }
            for (int y = 0; y < height; ++y) {
                int luma_row = height == 4 ? y : 2 * y;
                const MbInfo* left = near.left[luma_row];
                int row = height == 4 ? near.left_row[luma_row] : near.left_row[luma_row] >> 1;
                table[block_at(-1, y)] = left == nullptr ? missing
                                         : blind(left)   ? 0
                                                         : left->right_coeffs[plane][row];
            }
        }
    }

    // References and vector differences around the macroblock, in its own units (9.3.3.1.1.6, 9.3.3.1.1.7).
    void load_motion(int lists) {
        for (int list = 0; list < lists; ++list) {
            std::memset(ref[list], 0, sizeof ref[list]);
            std::memset(mvd[list], 0, sizeof mvd[list]);
            if (near.above != nullptr) {
                for (int x = 0; x < 4; ++x) {
                    take(list, block_at(x, -1), *near.above, near.above->bottom_ref[list][x / 2],
                         near.above->bottom_mvd[list][x]);
                }
            }
            for (int y = 0; y < 4; ++y) {
                const MbInfo* left = near.left[y];
                if (left == nullptr) continue;
                int row = near.left_row[y];
                take(list, block_at(-1, y), *left, left->right_ref[list][row / 2],
                     left->right_mvd[list][row]);
            }
        }
    }

    void fill_ref(int list, int x, int y, int width, int height, int ref_idx) {
        for (int row = y; row < y + height; ++row) {
            std::memset(ref[list] + block_at(x, row), ref_idx > 0 ? 1 : 0, static_cast<size_t>(width));
        }
        // What neighbours store is the value, for field and frame macroblocks look at it differently.
        for (int row = y / 2; row < (y + height + 1) / 2; ++row) {
            for (int column = x / 2; column < (x + width + 1) / 2; ++column) {
                ref_value[list][row][column] = static_cast<uint8_t>(ref_idx);
            }
        }
    }
    void fill_mvd(int list, int x, int y, int width, int height, int dx, int dy) {
        for (int row = y; row < y + height; ++row) {
            for (int column = x; column < x + width; ++column) {
                uint8_t* to = mvd[list][block_at(column, row)];
                to[0] = static_cast<uint8_t>(std::min(dx, 255));
                to[1] = static_cast<uint8_t>(std::min(dy, 255));
            }
        }
    }

    // What later macroblocks will look at.
    void store(MbInfo& mb, bool coeffs_valid, int motion_lists) const {
        mb.flags = flags;
        mb.cbp = cbp;
        mb.dc_coded = dc_coded;
        std::memset(mb.right_coeffs, 0, sizeof mb.right_coeffs);
        std::memset(mb.bottom_coeffs, 0, sizeof mb.bottom_coeffs);
        if (coeffs_valid) {
            for (int plane = 0; plane < (chroma_array_type() == 0 ? 1 : 3); ++plane) {
                int height = rows(plane), width = columns(plane);
                for (int y = 0; y < height; ++y)
                    mb.right_coeffs[plane][y] = coeffs[plane][block_at(width - 1, y)];
                for (int x = 0; x < width; ++x)
                    mb.bottom_coeffs[plane][x] = coeffs[plane][block_at(x, height - 1)];
            }
        }
        std::memset(mb.right_ref, 0, sizeof mb.right_ref);
        std::memset(mb.bottom_ref, 0, sizeof mb.bottom_ref);
        std::memset(mb.right_mvd, 0, sizeof mb.right_mvd);
        std::memset(mb.bottom_mvd, 0, sizeof mb.bottom_mvd);
        for (int list = 0; list < motion_lists; ++list) {
            for (int i = 0; i < 2; ++i) {
                mb.right_ref[list][i] = ref_value[list][i][1];
                mb.bottom_ref[list][i] = ref_value[list][1][i];
            }
            for (int i = 0; i < 4; ++i) {
                std::memcpy(mb.right_mvd[list][i], mvd[list][block_at(3, i)], 2);
                std::memcpy(mb.bottom_mvd[list][i], mvd[list][block_at(i, 3)], 2);
            }
        }
    }

    uint8_t ref_value[2][2][2];

  private:
    void take(int list, int at, const MbInfo& from, int ref_idx, const uint8_t* difference) {
        bool other = mbaff && from.is(kField) != field;
        ref[list][at] = ref_idx > (other && !field ? 1 : 0);
        mvd[list][at][0] = difference[0];
        int dy = difference[1];
        if (other) dy = field ? dy / 2 : std::min(2 * dy, 255);
        mvd[list][at][1] = static_cast<uint8_t>(dy);
    }
};

}  // namespace ov2::bitstream
