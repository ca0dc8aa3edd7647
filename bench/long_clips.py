"""Clips of any length from a short one: encoded once for a minute, then repeated by stream copy.

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
BASE_SECONDS = 60


def long_clip(source: Path, minutes: int, gop: int, folder: Path) -> Path:
    """An H.264 clip in MP4, 1280x720 at 25 frames per second, x264's defaults but for ``gop``; made where missing."""
    folder.mkdir(parents=True, exist_ok=True)
    minute = folder / f"{source.stem}_gop{gop}_1min.mp4"
    if not minute.exists():
        _write(minute, lambda path: _encode_minute(source, gop, path))
    if minutes == 1:
        return minute
    clip = folder / f"{source.stem}_gop{gop}_{minutes}min.mp4"
    if not clip.exists():
        _write(clip, lambda path: _repeat(minute, minutes, path))
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


def _encode_minute(source: Path, gop: int, path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"g": str(gop)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for pts, frame in enumerate(itertools.islice(_pictures(source), BASE_SECONDS * RATE)):
            frame.pts, frame.time_base, frame.pict_type = pts, Fraction(1, RATE), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _repeat(minute: Path, minutes: int, path: Path) -> None:
    import av

    with av.open(str(path), "w") as out, av.open(str(minute)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        length = int(BASE_SECONDS / first.streams.video[0].time_base)
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
    print(long_clip(Path(source), int(minutes), int(gop), Path(folder)))
