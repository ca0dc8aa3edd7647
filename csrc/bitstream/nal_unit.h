// NAL units: found in a packet, and freed of their emulation prevention bytes (ITU-T H.264, 7.3.1 and annex
// B).
#pragma once

#include <cstdint>
#include <vector>

namespace ov2::bitstream {

// Walks the NAL units of a packet in either framing: length prefixes of `length_size` bytes (avcC), or start
// codes where that is 0. Never looks outside `[data, data + size)`; a unit cut off by the end is shortened.
class NalUnits {
  public:
    NalUnits(const uint8_t* data, int64_t size, int length_size);

    // Goes to the next unit that is not empty; false at the end.
    bool next();

    const uint8_t* data() const { return data_ + at_; }
    // With start codes, the end is looked for here, and only if somebody asks.
    int64_t size() const;
    int type() const { return data_[at_] & 31; }         // nal_unit_type
    int ref_idc() const { return data_[at_] >> 5 & 3; }  // nal_ref_idc

  private:
    int64_t start_code(int64_t from) const;

    const uint8_t* data_;
    int64_t end_;
    int length_size_;
    int64_t at_ = 0;
    mutable int64_t stop_ = 0;  // where the unit ends, -1 where nobody has looked yet
};

// The payload of one NAL unit (RBSP), behind it zeros that a reader may run into.
class Rbsp {
  public:
    // Bytes that may be read behind the payload.
    static constexpr int64_t kPadding = 1024;

    // Takes over a unit's bytes behind its header byte. May be called again; the memory is reused.
    void assign(const uint8_t* unit, int64_t size);

    const uint8_t* data() const { return bytes_.data(); }
    int64_t size() const { return size_; }
    // Bits before rbsp_stop_one_bit; 0 where there is none.
    int64_t payload_bits() const { return payload_bits_; }

  private:
    std::vector<uint8_t> bytes_;
    int64_t size_ = 0;
    int64_t payload_bits_ = 0;
};

}  // namespace ov2::bitstream
