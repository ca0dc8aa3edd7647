"""A container opened with PyAV, and what the first bytes of a coded picture tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BackendUnavailableError, VideoError
from ..media import Array

try:
    import av
    from av.bitstream import BitStreamFilterContext
except ImportError as error:  # the numeric stages of the reference work without PyAV
    av = None
    _reason = error


@dataclass
class Video:
    """An open container and its picture stream."""

    container: Any
    stream: Any

    @property
    def codec(self) -> str:
        """Name of the codec, not of the decoder that was found for it."""
        return str(self.stream.codec_context.codec.canonical_name)

    def packets(self) -> Iterator[Any]:
        """Coded pictures in decode order; empty packets are passed over."""
        unpack = None
        if self.codec == "mpeg4" and not _has_sample_table(self.container):
            unpack = BitStreamFilterContext("mpeg4_unpack_bframes", self.stream)
        for packet in self.container.demux(self.stream):
            for out in unpack.filter(packet if packet.size else None) if unpack else [packet]:
                if out.size:
                    yield out


def open_video(path: str) -> Video:
    """Opens the largest picture stream of a file that is not cover art, the first among equals.

    Raises ``OSError`` where the file cannot be read and :class:`VideoError` where it is not a video.
    """
    if av is None:
        raise BackendUnavailableError(
            "the reference reader needs PyAV: pip install 'ov2_kernels[reference]'"
        ) from _reason
    if os.path.isdir(path):
        raise IsADirectoryError(21, "Is a directory", path)
    try:
        container = av.open(path)
        if _has_sample_table(container):
            # Sizes, times and sync samples stand in the container; parsing would only second-guess them.
            container.close()
            container = av.open(path, options={"fflags": "noparse+nofillin"})
    except OSError:
        if not os.path.exists(path):
            raise
        raise VideoError(f"{path}: cannot open it as a video") from None
    except av.error.InvalidDataError as error:
        raise VideoError(f"{path}: cannot open it as a video: {error}") from None
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise VideoError(f"{path}: holds no video stream")
    return Video(container, max(streams, key=lambda s: s.width * s.height))


def _has_sample_table(container: Any) -> bool:
    return bool(container.format.name.startswith("mov,"))


def display_matrix(frame: Any) -> Array:
    """The linear part of a decoded frame's display matrix, ``[[a, b], [c, d]]``; the identity where there is none."""
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return np.eye(2, dtype=np.int64)
    m = np.frombuffer(bytes(side), dtype=np.int32)
    return np.array([[m[0], m[1]], [m[3], m[4]]], dtype=np.int64)


def orientation(matrix: Array) -> tuple[bool, bool, bool]:
    """Whether the upright picture is the transposed coded one, and then flipped in x and in y."""
    (a, b), (c, d) = matrix
    transpose = abs(b) + abs(c) > abs(a) + abs(d)
    return bool(transpose), bool((c if transpose else a) < 0), bool((b if transpose else d) < 0)


def turn(plane: Array, transpose: bool, flip_x: bool, flip_y: bool) -> Array:
    """Stands a coded picture ``[H, W, ...]`` upright."""
    if transpose:
        plane = plane.swapaxes(0, 1)
    return plane[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def is_reference(codec: str, extradata: bytes | None, data: bytes) -> bool:
    """Whether other pictures may be predicted from this one.

    H.264: the ``nal_ref_idc`` of the first slice is positive; elsewhere: it is not a B picture.
    """
    if codec == "h264":
        for nal in _nal_units(extradata, data):
            if nal & 31 in (1, 2, 5):
                return nal >> 5 & 3 > 0
    elif codec == "mpeg4":
        at = data.find(b"\x00\x00\x01\xb6")
        return not (at >= 0 and at + 4 < len(data) and data[at + 4] >> 6 == 2)
    elif codec in ("mpeg1video", "mpeg2video"):
        at = data.find(b"\x00\x00\x01\x00")
        return not (at >= 0 and at + 5 < len(data) and data[at + 5] >> 3 & 7 == 3)
    return True


def is_shown(codec: str, data: bytes) -> bool:
    """False for a VP8 alternate reference, which is never displayed."""
    return codec != "vp8" or bool(data[0] >> 4 & 1)


def _nal_units(extradata: bytes | None, data: bytes) -> Iterator[int]:
    """First byte of each NAL unit, behind length prefixes (avcC) or start codes."""
    if extradata and extradata[0] == 1:
        prefix = (extradata[4] & 3) + 1
        at = 0
        while at + prefix < len(data):
            length = int.from_bytes(data[at : at + prefix], "big")
            yield data[at + prefix]
            at += prefix + length
    else:
        at = data.find(b"\x00\x00\x01")
        while 0 <= at < len(data) - 3:
            yield data[at + 3]
            at = data.find(b"\x00\x00\x01", at + 3)
