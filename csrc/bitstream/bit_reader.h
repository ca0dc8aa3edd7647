// Reads bits from a padded payload, 64 at a time.
#pragma once

#include <cstdint>
#include <cstring>

#include "bitstream/nal_unit.h"

namespace ov2::bitstream {

inline uint64_t load_be64(const uint8_t* bytes) {
    uint64_t value;
    std::memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

// The descriptors of ITU-T H.264, 7.2 and 9.1. Nothing is checked bit by bit: whoever reads asks overrun()
// now and then, at the latest after kCheckAfter bits. What is no code sets the position behind the end.
class BitReader {
  public:
    static constexpr int64_t kCheckAfter = 8 * (Rbsp::kPadding - 64);

    explicit BitReader(const Rbsp& rbsp) : data_(rbsp.data()), end_(rbsp.payload_bits()) {}

    int64_t position() const { return at_; }
    int64_t end() const { return end_; }  // where rbsp_stop_one_bit stands
    bool more_data() const { return at_ < end_; }
    bool overrun() const { return at_ > end_; }
    void fail() { at_ = end_ + 1; }

    // At least 57 bits, at the top.
    uint64_t peek() const { return load_be64(data_ + (at_ >> 3)) << (at_ & 7); }
    void skip(int64_t bits) { at_ += bits; }
    // For long jumps and loops without a bound of their own: stops behind the end.
    void skip_checked(int64_t bits) {
        at_ += bits;
        if (at_ > end_) fail();
    }

    // u(n), n from 0 to 32.
    uint32_t u(int n) {
        uint64_t value = peek() >> 1 >> (63 - n);
        at_ += n;
        return static_cast<uint32_t>(value);
    }
    bool flag() { return u(1) != 0; }

    // ue(v).
    uint32_t ue() {
        uint64_t window = peek();
        int zeros = __builtin_clzll(window | 1);
        if (zeros > 28) return long_ue(zeros);
        at_ += 2 * zeros + 1;
        return static_cast<uint32_t>((window >> (63 - 2 * zeros)) - 1);
    }
    // se(v).
    int32_t se() {
        uint32_t code = ue();
        auto half = static_cast<int32_t>(code >> 1);
        return (code & 1) != 0 ? half + 1 : -half;
    }
    // te(v) for values up to `most`, which is at least 1.
    uint32_t te(uint32_t most) { return most == 1 ? u(1) ^ 1 : ue(); }

  private:
    uint32_t long_ue(int zeros) {
        if (zeros > 31) {
            fail();
            return 0;
        }
        at_ += zeros + 1;
        return ((uint32_t{1} << zeros) | u(zeros)) - 1;
    }

    const uint8_t* data_;
    int64_t end_;
    int64_t at_ = 0;
};

}  // namespace ov2::bitstream
