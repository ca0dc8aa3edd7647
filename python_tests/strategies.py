"""Inputs for the kernels: random ones, and the shapes and values that bite."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array = npt.NDArray[Any]

SEEDS = st.integers(0, 2**32 - 1)
PATCHES = st.sampled_from([2, 4, 14, 16])
#: blocks high and wide: one, two, and primes
GRIDS = st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 2, 3, 7]))


@st.composite
def group_edges(draw: st.DrawFn, samples: int) -> Array:
    """Edges of random groups over so many samples."""
    inner = draw(st.sets(st.integers(1, samples - 1), max_size=4)) if samples > 1 else set()
    return np.array([0, *sorted(inner), samples], dtype=np.int64)


def picture_pairs(seed: int, n: int, height: int, width: int, kind: str) -> tuple[Array, Array]:
    """Luma planes uint8 and their predecessors: noise, equal, black against white, or a shifted gradient."""
    rng = np.random.default_rng(seed)
    if kind == "equal":
        plane = rng.integers(0, 256, (n, height, width), dtype=np.uint8)
        return plane, plane.copy()
    if kind == "extreme":
        return np.full((n, height, width), 255, np.uint8), np.zeros((n, height, width), np.uint8)
    planes = rng.integers(0, 256, (2, n, height, width), dtype=np.uint8)
    return planes[0], planes[1]


def motion_fields(seed: int, n: int, height: int, width: int, kind: str) -> Array:
    """Vectors int16 ``[n, height/4, width/4, 2]``: none, small, saturated, a pan, or the type's limits."""
    rng = np.random.default_rng(seed + 1)
    shape = (n, height // 4, width // 4, 2)
    if kind == "none":
        return np.zeros(shape, np.int16)
    if kind == "pan":
        field = np.full(shape, -37, np.int16)
        field[rng.random(shape[:3]) < 0.2] += 11
        return field
    limit = {"small": 9, "saturated": 2047, "type_limits": 32767}[kind]
    return rng.integers(-limit, limit + 1, shape).astype(np.int16)


PICTURE_KINDS = st.sampled_from(["noise", "equal", "extreme"])
MOTION_KINDS = st.sampled_from(["none", "small", "saturated", "pan", "type_limits"])


def non_contiguous(array: Array) -> Array:
    """The same values in memory that runs backwards along the last axis."""
    return array[..., ::-1].copy()[..., ::-1]


def random_scores(seed: int, n: int, hb: int, wb: int, kind: str) -> Array:
    """Scores int32: spread, mostly ties, all zero, or as large as weights allow."""
    rng = np.random.default_rng(seed)
    high = {"spread": 2**24, "ties": 3, "zero": 1, "largest": 2**31 - 1}[kind]
    return rng.integers(0, high, (n, hb, wb), dtype=np.int64).astype(np.int32)


SCORE_KINDS = st.sampled_from(["spread", "ties", "zero", "largest"])
