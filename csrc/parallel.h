// Runs a loop over independent items on a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace ov2 {

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
