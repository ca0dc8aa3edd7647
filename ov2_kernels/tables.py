"""Tables that are computed once on the host and handed to every backend, so that no backend rounds on its own."""

from __future__ import annotations

import math
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
    table: Array = np.rint(65536.0 / ((1.0 + rank) * np.sqrt(1.0 + rank))).astype(np.int32)
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


@lru_cache(maxsize=32)
def rope_inverse_frequencies(head_dim: int, theta: float = 10000.0) -> Array:
    """Radians per step of the rotary frequencies of t, h, w, float32 ``[head_dim / 2]`` (algorithm, section 9)."""
    sizes = [head_dim // 32 * share for share in (4, 6, 6)]
    table = np.concatenate([theta ** -(np.arange(size) / size) for size in sizes]).astype(np.float32)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def sine_constants() -> Array:
    """What sine and cosine are computed with, float64 ``[19]``.

    ``2 / pi``; ``pi / 2`` in two parts, the first of 33 bits, so that a multiple below ``2**20`` of it is exact; the
    Taylor coefficients of ``sin(r) / r`` and of ``cos(r)`` in powers of ``r * r``, from the first after the constant 1.
    """
    sine = [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9)]
    cosine = [(-1) ** k / math.factorial(2 * k) for k in range(1, 9)]
    half_pi = (float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a626331p-34"))
    table = np.array([2 / math.pi, *half_pi, *sine, *cosine])
    table.setflags(write=False)
    return table
