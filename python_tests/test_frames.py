"""Whole frames as evidence."""

from __future__ import annotations

import numpy as np
import pytest
from ov2_kernels import CodecTokens, ops, tokenize_frames
from ov2_kernels.geometry import canvas_size
from PIL import Image

from parity import assert_same


@pytest.fixture(params=["native", "reference"])
def backend(request):
    return request.param


@pytest.mark.parametrize("name", ["num_frames", "max_frames"])
@pytest.mark.parametrize("value", [2.5, 4.0, "4", 0])
def test_numbers_of_frames_are_integers(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, an integer, got {value!r}$"):
        tokenize_frames([np.zeros((28, 28, 3), np.uint8)] * 8, **{name: value})


def test_frames_of_a_video(clip_path, backend):
    tokens = tokenize_frames(clip_path("h264_rotated_90"), num_frames=5, max_pixels=20_000, backend=backend)
    info = ops.probe(clip_path("h264_rotated_90"))
    height, width = canvas_size(info.height, info.width, max_pixels=20_000)
    assert_same(tokens.frame_ids, np.array([0, 6, 12, 17, 23]), "round(linspace(0, 23, 5)), halves to even")
    samples = ops.read_samples(
        clip_path("h264_rotated_90"), tokens.frame_ids, height, width, motion_source="none", backend=backend
    )
    assert_same(tokens.canvases, samples.frames)
    hp, wp = tokens.grid
    t, h, w = np.meshgrid(tokens.frame_ids, range(hp), range(wp), indexing="ij")
    assert_same(tokens.src_patch_position, np.stack([t, h, w], axis=-1).reshape(-1, 3).astype(np.int32))
    assert_same(tokens.timestamps, info.times[tokens.frame_ids])
    assert tokens.canvas_kinds.tolist() == ["I"] * 5
    assert tokens.group_ids.tolist() == [0, 1, 2, 3, 4]
    assert (tokens.evidence, tokens.motion_source, tokens.bits_source) == ("frames", "none", "none")
    assert tokens.model_inputs(as_torch=False)["cu_seqlens"].tolist() == [i * hp * wp for i in range(6)]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 8),  # 40 frames at 30 a second
        ({"max_frames": 3}, 3),
        ({"target_fps": 6.0}, 8),
        ({"target_fps": 6.0, "max_frames": 5}, 5),
        ({"target_fps": 0.1}, 1),
        ({"num_frames": 40}, 40),
        ({"num_frames": 500}, 40),
        ({"start_time": 0.5, "end_time": 0.6}, 4),
    ],
)
def test_how_many_frames(clip_path, options, count):
    tokens = tokenize_frames(clip_path("h264_bframes"), max_pixels=20_000, **options)
    assert len(tokens.canvases) == count
    assert (np.diff(tokens.frame_ids) > 0).all()


def test_longer_videos_get_more_frames():
    from ov2_kernels.frames import _number_of_frames

    assert [_number_of_frames(d, None, None, 32) for d in (9.99, 10, 29.99, 30, 1e5)] == [8, 16, 16, 32, 32]
    assert _number_of_frames(20.0, 0.35, None, 32) == 7, "not 6 for want of a rounding error"


def test_frames_of_the_caller(backend):
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 256, (6, 56, 84, 3), dtype=np.uint8)
    tokens = tokenize_frames(frames, fps=2.0, backend=backend)
    assert_same(tokens.canvases, frames, "the size is right already")
    assert_same(tokens.timestamps, np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]))
    images = [Image.fromarray(frame) for frame in frames]
    assert_same(tokenize_frames(images).canvases, frames)
    assert tokenize_frames(images, num_frames=2).frame_ids.tolist() == [0, 5]
    assert tokenize_frames(images, fps=2.0, target_fps=1.0).frame_ids.tolist() == [0, 2, 5]
    assert tokenize_frames(images, fps=2.0, start_time=1.0, end_time=1.9).frame_ids.tolist() == [2, 3]
    small = tokenize_frames(images, max_pixels=28 * 28 * 4)
    assert small.canvases.shape == (6, 28, 56, 3)
    assert_same(small.canvases[3], np.asarray(images[3].resize((56, 28), Image.Resampling.BICUBIC)))


def test_a_progress_callback_hears_of_every_sample(clip_path):
    calls = []
    tokenize_frames(clip_path("h264_bframes"), progress=lambda *call: calls.append(call), max_pixels=20_000)
    assert calls[-1] == ("read", 8, 8)


@pytest.mark.parametrize("format", ["png", "npy"])
def test_frames_can_be_saved(clip_path, tmp_path, format):
    tokens = tokenize_frames(clip_path("h264_bframes"), num_frames=3, max_pixels=20_000)
    tokens.save(tmp_path / "out", format=format)
    loaded = CodecTokens.load(tmp_path / "out")
    for name in ("canvases", "src_patch_position", "group_ids", "canvas_kinds", "frame_ids", "timestamps"):
        assert_same(getattr(loaded, name), getattr(tokens, name), name)
    assert loaded.evidence == "frames"
    assert loaded.config == tokens.config


def test_wrong_settings_are_named(clip_path):
    clip = clip_path("h264_bframes")
    for options, message in [
        ({"num_frames": 0}, "num_frames must be at least 1, an integer, got 0"),
        ({"max_frames": -2}, "max_frames must be at least 1, an integer, got -2"),
        ({"target_fps": 0.0}, "target_fps must be above 0, got 0.0"),
        ({"start_time": 100.0}, "leave no frame"),
        ({"patch": 15}, "patch must be even"),
        ({"num_frames": 4, "target_fps": 2}, "num_frames and target_fps exclude each other, got 4 and 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            tokenize_frames(clip, **options)
    with pytest.raises(ValueError, match=r"a picture must be a PIL image or an array, got the path 'p\.png'"):
        tokenize_frames(["p.png"])
    for source in (b"bytes", iter([])):
        with pytest.raises(ValueError, match=f"source must be a path, a list of .* got {type(source).__name__}"):
            tokenize_frames(source)
    with pytest.raises(ValueError, match="at least one frame"):
        tokenize_frames([])
    with pytest.raises(ValueError, match="leave none of 2 frames"):
        tokenize_frames(np.zeros((2, 28, 28, 3), np.uint8), start_time=9.0)
    with pytest.raises(ValueError, match=r"must be uint8 \[H, W\], .* got float32 \[28, 28, 3\]"):
        tokenize_frames([np.zeros((28, 28, 3), np.float32)])


def test_on_a_torch_device(clip_path):
    torch = pytest.importorskip("torch")
    options = {"num_frames": 3, "max_pixels": 20_000}
    tokens = tokenize_frames(clip_path("h264_bframes"), device="cpu", **options)
    assert isinstance(tokens.canvases, torch.Tensor)
    expected = tokenize_frames(clip_path("h264_bframes"), **options)
    for name in ("canvases", "src_patch_position"):
        assert_same(getattr(tokens.numpy(), name), getattr(expected, name), name)
