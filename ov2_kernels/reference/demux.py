"""A container opened with PyAV, and what the first bytes of a coded picture tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import (
    BackendUnavailableError,
    DamagedVideoError,
    NotAVideoError,
    NoVideoStreamError,
    UnsupportedCodecError,
    VideoError,
)
from ..limits import CONTAINERS, Deadline, Limits, open_regular
from ..media import Array

try:
    import av
    from av.bitstream import BitStreamFilterContext
except ImportError as error:  # the numeric stages of the reference work without PyAV
    av = None
    _reason = error


class _Bytes:
    """A file as PyAV reads it: without a name, and within the limits."""

    def __init__(self, file: BinaryIO, path: str, limits: Limits) -> None:
        self._file, self._path, self._limits = file, path, limits
        self._deadline = Deadline(path, limits)
        self.probed = 0
        self.opened = False

    def read(self, size: int) -> bytes:
        """The next bytes."""
        self._deadline.check()
        data = self._file.read(size)
        if not self.opened:
            self.probed += len(data)
            self._limits.check(self._path, "max_probe_bytes", self.probed)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()


@dataclass
class Video:
    """An open container and its picture stream."""

    path: str
    limits: Limits
    file: BinaryIO
    container: Any
    stream: Any
    #: packets of the stream that came, and those of which the file holds only a part
    delivered: int = 0
    partial: int = 0

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self.file.close()

    @property
    def codec(self) -> str:
        """Name of the codec, not of the decoder that was found for it."""
        return str(self.stream.codec_context.codec.canonical_name)

    @property
    def missing(self) -> int:
        """At the end: packets that the sample table lists and the file does not hold."""
        listed = len(getattr(self.stream, "index_entries", ())) if _has_sample_table(self.container) else 0
        return max(0, listed - self.delivered)

    def packets(self) -> Iterator[Any]:
        """Coded pictures in decode order; empty packets are passed over.

        A damaged container raises :class:`DamagedVideoError`; to salvage what there is, reading goes on where there is
        a sample table, and else ends.
        """
        unpack = None
        if self.codec == "mpeg4" and not _has_sample_table(self.container):
            unpack = BitStreamFilterContext("mpeg4_unpack_bframes", self.stream)
        for packet in self._demuxed():
            for out in unpack.filter(packet if packet.size else None) if unpack else [packet]:
                if out.size:
                    yield out

    def decode(self, packet: Any) -> list[Any]:
        """The pictures that a packet (``None`` at the end) makes the decoder show; none if it cannot use it."""
        try:
            frames = list(self.stream.codec_context.decode(packet))
        except av.error.FFmpegError:
            return []
        for frame in frames:
            self.limits.check_size(self.path, frame.width, frame.height)
        return frames

    def _demuxed(self) -> Iterator[Any]:
        failed = 0
        while True:
            try:
                for packet in self.container.demux(self.stream):
                    self.delivered += packet.size > 0 or packet.dts is not None
                    self.partial += packet.is_corrupt and _has_sample_table(self.container)
                    yield packet
            except av.error.FFmpegError as error:
                if not self.limits.salvage:
                    raise DamagedVideoError(f"{self.path}: cannot read on: {error.strerror}") from None
            failed += 1
            if not self.limits.salvage or failed > self.missing:
                return


def open_video(path: str, limits: Limits | None = None) -> Video:
    """Opens the largest picture stream of a file that is not cover art, the first among equals.

    Raises a :class:`VideoError` where the file cannot be read, is not a video or exceeds ``limits``.
    """
    if av is None:
        raise BackendUnavailableError(
            "the reference reader needs PyAV: pip install 'ov2_kernels[reference]'"
        ) from _reason
    limits = limits or Limits()
    file = open_regular(path, follow_symlinks=limits.follow_symlinks)
    try:
        limits.check(path, "max_file_bytes", os.fstat(file.fileno()).st_size)
        container = _open_container(file, path, limits, {})
        if _has_sample_table(container):
            # Sizes, times and sync samples stand in the container; parsing would only second-guess them.
            container.close()
            container = _open_container(file, path, limits, {"fflags": "noparse+nofillin"})
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise NoVideoStreamError(f"{path}: holds no video stream")
        stream = max(streams, key=lambda s: s.width * s.height if s.codec_context else 0)
        if stream.codec_context is None:
            raise UnsupportedCodecError(f"{path}: cannot decode it: this FFmpeg has no decoder for its codec")
        limits.check_size(path, stream.width, stream.height)
        return Video(path, limits, file, container, stream)
    except BaseException:
        file.close()
        raise


def _open_container(file: BinaryIO, path: str, limits: Limits, options: dict[str, str]) -> Any:
    def attempt(containers: str) -> Any:
        file.seek(0)
        source = _Bytes(file, path, limits)
        options_ = {**options, "format_whitelist": containers, "protocol_whitelist": "none"}
        container = av.open(source, options=options_, metadata_errors="replace")
        source.opened = True
        return container

    try:
        return attempt(CONTAINERS)
    except av.error.ArgumentError:
        raise NotAVideoError(f"{path}: cannot open it as a video: it is no container that is read") from None
    except av.error.FFmpegError as error:
        reason = error.strerror
    # Is it damaged, or nothing that FFmpeg knows? What it knows it refuses when nothing is on the list.
    kind: type[VideoError] = NotAVideoError
    try:
        attempt("none")
    except av.error.ArgumentError:
        kind = DamagedVideoError
    except av.error.FFmpegError:
        pass
    raise kind(f"{path}: cannot open it as a video: {reason}")


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
