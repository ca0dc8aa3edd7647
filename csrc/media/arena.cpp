#include "media/arena.h"

#include <algorithm>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace ov2::media {
namespace {

constexpr std::align_val_t kLargePage{size_t{2} << 20};
// A part holds a few of what is taken together, so that all of it is given back soon, and may be taken again.
constexpr size_t kFew = 8, kSmallPart = size_t{4} << 20, kLargePart = size_t{16} << 20;
constexpr size_t kAlignment = 64;

}  // namespace

void Arena::Free::operator()(uint8_t* part) const {
    ::operator delete(part, kLargePage);
}

// The part that was taken from last, or one of which all is given back, or a new one.
Arena::Part& Arena::part_with(size_t bytes) {
    if (!parts_.empty() && parts_[current_].size - parts_[current_].used >= bytes) return parts_[current_];
    for (size_t i = 0; i < parts_.size(); ++i) {
        Part& part = parts_[i];
        if (part.taken > 0 || part.size < bytes) continue;
        part.used = 0;
        current_ = i;
        return part;
    }
    size_t size = std::max(bytes, std::clamp(kFew * bytes, kSmallPart, kLargePart));
    parts_.push_back(
        {std::unique_ptr<uint8_t, Free>(static_cast<uint8_t*>(::operator new(size, kLargePage))), size});
    current_ = parts_.size() - 1;
#if defined(__linux__)
    // Refused where the system has none, and then the pages are small.
    madvise(parts_.back().memory.get(), size, MADV_HUGEPAGE);
#endif
    return parts_.back();
}

uint8_t* Arena::take(size_t bytes) {
    bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    Part& part = part_with(bytes);
    uint8_t* taken = part.memory.get() + part.used;
    part.used += bytes;
    ++part.taken;
    return taken;
}

void Arena::give_back(const uint8_t* taken) {
    for (Part& part : parts_) {
        if (taken >= part.memory.get() && taken < part.memory.get() + part.size) --part.taken;
    }
}

void release_pages([[maybe_unused]] uint8_t* first, [[maybe_unused]] uint8_t* begin,
                   [[maybe_unused]] uint8_t* end, [[maybe_unused]] uint8_t* last) {
#if defined(__linux__)
    auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    auto large = static_cast<uintptr_t>(kLargePage);
    auto down = [](uint8_t* address, uintptr_t size) {
        return reinterpret_cast<uintptr_t>(address) / size * size;
    };
    uintptr_t from = std::max(down(begin, large), down(first + page - 1, page));
    uintptr_t to = end == last ? down(end, page) : down(end, large);
    if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
#endif
}

}  // namespace ov2::media
