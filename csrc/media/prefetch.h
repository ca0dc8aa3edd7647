// Asks the processor for what is read soon: otherwise each row of a small part of a picture waits for memory.
#pragma once

#include <cstdint>

namespace ov2::media {

// From memory to a cache near the processor, for what is not needed at once.
inline void fetch_soon(const uint8_t* first, int64_t bytes) {
    constexpr int64_t kLine = 64;
    for (int64_t x = 0; x < bytes; x += kLine) __builtin_prefetch(first + x, 0, 2);
}

inline void fetch_bytes(const uint8_t* first, int64_t bytes) {
    constexpr int64_t kLine = 64;
    for (int64_t x = 0; x < bytes; x += kLine) __builtin_prefetch(first + x);
    if (bytes > 0) __builtin_prefetch(first + bytes - 1);
}

}  // namespace ov2::media
