// Compiles a function for plain x86-64 and again for AVX2 and AVX-512; the loader takes what the processor
// has. Integer code gives the same bits everywhere, and nothing is contracted into a fused multiply-add.
#pragma once

#include <cstring>

#if defined(__has_attribute)
#if __has_attribute(target_clones) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__)
#define OV2_SIMD __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
#endif
#endif
#ifndef OV2_SIMD
#define OV2_SIMD
#endif

// Wide vectors are passed between functions that are inlined only, so it does not matter how.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace ov2 {

// Not of more than 16 bytes: Clang passes no wider vectors between functions for different processors.
template <typename T>
inline __attribute__((always_inline)) T load(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

}  // namespace ov2
