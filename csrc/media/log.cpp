#include "media/log.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "media/libav.h"

namespace ov2::media {
namespace {

constexpr size_t kMostLines = 16;
constexpr size_t kMostBytes = 300;  // of a line

thread_local Log* current_log = nullptr;

// The logs that live. An `opaque` is only followed where it is one of these: others that use the same libav
// keep there what they like.
std::array<std::atomic<Log*>, 256> living{};

bool lives(const void* log) {
    if (log == nullptr) return false;
    for (const std::atomic<Log*>& slot : living) {
        if (slot.load(std::memory_order_acquire) == log) return true;
    }
    return false;
}

}  // namespace

Log::Log() : outer_(current_log) {
    current_log = this;
    for (std::atomic<Log*>& slot : living) {
        Log* empty = nullptr;
        if (slot.compare_exchange_strong(empty, this)) break;
    }
}

Log::~Log() {
    for (std::atomic<Log*>& slot : living) {
        Log* self = this;
        if (slot.compare_exchange_strong(self, nullptr)) break;
    }
    current_log = outer_;
}

Log* Log::current() {
    return current_log;
}

void Log::install() {
    av_log_set_callback(&Log::receive);
}

std::vector<LogLine> Log::lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
}

int64_t Log::dropped() const {
    std::lock_guard lock(mutex_);
    return dropped_;
}

std::string Log::last_error() const {
    std::lock_guard lock(mutex_);
    return last_error_;
}

std::string Log::refused_size() const {
    std::lock_guard lock(mutex_);
    return refused_size_;
}

Log* Log::owner(void* context) {
    for (int depth = 0; context != nullptr && depth < 4; ++depth) {
        const AVClass* type = *static_cast<AVClass**>(context);
        if (type == nullptr) break;
        void* opaque = nullptr;
        if (type == avcodec_get_class()) opaque = static_cast<AVCodecContext*>(context)->opaque;
        if (type == avformat_get_class()) opaque = static_cast<AVFormatContext*>(context)->opaque;
        if (lives(opaque)) return static_cast<Log*>(opaque);
        if (type->parent_log_context_offset == 0) break;
        std::memcpy(&context, static_cast<uint8_t*>(context) + type->parent_log_context_offset,
                    sizeof context);
    }
    return current_log;
}

void Log::receive(void* context, int level, const char* format, va_list arguments) {
    if ((level & 0xff) > AV_LOG_WARNING) return;
    if (Log* log = owner(context)) log->add(context, level & 0xff, format, arguments);
}

void Log::add(void* context, int level, const char* format, va_list arguments) {
    std::lock_guard lock(mutex_);
    // Some lines come in pieces, of which the last ends the line.
    bool goes_on = unfinished_ != nullptr && unfinished_ == context;
    size_t end = std::strlen(format);
    unfinished_ = end == 0 || format[end - 1] != '\n' ? context : nullptr;
    if (goes_on) return;
    bool full = lines_.size() >= kMostLines;
    dropped_ += full;
    if (full && level > AV_LOG_ERROR) return;
    char text[kMostBytes];
    std::vsnprintf(text, sizeof text, format, arguments);
    std::string line;
    if (context != nullptr && *static_cast<AVClass**>(context) != nullptr) {
        line = std::string((*static_cast<AVClass**>(context))->item_name(context)) + ": ";
    }
    line += text;
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';  // names in a file may hold anything
    }
    if (std::strncmp(format, "Picture size", 12) == 0) refused_size_ = line;
    if (level <= AV_LOG_ERROR) last_error_ = line;
    if (!full) lines_.push_back({level, std::move(line)});
}

}  // namespace ov2::media
