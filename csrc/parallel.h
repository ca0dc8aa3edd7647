// Loops over independent items on a few threads, and threads that others go before.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#endif

namespace ov2 {

// For the calling thread, for good: others of the system that would run go first, most of the time. Where
// only processes have priorities, that is, but on Linux, nothing changes.
inline void lower_thread_priority() {
#if defined(__linux__)
    constexpr int kSteps = 5;
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + kSteps);
#endif
}

// Calls body(i) for every i in [0, count); items are handed out one by one, so uneven ones balance.
template <typename Body>
void parallel_for(int64_t count, int threads, Body body) {
    std::atomic<int64_t> next{0};
    std::exception_ptr error;
    std::atomic<bool> failed{false};
    auto work = [&] {
        try {
            for (int64_t i; !failed && (i = next++) < count;) body(i);
        } catch (...) {
            if (!failed.exchange(true)) error = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    int64_t extra = std::max<int64_t>(std::min<int64_t>(threads, count) - 1, 0);
    helpers.reserve(static_cast<size_t>(extra));
    try {
        for (int64_t i = 0; i < extra; ++i) helpers.emplace_back(work);
    } catch (const std::exception&) {
        // The system gives no more threads, or no memory for them; those that there are do the work.
    }
    work();
    for (std::thread& helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace ov2
