"""What the reader tells about a video, whichever backend read it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

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

    #: uint8 ``[N, H, W, 3]``, ``[N, H, W]`` and ``[N, H, W]``
    frames: Array
    luma: Array
    prev_luma: Array

    @classmethod
    def empty(cls, count: int, height: int, width: int) -> Pictures:
        """Memory of NumPy's, not initialised."""
        shape = (count, height, width)
        return cls(np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8), np.empty(shape, np.uint8))


@dataclass(frozen=True, eq=False)
class Samples:
    """The sampled frames of a video, upright and at canvas size (algorithm, section 4)."""

    #: row of the packet table of each sample, int64 ``[N]``
    frame_ids: Array
    #: RGB, uint8 ``[N, H, W, 3]``
    frames: Array
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
    #: where the decoder gave no picture and the next one stands in, bool ``[N]``
    substituted: Array
    #: where the vectors come from: ``codec``, ``estimated`` or ``none``
    motion_source: str
    #: pictures decoded, and packets that no sample needed and the decoder never saw
    decoded: int
    skipped: int
