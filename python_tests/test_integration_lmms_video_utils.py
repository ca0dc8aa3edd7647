"""The module in place of ``lmms_video_utils``, as a training loop calls it."""

from __future__ import annotations

import itertools
import math
import os
import warnings

import numpy as np
import pytest

if os.environ.get("OV2_REQUIRE_TORCH") != "1":
    pytest.importorskip("torch")

import torch
from ov2_kernels import VideoError, ops
from ov2_kernels.integrations import lmms_stages
from ov2_kernels.integrations.lmms_video_utils import (
    CodecConfig,
    CodecVideoOutput,
    CodecVideoReader,
    fetch_codec_video,
    process_video_info,
)

from parity import assert_same

SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000, "device": "cpu"}


@pytest.mark.parametrize("gop_mode", ["uniform", "bitcost"])
@pytest.mark.parametrize("score_mode", ["framediff", "mvwarp"])
def test_what_a_training_loop_gets(clip_path, score_mode, gop_mode):
    clip = clip_path("h264_bframes")
    messages = [
        {"role": "system", "content": "You watch videos."},
        {
            "role": "user",
            "content": [
                {"type": "video", "video": str(clip), "nframes": 16},
                {"type": "text", "text": "What happens?"},
                {"type": "video_url", "video_url": {"url": f"file://{clip}"}, "video_start": 0.5, "video_end": 1.2},
                {"type": "video", "video": {"path": str(clip)}, "max_pixels": 10_000},
                {"type": "image", "image": "ignored.png"},
                {"type": "video"},
                "loose text",
            ],
        },
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".* frames are no multiple of group_size")
        images, outputs = process_video_info(messages, score_mode=score_mode, gop_mode=gop_mode, **SMALL)
    assert images == []
    assert len(outputs) == 3
    for output in outputs:
        canvases, height, width = output.canvases.shape[0], *output.canvases.shape[2:]
        assert isinstance(output, CodecVideoOutput)
        assert output.canvases.shape == (canvases, 3, height, width)
        assert canvases <= 8
        assert (output.canvases.dtype, output.patch_positions.dtype) == (torch.uint8, torch.int64)
        assert (output.gop_ids.dtype, output.source_pts.dtype) == (torch.int64, torch.float32)
        assert output.patch_positions.shape == (canvases * height * width // 196, 3)
        assert len(output.gop_ids) == len(output.source_pts) == canvases
        assert output.patch_positions.min() >= 0, "no padding"
        assert output.n_groups == int(output.gop_ids[-1]) + 1
        assert output.fps == 30.0
        assert set(output.as_dict()) == {"canvases", "patch_positions", "gop_ids", "source_pts", "fps", "n_groups"}
    first, cut, small = outputs
    assert small.canvases[0].numel() < first.canvases[0].numel()
    assert cut.patch_positions[:, 0].min() >= 15
    assert cut.patch_positions[:, 0].max() <= 35
    assert_same(cut.source_pts[0].numpy(), np.float32(0.5))


def test_videos_by_path_objects_and_settings_that_are_none(clip_path):
    clip = clip_path("h264_bframes")
    expected = fetch_codec_video(clip, **SMALL)
    for value in (clip, {"path": clip}, {"url": None, "path": str(clip)}):
        part = {"type": "video", "video": value, "max_pixels": None, "fps": None}
        _, (output,) = process_video_info([{"content": [part]}], **SMALL)
        assert torch.equal(output.canvases, expected.canvases)
    default = fetch_codec_video(clip, **{**SMALL, "max_pixels": None})
    assert default.canvases[0].numel() > expected.canvases[0].numel()


@pytest.mark.parametrize("value", [["a.png", "b.png"], np.zeros((2, 28, 28, 3), np.uint8), {"frames": []}, 5, "", []])
def test_videos_of_another_kind_are_not_passed_over(value):
    message = rf"^a video must be a path, a file:// URL or a mapping .*, got {type(value).__name__} "
    with pytest.raises(ValueError, match=message):
        process_video_info([{"content": [{"type": "video", "video": value}]}], **SMALL)


def test_positions_tell_where_the_pixels_come_from(clip_path):
    output = fetch_codec_video(clip_path("h264_bframes"), **SMALL)
    count, _, height, width = output.canvases.shape
    frames = sorted(set(output.patch_positions[:, 0].tolist()))
    samples = ops.read_samples(clip_path("h264_bframes"), frames, height, width, motion_source="none")
    place = {t: i for i, t in enumerate(frames)}
    positions = output.patch_positions.view(count, height // 14, width // 14, 3).numpy()
    for c, y, x in np.ndindex(positions.shape[:3]):
        t, h, w = positions[c, y, x]
        expected = samples.frames[place[t], 14 * h : 14 * h + 14, 14 * w : 14 * w + 14]
        got = output.canvases[c, :, 14 * y : 14 * y + 14, 14 * x : 14 * x + 14].permute(1, 2, 0).numpy()
        assert (got == expected).all(), (c, y, x)


def selected_block_by_block(scores, p_canvases):
    """The rule for one group, in floating point and one block at a time: ``[frame, block]`` per P-canvas."""
    frames, blocks = scores.shape
    attenuated = np.zeros((frames, blocks))
    for f in range(1, frames):
        ranking = sorted(range(blocks), key=lambda b: (-scores[f, b], b))
        for rank, b in enumerate(ranking):
            attenuated[f, b] = scores[f, b] / math.sqrt(1 + 0.5 * rank)
    shown = set()
    canvases = []
    for r in range(p_canvases):
        low, high = 1 + round(r * frames / p_canvases), min(1 + round((r + 1) * frames / p_canvases), frames)
        found = [
            (-attenuated[f, b] * (0.15 if b in shown else 1.0), f, b) for f in range(low, high) for b in range(blocks)
        ]
        if found:
            canvas = sorted((f, b) for _, f, b in sorted(found)[:blocks])
            shown |= {b for _, b in canvas}
            canvases.append(canvas)
    return canvases


@pytest.mark.parametrize("lengths", [[9, 7], [32], [2, 3, 4], [1, 5]])
def test_selection_follows_the_rule(lengths):
    rng = np.random.default_rng(len(lengths))
    edges = np.cumsum([0, *lengths])
    scores = rng.integers(0, 200_000, (edges[-1], 3, 5)).astype(np.int64)
    selected, groups = lmms_stages.select(scores, edges, 3)
    expected, expected_groups = [], []
    for group, (first, end) in enumerate(itertools.pairwise(edges)):
        canvases = [[(0, b) for b in range(15)], *selected_block_by_block(scores[first:end].reshape(-1, 15), 3)]
        expected += [[(first + f) * 15 + b for f, b in canvas] for canvas in canvases]
        expected_groups += [group] * len(canvases)
    assert_same(selected, np.array(expected))
    assert groups.tolist() == expected_groups


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_packets_weigh_scores(mode):
    config = CodecConfig(bitcost_score_mode=mode, bitcost_score_weight=0.5, device="cpu")
    sizes = np.array([999, 10, 30, 20, 5, 7, 7])
    weights = lmms_stages.packet_weights(sizes, np.array([0, 4, 5, 7]), config) / lmms_stages.ONE
    share = np.array([0, 0, 1, 0.5, 0, 0, 0])
    expected = 1 + 0.5 * share if mode == "additive" else np.sqrt(share + 1e-6)
    np.testing.assert_allclose(weights, expected, atol=1e-5, err_msg="fixed point of 16 bits")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 360), (504, 280)), ((720, 1280), (280, 504)), ((96, 96), (392, 364)), ((10, 3000), (28, 5348))],
)
def test_canvas_sizes_are_theirs(size, expected):
    assert lmms_stages.canvas_size(*size, 28, 150_000) == expected


