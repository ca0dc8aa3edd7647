"""Seeded inputs of a realistic size for the kernels, and the comparison that precedes every timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ov2_kernels import ops
from ov2_kernels.media import Samples

SAMPLES = 256
HEIGHT, WIDTH, PATCH = 504, 280, 14
GROUP_SIZE, IMAGES_PER_GROUP = 32, 4
BLOCKS = (HEIGHT // (2 * PATCH), WIDTH // (2 * PATCH))

Array = NDArray[Any]


@dataclass(frozen=True)
class Pictures:
    """What a reader hands to the kernels."""

    frames: Array
    luma: Array
    prev_luma: Array
    motion: Array
    packet_bytes: Array
    frame_ids: Array


@lru_cache(maxsize=4)
def pictures(samples: int) -> Pictures:
    """A textured picture under noise, with vectors that are constant over 16x16 pixels and mostly zero."""
    rng = np.random.default_rng(samples)
    texture = np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH) * 5) % 200
    luma = (texture + rng.integers(0, 24, (samples, HEIGHT, WIDTH))).astype(np.uint8)
    noise = rng.integers(-4, 5, luma.shape)
    macroblocks = (samples, -(-HEIGHT // 16), -(-WIDTH // 16), 2)
    vectors = rng.integers(-96, 97, macroblocks) * (rng.random((*macroblocks[:3], 1)) < 0.4)
    motion = vectors.repeat(4, axis=1).repeat(4, axis=2)[:, : HEIGHT // 4, : WIDTH // 4]
    return Pictures(
        frames=rng.integers(0, 256, (samples, HEIGHT, WIDTH, 3), dtype=np.uint8),
        luma=luma,
        prev_luma=np.clip(luma + noise, 0, 255).astype(np.uint8),
        motion=np.ascontiguousarray(motion, dtype=np.int16),
        packet_bytes=rng.lognormal(7.5, 1.0, samples).astype(np.int64),
        frame_ids=2 * np.arange(samples, dtype=np.int64) + 1,
    )


@lru_cache(maxsize=1)
def energies() -> tuple[Array, Array, Array]:
    """Residual, motion and bits of every block, with the long tails that real ones have."""
    rng = np.random.default_rng(1)
    shape = (SAMPLES, *BLOCKS)
    residual = rng.lognormal(7.0, 1.2, shape).astype(np.int32)
    motion = (rng.lognormal(6.0, 1.5, shape) * (rng.random(shape) < 0.4)).astype(np.int32)
    return residual, motion, rng.lognormal(8.0, 1.2, shape).astype(np.int64)


def group_edges(samples: int = SAMPLES) -> Array:
    """Groups of the default size."""
    return np.append(np.arange(0, samples, GROUP_SIZE), samples).astype(np.int64)


@lru_cache(maxsize=1)
def scores() -> Array:
    """One score per block."""
    return ops.fuse_scores(*energies(), group_edges(), patch=PATCH, backend="reference")


@lru_cache(maxsize=4)
def selected(samples: int) -> Array:
    """Source blocks of every canvas, from the first ``samples`` frames."""
    return ops.select_blocks(
        scores()[:samples], group_edges(samples), images_per_group=IMAGES_PER_GROUP, backend="reference"
    )


def assert_equal(got: Array | Sequence[Array], wanted: Array | Sequence[Array]) -> None:
    """Same type, shape and bits."""
    if not isinstance(wanted, np.ndarray):
        assert len(got) == len(wanted), f"{len(got)} results, wanted {len(wanted)}"
        for one, other in zip(got, wanted, strict=True):
            assert_equal(np.asarray(one), np.asarray(other))
        return
    assert isinstance(got, np.ndarray)
    assert got.dtype == wanted.dtype, f"{got.dtype}, wanted {wanted.dtype}"
    np.testing.assert_array_equal(got, wanted, strict=True)


def assert_same_samples(got: Samples, wanted: Samples, luma_bound: int, rgb_bound: int) -> None:
    """Equal in all but the resized pixels."""
    for name in ("frame_ids", "motion", "packet_bytes", "pts", "pict_types", "substituted"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name, strict=True)
    for name, bound in (("frames", rgb_bound), ("luma", luma_bound), ("prev_luma", luma_bound)):
        difference = np.abs(getattr(got, name).astype(np.int16) - getattr(wanted, name)).max(initial=0)
        assert difference <= bound, f"{name} differs by up to {difference}, more than {bound}"
