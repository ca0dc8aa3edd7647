#include "media/error.h"

#include <cstring>

#include "media/libav.h"
#include "media/log.h"

namespace ov2::media {

FileError::FileError(int errno_code, std::string file_path, const std::string& what)
    : std::runtime_error(what.empty() ? std::string("cannot open it: ") + std::strerror(errno_code) : what),
      code(errno_code),
      path(std::move(file_path)) {}

VideoError::VideoError(Fault kind, const std::string& path, const std::string& action, int averror)
    : std::runtime_error([&] {
          char reason[AV_ERROR_MAX_STRING_SIZE] = {};
          av_strerror(averror, reason, sizeof reason);
          std::string logged = Log::current() == nullptr ? "" : Log::current()->last_error();
          return path + ": cannot " + action + ": " + reason + (logged.empty() ? "" : " (" + logged + ")");
      }()),
      fault(averror == AVERROR(ENOMEM) ? Fault::too_large : kind) {}

int check(int result, const std::string& path, const char* action) {
    if (result < 0) throw VideoError(Fault::damaged, path, action, result);
    return result;
}

void throw_too_large(const std::string& path, const char* limit, const std::string& most,
                     const std::string& got) {
    throw VideoError(Fault::too_large, path + ": " + limit + " is " + most + ", got " + got);
}

}  // namespace ov2::media
