// A few threads, each with a context of its own, that take jobs from a short queue.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "parallel.h"

namespace ov2::media {

template <typename Context>
class WorkerPool {
  public:
    using Job = std::function<void(Context&)>;

    // `make` runs on the thread that will own the context. At most `capacity` jobs wait. Without threads the
    // caller does each job at once. Where `others_first`, the threads have a lower priority than the
    // caller's.
    WorkerPool(int threads, int capacity, std::function<std::unique_ptr<Context>()> make,
               bool others_first = false)
        : capacity_(static_cast<size_t>(capacity)), make_(std::move(make)), others_first_(others_first) {
        threads_.reserve(static_cast<size_t>(std::max(threads, 0)));
        try {
            for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
        } catch (const std::exception&) {
            // The system gives no more threads, or no memory for them: those that there are do the work.
        }
    }
    ~WorkerPool() { stop(); }
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Queues a job, waiting while the queue is full; rethrows what an earlier job threw. Both this and
    // finish() call `poll`, which may throw, while they wait.
    template <typename Poll>
    void run(Job job, Poll poll) {
        if (threads_.empty()) {
            if (!own_) own_ = make_();
            job(*own_);
            return;
        }
        std::unique_lock lock(mutex_);
        wait(lock, poll, [this] { return jobs_.size() < capacity_; });
        jobs_.push_back(std::move(job));
        ready_.notify_one();
    }

    // Waits for all jobs.
    template <typename Poll>
    void finish(Poll poll) {
        std::unique_lock lock(mutex_);
        wait(lock, poll, [this] { return jobs_.empty() && busy_ == 0; });
    }

    // For long jobs: whether nobody wants their result any more.
    bool stopping() const { return stopping_; }

  private:
    template <typename Poll, typename Done>
    void wait(std::unique_lock<std::mutex>& lock, Poll& poll, Done done) {
        while (!room_.wait_for(lock, std::chrono::milliseconds(5), [&] { return done() || error_; })) {
            lock.unlock();
            poll();
            lock.lock();
        }
        if (error_) std::rethrow_exception(error_);
    }

    void work() {
        if (others_first_) lower_thread_priority();
        std::unique_ptr<Context> context;
        std::unique_lock lock(mutex_);
        for (;;) {
            ready_.wait(lock, [this] { return !jobs_.empty() || stopping_; });
            if (stopping_) return;
            Job job = std::move(jobs_.front());
            jobs_.pop_front();
            ++busy_;
            lock.unlock();
            std::exception_ptr error;
            try {
                if (!context) context = make_();
                job(*context);
            } catch (...) {
                error = std::current_exception();
            }
            job = nullptr;
            lock.lock();
            --busy_;
            if (error && !error_) error_ = error;
            room_.notify_all();
        }
    }

    void stop() {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        ready_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

    size_t capacity_;
    std::function<std::unique_ptr<Context>()> make_;
    bool others_first_;
    std::unique_ptr<Context> own_;  // the caller's
    std::mutex mutex_;
    std::condition_variable ready_, room_;
    std::deque<Job> jobs_;
    int busy_ = 0;
    std::atomic<bool> stopping_{false};
    std::exception_ptr error_;
    std::vector<std::thread> threads_;
};

}  // namespace ov2::media
