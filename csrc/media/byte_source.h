// A local file as libav's input, read through our own callbacks so that a path is only ever that file.
#pragma once

#include <cstdint>
#include <string>

#include "media/libav.h"

namespace ov2::media {

class ByteSource {
  public:
    explicit ByteSource(const std::string& path);
    ~ByteSource();
    ByteSource(const ByteSource&) = delete;
    ByteSource& operator=(const ByteSource&) = delete;

    // What the operating system answered to a read that failed, or 0.
    int error() const { return error_; }

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
    static int64_t seek(void* self, int64_t offset, int whence);

    int fd_ = -1;
    int64_t size_ = 0;
    int64_t position_ = 0;
    int error_ = 0;
    bool skip_payload_ = false;
    IOContextPtr context_;
};

}  // namespace ov2::media
