"""Tables that are computed once on the host and handed to every backend, so that no backend rounds on its own."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .media import Array

#: Mean and standard deviation of CLIP's training images, per RGB channel.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@lru_cache(maxsize=32)
def attenuation_table(blocks: int) -> Array:
    """Factor in 1/65536 for a block of each rank in its frame, int32 ``[blocks]`` (algorithm, section 7)."""
    rank = np.arange(blocks, dtype=np.float64)
    table: Array = np.rint(65536.0 / np.sqrt(1.0 + 0.35 * rank)).astype(np.int32)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def normalization_table() -> Array:
    """Normalised value of each channel and level, float32 ``[3, 256]`` (algorithm, section 9)."""
    level = np.arange(256, dtype=np.float64)[None, :] / 255.0
    normalized = (level - np.array(CLIP_MEAN)[:, None]) / np.array(CLIP_STD)[:, None]
    table: Array = normalized.astype(np.float32)
    table.setflags(write=False)
    return table
