"""Settings and messages of any value, as fuzzing brought them: each wrong one is a ``ValueError`` that names it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ov2_kernels import CodecConfig
from ov2_kernels.integrations import codec_video_prep, llava_onevision2, lmms_video_utils

HUGE = 10**400


@pytest.mark.parametrize("value", [0, "1", None, math.inf, math.nan, HUGE, True, [], b"1"])
def test_wrong_values_are_named(value):
    with pytest.raises(ValueError, match="timeout_seconds must be above 0, a number"):
        llava_onevision2.CodecConfig(timeout_seconds=value, cache_root=None).validate()
    for name in ("num_sampled_frames", "group_size", "images_per_group"):
        with pytest.raises(ValueError, match=f"{name} must be at (least 1, an integer|most)"):
            codec_video_prep.PreinferConfig("clip.mp4", "out", **{name: value}).codec_config()
    for name in ("target_canvas", "patch", "max_pixels"):
        with pytest.raises(ValueError, match=f"{name} must be at (least 1, an integer|most)"):
            lmms_video_utils.CodecConfig(device="cpu", **{name: value}).validate()


def test_integers_that_no_float_holds():
    with pytest.raises(ValueError, match="motion_weight must be at least 0, a number"):
        CodecConfig(motion_weight=HUGE)
    with pytest.raises(ValueError, match="start_time must be at least 0, a number"):
        CodecConfig(start_time=-HUGE)
    with pytest.raises(ValueError, match="target_fps must be at least 0, a number"):
        lmms_video_utils.CodecConfig(device="cpu", target_fps=HUGE).validate()


def test_numbers_of_numpy_are_welcome():
    settings = {"target_fps": np.float32(2), "max_frames": np.int64(8), "start_time": 0}
    lmms_video_utils.CodecConfig(device="cpu", **settings).validate()
    llava_onevision2.CodecConfig(timeout_seconds=np.float32(3), cache_root=None).validate()


@pytest.mark.parametrize("messages", [None, 3, "x", [1], {"role": "user"}, [None]])
def test_what_are_no_messages(messages):
    with pytest.raises(ValueError, match="messages must be a list of mappings"):
        lmms_video_utils.process_video_info(messages)


def test_canvases_that_messages_ask_for_have_a_limit():
    with pytest.raises(ValueError, match="max_pixels must be at most 67108864"):
        lmms_video_utils.CodecConfig(device="cpu", max_pixels=10**12).validate()
