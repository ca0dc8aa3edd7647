// Runs a loop over independent items on a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <system_error>
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
    int64_t extra = std::min<int64_t>(threads, count) - 1;
    try {
        for (int64_t i = 0; i < extra; ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // The system gives no more threads; those that there are do the work.
    }
    work();
    for (std::thread& helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace ov2
