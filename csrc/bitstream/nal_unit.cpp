#include "bitstream/nal_unit.h"

#include <algorithm>
#include <cstring>

namespace ov2::bitstream {

NalUnits::NalUnits(const uint8_t* data, int64_t size, int length_size)
    : data_(data), end_(size), length_size_(length_size) {
    if (length_size_ == 0) stop_ = start_code(0);
}

// B.1.1: the place of the next 0x000001, or the end.
int64_t NalUnits::start_code(int64_t from) const {
    int64_t at = from + 2;
    while (at < end_) {
        const void* one = std::memchr(data_ + at, 1, static_cast<size_t>(end_ - at));
        if (one == nullptr) return end_;
        at = static_cast<const uint8_t*>(one) - data_;
        if (data_[at - 1] == 0 && data_[at - 2] == 0) return at - 2;
        ++at;
    }
    return end_;
}

bool NalUnits::next() {
    if (length_size_ > 0) {
        for (;;) {
            if (end_ - stop_ <= length_size_) return false;
            uint64_t length = 0;
            for (int i = 0; i < length_size_; ++i) length = length << 8 | data_[stop_ + i];
            at_ = stop_ + length_size_;
            stop_ = at_ + std::min<int64_t>(static_cast<int64_t>(length), end_ - at_);
            if (stop_ > at_) return true;
        }
    }
    if (stop_ < 0) stop_ = start_code(at_);
    while (end_ - stop_ > 3) {
        at_ = stop_ + 3;
        stop_ = -1;
        // A start code that follows at once makes the unit an empty one.
        bool empty = end_ - at_ >= 3 && data_[at_] == 0 && data_[at_ + 1] == 0 && data_[at_ + 2] == 1;
        if (!empty) return true;
        stop_ = at_;
    }
    stop_ = end_;
    return false;
}

int64_t NalUnits::size() const {
    if (stop_ < 0) stop_ = start_code(at_);
    return stop_ - at_;
}

void Rbsp::assign(const uint8_t* unit, int64_t size) {
    // 7.3.1: the bytes behind the header, less each 3 that follows two zeros.
    bytes_.resize(static_cast<size_t>(size + kPadding));
    uint8_t* out = bytes_.data();
    const uint8_t* from = unit + 1;
    const uint8_t* end = unit + size;
    for (const uint8_t* look = from + 2; look < end;) {
        const auto* three =
            static_cast<const uint8_t*>(std::memchr(look, 3, static_cast<size_t>(end - look)));
        if (three == nullptr) break;
        look = three + 1;
        if (three[-1] != 0 || three[-2] != 0) continue;
        out = std::copy(from, three, out);
        from = three + 1;
        look = from + 2;
    }
    out = std::copy(from, end, out);
    while (out > bytes_.data() && out[-1] == 0) --out;  // cabac_zero_words and trailing zeros
    size_ = out - bytes_.data();
    std::memset(out, 0, static_cast<size_t>(kPadding));
    payload_bits_ = size_ == 0 ? 0 : 8 * size_ - 1 - __builtin_ctz(out[-1]);
}

}  // namespace ov2::bitstream
