"""Settings say what is wrong with them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from ov2_kernels import CodecConfig, tokenize_many, tokenize_video


def test_defaults_are_those_of_the_algorithm():
    config = CodecConfig()
    assert (config.max_groups, config.sample_limit(0), config.weights) == (8, 256, (256, 256, 256))


def test_presets():
    hour = 3600.0
    assert CodecConfig.preset("frames_384").sample_limit(hour) == 384
    assert CodecConfig.preset("frames_768").sample_limit(hour) == 768
    assert CodecConfig.preset("dense").sample_limit(20.0) == 512
    assert CodecConfig.preset("dense").sample_limit(hour / 6) == 4800
    assert CodecConfig.preset("dense", target_canvas=64).sample_limit(hour / 6) == 7200
    assert CodecConfig.preset("dense").sample_limit(hour) == 1800
    assert CodecConfig(target_canvas=8, profile="readiness").sample_limit(hour) == 64
    assert CodecConfig.preset("dense", target_canvas=128).sample_limit(hour) == 2048
    assert CodecConfig.preset("dense", patch=16).patch == 16
    with pytest.raises(ValueError, match="preset must be one of default, frames_384, frames_768, dense, got 'huge'"):
        CodecConfig.preset("huge")


@pytest.mark.parametrize(
    ("seconds", "samples"),
    [
        (0.0, 256),
        (32.0, 256),
        (50.0, 400),
        (50.01, 401),
        (400.0, 3200),
        (600.0, 3200),
        (800.0, 2400),
        (1200.0, 800),
        (7200.0, 800),
    ],
)
def test_longer_videos_are_looked_at_more_often_up_to_a_limit(seconds, samples):
    assert CodecConfig().sample_limit(seconds) == samples
    assert CodecConfig(target_canvas=8).sample_limit(seconds) == min(samples, 1200)
    assert CodecConfig(sampling="near_keyframes").sample_limit(seconds) == 256
    assert CodecConfig(min_fps=0.0).sample_limit(seconds) == 256


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("target_canvas", 0, "target_canvas must be at least 1, an integer, got 0"),
        ("target_canvas", 8.0, "target_canvas must be at least 1, an integer, got 8.0"),
        ("target_canvas", True, "target_canvas must be at least 1, an integer, got True"),
        ("max_samples", 2**31, "max_samples must be at most 2147483647, got 2147483648"),
        ("target_canvas", 30, "images_per_group must divide target_canvas, got 4 for 30"),
        ("group_size", 31, "images_per_group must divide group_size, got 4 for 31"),
        ("max_group_frames", 7, "max_group_frames must be at least min_group_frames = 8, got 7"),
        ("patch", 15, "patch must be even and at most 256, got 15"),
        ("patch", 258, "patch must be even and at most 256, got 258"),
        ("max_pixels", 783, "max_pixels must be at least (2 * patch)**2 = 784, got 783"),
        ("sampling", "random", "sampling must be one of peaks, uniform, near_keyframes, got 'random'"),
        ("partition", "gop", "partition must be one of energy, uniform, fixed, got 'gop'"),
        ("selection", "best", "selection must be one of global, stretches, got 'best'"),
        ("score_mode", "x", "score_mode must be one of fused, framediff, motion, residual, bits, change, got 'x'"),
        ("motion_source", "x", "motion_source must be one of auto, estimated, none, got 'x'"),
        ("avoid_keyframes", 1, "avoid_keyframes must be True or False, got 1"),
        ("start_time", -1.0, "start_time must be at least 0, a number, got -1.0"),
        ("end_time", float("nan"), "end_time must be at least 0, a number, got nan"),
        ("sample_fps", 0.0, "sample_fps must be above 0, a number, got 0.0"),
        ("motion_weight", -0.5, "motion_weight must be at least 0, a number, got -0.5"),
        ("bits_weight", 127.0, "must sum to more than 0 and less than 128, got 1.0, 1.0, 127.0"),
        ("motion_weight", 1e308, "less than 128, got 1e+308, 1.0, 1.0"),
        ("threads", 0, "threads must be at least 1, an integer, got 0"),
    ],
)
def test_wrong_values_are_named(field, value, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is compared below, brackets and all)
        CodecConfig(**{field: value})
    assert message in str(error.value)


def test_times_must_be_in_order():
    with pytest.raises(ValueError, match=r"end_time must be at least start_time = 5\.0, got 4\.0"):
        CodecConfig(start_time=5.0, end_time=4.0)


def test_weights_follow_the_score_mode():
    assert CodecConfig(score_mode="framediff", motion_weight=3.0).weights == (0, 256, 0)
    assert CodecConfig(score_mode="motion").weights == (256, 0, 0)
    assert CodecConfig(motion_weight=0.5, bits_weight=0.0).weights == (128, 256, 0)


def test_numbers_of_numpy_become_those_of_python():
    config = CodecConfig(target_canvas=np.int64(8), max_group_frames=np.int32(9), max_file_bytes=np.uint32(10**6))
    assert [type(v) for v in (config.target_canvas, config.max_group_frames, config.max_file_bytes)] == [int] * 3
    numbers = {"min_fps": np.int64(3), "start_time": np.float32(0.5), "end_time": np.float16(1.5), "sample_fps": 3}
    config = CodecConfig(**numbers, motion_weight=np.float64(0.25), max_wall_seconds=np.float32(60))
    assert {name: getattr(config, name) for name in numbers} == numbers
    names = [*numbers, "motion_weight", "max_wall_seconds"]
    assert [type(getattr(config, name)) for name in names] == [int, float, float, int, float, float]
    assert json.dumps(dataclasses.asdict(config))
    for value in (np.float32("nan"), np.bool_(True), np.array([1.0]), "1"):
        with pytest.raises(ValueError, match="min_fps must be at least 0, a number"):
            CodecConfig(min_fps=value)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CodecConfig().patch = 16
    assert CodecConfig().replace(patch=16) == CodecConfig(patch=16)


def test_settings_that_there_are_not_are_named_with_the_nearest():
    for wrong in (tokenize_video, tokenize_many):
        with pytest.raises(TypeError, match=r"^there is no setting 'target_canvass'; did you mean 'target_canvas'\?$"):
            wrong("clip.mp4" if wrong is tokenize_video else [], target_canvass=8)
    with pytest.raises(TypeError, match=r"^there is no setting 'pitch'; did you mean 'patch'\?$"):
        CodecConfig.preset("dense", pitch=16)
    with pytest.raises(TypeError, match=r"^there is no setting 'xyz'$"):
        CodecConfig().replace(xyz=16)


def test_what_is_said_of_presets_and_limits_is_true():
    """The docstring of ``preset`` gives these numbers."""
    most = {"default": (256, 3200), "dense": (512, 4800), "frames_384": (384, 384), "frames_768": (768, 768)}
    for name, expected in most.items():
        counts = [CodecConfig.preset(name).sample_limit(seconds) for seconds in range(3600)]
        assert (min(counts), max(counts)) == expected
        assert f"``{name}``" in CodecConfig.preset.__doc__
    for value in (256, 3200, 512, 4800, 384, 768):
        assert str(value) in CodecConfig.preset.__doc__
    assert CodecConfig(max_samples=10, target_canvas=64).sample_limit(600.0) == 512, "no limit of what others ask for"
