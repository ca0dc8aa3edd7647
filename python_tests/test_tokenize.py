"""The main job, end to end."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels import CodecConfig, VideoError, native, ops, tokenize_video
from ov2_kernels.errors import BackendUnavailableError

from clips import encode, texture
from conftest import frames
from parity import assert_same

SMALL = {"target_canvas": 8, "group_size": 8, "min_samples": 1, "min_group_frames": 4, "max_pixels": 20_000}


def check_invariants(tokens, config):
    count, height, width, _ = tokens.canvases.shape
    hp, wp = tokens.grid
    assert count <= config.target_canvas
    assert height * width <= config.max_pixels
    assert tokens.src_patch_position.shape == (count * hp * wp, 3)
    assert tokens.src_patch_position.min() >= 0, "no padding"
    positions = tokens.src_patch_position.reshape(count, hp * wp, 3)
    anchors = positions[tokens.canvas_kinds == "I"]
    assert (anchors[:, :, 0] == anchors[:, :1, 0]).all(), "an I-canvas is one whole frame"
    assert set(np.unique(positions[..., 0])) <= set(tokens.frame_ids.tolist())
    for group in np.unique(tokens.group_ids):
        kinds = tokens.canvas_kinds[tokens.group_ids == group]
        assert "".join(kinds) == "I" + "P" * (len(kinds) - 1)
        blocks = positions.reshape(count, hp // 2, 2, wp // 2, 2, 3)[:, :, 0, :, 0]
        times = blocks[tokens.group_ids == group][1:, ..., 0].ravel()
        assert (np.diff(times) >= 0).all(), "P-canvases run in order of time"


@pytest.mark.parametrize("mode", ["change", "fused"])
@pytest.mark.parametrize("name", ["h264_bframes", "h264_rotated_90", "h264_variable_rate", "mpeg2", "vp9", "mjpeg"])
def test_native_equals_the_reference_on_the_same_pixels(name, mode, clip_path, monkeypatch):
    """With one reader behind both, every later stage agrees bit for bit."""
    path = clip_path(name)
    got = tokenize_video(path, **SMALL, score_mode=mode, backend="native")
    monkeypatch.setattr("ov2_kernels.reference.read_samples", native.read_samples)
    expected = tokenize_video(path, **SMALL, score_mode=mode, backend="reference")
    for field in dataclasses.fields(got):
        a, b = getattr(got, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray):
            assert_same(a, b, field.name)
        elif field.name != "timings":
            assert a == b, field.name
    check_invariants(got, got.config)


def test_change_is_scored_alike_by_every_backend(clip_path, monkeypatch):
    config = CodecConfig.preset("dense", **{**SMALL, "group_size": 16, "min_samples": 512})
    got = tokenize_video(clip_path("hevc"), config)
    monkeypatch.setattr("ov2_kernels.reference.read_samples", native.read_samples)
    expected = tokenize_video(clip_path("hevc"), config, backend="reference")
    assert_same(got.src_patch_position, expected.src_patch_position)
    assert_same(got.canvases, expected.canvases)
    assert got.motion_source == expected.motion_source == "none", "nothing is estimated for nothing"
    assert len(got.frame_ids) == got.total_frames == 40


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize(
    "options",
    [
        {"sampling": "uniform", "partition": "fixed", "score_mode": "fused"},
        {"score_mode": "framediff", "selection": "global"},
        {"score_mode": "bits", "sampling": "near_keyframes"},
        {"score_mode": "change", "min_samples": 30},
        {"images_per_group": 1, "partition": "uniform"},
        {"images_per_group": 8, "score_mode": "fused"},
        {"sample_fps": 10.0, "start_time": 0.3, "end_time": 1.0},
    ],
)
def test_every_setting_keeps_the_promises(options, patch, clip_path):
    config = CodecConfig(**{**SMALL, **options}, patch=patch)
    tokens = tokenize_video(clip_path("h264_bframes"), config)
    check_invariants(tokens, config)
    assert tokens.motion_source == ("none" if config.score_mode in ("framediff", "change", "bits") else "codec")
    looks_at_bits = config.score_mode != "change" and config.weights[2] > 0
    assert tokens.bits_source == ("exact" if looks_at_bits else "none")
    if "min_samples" in options:
        assert len(tokens.frame_ids) == 30


def test_real_clip_fills_its_budget(real_clip):
    tokens = tokenize_video(real_clip)
    check_invariants(tokens, CodecConfig())
    assert tokens.canvases.shape == (32, 280, 504, 3)
    assert tokens.num_tokens == 32 * 10 * 18
    assert (tokens.motion_source, tokens.bits_source, tokens.codec) == ("none", "none", "h264")
    assert_same(tokens.timestamps, tokens.frame_ids / 25.0)
    assert set(tokens.timings) == {"probe", "plan", "bits", "read", "score", "select", "pack", "total"}
    assert tokens.timings["total"] == pytest.approx(sum(v for k, v in tokens.timings.items() if k != "total"), rel=0.01)
    # A block of a canvas is the block of the frame that its position names.
    t, h, w = tokens.src_patch_position.reshape(32, 20, 36, 3)[2, 6, 8]
    frame = ops.read_samples(real_clip, [int(t)], 280, 504).frames[0]
    assert_same(tokens.canvases[2, 84:98, 112:126], frame[h * 14 : h * 14 + 14, w * 14 : w * 14 + 14])


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_short_clips(count, tmp_path):
    path = encode(tmp_path / "short.mp4", frames(count))
    tokens = tokenize_video(path, max_pixels=20_000)
    check_invariants(tokens, tokens.config)
    assert len(tokens.frame_ids) == count
    assert len(tokens.canvases) == min(count, 4)


def test_a_portrait_strip(tmp_path):
    path = encode(tmp_path / "strip.mp4", [texture(400, 16, seed).astype(np.uint8) for seed in range(6)])
    check_invariants(tokenize_video(path), CodecConfig())


def test_several_reads_at_once(clip_path):
    names = ["h264_bframes", "mpeg2", "vp9", "h264_rotated_90"]
    expected = {name: tokenize_video(clip_path(name), **SMALL) for name in names}
    results: dict[tuple[str, int], object] = {}

    def work(name, copy):
        results[name, copy] = tokenize_video(clip_path(name), **SMALL, threads=2)

    threads = [threading.Thread(target=work, args=(name, copy)) for name in names for copy in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    for (name, _), tokens in results.items():
        assert_same(tokens.canvases, expected[name].canvases)
        assert_same(tokens.src_patch_position, expected[name].src_patch_position)


def test_progress_reports_and_may_stop(real_clip):
    seen = []
    tokenize_video(real_clip, progress=lambda *event: seen.append(event), score_mode="fused")
    assert seen
    assert {stage for stage, _, _ in seen} == {"bits", "read"}
    assert all(0 <= done <= total == 132 for _, done, total in seen)

    def stop(*_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tokenize_video(real_clip, progress=stop)


def test_nothing_stays_behind_a_stopped_read(real_clip):
    def stop(*_):
        raise RuntimeError("enough")

    def state():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    files, threads = state()
    for _ in range(5):
        with pytest.raises(RuntimeError, match="enough"):
            tokenize_video(real_clip, progress=stop)
        with pytest.raises(VideoError):
            tokenize_video(__file__)
    end = time.monotonic() + 10
    while state()[1] > threads and time.monotonic() < end:
        time.sleep(0.01)  # the system takes a moment to take a thread off after it was joined
    assert state()[0] == files
    assert state()[1] <= threads


def test_ctrl_c_ends_a_read_within_a_second(tmp_path):
    path = encode(tmp_path / "long.mp4", frames(60, 720, 1280), options={"preset": "ultrafast", "g": "600"})
    code = """
        import signal, sys
        from ov2_kernels import ops
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
        info = ops.probe(sys.argv[1])
        print("reading", flush=True)
        while True:
            ops.read_samples(sys.argv[1], range(info.frames), 672, 1260, info=info)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(ov2_kernels.__file__).parent.parent,  # not a checkout that has no extension
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, stderr = process.communicate(timeout=20)
        # A second is the promise; the rest is the interpreter's own way out on a busy machine.
        assert time.monotonic() - start < 3
        assert "KeyboardInterrupt" in stderr
    finally:
        process.kill()


