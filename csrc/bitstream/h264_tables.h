// Tables of ITU-T H.264 (08/2021). Each is named after the syntax element that it serves.
#pragma once

#include <cstdint>

namespace ov2::bitstream {

constexpr int kContexts = 1024;  // ctxIdx

struct VlcCode {
    uint8_t length;
    uint8_t value;
};

extern const int8_t kContextInit[4][kContexts][2];
extern const uint8_t kRangeLps[64][4];
extern const uint8_t kTransIdx[64][2];
extern const uint16_t kCodedBlockFlag[14];
extern const uint16_t kSignificant[2][14];
extern const uint16_t kLastSignificant[2][14];
extern const uint16_t kCoeffAbsLevel[14];
extern const uint8_t kSignificant8x8[2][63];
extern const uint8_t kLastSignificant8x8[63];
extern const VlcCode kCoeffToken[4][68];
extern const VlcCode kCoeffTokenChromaDc420[20];
extern const VlcCode kCoeffTokenChromaDc422[36];
extern const VlcCode kTotalZeros[15][16];
extern const VlcCode kTotalZerosChromaDc420[3][4];
extern const VlcCode kTotalZerosChromaDc422[7][8];
extern const VlcCode kRunBefore[7][15];
extern const uint8_t kCodedBlockPattern[2][48];
extern const uint8_t kCodedBlockPatternLumaOnly[2][16];

}  // namespace ov2::bitstream
