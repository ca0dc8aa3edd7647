#include "media/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "media/error.h"

namespace ov2::media {
namespace {

constexpr int kBufferSize = 1 << 15;

}  // namespace

VideoError::VideoError(const std::string& path, const std::string& action, int averror)
    : std::runtime_error([&] {
          char reason[AV_ERROR_MAX_STRING_SIZE] = {};
          av_strerror(averror, reason, sizeof reason);
          return path + ": cannot " + action + ": " + reason;
      }()) {}

int check(int result, const std::string& path, const char* action) {
    if (result < 0) throw VideoError(path, action, result);
    return result;
}

ByteSource::ByteSource(const std::string& path) {
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw FileError(errno, path);
    struct stat status {};
    int code = fstat(fd_, &status) != 0  ? errno
               : S_ISREG(status.st_mode) ? 0
               : S_ISDIR(status.st_mode) ? EISDIR
                                         : EINVAL;
    if (code != 0) {
        close(fd_);
        throw FileError(code, path);
    }
    size_ = status.st_size;
    auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferSize));
    context_.reset(
        avio_alloc_context(buffer, kBufferSize, 0, this, &ByteSource::read, nullptr, &ByteSource::seek));
    if (!context_) {
        av_free(buffer);
        close(fd_);
        throw std::bad_alloc();
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
    if (source->skip_payload_) {
        int64_t left = std::min<int64_t>(size, source->size_ - source->position_);
        if (left <= 0) return AVERROR_EOF;
        source->position_ += left;
        return static_cast<int>(left);
    }
    ssize_t count;
    do {
        count = pread(source->fd_, buffer, static_cast<size_t>(size), source->position_);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        source->error_ = errno;
        return AVERROR(errno);
    }
    if (count == 0) return AVERROR_EOF;
    source->position_ += count;
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
