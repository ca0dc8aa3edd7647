"""The module beside the checkpoints, as their processors call it."""

from __future__ import annotations

import numpy as np
import pytest
from ov2_kernels import tokenize_video, vision_prompt
from ov2_kernels.integrations.llava_onevision2 import (
    IMAGE_PAD,
    VISION_END,
    VISION_START,
    CodecConfig,
    codec_image_processor_outputs,
    codec_positions_for_processor,
    convert_positions_to_block_layout,
    drop_padding_canvases,
    process_codec_video,
    rewrite_text_with_codec_positions,
)

import transformers_support as support
from parity import assert_same

torch = support.torch

SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000, "cache_root": None}
PROMPT = f"<|im_start|>user\n{VISION_START}<|video_pad|>{VISION_END}\nWhat happens?<|im_end|>\n"


def processor_call(image_processor, texts, videos, settings):
    """What a processor does with ``video_backend="codec"``, up to the tokenizer."""
    config = CodecConfig(**settings)
    texts = list(texts)
    pixel_values, grids, positions = [], [], []
    for index, video in enumerate(videos):
        payload = process_codec_video(video, config)
        images, src_positions, _ = drop_padding_canvases(payload["images"], payload["src_positions"])
        assert images
        data = codec_image_processor_outputs(image_processor, images, max_pixels=config.max_pixels)
        grid = data["image_grid_thw"]
        patch_positions = codec_positions_for_processor(src_positions, grid, device=grid.device)
        texts[index] = rewrite_text_with_codec_positions(
            texts[index], patch_positions, fps=float(payload["fps"]), decimals=1
        )
        pixel_values.append(data["pixel_values"])
        grids.append(grid)
        positions.append(patch_positions)
    return texts, torch.cat(pixel_values), torch.cat(grids), torch.cat(positions)


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("variant", ["slow", "fast"])
def test_a_processor_s_call(clip_path, variant, patch):
    videos = [str(clip_path("h264_bframes")), str(clip_path("h264_variable_rate"))]
    settings = {**SMALL, "patch": patch}
    image_processor = support.make_processor(variant, patch)  # its own limits would enlarge every canvas
    texts, pixel_values, grid, positions = processor_call(image_processor, [PROMPT] * 2, videos, settings)
    tokens = [tokenize_video(video, CodecConfig(**settings).tokenizer_config()) for video in videos]
    inputs = [t.model_inputs() for t in tokens]
    expected = {name: torch.cat([i[name] for i in inputs]) for name in inputs[0]}
    support.assert_equal_to_rounding(pixel_values.numpy(), expected["pixel_values"].numpy())
    assert torch.equal(grid, expected["image_grid_thw"])
    assert torch.equal(positions, expected["patch_positions"])
    for text, t in zip(texts, tokens, strict=True):
        before, after = PROMPT.split(f"{VISION_START}<|video_pad|>{VISION_END}\n")
        assert text == before + vision_prompt(t, timestamps="frame_rate") + after
        assert text.count(IMAGE_PAD) == t.num_tokens


def test_older_processors_are_told_by_other_names():
    class Older:
        size = {"min_pixels": 3136, "max_pixels": 1000}  # noqa: RUF012

        def __call__(self, **options):
            return options

    from PIL import Image

    images = [Image.new("RGB", (28, 28)), Image.new("RGB", (28, 56))]
    options = codec_image_processor_outputs(Older(), images, max_pixels=100)
    assert options == {"images": images, "return_tensors": "pt", "min_pixels": 784, "max_pixels": 1568}
    assert codec_image_processor_outputs(Older(), images, max_pixels=9999)["max_pixels"] == 9999


def test_padding_canvases_are_dropped():
    positions = np.arange(4 * 6 * 3, dtype=np.int32).reshape(-1, 3)
    positions[6:12] = -1
    images = ["a", "b", "c", "d"]
    kept, kept_positions, dropped = drop_padding_canvases(images, positions)
    assert (kept, dropped) == (["a", "c", "d"], 1)
    assert_same(kept_positions, np.delete(positions, slice(6, 12), axis=0))
    assert drop_padding_canvases(["a"], positions[:6])[2] == 0
    positions[20] = -1
    with pytest.raises(ValueError, match="canvas 3 is padding in part"):
        drop_padding_canvases(images, positions)
    with pytest.raises(ValueError, match="as many for each of 5 images, got 24"):
        drop_padding_canvases([*images, "e"], positions)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_block_layout(size):
    t, h, w = 2, 6, 12
    index = torch.stack(torch.meshgrid(*map(torch.arange, (t, h, w)), indexing="ij"), dim=-1).reshape(-1, 3)
    expected = [
        [f, y, x]
        for f in range(t)
        for by in range(0, h, size)
        for bx in range(0, w, size)
        for y in range(by, by + size)
        for x in range(bx, bx + size)
    ]
    assert convert_positions_to_block_layout(index, t, h, w, size).tolist() == expected


def test_positions_that_do_not_match_are_an_error():
    grid = torch.tensor([[1, 2, 2], [1, 2, 4]])
    positions = np.zeros((12, 3), dtype=np.int32)
    assert codec_positions_for_processor(positions, grid).shape == (12, 3)
    with pytest.raises(ValueError, match="must hold 12 patches as image_grid_thw does, got 8"):
        codec_positions_for_processor(positions[:8], grid)


def test_rewritten_text():
    positions = torch.zeros((24, 3), dtype=torch.int64)
    positions[:, 0] = torch.tensor([0] * 8 + [7] * 4 + [-1] * 4 + [9] * 2 + [30] * 4 + [7] * 2)
    text = f"a{VISION_START}x{VISION_END} b {VISION_START}y{VISION_END}\nc"
    expected = (
        f"a<0.00 seconds>{VISION_START}{IMAGE_PAD * 2}{VISION_END}\n"
        f"<0.70 seconds>{VISION_START}{IMAGE_PAD}{VISION_END}\n"
        f"<3.00 seconds>{VISION_START}{IMAGE_PAD}{VISION_END}\nc"
    )
    assert rewrite_text_with_codec_positions(text, positions, 10.0, 2) == expected
    assert rewrite_text_with_codec_positions("no video", positions, 10.0, 2) == "no video"
