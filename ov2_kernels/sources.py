"""One entrance for every kind of source: what it is decides how it is tokenized."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import NotAnImageError, VideoError, VideoFileError
from .limits import Limits, file_name
from .tokens import CodecTokens

MODES = ("auto", "codec", "frames", "image")

#: formats whose further pictures are later ones; elsewhere they are pages, or other views. Of MPEG-1 video Pillow knows
#: the first bytes.
_MOVING = ("GIF", "PNG", "WEBP", "AVIF", "FLI")


def tokenize(source: Any, mode: str = "auto", **options: Any) -> CodecTokens:
    """Tokenizes a video, an image or a list of frames.

    ``source`` is a path, ``bytes`` or an opened binary file (which is read from where it stands) of a video or an
    image; a PIL image or an array ``[H, W, 3]``; a list of those or an array ``[N, H, W, 3]``. ``mode`` is ``codec``
    (:func:`ov2_kernels.tokenize_video`), ``frames`` (:func:`ov2_kernels.tokenize_frames`), ``image``
    (:func:`ov2_kernels.tokenize_image`) or ``auto``: by content, ``codec`` for a video, animations included.
    ``options`` are those of the function. Raises what it raises, ``ValueError`` for a mode that does not fit.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    elif hasattr(source, "read") and not _seekable(source):
        source = io.BytesIO(source.read())
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
    with video_path(source) as path:
        if mode == "frames":
            from .frames import tokenize_frames

            return tokenize_frames(path, **options)
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


def _seekable(file: Any) -> bool:
    return bool(getattr(file, "seekable", lambda: False)())


@contextlib.contextmanager
def video_path(source: Any) -> Iterator[str]:
    """A path under which a source can be read; what an opened file holds is copied, to memory where Linux allows.

    Errors about the copy name the source instead.
    """
    if isinstance(source, (str, os.PathLike)):
        yield os.fspath(source)
        return
    if not hasattr(source, "read"):
        raise ValueError(f"source must be a path, bytes or a binary file of a video, got {type(source).__name__}")
    name = file_name(source)
    with _anonymous_file() as (file, path):
        shutil.copyfileobj(source, file)
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
