"""What the reader tells about a video, whichever backend read it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .dispatch import resolve_threads

Array = npt.NDArray[Any]

MOTION_SOURCES = ("none", "codec", "estimated")


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """The packet table and the facts of a video stream, read without decoding (algorithm, section 1).

    Rows of the arrays are pictures in display order, or in decode order where ``has_timestamps`` is false.
    """

    path: str
    #: bytes of each picture's packet, int64 ``[frames]``
    size: Array
    #: presentation times in ticks of ``time_base``, int64 ``[frames]``
    pts: Array
    #: keyframe flags of the container, bool ``[frames]``
    is_key: Array
    #: place of each picture's packet in decode order, int64 ``[frames]``
    decode_index: Array
    codec: str
    container: str
    #: size of the coded picture in pixels, before rotation
    coded_width: int
    coded_height: int
    #: clockwise degrees from the coded to the upright picture; ``mirrored`` flips it left to right after that
    rotation: int
    mirrored: bool
    time_base: Fraction
    frame_rate: Fraction
    has_timestamps: bool
    #: pictures that the container lists and the file does not hold
    missing_frames: int = 0

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return len(self.size)

    @property
    def fps(self) -> float:
        """Average frame rate of the stream, in frames per second."""
        return float(self.frame_rate)

    @property
    def width(self) -> int:
        """Width of the upright picture, in pixels."""
        return self.coded_height if self.rotation % 180 else self.coded_width

    @property
    def height(self) -> int:
        """Height of the upright picture, in pixels."""
        return self.coded_width if self.rotation % 180 else self.coded_height

    @property
    def times(self) -> Array:
        """Seconds from the first picture to each, float64 ``[frames]``."""
        ticks = (self.pts - self.pts[0]) * self.time_base.numerator
        return np.asarray(ticks / self.time_base.denominator)

    @property
    def duration(self) -> float:
        """Seconds from the first picture to the end of the last, which is taken to last one average frame."""
        return float(self.times[-1]) + 1.0 / self.fps


@dataclass(frozen=True, eq=False)
class Pictures:
    """Memory for the pictures of samples, C-contiguous; whoever brings it chooses where they lie."""

    #: uint8 ``[N, H, W, 3]``; or :class:`DeferredFrames`, or None, where those that are read may be such
    frames: Array | DeferredFrames | None
    #: uint8 ``[N, H, W]`` and ``[N, H, W]``, or ``[0, H, W]`` where predecessors are not wanted
    luma: Array
    prev_luma: Array

    @classmethod
    def empty(cls, count: int, height: int, width: int, *, predecessors: bool = True, frames: bool = True) -> Pictures:
        """Memory of NumPy's, not initialised."""
        planes = ((count, height, width), (count if predecessors else 0, height, width))
        return cls(
            np.empty((count, height, width, 3), np.uint8) if frames else None,
            *(np.empty(shape, np.uint8) for shape in planes),
        )


