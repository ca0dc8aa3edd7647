#include "bitstream/h264_cavlc.h"

#include <algorithm>
#include <vector>

#include "bitstream/h264_tables.h"

namespace ov2::bitstream {
namespace {

// A prefix code for lookup by its next bits: the first `First`, and where these do not tell, the first
// `Second`.
template <int First, int Second>
class VlcTable {
  public:
    struct Entry {
        uint8_t value = 0;
        uint8_t length = 0;  // 0: no code
    };

    VlcTable(const VlcCode* codes, int count) {
        for (int value = 0; value < count; ++value) {
            int length = codes[value].length;
            if (length == 0) continue;
            Entry entry{static_cast<uint8_t>(value), static_cast<uint8_t>(length)};
            int width = length <= First ? First : Second;
            int low = codes[value].value << (width - length), high = low + (1 << (width - length));
            // Long codes begin with zeros, so the second table is short.
            if (width == Second) second_.resize(std::max(second_.size(), static_cast<size_t>(high)));
            Entry* table = length <= First ? first_ : second_.data();
            std::fill(table + low, table + high, entry);
        }
    }

    // `window` has the next bits at the top.
    Entry find(uint64_t window) const {
        Entry entry = first_[window >> (64 - First)];
        if (entry.length != 0) return entry;
        size_t index = window >> (64 - Second);
        return index < second_.size() ? second_[index] : Entry{};
    }

  private:
    Entry first_[1 << First];
    std::vector<Entry> second_;
};

struct Tables {
    using Token = VlcTable<8, 16>;
    using Short = VlcTable<9, 1>;
    Token token[3]{{kCoeffToken[0], 68}, {kCoeffToken[1], 68}, {kCoeffToken[2], 68}};
    VlcTable<6, 1> token_8{kCoeffToken[3], 68};
    Short token_420{kCoeffTokenChromaDc420, 20};
    VlcTable<8, 13> token_422{kCoeffTokenChromaDc422, 36};
    std::vector<Short> total_zeros, total_zeros_420, total_zeros_422;
    std::vector<VlcTable<3, 11>> run_before;

    Tables() {
        for (const auto& codes : kTotalZeros) total_zeros.emplace_back(codes, 16);
        for (const auto& codes : kTotalZerosChromaDc420) total_zeros_420.emplace_back(codes, 4);
        for (const auto& codes : kTotalZerosChromaDc422) total_zeros_422.emplace_back(codes, 8);
        for (const auto& codes : kRunBefore) run_before.emplace_back(codes, 15);
    }
};

const Tables& tables() {
    static const Tables instance;
    return instance;
}

// 9.2.1: (total_coeff << 2 | trailing_ones) and the length of coeff_token.
struct Token {
    int total;
    int trailing_ones;
    int length;
};

template <typename Entry>
Token token_of(Entry entry) {
    return {entry.value >> 2, entry.value & 3, entry.length};
}

Token find_token(const Tables& t, uint64_t window, int nc) {
    if (nc == kChromaDc420) return token_of(t.token_420.find(window));
    if (nc == kChromaDc422) return token_of(t.token_422.find(window));
    if (nc >= 8) return token_of(t.token_8.find(window));
    return token_of(t.token[nc < 2 ? 0 : nc < 4 ? 1 : 2].find(window));
}

// 9.2.2: passes over the levels behind the trailing ones.
bool skip_levels(BitReader& r, int total, int trailing_ones) {
    int suffix_length = total > 10 && trailing_ones < 3 ? 1 : 0;
    for (int i = trailing_ones; i < total; ++i) {
        uint64_t window = r.peek();
        int prefix = __builtin_clzll(window | 1);
        if (prefix > 25) return false;  // more than 14 bits per sample could need
        int suffix_size = prefix >= 15 ? prefix - 3 : prefix == 14 && suffix_length == 0 ? 4 : suffix_length;
        auto suffix = static_cast<int>(window << (prefix + 1) >> 1 >> (63 - suffix_size));
        r.skip(prefix + 1 + suffix_size);
        int code = (std::min(15, prefix) << suffix_length) + suffix;
        if (prefix >= 15 && suffix_length == 0) code += 15;
        if (prefix >= 16) code += (1 << (prefix - 3)) - 4096;
        if (i == trailing_ones && trailing_ones < 3) code += 2;
        int magnitude = (code + 2) >> 1;
        if (suffix_length == 0) suffix_length = 1;
        if (magnitude > 3 << (suffix_length - 1) && suffix_length < 6) ++suffix_length;
    }
    return true;
}

// 9.2.3
template <typename Table>
int read_zeros(BitReader& r, const std::vector<Table>& tables, int total) {
    auto entry = tables[static_cast<size_t>(total) - 1].find(r.peek());
    r.skip(entry.length);
    return entry.length == 0 ? -1 : entry.value;
}

}  // namespace

int read_cavlc_block(BitReader& r, int nc, int max_coeffs) {
    static const Tables& t = tables();
    Token token = find_token(t, r.peek(), nc);
    if (token.length == 0 || token.total > max_coeffs) return -1;
    r.skip(token.length);
    int total = token.total;
    if (total == 0) return 0;
    r.skip(token.trailing_ones);  // their signs
    if (!skip_levels(r, total, token.trailing_ones)) return -1;
    if (total == max_coeffs) return total;

    int zeros = nc == kChromaDc420   ? read_zeros(r, t.total_zeros_420, total)
                : nc == kChromaDc422 ? read_zeros(r, t.total_zeros_422, total)
                                     : read_zeros(r, t.total_zeros, total);
    if (zeros < 0 || zeros + total > max_coeffs) return -1;
    for (int left = total - 1; left > 0 && zeros > 0; --left) {
        auto entry = t.run_before[static_cast<size_t>(std::min(zeros, 7)) - 1].find(r.peek());
        if (entry.length == 0 || entry.value > zeros) return -1;
        r.skip(entry.length);
        zeros -= entry.value;
    }
    return total;
}

}  // namespace ov2::bitstream
