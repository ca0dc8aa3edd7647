#include "media/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "media/error.h"

namespace ov2::media {
namespace {

constexpr int kBufferSize = 1 << 15;

// Throws FileError where a path leads to no regular file.
void require_regular(const struct stat& status, const std::string& path) {
    if (S_ISREG(status.st_mode)) return;
    if (S_ISDIR(status.st_mode)) throw FileError(EISDIR, path);
    throw FileError(EINVAL, path, "cannot open it: it is no regular file");
}

int open_regular(const std::string& path, bool follow_symlinks) {
    struct stat status {};
    // Looked at before it is opened, for opening a device may do something; not waited for, should it be a
    // pipe by then.
    if (stat(path.c_str(), &status) != 0) throw FileError(errno, path);
    require_regular(status, path);
    int fd =
        open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow_symlinks ? 0 : O_NOFOLLOW));
    if (fd < 0 && errno == ELOOP && !follow_symlinks) {
        throw FileError(ELOOP, path, "cannot open it: it is a symbolic link, and follow_symlinks is off");
    }
    if (fd < 0) throw FileError(errno, path);
    return fd;
}

}  // namespace

ByteSource::ByteSource(const std::string& path, const Limits& limits)
    : path_(path), limits_(limits), fd_(open_regular(path, limits.follow_symlinks)) {
    try {
        struct stat status {};
        if (fstat(fd_, &status) != 0) throw FileError(errno, path);
        require_regular(status, path);
        size_ = status.st_size;
        if (size_ > limits.max_file_bytes) {
            throw_too_large(path, "max_file_bytes", std::to_string(limits.max_file_bytes),
                            std::to_string(size_));
        }
        auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferSize));
        context_.reset(
            avio_alloc_context(buffer, kBufferSize, 0, this, &ByteSource::read, nullptr, &ByteSource::seek));
        if (!context_) {
            av_free(buffer);
            throw std::bad_alloc();
        }
    } catch (...) {
        close(fd_);
        throw;
    }
}

ByteSource::~ByteSource() {
    av_freep(&context_->buffer);
    close(fd_);
}

bool ByteSource::has_movie_fragments() const {
    // Walks the top-level boxes (ISO/IEC 14496-12, 4.2): 32-bit size, type, and a 64-bit size where the first
    // is 1.
    for (int64_t offset = 0; offset + 8 <= size_;) {
        uint8_t header[16] = {};
        if (pread(fd_, header, sizeof header, offset) < 8) break;
        if (AV_RB32(header + 4) == AV_RB32("moof")) return true;
        uint64_t box_size = AV_RB32(header);
        if (box_size == 1) box_size = AV_RB64(header + 8);
        if (box_size < 8 || box_size > static_cast<uint64_t>(size_ - offset)) break;
        offset += static_cast<int64_t>(box_size);
    }
    return false;
}

bool ByteSource::read_at(int64_t offset, uint8_t* buffer, int64_t size) const {
    while (size > 0) {
        ssize_t count = pread(fd_, buffer, static_cast<size_t>(size), offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        buffer += count;
        offset += count;
        size -= count;
    }
    return true;
}

int ByteSource::read(void* self, uint8_t* buffer, int size) {
    auto* source = static_cast<ByteSource*>(self);
    try {
        if (!source->error_) return source->read(buffer, size);
    } catch (...) {
        source->error_ = std::current_exception();  // for rethrow(): no exception crosses libav
    }
    return AVERROR_EXIT;
}

int ByteSource::read(uint8_t* buffer, int size) {
    limits_.check();
    if (skip_payload_) {
        int64_t left = std::min<int64_t>(size, size_ - position_);
        if (left <= 0) return AVERROR_EOF;
        position_ += left;
        return static_cast<int>(left);
    }
    ssize_t count;
    do {
        count = pread(fd_, buffer, static_cast<size_t>(size), position_);
    } while (count < 0 && errno == EINTR);
    if (count < 0) throw FileError(errno, path_, std::string("cannot read it: ") + std::strerror(errno));
    if (count == 0) return AVERROR_EOF;
    position_ += count;
    if (probed_bytes_ >= 0 && (probed_bytes_ += count) > limits_.max_probe_bytes) {
        throw_too_large(path_, "max_probe_bytes", std::to_string(limits_.max_probe_bytes), "headers of more");
    }
    return static_cast<int>(count);
}

int64_t ByteSource::seek(void* self, int64_t offset, int whence) {
    auto* source = static_cast<ByteSource*>(self);
    if (whence == AVSEEK_SIZE) return source->size_;
    switch (whence & ~AVSEEK_FORCE) {
        case SEEK_SET:
            break;
        case SEEK_CUR:
            offset += source->position_;
            break;
        case SEEK_END:
            offset += source->size_;
            break;
        default:
            return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    source->position_ = offset;
    return offset;
}

}  // namespace ov2::media
