// The two failures a caller of csrc/media can meet: the file cannot be read, or what it holds cannot be used.
#pragma once

#include <stdexcept>
#include <string>

namespace ov2::media {

// The operating system refused the file; becomes OSError (or its subclass for `code`).
class FileError : public std::runtime_error {
  public:
    FileError(int errno_code, std::string file_path)
        : std::runtime_error(file_path), code(errno_code), path(std::move(file_path)) {}
    int code;
    std::string path;
};

// The bytes are not a video that can be used; becomes ov2_kernels.VideoError.
class VideoError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
    // "path: cannot <action>: <libav's own reason>"
    VideoError(const std::string& path, const std::string& action, int averror);
};

// Throws VideoError where a libav call returned an error.
int check(int result, const std::string& path, const char* action);

}  // namespace ov2::media
