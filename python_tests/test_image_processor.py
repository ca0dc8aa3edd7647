"""Model inputs against the image processor that the released checkpoints use."""

from __future__ import annotations

import numpy as np
import pytest
from ov2_kernels import tokenize_frames, tokenize_image, tokenize_video
from PIL import Image

import transformers_support as support
from clips import scene
from parity import assert_same


@pytest.fixture(scope="module")
def tokens_of_patch(clip_path):
    made = {}

    def get(patch):
        if patch not in made:
            clip = clip_path("h264_bframes")
            made[patch] = tokenize_video(clip, target_canvas=8, group_size=8, patch=patch, max_pixels=20_000)
        return made[patch]

    return get


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("variant", ["slow", "fast"])
def test_model_inputs_are_those_of_the_image_processor(tokens_of_patch, variant, patch):
    tokens = tokens_of_patch(patch)
    inputs = tokens.model_inputs(as_torch=False)
    expected = support.process(variant, patch, tokens.canvases)
    support.assert_equal_to_rounding(inputs["pixel_values"], expected["pixel_values"])
    assert_same(inputs["image_grid_thw"], expected["image_grid_thw"])
    hp, wp = tokens.grid
    by_block = tokens.src_patch_position.reshape(-1, hp // 2, 2, wp // 2, 2, 3).swapaxes(2, 3)
    assert_same(inputs["patch_positions"], by_block.reshape(-1, 3).astype(np.int64))


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("variant", ["slow", "fast"])
def test_whole_frames_too(clip_path, variant, patch):
    tokens = tokenize_frames(clip_path("h264_bframes"), num_frames=3, patch=patch, max_pixels=20_000)
    inputs = tokens.model_inputs(as_torch=False)
    expected = support.process(variant, patch, tokens.canvases)
    support.assert_equal_to_rounding(inputs["pixel_values"], expected["pixel_values"])
    assert_same(inputs["image_grid_thw"], expected["image_grid_thw"])


@pytest.mark.parametrize("patch", [14, 16])
def test_images_are_resized_as_there(patch):
    """The slow one resizes with Pillow, as is done here; the fast one resizes with torch, and rounds differently."""
    image = Image.fromarray(next(iter(scene(1, 131, 243))))
    for limit in (1_605_632, 20_000):
        inputs = tokenize_image(image, patch=patch, max_pixels=limit).model_inputs(as_torch=False)
        options = {"size": {"shortest_edge": 1, "longest_edge": limit}}
        expected = support.make_processor("slow", patch, **options)(images=[image], return_tensors="pt")
        support.assert_equal_to_rounding(inputs["pixel_values"], expected["pixel_values"].numpy())
        assert_same(inputs["image_grid_thw"], expected["image_grid_thw"].numpy())
