"""How far a file is trusted: what it may be, how large, how long it may take, and what happens if it is broken."""

from __future__ import annotations

import dataclasses
import errno
import io
import numbers
import operator
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from .errors import VideoCancelledError, VideoTooLargeError, file_error

ON_ERROR = ("raise", "salvage")

#: what a limit may be at most
_MOST = 2**62 - 1

#: FFmpeg's names of the containers that are read. None of them opens other files; playlists (HLS, DASH, concat), image
#: sequences, devices and network protocols are not among them.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,m4v,h261,h263,h264,hevc,vvc,av1,obu,"
    "ivf,ogg,asf,rm,mxf,nut,dv,vc1,cavsvideo,dirac,mjpeg,gif,apng,flic,wtv,yuv4mpegpipe"
)


def setting(default: Any, help_: str, choices: tuple[str, ...] | None = None) -> Any:
    """A field of settings, with what the command line says about it."""
    return dataclasses.field(default=default, metadata={"help": help_, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What of a file is accepted; it holds before memory is taken. A wrong value raises ``ValueError``.

    A file beyond a limit raises :class:`ov2_kernels.errors.VideoTooLargeError`, work beyond ``max_wall_seconds``
    :class:`ov2_kernels.errors.VideoCancelledError`.
    """

    on_error: str = setting(
        "raise", "what to do about damage: raise, or salvage what can be read and say what is lost", ON_ERROR
    )
    max_source_width: int = setting(16_384, "pixels of the video's pictures across at most")
    max_source_height: int = setting(16_384, "pixels of the video's pictures down at most")
    max_source_pixels: int = setting(1 << 26, "pixels of the video's pictures at most")
    max_source_frames: int = setting(1 << 22, "frames of the video at most")
    max_source_seconds: float = setting(86_400.0, "duration of the video at most, in seconds")
    max_file_bytes: int = setting(1 << 35, "size of the file at most, in bytes")
    max_probe_bytes: int = setting(1 << 28, "bytes read at most to find out what the file holds")
    max_wall_seconds: float = setting(3_600.0, "time that work on a video may take at most, in seconds")
    follow_symlinks: bool = setting(True, "read files through symbolic links")

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise ValueError(f"on_error must be one of {', '.join(ON_ERROR)}, got {self.on_error!r}")
        for field in dataclasses.fields(Limits):
            if field.name.startswith("max_") and isinstance(field.default, int):
                self._check_integers(field.name, highest=_MOST)
            elif field.name.startswith("max_"):
                self._check_numbers(field.name, strict=True)
                if getattr(self, field.name) > _MOST:
                    raise ValueError(f"{field.name} must be at most {_MOST}, got {getattr(self, field.name)!r}")
        if not isinstance(self.follow_symlinks, bool):
            raise ValueError(f"follow_symlinks must be True or False, got {self.follow_symlinks!r}")

    def _check_integers(self, *names: str, highest: int = 2**31 - 1) -> None:
        """Raises where a field is no integer from 1 on; those of NumPy become Python's."""
        from .checks import check_integer  # which loads NumPy; the command's help does without

        for name in names:
            check_integer(name, getattr(self, name), 1, highest)
            object.__setattr__(self, name, operator.index(getattr(self, name)))

    def _check_numbers(self, *names: str, strict: bool = False) -> None:
        """Raises where a field is no number of at least 0, or if ``strict`` above it; NumPy's become Python's."""
        from .checks import check_number

        for name in names:
            value = getattr(self, name)
            check_number(name, value, 0.0, strict=strict)
            object.__setattr__(self, name, int(value) if isinstance(value, numbers.Integral) else float(value))

    @staticmethod
    def checked(limits: Any) -> Limits:
        """What was handed over as ``limits``; ``ValueError`` where it is something else."""
        if not isinstance(limits, Limits):
            raise ValueError(f"limits must be Limits, got {limits!r}")
        return limits

    @property
    def limits(self) -> Limits:
        """These fields alone."""
        return Limits(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Limits)})

    @property
    def salvage(self) -> bool:
        """Whether damage is lived with as far as can be."""
        return self.on_error == "salvage"

    def check_size(self, path: str, width: int, height: int) -> None:
        """Raises where a picture is too large."""
        sizes = {"max_source_width": width, "max_source_height": height, "max_source_pixels": width * height}
        for name, value in sizes.items():
            self.check(path, name, value)

    def check(self, path: str, name: str, value: float) -> None:
        """Raises where a value, by the name of its limit, is too large."""
        most = getattr(self, name)
        if not value <= most:
            raise VideoTooLargeError(f"{path}: {name} is {most:.10g}, got {value:.10g}")


class Deadline:
    """When ``max_wall_seconds`` of a video are over.

    In a ``with`` block of it, what a stage says that got what was :meth:`left` is said with the whole time.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits) -> None:
        self._path, self._limits = os.fspath(path), limits.limits
        self._end = time.monotonic() + limits.max_wall_seconds

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, VideoCancelledError):
            raise self._over() from error

    def check(self) -> None:
        """Raises :class:`VideoCancelledError` if they are."""
        if time.monotonic() > self._end:
            raise self._over()

    def _over(self) -> VideoCancelledError:
        seconds = self._limits.max_wall_seconds
        return VideoCancelledError(f"{self._path}: given up, for it took longer than max_wall_seconds = {seconds:.10g}")

    def left(self) -> Limits:
        """The limits for what is still to be done; raises as :meth:`check`."""
        self.check()
        return dataclasses.replace(self._limits, max_wall_seconds=max(self._end - time.monotonic(), 1e-3))


def open_regular(path: str | os.PathLike[str], *, follow_symlinks: bool = True) -> BinaryIO:
    """Opens a regular file for reading; :class:`ov2_kernels.errors.VideoFileError` for whatever else is there.

    No pipe is waited for, and no device touched.
    """
    name = os.fspath(path)

    def opener(_: str, flags: int) -> int:
        _require_regular(os.stat(name), name)
        flags |= os.O_NONBLOCK | os.O_NOCTTY | (0 if follow_symlinks else os.O_NOFOLLOW)
        descriptor = os.open(name, flags)
        try:
            _require_regular(os.fstat(descriptor), name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    try:
        return open(name, "rb", opener=opener)
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.ELOOP and not follow_symlinks:
            reason = "it is a symbolic link, and follow_symlinks is off"
        raise file_error(error.errno or 0, f"cannot open it: {reason}", name) from None


def file_name(file: Any) -> str:
    """What messages call an opened file."""
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "<bytes>" if isinstance(file, io.BytesIO) else "<file>"


def require_binary(file: Any) -> None:
    """Raises ``ValueError`` for a file that was opened as text."""
    if hasattr(file, "encoding"):
        raise ValueError(f"{file_name(file)}: is opened as text; it must be binary, as open(path, 'rb') opens it")


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)


def native_limits(limits: Limits | None) -> Mapping[str, Any]:
    """The limits as the compiled reader takes them."""
    limits = limits or Limits()
    values = {field.name: getattr(limits, field.name) for field in dataclasses.fields(Limits)}
    values["salvage"] = values.pop("on_error") == "salvage"
    values["max_wall_seconds"] = float(values["max_wall_seconds"])
    values["max_source_seconds"] = float(values["max_source_seconds"])
    return {**values, "containers": CONTAINERS}
