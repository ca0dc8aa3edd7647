"""One entrance for every kind of source: what it is decides how it is tokenized."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import NotAnImageError, VideoError, VideoFileError, VideoTooLargeError
from .limits import Limits, file_name, require_binary
from .tokens import CodecTokens

MODES = ("auto", "codec", "frames", "image")

#: formats whose further pictures are later ones; elsewhere they are pages, or other views. Of MPEG-1 video Pillow knows
#: the first bytes.
_MOVING = ("GIF", "PNG", "WEBP", "AVIF", "FLI")
#: bytes that are copied at a time
_CHUNK = 1 << 20


def tokenize(source: Any, mode: str = "auto", **options: Any) -> CodecTokens:
    """Tokenizes a video, an image or a list of frames.

    ``source`` is a path, ``bytes`` or an opened binary file (which is read from where it stands, ``max_file_bytes`` at
    most) of a video or an image; a PIL image or an array ``[H, W, 3]``; a list of those or an array ``[N, H, W, 3]``.
    ``mode`` is ``codec`` (:func:`ov2_kernels.tokenize_video`), ``frames`` (:func:`ov2_kernels.tokenize_frames`),
    ``image`` (:func:`ov2_kernels.tokenize_image`) or ``auto``: by content, ``codec`` for a video, animations included.
    ``options`` are those of the function. Raises what it raises, ``ValueError`` for a mode that does not fit.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    elif hasattr(source, "read") and not _seekable(source):
        memory = io.BytesIO()
        _copy(source, memory, _most_bytes(options))
        memory.seek(0)
        source = memory
    if mode == "auto":
        mode = evidence_of(source)
    if mode == "image":
        from .image import tokenize_image

        return tokenize_image(source, **options)
    if mode == "frames" and not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
        from .frames import tokenize_frames

        return tokenize_frames(source, **options)
    is_path = isinstance(source, (str, os.PathLike))
    if not is_path and mode == "codec":
        options["follow_symlinks"] = True  # the way to our own copy
    if not is_path and mode == "frames":
        options["limits"] = dataclasses.replace(options.get("limits") or Limits(), follow_symlinks=True)
    with video_path(source, _most_bytes(options)) as path:
        if mode == "frames":
            from .frames import tokenize_frames

            tokens = tokenize_frames(path, **options)
        else:
            from .video import tokenize_video

            tokens = tokenize_video(path, **options)
    # A copy's path is gone with it.
    return tokens if is_path else dataclasses.replace(tokens, video="")


def evidence_of(source: Any) -> str:
    """``codec``, ``frames`` or ``image``: what ``mode="auto"`` makes of a source; ``ValueError`` for no source."""
    from PIL import Image

    from .image import opened_image

    if isinstance(source, Image.Image):
        return "image"
    if isinstance(source, np.ndarray):
        return "frames" if source.ndim == 4 else "image"
    if isinstance(source, (list, tuple)):
        return "frames"
    is_path = isinstance(source, (str, os.PathLike))
    if not is_path and not hasattr(source, "read"):
        raise ValueError(
            "source must be a path, bytes, a binary file, a PIL image, an array or a list of frames, got "
            f"{type(source).__name__}"
        )
    position = 0 if is_path else source.tell()
    try:
        with opened_image(source) as image:
            moving = image.format == "MPEG" or (image.format in _MOVING and getattr(image, "n_frames", 1) > 1)
            return "codec" if moving else "image"
    except NotAnImageError:
        return "codec"
    finally:
        if not is_path:
            source.seek(position)


def _most_bytes(options: dict[str, Any]) -> int:
    """``max_file_bytes`` of the options of a function that tokenizes."""
    if "max_file_bytes" in options:
        return Limits(max_file_bytes=options["max_file_bytes"]).max_file_bytes
    limits = options.get("limits") or options.get("config") or Limits()
    return Limits.checked(limits).max_file_bytes


def _copy(source: Any, target: Any, most_bytes: int) -> None:
    """Copies what an opened file holds; raises :class:`VideoTooLargeError` as soon as that is more than so many bytes.

    ``ValueError`` for a file that was opened as text.
    """
    require_binary(source)
    left = most_bytes + 1
    while left > 0 and (chunk := source.read(min(left, _CHUNK))):
        target.write(chunk)
        left -= len(chunk)
    if left <= 0:
        raise VideoTooLargeError(f"{file_name(source)}: max_file_bytes is {most_bytes:.10g}, got more")


def _seekable(file: Any) -> bool:
    return bool(getattr(file, "seekable", lambda: False)())


@contextlib.contextmanager
def video_path(source: Any, most_bytes: int) -> Iterator[str]:
    """A path under which a source can be read; what an opened file holds is copied, to memory where Linux allows.

    More than ``most_bytes`` of it raise :class:`VideoTooLargeError`. Errors about the copy name the source instead.
    """
    if isinstance(source, (str, os.PathLike)):
        yield os.fspath(source)
        return
    if not hasattr(source, "read"):
        raise ValueError(f"source must be a path, bytes or a binary file of a video, got {type(source).__name__}")
    name = file_name(source)
    with _anonymous_file() as (file, path):
        _copy(source, file, most_bytes)
        file.flush()
        try:
            yield path
        except VideoFileError as error:
            raise type(error)(error.errno, error.strerror, name) from error
        except VideoError as error:
            raise type(error)(str(error).replace(path, name)) from error


@contextlib.contextmanager
def _anonymous_file() -> Iterator[tuple[Any, str]]:
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        with open(os.memfd_create("ov2_kernels", os.MFD_CLOEXEC), "wb") as memory:
            yield memory, f"/proc/self/fd/{memory.fileno()}"
        return
    with tempfile.NamedTemporaryFile(prefix="ov2_kernels_") as file:
        yield file, file.name
