// A local file as libav's input, read through our own callbacks so that a path is only ever that file.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "media/libav.h"
#include "media/limits.h"

namespace ov2::media {

class ByteSource {
  public:
    // Opens a regular file; anything else, and one that is too large, is refused before it is touched.
    ByteSource(const std::string& path, const Limits& limits);
    ~ByteSource();
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    // Throws what stopped a read, where libav only knows that one failed: the operating system's answer, a
    // limit, or what the caller's check threw.
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

    // From now on reads are no longer for finding out what the file holds.
    void opened() { probed_bytes_ = -1; }

    int64_t size() const { return size_; }

    AVIOContext* context() const { return context_.get(); }

    // Whether this is an MP4 whose sample tables are spread over the file, in movie fragments.
    bool has_movie_fragments() const;

    // Fills the buffer from a place in the file, whatever libav reads meanwhile; false where the file ends
    // before. May run on several threads at once.
    bool read_at(int64_t offset, uint8_t* buffer, int64_t size) const;

    // From now on reads advance without touching the disk and leave their buffer as it is: a container that
    // keeps its sample table apart from its samples can be walked at no cost.
    void skip_payload() { skip_payload_ = true; }

  private:
    static int read(void* self, uint8_t* buffer, int size);
    int read(uint8_t* buffer, int size);
    static int64_t seek(void* self, int64_t offset, int whence);

    std::string path_;
    const Limits& limits_;
    int fd_ = -1;
    int64_t size_ = 0;
    int64_t position_ = 0;
    int64_t probed_bytes_ = 0;  // read to find out what the file holds; -1 once that is known
    std::exception_ptr error_;
    bool skip_payload_ = false;
    IOContextPtr context_;
};

}  // namespace ov2::media
