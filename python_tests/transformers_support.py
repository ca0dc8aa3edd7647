"""What the tests against ``transformers`` share.

Importing this skips the importing module where transformers or torchvision is missing; ``OV2_REQUIRE_TORCH=1`` makes
that an error.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

if os.environ.get("OV2_REQUIRE_TORCH") != "1":
    for module in ("torch", "torchvision", "transformers"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed", allow_module_level=True)

import torch  # noqa: F401
import transformers
from PIL import Image

import import_torchvision  # noqa: F401

#: name -> class: since transformers 5 the fast one has the plain name
if hasattr(transformers, "Qwen2VLImageProcessorPil"):
    PROCESSORS = {"slow": transformers.Qwen2VLImageProcessorPil, "fast": transformers.Qwen2VLImageProcessor}
else:
    PROCESSORS = {"slow": transformers.Qwen2VLImageProcessor, "fast": transformers.Qwen2VLImageProcessorFast}


def make_processor(variant: str, patch: int = 14, **options: Any) -> Any:
    """A processor as the checkpoints configure it."""
    return PROCESSORS[variant](patch_size=patch, temporal_patch_size=1, merge_size=2, **options)


def pinned(variant: str, patch: int, pixels: int) -> Any:
    """A processor that leaves pictures of so many pixels as they are."""
    return make_processor(variant, patch, size={"shortest_edge": pixels, "longest_edge": pixels})


def process(variant: str, patch: int, canvases: Sequence[Any]) -> dict[str, Any]:
    """What the processor makes of pictures whose sides are multiples of ``2 * patch``."""
    images = [Image.fromarray(np.asarray(canvas)) for canvas in canvases]
    made = pinned(variant, patch, images[0].width * images[0].height)(images=images, return_tensors="pt")
    return {name: made[name].numpy() for name in ("pixel_values", "image_grid_thw")}


def assert_equal_to_rounding(got: Any, expected: Any) -> None:
    """Both round ``(x / 255 - mean) / std`` to float32 on ways of their own: a few units in the last place of 1."""
    assert got.dtype == expected.dtype == np.float32
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 4 * np.finfo(np.float32).eps
