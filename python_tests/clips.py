"""Clips with known content, made on the spot: a still textured scene, a thrown ball, and a lamp that blinks once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def texture(height: int, width: int, seed: int) -> Array:
    """Smooth random relief, float64 ``[height, width, 3]`` in 0..255: octaves of noise, each interpolated."""
    rng = np.random.default_rng(seed)
    result = np.zeros((height, width, 3))
    for octave, weight in ((4, 90.0), (9, 45.0), (21, 25.0), (50, 14.0)):
        grid = 0.8 * rng.uniform(-1.0, 1.0, (octave + 1, octave + 1, 1)) + 0.2 * rng.uniform(
            -1.0, 1.0, (octave + 1, octave + 1, 3)
        )
        y = np.linspace(0, octave - 1e-6, height)
        x = np.linspace(0, octave - 1e-6, width)
        yi, xi = y.astype(int), x.astype(int)
        fy, fx = (y - yi)[:, None, None], (x - xi)[None, :, None]
        above = grid[yi][:, xi] * (1 - fx) + grid[yi][:, xi + 1] * fx
        below = grid[yi + 1][:, xi] * (1 - fx) + grid[yi + 1][:, xi + 1] * fx
        result += weight * (above * (1 - fy) + below * fy)
    return np.clip(result + np.array([124.0, 120.0, 104.0]), 0.0, 255.0)


def scene(
    frames: int,
    height: int,
    width: int,
    *,
    seed: int = 1,
    noise: float = 1.0,
    pan: float = 0.0,
    lamp: tuple[int, int] | None = None,
) -> Iterator[Array]:
    """RGB frames uint8 ``[height, width, 3]``: a ball crosses in arcs; the lamp, top right, is lit in ``lamp``.

    ``noise`` is the sensor's standard deviation in grey levels, ``pan`` the camera's speed in pixels per frame.
    """
    rng = np.random.default_rng(seed)
    margin = int(abs(pan) * frames) + 1
    wide = texture(height, width + margin, seed)
    ball = texture(height // 5, height // 5, seed + 1) * (1.0, 0.45, 0.25)
    side = ball.shape[0]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    disc = (x**2 + y**2 < (side / 2) ** 2)[..., None]
    for t in range(frames):
        start = int(abs(pan) * t)
        picture = wide[:, start : start + width].copy()
        phase = t / 40.0
        left = round((width - side) * (0.5 + 0.45 * np.sin(phase * 1.3)))
        top = round((height - side) * (1.0 - 0.85 * abs(np.sin(phase * 2.1))))
        spot = picture[top : top + side, left : left + side]
        spot[:] = np.where(disc, ball, spot)
        if lamp is not None and lamp[0] <= t < lamp[1]:
            picture[height // 12 : height // 5, width * 5 // 6 : width * 11 // 12] = (255, 240, 170)
        if noise:
            picture += rng.normal(0.0, noise, (height, width, 1))
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def encode(
    path: Path,
    frames: Iterator[Array] | Sequence[Array],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 30,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    full_range: bool = False,
    pts: Sequence[int] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encodes RGB frames; ``pts`` in 1/1000 s makes the rate variable, ``rotation`` is in clockwise degrees.

    The same frames give the same packets, on every machine. For that x264 does without the newer of its vector code,
    where the macroblock tree comes out differently from one run to the next.
    """
    options = dict(options or {})
    if codec.startswith("libx264"):
        options["x264-params"] = ":".join(["asm=SSE2", *filter(None, [options.get("x264-params")])])
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        stream: Any = None
        for i, array in enumerate(frames):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options=options)
                stream.height, stream.width = array.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.thread_count = 1
                stream.time_base = Fraction(1, 1000) if pts else Fraction(1, rate)
                if pts:
                    stream.codec_context.time_base = Fraction(1, 1000)
                if full_range:
                    stream.codec_context.color_range = 2
                if rotation:
                    stream.set_display_rotation(-rotation)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_color_range=2 if full_range else 1)
            frame.pts = pts[i] if pts else i
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


if __name__ == "__main__":  # the clip of `ov2-kernels demo`
    target = Path(sys.argv[1])
    demo = scene(300, 360, 640, seed=7, noise=0.6, lamp=(171, 180))
    encode(target, demo, options={"crf": "27", "preset": "veryslow", "g": "120", "movflags": "+faststart"})


def parameter_sets(extradata: bytes) -> bytes:
    """The parameter sets of an avcC record as NAL units behind four-byte lengths."""
    units, at = b"", 5
    for mask in (31, 255):
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            units += size.to_bytes(4, "big") + extradata[at + 2 : at + 2 + size]
            at += 2 + size
    return units


def splice(parts: Sequence[Path], path: Path) -> Path:
    """Two H.264 MP4s of 24 frames each, end to end; the first packet of the second brings its parameter sets."""
    with av.open(str(parts[0])) as one, av.open(str(parts[1])) as two, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(one.streams.video[0])
        units = parameter_sets(two.streams.video[0].codec_context.extradata)
        shift = int(24 / 30 / one.streams.video[0].time_base)
        for part, given in enumerate((one, two)):
            for index, packet in enumerate(p for p in given.demux(given.streams.video[0]) if p.size):
                copy = av.Packet((units if part and index == 0 else b"") + bytes(packet))
                copy.pts, copy.dts, copy.time_base = (
                    packet.pts + part * shift,
                    packet.dts + part * shift,
                    packet.time_base,
                )
                copy.is_keyframe = packet.is_keyframe
                copy.stream = stream
                out.mux(copy)
    return path
