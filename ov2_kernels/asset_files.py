"""Files that nobody vouches for, read within bounds; whatever is wrong with one is a ``ValueError`` that names it."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import reprlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .media import Array

#: the formats of canvases by suffix; what Pillow calls them
_PICTURES = {".jpg": "JPEG", ".png": "PNG"}
#: the header that ``np.save`` writes, and no other: nothing in it is evaluated
_HEADER = re.compile(rb"\{'descr': '([^']{1,8})', 'fortran_order': (False|True), 'shape': \(([0-9, ]*)\), \} *\n")
_MOST_HEADER_BYTES = 1024


@contextlib.contextmanager
def open_plain(path: Path, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file opened for reading, and its size.

    Raises ``OSError`` where it cannot be opened and ``ValueError`` where it is a link, which may lead out of its
    directory, no plain file, whose reading might never end, or larger than ``most_bytes``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(f"{path}: is a symbolic link, which may lead out of its directory") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path}: is not a plain file")
        if status.st_size > most_bytes:
            raise ValueError(f"{path}: has {status.st_size} bytes, more than the {most_bytes} that it may have")
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        yield file, status.st_size


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """All of a file; raises what :func:`open_plain` raises."""
    with open_plain(path, most_bytes) as (file, size):
        return file.read(size)


def read_npy(path: Path, dtype: Any, shape: tuple[int, ...]) -> Array:
    """An array of a type and shape that are known; the header is compared with them before memory is taken."""
    wanted = np.dtype(dtype)
    payload = math.prod(shape) * wanted.itemsize
    with open_plain(path, payload + _MOST_HEADER_BYTES) as (file, size):
        start = file.read(10)
        header = file.read(int.from_bytes(start[8:], "little"))
        match = _HEADER.fullmatch(header)
        if start[:8] != b"\x93NUMPY\1\0" or match is None:
            raise ValueError(f"{path}: is not a .npy file of version 1.0")
        got = tuple(int(n) for n in match[3].split(b",") if n.strip(b" "))
        if match[1] != wanted.str.encode() or got != shape:
            kind = match[1].decode("ascii", "replace")
            raise ValueError(
                f"{path}: must hold {wanted.str} {list(shape)}, holds {reprlib.repr(kind)} {reprlib.repr(list(got))}"
            )
        if size != file.tell() + payload:
            raise ValueError(f"{path}: has {size} bytes, not the {file.tell() + payload} that its header tells")
        data = bytearray(payload)
        if file.readinto(data) != payload:  # type: ignore[attr-defined]
            raise ValueError(f"{path}: breaks off")
    order: Any = "F" if match[2] == b"True" else "C"
    return np.frombuffer(data, wanted).reshape(shape, order=order)


def read_picture(path: Path, height: int, width: int) -> Array:
    """RGB pixels uint8 ``[height, width, 3]``; a picture that tells of another size is not decoded."""
    if path.suffix == ".npy":
        return read_npy(path, np.uint8, (height, width, 3))
    from PIL import Image

    raw = 3 * height * width
    with open_plain(path, 2 * raw + (1 << 16)) as (file, _):  # no compression makes a picture twice as large
        try:
            # Only the decoder of this format: Pillow has others, and some of them run programs.
            image = Image.open(file, formats=[_PICTURES[path.suffix]])
            if image.size == (width, height) and image.mode == "RGB":
                return np.asarray(image)
        except MemoryError:
            raise
        except Exception as error:  # in broken data Pillow meets whatever there is
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's own
            raise ValueError(f"{path}: cannot be read as {_PICTURES[path.suffix]}: {one_line(error)}") from error
        raise ValueError(f"{path}: must be RGB of {width}x{height}, is {image.mode} of {image.width}x{image.height}")


def one_line(error: Exception) -> str:
    """What an error says, which may quote the file, in one line of bounded length."""
    return " ".join(str(error)[:300].split()) or type(error).__name__
