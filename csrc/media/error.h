// The failures a caller of csrc/media can meet: the file cannot be read, or what it holds cannot be used.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace ov2::media {

// The operating system refused the file, or it is none that is read; becomes ov2_kernels.VideoFileError (or
// its subclass for `code`).
class FileError : public std::runtime_error {
  public:
    // `what`: "cannot <action>: <reason>"; by default what the system says about opening it.
    FileError(int errno_code, std::string file_path, const std::string& what = "");
    int code;
    std::string path;
};

enum class Fault { not_a_video, no_video_stream, unsupported, damaged, too_large, cancelled };

// The bytes are not a video that can be used; becomes the subclass of ov2_kernels.VideoError for `fault`.
class VideoError : public std::runtime_error {
  public:
    VideoError(Fault kind, const std::string& message) : std::runtime_error(message), fault(kind) {}
    // "path: cannot <action>: <libav's own reason> (<the last error it logged>)". Memory that cannot be had
    // is a matter of size.
    VideoError(Fault kind, const std::string& path, const std::string& action, int averror);
    Fault fault;
};

// Throws VideoError where a libav call returned an error.
int check(int result, const std::string& path, const char* action);

// Throws VideoError: `limit` is the name of a limit, `most` what it is, `got` what the file has.
[[noreturn]] void throw_too_large(const std::string& path, const char* limit, const std::string& most,
                                  const std::string& got);

}  // namespace ov2::media
