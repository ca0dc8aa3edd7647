#include "media/arena.h"

#include <algorithm>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ov2::media {
namespace {

constexpr std::align_val_t kLargePage{size_t{2} << 20};
constexpr size_t kPart = size_t{16} << 20;  // of which nothing is there before it is written
constexpr size_t kAlignment = 64;

}  // namespace

void Arena::Free::operator()(uint8_t* part) const {
    ::operator delete(part, kLargePage);
}

uint8_t* Arena::take(size_t bytes) {
    bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (bytes > left_) {
        size_t size = std::max(bytes, kPart);
        parts_.emplace_back(static_cast<uint8_t*>(::operator new(size, kLargePage)));
        next_ = parts_.back().get();
        left_ = size;
#if defined(__linux__)
        // Refused where the system has none, and then the pages are small.
        madvise(next_, size, MADV_HUGEPAGE);
#endif
    }
    uint8_t* taken = next_;
    next_ += bytes;
    left_ -= bytes;
    return taken;
}

}  // namespace ov2::media
