"""The prompt text of a video's tokens."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ov2_kernels import tokenize_frames, tokenize_image, tokenize_video, vision_prompt
from ov2_kernels.prompt import IMAGE_PAD, VISION_END, VISION_START

LINE = re.compile(r"<(\d+\.\d+) seconds><\|vision_start\|>((?:<\|image_pad\|>)+)<\|vision_end\|>\n")


@pytest.fixture(scope="module")
def tokens(clip_path):
    options = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}
    return tokenize_video(clip_path("h264_variable_rate"), **options)


@pytest.mark.parametrize("decimals", [1, 3])
@pytest.mark.parametrize("timestamps", ["stream", "frame_rate"])
def test_lines_follow_the_patches(tokens, timestamps, decimals):
    text = vision_prompt(tokens, decimals, timestamps=timestamps)
    lines = LINE.findall(text)
    assert "".join(f"<{s} seconds>{VISION_START}{pads}{VISION_END}\n" for s, pads in lines) == text
    # One token for each four patches, in the order of the model's inputs; patch by patch.
    clock = dict(zip(tokens.frame_ids.tolist(), tokens.timestamps.tolist(), strict=True))
    expected = []
    last = None
    for t in tokens.model_inputs(as_torch=False)["patch_positions"][::4, 0].tolist():
        seconds = clock[t] if timestamps == "stream" else t / tokens.fps
        if t != last:
            expected.append([f"{seconds:.{decimals}f}", 0])
        expected[-1][1] += 1
        last = t
    assert [[s, len(pads) // len(IMAGE_PAD)] for s, pads in lines] == expected
    assert text.count(IMAGE_PAD) == tokens.num_tokens


def test_the_clock_of_the_stream_is_not_the_frame_rate(tokens):
    assert vision_prompt(tokens) != vision_prompt(tokens, timestamps="frame_rate")
    assert vision_prompt(tokens) == vision_prompt(tokens, 1, timestamps="stream")


def test_frames_and_images(clip_path):
    frames = tokenize_frames(clip_path("h264_bframes"), num_frames=2, max_pixels=20_000)
    count = frames.num_tokens // 2
    lines = LINE.findall(vision_prompt(frames, 2))
    assert [(s, len(pads) // len(IMAGE_PAD)) for s, pads in lines] == [("0.00", count), ("1.30", count)]
    image = tokenize_image(np.zeros((56, 84, 3), np.uint8))
    assert vision_prompt(image) == VISION_START + 6 * IMAGE_PAD + VISION_END + "\n", "no time"


def test_wrong_settings_are_named(tokens):
    with pytest.raises(ValueError, match="timestamps must be one of stream, frame_rate, got 'fps'"):
        vision_prompt(tokens, timestamps="fps")
    with pytest.raises(ValueError, match="decimals must be at least 0, got -1"):
        vision_prompt(tokens, -1)
