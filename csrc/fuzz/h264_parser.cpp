// libFuzzer target for the H.264 entropy parser. The first byte chooses framing and rules, the rest is a
// packet that brings its own parameter sets. fuzz/run builds and seeds it.
#include "bitstream/h264_parser.h"

#include <cstdlib>
#include <numeric>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace ov2::bitstream;
    if (size < 1) return 0;
    static constexpr int kLengthSizes[4] = {0, 1, 2, 4};
    bool as_peer = (data[0] & 4) != 0;
    H264Parser parser(CostRules{as_peer, as_peer, as_peer});
    const ParameterSets none;
    // Twice: nothing of a picture may leak into the next.
    PictureCost first =
        parser.parse(data + 1, static_cast<int64_t>(size - 1), kLengthSizes[data[0] & 3], none);
    PictureCost again =
        parser.parse(data + 1, static_cast<int64_t>(size - 1), kLengthSizes[data[0] & 3], none);
    if (first.status != again.status || first.bits != again.bits) std::abort();
    int64_t sum = std::accumulate(first.bits.begin(), first.bits.end(), int64_t{0});
    if (first.status == Status::ok && !as_peer && sum != first.payload_bits) std::abort();
    ParameterSets sets;
    sets.absorb_avc_record(data + 1, static_cast<int64_t>(size - 1));
    return 0;
}
