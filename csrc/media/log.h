// What libav has to say about one video, gathered for Python's logging.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace ov2::media {

struct LogLine {
    int level;  // AV_LOG_WARNING or graver
    std::string text;
};

// While it lives, lines of libav calls on this thread come here, and those of its own threads that work for a
// demuxer or decoder whose `opaque` points here. Only the first few are kept. No lock is shared between
// videos, so that a fork meets none that another thread holds.
class Log {
  public:
    Log();
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // That of the calling thread, or null.
    static Log* current();

    // Has libav's lines come here, and none go to stderr, in the whole process.
    static void install();

    std::vector<LogLine> lines() const;
    int64_t dropped() const;  // lines beyond those kept
    std::string last_error() const;
    // The line in which libav refused a picture for its size, or nothing.
    std::string refused_size() const;

  private:
    static void receive(void* context, int level, const char* format, va_list arguments);
    static Log* owner(void* context);
    void add(void* context, int level, const char* format, va_list arguments);

    mutable std::mutex mutex_;
    std::vector<LogLine> lines_;
    int64_t dropped_ = 0;
    const void* unfinished_ = nullptr;  // whose line goes on
    std::string last_error_;
    std::string refused_size_;
    Log* outer_;
};

}  // namespace ov2::media
