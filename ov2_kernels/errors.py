"""The errors of this package that Python does not have already."""

from __future__ import annotations

import errno


class VideoError(ValueError):
    """The file cannot be used: the message names the path, what was tried and the reason of FFmpeg or Pillow."""


class VideoFileError(OSError, VideoError):
    """The operating system refuses the file, or it is no regular file; ``errno`` and ``filename`` are those."""

    def __str__(self) -> str:
        # Who raises it anew from its message alone, as torch's DataLoader does, says no file.
        return super().__str__() if self.filename is None else f"{self.filename}: {self.strerror}"


class VideoNotFoundError(VideoFileError, FileNotFoundError):
    """There is no such file."""


class VideoPermissionError(VideoFileError, PermissionError):
    """The file may not be read."""


class VideoIsADirectoryError(VideoFileError, IsADirectoryError):
    """The path is that of a directory."""


class NotAVideoError(VideoError):
    """The file is none of the containers that are read."""


class NoVideoStreamError(VideoError):
    """The container holds no video stream."""


class UnsupportedCodecError(VideoError):
    """This FFmpeg cannot decode the codec, or what is done with its pictures it cannot do."""


class DamagedVideoError(VideoError):
    """The file is damaged, or ends too early."""


class NotAnImageError(OSError, VideoError):
    """The file is none of the images that Pillow reads."""


class DamagedImageError(OSError, DamagedVideoError):
    """The image is damaged, or ends too early."""


class VideoTooLargeError(VideoError):
    """The video or image exceeds a limit, which the message names beside its value and the video's."""


class VideoCancelledError(VideoError, TimeoutError):
    """The work took longer than ``max_wall_seconds``."""


class TargetError(FileExistsError):
    """What has the name of an output stays; ``errno`` and ``filename`` are those, and the message says why."""

    def __str__(self) -> str:
        # Who raises it anew from its message alone, as torch's DataLoader does, says no file.
        return super().__str__() if self.filename is None else f"{self.filename}: {self.strerror}"


class TargetExistsError(TargetError):
    """What has the name of an output is what ``overwrite`` would replace."""


class BackendUnavailableError(RuntimeError):
    """A backend that was asked for by name cannot be loaded; the message says why."""


_FILE_ERRORS: dict[int, type[VideoFileError]] = {
    errno.ENOENT: VideoNotFoundError,
    errno.EACCES: VideoPermissionError,
    errno.EPERM: VideoPermissionError,
    errno.EISDIR: VideoIsADirectoryError,
}


def file_error(code: int, reason: str, path: str) -> VideoFileError:
    """The error for what the operating system answered: its code, and what was tried and why it failed."""
    return _FILE_ERRORS.get(code, VideoFileError)(code, reason, path)