def test_a_reader_indexes_canvases(clip_path):
    reader = CodecVideoReader(clip_path("h264_bframes"), **SMALL)
    output = reader.as_output()
    assert len(reader) == len(output.canvases) == 8
    assert torch.equal(reader[3], output.canvases[3])
    assert torch.equal(reader[2:4], output.canvases[2:4])
    assert reader.patch_positions is output.patch_positions
    assert (reader.gop_ids is output.gop_ids, reader.source_pts is output.source_pts) == (True, True)
    assert reader.fps == 30.0


def test_numbers_of_frames():
    config = CodecConfig(device="cpu")
    assert config.num_sampled_frames() == 256
    assert CodecConfig(device="cpu", target_fps=8.0).num_sampled_frames(12.0) == 96
    assert CodecConfig(device="cpu", target_fps=8.0, start_time=2.0, end_time=6.0).num_sampled_frames() == 32
    with pytest.warns(UserWarning, match="100 frames are no multiple of group_size = 32"):
        assert CodecConfig(device="cpu", max_frames=100).num_sampled_frames() == 96
    with pytest.raises(ValueError, match="target_fps needs end_time or video_duration"):
        CodecConfig(device="cpu", target_fps=8.0).num_sampled_frames()
    assert CodecConfig(device="cpu", target_fps=1e300, end_time=1e300).num_sampled_frames() == 2**31


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_canvas": 30}, "target_canvas must be a multiple of images_per_group, got 30"),
        ({"score_mode": "mvwarp_edge"}, "score_mode must be one of framediff, mvwarp, got 'mvwarp_edge'"),
        ({"gop_mode": "fixed"}, "gop_mode must be one of uniform, bitcost"),
        ({"backend": "decord"}, "backend must be one of auto, torchcodec, pyav"),
        ({"block": 3}, "block must be 2"),
        ({"max_pixels": 700}, "max_pixels must hold a block of 784 pixels, got 700"),
        ({"start_time": 2.0, "end_time": 1.0}, r"end_time must be above start_time = 2\.0, got 1\.0"),
        ({"min_group_frames": 9, "max_group_frames": 8}, "max_group_frames must be at least min_group_frames"),
        ({"bitcost_bin_seconds": 1.0}, "bitcost_bin_seconds must be 0"),
        ({"target_fps": -1.0}, "target_fps must be at least 0"),
        ({"min_pixels": 200_000}, "min_pixels must be at most max_pixels"),
        ({"group_size": 0}, "group_size must be at least 1, an integer, got 0"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fetch_codec_video("x.mp4", **{"device": "cpu", **options})


def test_errors(clip_path, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fetch_codec_video("nowhere.mp4", device="cpu")
    (tmp_path / "broken.mp4").write_bytes(b"nothing of use")
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        fetch_codec_video(tmp_path / "broken.mp4", device="cpu")
    with pytest.raises(ValueError, match="leave no frame"):
        fetch_codec_video(clip_path("h264_bframes"), start_time=60.0, **SMALL)
    with pytest.raises(ValueError, match="video_backend must be codec, got 'frames'"):
        process_video_info([], video_backend="frames")
    with pytest.raises(TypeError, match="colour"):
        fetch_codec_video("x.mp4", colour=True)