class DeferredFrames:
    """Frames, RGB, uint8 ``[N, H, W, 3]``, whose colour is converted where it is wanted.

    :func:`ov2_kernels.ops.pack_canvases` converts the blocks that it packs, and an array made of this all of them, to
    the same bits.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, colors: Any, luma: Array) -> None:
        self.colors = colors
        self.luma = luma
        self.shape = (*luma.shape, 3)

    def __len__(self) -> int:
        return len(self.luma)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("deferred frames cannot become an array without conversion")
        frames: Array = self.colors.frames(self.luma, resolve_threads(None))
        return frames if dtype is None else frames.astype(dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Samples:
    """The sampled frames of a video, upright and at canvas size (algorithm, section 4)."""

    #: row of the packet table of each sample, int64 ``[N]``
    frame_ids: Array
    #: RGB, uint8 ``[N, H, W, 3]``; :class:`DeferredFrames` where the caller brought no memory for them
    frames: Any
    #: luma of each sample and of the picture displayed before it, uint8 ``[N, H, W]``
    luma: Array
    prev_luma: Array
    #: (dx, dy) per 4x4-pixel cell in quarter pixels per frame, into the previous picture, int16 ``[N, H/4, W/4, 2]``
    motion: Array
    #: bytes of each sample's packet, int64 ``[N]``
    packet_bytes: Array
    #: ticks of the stream's time base, int64 ``[N]``
    pts: Array
    #: letter of the picture type (``I``, ``P``, ``B``, ...), ``S1`` ``[N]``
    pict_types: Array
    #: where the decoder gave no picture and another one stands in, bool ``[N]``; and the row that each picture is of,
    #: its own or that one's, int64 ``[N]``
    substituted: Array
    shown_ids: Array
    #: where the vectors come from: ``codec``, ``estimated`` or ``none``
    motion_source: str
    #: pictures decoded, and packets that no sample needed and the decoder never saw
    decoded: int
    skipped: int


#: What a picture's bits can be, by the numbers of the parser: ``exact``, or why they are not known.
BIT_STATUS = (
    "exact",
    "no picture in the packet",
    "parameter sets missing",
    "broken slice",
    "macroblocks missing",
    "data partitioning",
    "switching slices",
    "several pictures in a packet",
    "codec",
    "another size",
)


@dataclass(frozen=True, eq=False)
class BitCost:
    """The bits that each macroblock took, read off the bitstream without decoding (algorithm, section 12).

    Macroblocks are those of the coded picture, before cropping and rotation.
    """

    #: row of the packet table of each picture, int64 ``[N]``
    frame_ids: Array
    #: bits of each macroblock, 0 throughout where a picture is not ``exact``, int32 ``[N, mb_h, mb_w]``
    bits: Array
    #: where a macroblock and the one below (even row) or above it (odd row) hold the lines of a field each, bool
    field_pairs: Array
    #: ``exact``, or why the bits are not known, for each picture
    status: tuple[str, ...]
    #: letters of the slices in each picture, each once, in the order P, B, I
    slice_types: tuple[str, ...]
    #: bits of slice data in all, int64 ``[N]``; what ``bits`` sum to
    payload_bits: Array
    #: side of a macroblock, and what is shown of the coded picture, in pixels: left, top, width, height
    unit: int
    crop: tuple[int, int, int, int]

    @property
    def exact(self) -> Array:
        """Which pictures' bits are known, bool ``[N]``."""
        return np.array([status == BIT_STATUS[0] for status in self.status], dtype=bool)

    def cells(self, info: VideoInfo) -> tuple[Array, Array, Array]:
        """The bits upright, as :func:`ov2_kernels.ops.block_bits` takes them.

        Returns cells int64 ``[N, rows, columns]`` in 1/256 bit, and the edges of their rows and columns in pixels of
        the upright picture, int64 ``[rows + 1]`` and ``[columns + 1]``. Macroblocks of a field pair share their bits.
        """
        cells = np.multiply(self.bits, 256, dtype=np.int64)
        if self.field_pairs.any():
            halves = (cells[:, 0::2] + cells[:, 1::2]) // 2
            cells = np.where(self.field_pairs, halves.repeat(2, axis=1), cells)
        left, top, width, height = self.crop
        rows, columns = cells.shape[1:]
        edges_y = np.clip(np.arange(rows + 1, dtype=np.int64) * self.unit - top, 0, height)
        edges_x = np.clip(np.arange(columns + 1, dtype=np.int64) * self.unit - left, 0, width)
        for _ in range(info.rotation // 90):
            cells = np.rot90(cells, -1, axes=(1, 2))
            edges_y, edges_x = edges_x, (edges_y[-1] - edges_y)[::-1]
        if info.mirrored:
            cells = cells[:, :, ::-1]
            edges_x = (edges_x[-1] - edges_x)[::-1]
        return np.ascontiguousarray(cells), np.ascontiguousarray(edges_y), np.ascontiguousarray(edges_x)
