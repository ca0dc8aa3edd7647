#include "media/mp4_boxes.h"

#include <algorithm>

namespace ov2::media {
namespace {

constexpr int kMostBoxes = 1 << 18;
constexpr int kMostDepth = 8;

constexpr uint32_t name(const char (&text)[5]) {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(text[i]);
    return value;
}

// Boxes are those of ISO/IEC 14496-12: a 32-bit size, a type, and a 64-bit size where the first is 1.
class Walk {
  public:
    explicit Walk(const ByteSource& source) : source_(source) {}

    void boxes(int64_t offset, int64_t end, int depth) {
        while (end - offset >= 8 && boxes_ < kMostBoxes) {
            ++boxes_;
            uint8_t head[16];
            if (!source_.read_at(offset, head, 8)) return;
            uint64_t size = AV_RB32(head);
            int64_t start = offset + 8;
            if (size == 1) {
                if (!source_.read_at(start, head + 8, 8)) return;
                size = AV_RB64(head + 8);
                start += 8;
            }
            // 0: as far as what holds it; and what claims to go on behind that is read up to there.
            auto most = static_cast<uint64_t>(end - offset);
            if (size == 0 || size > most) size = most;
            if (size < static_cast<uint64_t>(start - offset)) return;
            offset += static_cast<int64_t>(size);
            box(AV_RB32(head + 4), start, offset, depth);
        }
    }

    int64_t most() const { return most_; }

  private:
    void box(uint32_t type, int64_t start, int64_t end, int depth) {
        switch (type) {
            case name("trak"):
                handler_ = 0;
                claimed_ = 0;
                [[fallthrough]];
            case name("moov"):
            case name("mdia"):
            case name("minf"):
            case name("stbl"):
            case name("moof"):
            case name("traf"):
                if (depth < kMostDepth) boxes(start, end, depth + 1);
                if (type == name("trak") && handler_ == name("vide")) most_ = std::max(most_, claimed_);
                break;
            case name("hdlr"):  // version and flags, 0, type
                if (handler_ == 0) handler_ = word(start + 8, end);
                break;
            case name("stsz"):  // version and flags, size of all, number
            case name("stz2"):
                claimed_ = std::max<int64_t>(claimed_, word(start + 8, end));
                break;
            case name("trun"):  // version and flags, number
                most_ = std::max<int64_t>(most_, word(start + 4, end));
                break;
            default:
                break;
        }
    }

    uint32_t word(int64_t offset, int64_t end) const {
        uint8_t bytes[4];
        return end - offset >= 4 && source_.read_at(offset, bytes, 4) ? AV_RB32(bytes) : 0;
    }

    const ByteSource& source_;
    int boxes_ = 0;
    uint32_t handler_ = 0;
    int64_t claimed_ = 0;
    int64_t most_ = 0;
};

}  // namespace

int64_t most_samples_claimed(const ByteSource& source) {
    Walk walk(source);
    walk.boxes(0, source.size(), 0);
    return walk.most();
}

}  // namespace ov2::media
