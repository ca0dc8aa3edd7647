"""Ways to break a file, each by a seed, and how a broken one is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from ov2_kernels import VideoError, ops
from ov2_kernels.limits import Limits

Rng = np.random.Generator

#: boxes of MP4 that say how many samples there are, where, when and how large
TABLES = (b"stts", b"ctts", b"stsz", b"stco", b"stsc", b"stss", b"mdhd", b"mvhd", b"elst", b"tkhd", b"stsd")
#: what a length, a count or a time may claim
CLAIMS = (0, 1, 7, 0x7F, 0xFF, 0xFFFF, 0x10000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def cut(data: bytes, rng: Rng) -> bytes:
    """The file ends early."""
    return data[: rng.integers(len(data))]


def cut_front(data: bytes, rng: Rng) -> bytes:
    """It begins in the middle."""
    return data[rng.integers(len(data)) :]


def flip(data: bytes, rng: Rng) -> bytes:
    """One byte is another."""
    out = bytearray(data)
    out[rng.integers(len(data))] ^= int(rng.integers(1, 256))
    return bytes(out)


def flips_near_the_start(data: bytes, rng: Rng) -> bytes:
    """Some bytes of the headers are others."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        out[rng.integers(min(len(data), 700))] = int(rng.integers(256))
    return bytes(out)


def zeros(data: bytes, rng: Rng) -> bytes:
    """A range is zero, as after a download with holes."""
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, len(data) // 3))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def noise(data: bytes, rng: Rng) -> bytes:
    """A range is noise."""
    start = int(rng.integers(len(data)))
    length = min(int(rng.integers(1, 2000)), len(data) - start)
    return data[:start] + rng.bytes(length) + data[start + length :]


def without(data: bytes, rng: Rng) -> bytes:
    """A range is missing, so that all behind it lies elsewhere than the index says."""
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, len(data) // 4)) :]


def twice(data: bytes, rng: Rng) -> bytes:
    """A range comes twice."""
    start, end = sorted(rng.integers(len(data), size=2))
    return data[:end] + data[start:]


def lie(data: bytes, rng: Rng) -> bytes:
    """A word somewhere, which may be a size, claims something else."""
    at = int(rng.integers(max(1, len(data) - 4)))
    claim = int(CLAIMS[rng.integers(len(CLAIMS))]).to_bytes(4, "big")
    return data[:at] + claim + data[at + 4 :]


def lie_in_a_table(data: bytes, rng: Rng) -> bytes:
    """So does one in MP4's tables: counts, sizes, offsets, times that are huge, repeated, negative; else anywhere."""
    places = [data.find(name) for name in TABLES if name in data]
    if not places:
        return lie(lie(data, rng), rng)
    for _ in range(rng.integers(1, 4)):
        at = places[rng.integers(len(places))] + 4 + 4 * int(rng.integers(0, 24))
        claim = int(CLAIMS[rng.integers(len(CLAIMS))]).to_bytes(4, "big")
        data = data[:at] + claim + data[at + 4 :]
    return data


WAYS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    cut, cut_front, flip, flips_near_the_start, zeros, noise, without, twice, lie, lie_in_a_table,
)  # fmt: skip


def damaged(data: bytes, seed: int) -> bytes:
    """The file, broken in the way and at the place that a seed tells."""
    return WAYS[seed % len(WAYS)](data, np.random.default_rng(seed))


def refused(path, backend, **limits):
    """The error by which a video is refused, whose form is checked."""
    with pytest.raises(VideoError) as caught:
        ops.probe(path, backend=backend, limits=Limits(**limits))
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value


def boxed(kind: bytes, *content: bytes) -> bytes:
    """A box of MP4."""
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body
