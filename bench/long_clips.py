"""Clips of any length from a short one: encoded for up to a minute, longer ones repeated by stream copy.

    python bench/long_clips.py SOURCE MINUTES GOP FOLDER

makes one, where it is missing, and prints its path.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, RATE = 1280, 720, 25


def long_clip(source: Path, minutes: Fraction, gop: int, folder: Path) -> Path:
    """An H.264 clip in MP4, 1280x720 at 25 frames per second, x264's defaults but for ``gop``; made where missing.

    ``minutes`` are whole, or less than one; ``ValueError`` for others.
    """
    if minutes <= 0 or (minutes > 1 and minutes.denominator != 1) or round(60 * minutes * RATE) == 0:
        raise ValueError(f"minutes must be whole, or less than one and long enough for a frame, got {minutes}")
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / f"{source.stem}_gop{gop}_{float(minutes):g}min.mp4"
    if clip.exists():
        return clip
    if minutes <= 1:
        _write(clip, lambda path: _encode(source, gop, round(60 * minutes * RATE), path))
    else:
        minute = long_clip(source, Fraction(1), gop, folder)
        _write(clip, lambda path: _repeat(minute, int(minutes), path))
    return clip


def _write(path: Path, make: Any) -> None:
    """All of a file or nothing."""
    partial = path.with_name(f".{os.getpid()}_{path.name}")
    try:
        make(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _pictures(source: Path) -> Iterator[Any]:
    """The source's pictures over and over, forwards and backwards, so that only its own cuts cut."""
    import av

    with av.open(str(source)) as container:
        frames = [frame.reformat(width=WIDTH, height=HEIGHT, format="yuv420p") for frame in container.decode(video=0)]
    return itertools.cycle(frames + frames[::-1])


def _encode(source: Path, gop: int, frames: int, path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"g": str(gop)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for pts, frame in enumerate(itertools.islice(_pictures(source), frames)):
            frame.pts, frame.time_base, frame.pict_type = pts, Fraction(1, RATE), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _repeat(minute: Path, minutes: int, path: Path) -> None:
    import av

    with av.open(str(path), "w") as out, av.open(str(minute)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        length = int(60 / first.streams.video[0].time_base)
        for k in range(minutes):
            with av.open(str(minute)) as container:
                for packet in container.demux(video=0):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + k * length, packet.dts + k * length
                    packet.stream = stream
                    out.mux(packet)


if __name__ == "__main__":
    source, minutes, gop, folder = sys.argv[1:]
    print(long_clip(Path(source), Fraction(minutes), int(gop), Path(folder)))