def test_backends_by_name(clip_path, monkeypatch):
    with pytest.raises(ValueError, match="backend must be one of auto, native, reference, triton, got 'cuda'"):
        tokenize_video(clip_path("h264_bframes"), backend="cuda")
    monkeypatch.setitem(sys.modules, "ov2_kernels.native", None)
    with pytest.raises(BackendUnavailableError, match="the backend 'native' cannot be loaded"):
        tokenize_video(clip_path("h264_bframes"), backend="native")


def test_bits_alone_are_known_before_anything_is_decoded(clip_path, monkeypatch):
    read = []
    whole = ops.read_samples

    def record(path, frame_ids, *args, **options):
        read.append(frame_ids)
        return whole(path, frame_ids, *args, **options)

    monkeypatch.setattr(ops, "read_samples", record)
    options = {**SMALL, "score_mode": "bits", "sampling": "uniform", "images_per_group": 2, "selection": "global"}
    tokens = tokenize_video(clip_path("h264_bframes"), **options)
    assert (tokens.bits_source, tokens.exact_pictures) == ("exact", len(tokens.frame_ids))
    assert_same(read[0], np.unique(tokens.src_patch_position[:, 0]).astype(np.int64))
    assert len(read[0]) < len(tokens.frame_ids)
    # What is selected is what is selected with everything decoded.
    plain = ops.read_samples(clip_path("h264_bframes"), tokens.frame_ids, *tokens.canvases.shape[1:3])
    info = ops.probe(clip_path("h264_bframes"))
    bits = ops.block_bits(*ops.bit_cost(info.path, tokens.frame_ids).cells(info), *tokens.canvases.shape[1:3])
    zeros = np.zeros(bits.shape, np.int32)
    scores = ops.fuse_scores(zeros, zeros, bits, tokens.group_edges, weights=(0, 0, 256))
    selected = ops.select_blocks(scores, tokens.group_edges, images_per_group=2, selection="global")
    canvases, positions = ops.pack_canvases(plain.frames, selected, tokens.frame_ids)
    assert_same(tokens.src_patch_position, positions)
    assert_same(tokens.canvases, canvases)


