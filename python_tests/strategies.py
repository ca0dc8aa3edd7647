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

#: the positional arguments of a stage, and those by name
Inputs = tuple[tuple[Array, ...], dict[str, Any]]


@st.composite
def energy_inputs(draw: st.DrawFn, samples: tuple[int, ...] = (1, 2, 5), grids: Any = GRIDS) -> Inputs:
    """Of ``block_energies``."""
    seed, n, patch, grid = draw(SEEDS), draw(st.sampled_from(samples)), draw(PATCHES), draw(grids)
    height, width = 2 * patch * grid[0], 2 * patch * grid[1]
    luma, prev = picture_pairs(seed, n, height, width, draw(PICTURE_KINDS))
    motion = motion_fields(seed, n, height, width, draw(MOTION_KINDS))
    packet_bytes = np.full(n, draw(st.sampled_from([0, 1, 977, 50_000_000])), dtype=np.int64)
    return (luma, prev, motion, packet_bytes), {"patch": patch}


@st.composite
def change_inputs(draw: st.DrawFn, samples: tuple[int, ...] = (1, 2, 3, 11), grids: Any = GRIDS) -> Inputs:
    """Of ``change_scores``: noise of so many grey levels, under a camera, and from shot to shot."""
    n, patch, grid = draw(st.sampled_from(samples)), draw(PATCHES), draw(grids)
    shape = (2, n, 2 * patch * grid[0], 2 * patch * grid[1])
    high = draw(st.sampled_from([1, 3, 4, 40, 256]))
    luma, prev = np.random.default_rng(draw(SEEDS)).integers(0, high, shape, dtype=np.uint8)
    if draw(st.booleans()):  # a camera that moves over one picture
        dy, dx = draw(st.integers(-9, 9)), draw(st.integers(-9, 9))
        luma = np.stack([np.roll(prev[0], (i * dy, i * i * dx), (0, 1)) for i in range(n)])
    if draw(st.booleans()):
        level = draw(st.lists(st.sampled_from([0, 0, 3, 5, 60, 190]), min_size=n, max_size=n))
        luma = luma // 4 + np.array(level, np.uint8)[:, None, None]
    return (luma, prev, draw(group_edges(n))), {"patch": patch}


WEIGHTS = st.sampled_from(
    [(256, 256, 256), (0, 256, 0), (1, 2, 3), (32767, 0, 0), (0, 0, 32767), (10922, 10922, 10923)]
)


@st.composite
def fusion_inputs(draw: st.DrawFn) -> Inputs:
    """Of ``fuse_scores``."""
    n, grid = draw(st.sampled_from([1, 2, 3, 11])), draw(GRIDS)
    high = draw(st.sampled_from([1, 4, 5000, 2**31 - 1]))
    rng = np.random.default_rng(draw(SEEDS))
    residual, motion = (rng.integers(0, high, (n, *grid)).astype(np.int32) for _ in range(2))
    bits = rng.integers(0, high * 1000, (n, *grid))
    options = {"weights": draw(WEIGHTS), "patch": draw(PATCHES)}
    return (residual, motion, bits, draw(group_edges(n))), options


@st.composite
def selection_inputs(draw: st.DrawFn) -> Inputs:
    """Of ``select_blocks``."""
    n = draw(st.sampled_from([1, 2, 3, 4, 13]))
    scores = random_scores(draw(SEEDS), n, *draw(GRIDS), draw(SCORE_KINDS))
    options = {"images_per_group": draw(st.integers(1, 6)), "selection": draw(st.sampled_from(["stretches", "global"]))}
    return (scores, draw(group_edges(n))), options
