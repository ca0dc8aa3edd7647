// Transform coefficients coded with CAVLC (ITU-T H.264, 9.2).
#pragma once

#include "bitstream/bit_reader.h"

namespace ov2::bitstream {

// nC of chroma DC blocks (table 9-5).
constexpr int kChromaDc420 = -1;
constexpr int kChromaDc422 = -2;

// residual_block_cavlc of a block with at most `max_coeffs` coefficients. Returns total_coeff, or -1 where
// what stands there is no block; reads no more than BitReader::kCheckAfter bits.
int read_cavlc_block(BitReader& reader, int nc, int max_coeffs);

}  // namespace ov2::bitstream