def test_pictures_that_cannot_be_parsed_are_estimated(clip_path, monkeypatch):
    path = clip_path("h264_bframes")
    whole = ops.bit_cost

    def some(*args, **options):
        cost = whole(*args, **options)
        return dataclasses.replace(cost, status=("broken slice", *cost.status[1:-1], "broken slice"))

    exact = tokenize_video(path, **SMALL, score_mode="fused")
    monkeypatch.setattr(ops, "bit_cost", some)
    for mode in ("fused", "bits"):
        tokens = tokenize_video(path, **SMALL, score_mode=mode)
        assert (tokens.bits_source, tokens.exact_pictures) == ("mixed", exact.exact_pictures - 2)
    estimated = tokenize_video(path, **SMALL, score_mode="fused", bits_source="estimated")
    assert (estimated.bits_source, estimated.exact_pictures) == ("estimated", 0)
    assert exact.bits_source == "exact"


@pytest.mark.parametrize("name", ["mpeg4_bframes", "h264_raw"])
def test_streams_that_cannot_be_parsed_are_estimated(clip_path, name):
    tokens = tokenize_video(clip_path(name), **SMALL, score_mode="fused")
    assert (tokens.bits_source, tokens.exact_pictures) == ("estimated", 0)


def test_stages_sum_to_the_total(real_clip):
    for threads in (1, 2):
        timings = tokenize_video(real_clip, threads=threads).timings
        assert list(timings) == ["probe", "total", "plan", "bits", "read", "score", "select", "pack"]
        assert timings["total"] == pytest.approx(sum(v for k, v in timings.items() if k != "total"), rel=0.01)
