"""Limits hold before memory is taken and time is spent, and say their names."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels import CodecConfig, errors, ops, tokenize_frames, tokenize_video
from ov2_kernels.cli import main
from ov2_kernels.integrations import codec_video_prep, llava_onevision2, lmms_stages, lmms_video_utils
from ov2_kernels.limits import Limits

from clips import encode, scene
from damage import boxed, damaged, refused
from h264_by_hand import exp_golomb, unit_of

HOME = Path(ov2_kernels.__file__).parent.parent
SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}
BOTH = pytest.mark.parametrize("backend", ["native", "reference"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_source_width", 160),
        ("max_source_height", 96),
        ("max_source_pixels", 160 * 96),
        ("max_source_frames", 40),
        ("max_source_seconds", 39 / 30),
    ],
)
@pytest.mark.parametrize("clip", ["h264_bframes", "h264_transport_stream"])
@BOTH
def test_limits_hold_and_say_so(backend, clip, name, value, clip_path):
    path = clip_path(clip)
    assert ops.probe(path, backend=backend, limits=Limits(**{name: value})).frames == 40
    below = value * 0.99 if isinstance(value, float) else value - 1
    error = refused(path, backend, **{name: below})
    assert type(error) is errors.VideoTooLargeError
    assert f"{name} is {below:.10g}, got" in str(error)
    with pytest.raises(errors.VideoTooLargeError, match=name):
        tokenize_video(path, backend=backend, **{name: below}, **SMALL)


@BOTH
def test_bytes_are_limited(backend, clip_path):
    path = clip_path("h264_bframes")
    size = path.stat().st_size
    assert ops.probe(path, backend=backend, limits=Limits(max_file_bytes=size)).frames == 40
    assert f"max_file_bytes is {size - 1}, got {size}" in str(refused(path, backend, max_file_bytes=size - 1))
    assert "max_probe_bytes is 1000, got" in str(refused(path, backend, max_probe_bytes=1000))


def test_pictures_that_grow_on_the_way(clip_path):
    """The header is that of the first, smaller ones."""
    small = clip_path("h264_size_change")
    whole = small.with_suffix(".b.264").read_bytes() + small.with_suffix(".a.264").read_bytes()
    grows = small.with_suffix(".grows.264")
    grows.write_bytes(whole)
    limits = Limits(max_source_pixels=80 * 128)
    for backend in ("native", "reference"):
        info = ops.probe(grows, backend=backend, limits=limits)
        with pytest.raises(errors.VideoTooLargeError, match=r"max_source_pixels is 10240, got 15360"):
            ops.read_samples(grows, [5, 20], 56, 84, info=info, limits=limits, backend=backend)


def huge_parameter_sets(width: int, height: int) -> bytes:
    """H.264's, of a stream of pictures of that size, and a slice that stands for one."""
    ue = exp_golomb
    sps = f"{66:08b}{0:08b}{51:08b}" + ue(0) + ue(0) + ue(2) + ue(1) + "0" + ue(width // 16 - 1)
    sps += ue(height // 16 - 1) + "1" + "1" + "0" + "0"
    pps = ue(0) + ue(0) + "0" + "0" + ue(0) + ue(0) + ue(0) + "0" + "00" + ue(0) + ue(0) + ue(0) + "000"
    idr = ue(0) + ue(7) + ue(0) + "0000" + ue(0) + "00" + ue(0) + "1" * 40
    return b"".join(unit_of(header, bits) for header, bits in ((0x67, sps), (0x68, pps), (0x65, idr)))


def lie_in_record(data: bytes) -> bytes:
    """An MP4 whose sample entry says 160x96, and whose parameter sets something else."""
    at = data.find(b"avcC") + 4 + 6
    (length,) = struct.unpack(">H", data[at : at + 2])
    sps = huge_parameter_sets(30000, 30000).split(b"\x00\x00\x00\x01")[1]
    assert len(sps) <= length
    return data[: at + 2] + sps.ljust(length, b"\x00") + data[at + 2 + length :]


HUGE = """
import resource, sys, time
from ov2_kernels import VideoError, tokenize_video
good, *paths = sys.argv[1:]
tokenize_video(good, target_canvas=4, max_pixels=20000)
for path in paths:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        tokenize_video(path, target_canvas=4, max_pixels=20000)
        kind = "tokens"
    except VideoError as error:
        kind = type(error).__name__
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(kind, grown // 1024, int(time.monotonic() - start))
"""


def test_a_header_of_huge_pictures_costs_nothing(clip_path, tmp_path):
    data = clip_path("h264_bframes").read_bytes()
    at = data.find(b"avc1", data.find(b"stsd")) + 4 + 24  # the sample entry's width and height
    (tmp_path / "entry.mp4").write_bytes(data[:at] + struct.pack(">HH", 30000, 30000) + data[at + 4 :])
    for size in (30000, 16384):
        (tmp_path / f"{size}.264").write_bytes(huge_parameter_sets(size // 16 * 16, size // 16 * 16) * 12)
    (tmp_path / "record.mp4").write_bytes(lie_in_record(data))
    paths = [tmp_path / name for name in ("entry.mp4", "30000.264", "16384.264", "record.mp4")]
    command = [sys.executable, "-c", HUGE, clip_path("h264_bframes"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        "VideoTooLargeError",
        "DamagedVideoError",
        "DamagedVideoError",
        "VideoTooLargeError",
    ]
    for row in rows:
        assert int(row[1]) < 100, "MB; such a picture takes 400 or more"
        assert int(row[2]) < 3, "s"


def with_samples(data: bytes, count: int) -> bytes:
    """An MP4, its index at the end, whose table claims so many samples of a byte each, in twenty bytes."""
    start = data.find(b"stsz") - 4
    (size,) = struct.unpack(">I", data[start : start + 4])
    table = boxed(b"stsz", bytes(4), struct.pack(">II", 1, count))
    return data[:start] + table + boxed(b"free", bytes(size - len(table) - 8)) + data[start + size :]


def with_run(data: bytes, count: int) -> bytes:
    """A fragmented MP4 whose first run claims so many samples."""
    at = data.find(b"trun") + 8
    return data[:at] + struct.pack(">I", count) + data[at + 4 :]


@pytest.mark.parametrize("count", [(1 << 22) + 1, 1 << 24, 1 << 31, (1 << 32) - 1])
def test_tables_that_claim_millions_cost_nothing(count, clip_path, tmp_path):
    for change, name in ((with_samples, "h264_bframes"), (with_run, "h264_fragmented")):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(change(clip_path(name).read_bytes(), count))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = refused(path, "native")
        assert f"max_source_frames is {1 << 22}, got {count}" in str(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "KiB; 16 million take 570,000"


def test_work_ends_in_time(tmp_path):
    path = encode(tmp_path / "long.mp4", scene(90, 360, 640), options={"preset": "ultrafast"})
    for backend in ("native", "reference"):
        start = time.monotonic()
        with pytest.raises(
            errors.VideoCancelledError, match=r"long\.mp4: given up.* max_wall_seconds = 0\.01$"
        ) as caught:
            tokenize_video(path, max_wall_seconds=0.01, threads=1, backend=backend)
        assert time.monotonic() - start < 3
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(errors.VideoCancelledError, match=r" max_wall_seconds = 0\.01$"):
        tokenize_frames(path, num_frames=90, limits=Limits(max_wall_seconds=0.01))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_source_width", 0),
        ("max_source_frames", 1.5),
        ("max_file_bytes", True),
        ("max_file_bytes", np.zeros(2)),
        ("max_probe_bytes", "8"),
        ("max_wall_seconds", 0.0),
        ("max_source_seconds", float("nan")),
        ("follow_symlinks", 1),
        ("on_error", "ignore"),
    ],
)
def test_wrong_limits_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        CodecConfig(**{field: value})
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})


def test_the_command_line_takes_them(clip_path, tmp_path, capsys):
    clip = str(clip_path("h264_bframes"))
    assert main(["tokenize", clip, "-o", str(tmp_path / "a"), "--max-source-frames", "39"]) == 1
    assert "max_source_frames is 39, got" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(damaged(clip_path("h264_transport_stream").read_bytes(), 4))
    flags = ["--on-error", "salvage", "--target-canvas", "4", "--max-pixels", "20000"]
    assert main(["tokenize", str(cut), "-o", str(tmp_path / "b"), *flags]) == 0


def test_the_drop_ins_take_them(clip_path, tmp_path, capsys):
    clip = str(clip_path("h264_bframes"))
    limits = Limits(max_source_frames=39)
    with pytest.raises(errors.VideoTooLargeError, match="max_source_frames is 39, got"):
        llava_onevision2.process_codec_video(clip, llava_onevision2.CodecConfig(limits=limits))
    with pytest.raises(errors.VideoTooLargeError, match="max_source_frames is 39, got"):
        lmms_stages.tokenize(clip, lmms_video_utils.CodecConfig(limits=limits, device="cpu"))
    with pytest.raises(errors.VideoTooLargeError, match="max_source_frames is 39, got"):
        codec_video_prep.run_preinfer(clip, str(tmp_path / "a"), limits=limits)
    flags = ["--video", clip, "--out_dir", str(tmp_path / "a"), "--max_source_frames", "39"]
    assert codec_video_prep.main(flags) == 1
    assert "max_source_frames is 39, got" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("limits", [None, 8, {"max_source_frames": 39}, Limits])
def test_what_are_no_limits_is_said(limits):
    for check in (
        llava_onevision2.CodecConfig(limits=limits).validate,
        lmms_video_utils.CodecConfig(limits=limits, device="cpu").validate,
        codec_video_prep.PreinferConfig("a.mp4", "out", limits=limits).codec_config,
    ):
        with pytest.raises(ValueError, match="limits must be Limits, got"):
            check()
