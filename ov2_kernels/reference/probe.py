"""The packet table of a video (algorithm, section 1)."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import DamagedVideoError
from ..limits import Deadline, Limits
from ..media import VideoInfo
from .demux import display_matrix, is_shown, open_video, orientation


def probe(path: str | os.PathLike[str], *, limits: Limits | None = None) -> VideoInfo:
    """Reads the packet table and the facts of a video stream.

    ``limits`` say what is accepted. Raises a :class:`VideoError` where the file cannot be read, holds no usable video
    or exceeds a limit. One picture is decoded, for the display matrix, which PyAV shows nowhere else.
    Source: algorithm, section 1.
    """
    path = os.fspath(path)
    limits = limits or Limits()
    deadline = Deadline(path, limits)
    with open_video(path, limits) as video:
        stream, codec = video.stream, video.codec
        rows: list[tuple[Any, int, int, bool]] = []
        dts: list[int] = []
        hidden = 0
        for index, packet in enumerate(video.packets()):
            if not is_shown(codec, bytes(packet)):
                hidden += packet.size
            elif not packet.is_discard:
                limits.check(path, "max_source_frames", len(rows) + 1)
                if packet.dts is not None:
                    dts.append(packet.dts)
                rows.append((packet.pts, index, packet.size + hidden, packet.is_keyframe))
                hidden = 0
        if (video.missing or video.partial) and not limits.salvage:
            lacks = video.missing + video.partial
            raise DamagedVideoError(
                f"{path}: cannot read it to the end: the file lacks {lacks} of the pictures that its index lists"
            )
        if not rows:
            raise DamagedVideoError(f"{path}: its video stream holds no picture")
        # AVI has no display times, and times that run backwards are those of streams joined end to end.
        forwards = all(a <= b for a, b in pairwise(dts))
        has_timestamps = video.container.format.name != "avi" and forwards and all(pts is not None for pts, *_ in rows)
        # Without timestamps the average is the demuxer's guess, and what the bitstream states is better.
        rate = (has_timestamps and stream.average_rate) or stream.guessed_rate or Fraction(25)
        timed = has_timestamps
        has_timestamps = timed and _usable([pts for pts, *_ in rows], stream.time_base, path, limits)
        if timed and not has_timestamps and len(rows) / Fraction(rate) > limits.max_source_seconds:
            rate = Fraction(25)  # the rate may be made of the same times
        limits.check(path, "max_source_seconds", 0.0 if has_timestamps else float(len(rows) / Fraction(rate)))
        if has_timestamps:
            rows.sort(key=lambda row: row[:2])
        time_base = stream.time_base if has_timestamps else 1 / Fraction(rate)
        missing = video.missing
        container_name = video.container.format.name
        width, height = stream.width, stream.height
        if not width * height:
            raise DamagedVideoError(f"{path}: the size of its pictures is unknown")
    with open_video(path, deadline.left()) as video:
        first = next((frame for packet in video.packets() for frame in video.decode(packet)), None)
    transpose, flip_x, flip_y = orientation(display_matrix(first)) if first else (False, False, False)
    pts, index_, size, key = zip(*rows, strict=True)
    return VideoInfo(
        path=path,
        size=np.array(size, dtype=np.int64),
        pts=np.array(pts if has_timestamps else range(len(rows)), dtype=np.int64),
        is_key=np.array(key, dtype=bool),
        decode_index=np.array(index_, dtype=np.int64),
        codec=codec,
        container=container_name,
        coded_width=width,
        coded_height=height,
        rotation=(270 if flip_y else 90) if transpose else (180 if flip_y else 0),
        mirrored=(flip_x == flip_y) if transpose else (flip_x != flip_y),
        time_base=Fraction(time_base),
        frame_rate=Fraction(rate),
        has_timestamps=has_timestamps,
        missing_frames=missing,
    )


def _usable(pts: list[int], time_base: Fraction, path: str, limits: Limits) -> bool:
    """Whether times can be used: they make no video longer than the limits, which raises unless all is salvaged."""
    seconds = (max(pts) - min(pts)) * time_base
    if seconds <= limits.max_source_seconds and (max(pts) - min(pts)) * time_base.numerator < 4 * 10**18:
        return True
    if limits.salvage:
        return False
    limits.check(path, "max_source_seconds", float(seconds))
    raise DamagedVideoError(f"{path}: its times cannot be used")
