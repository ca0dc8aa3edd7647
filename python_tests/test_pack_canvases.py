"""Blocks laid into canvases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import native, ops, reference

from parity import assert_same
from strategies import GRIDS, PATCHES, SEEDS, non_contiguous


@settings(deadline=None, max_examples=100)
@given(seed=SEEDS, n=st.sampled_from([1, 2, 7]), grid=GRIDS, patch=PATCHES, count=st.sampled_from([0, 1, 3]))
def test_native_equals_the_reference(seed, n, grid, patch, count):
    rng = np.random.default_rng(seed)
    blocks = grid[0] * grid[1]
    frames = rng.integers(0, 256, (n, 2 * patch * grid[0], 2 * patch * grid[1], 3), dtype=np.uint8)
    selected = rng.integers(0, n * blocks, (count, blocks))
    frame_ids = np.sort(rng.choice(2**31 - 1, n, replace=False))
    got = native.pack_canvases(frames, selected, frame_ids, patch=patch, threads=2)
    assert_same(got, reference.pack_canvases(frames, selected, frame_ids, patch=patch))


def test_whole_frames_come_back():
    frames = np.random.default_rng(1).integers(0, 256, (3, 56, 84, 3), dtype=np.uint8)
    canvases, positions = ops.pack_canvases(non_contiguous(frames), np.arange(18).reshape(3, 6), np.array([4, 7, 9]))
    assert_same(canvases, frames)
    assert_same(positions.reshape(3, 4, 6, 3)[1, 2, 5], np.array([7, 2, 5], dtype=np.int32))


def test_wrong_inputs_are_named():
    frames = np.zeros((2, 28, 28, 3), np.uint8)
    with pytest.raises(ValueError, match=r"selected must lie in \[0, 2\), got 0 to 2"):
        ops.pack_canvases(frames, np.array([[0], [2]]), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"frame_ids must have the shape \[2\], got \[1\]"):
        ops.pack_canvases(frames, np.array([[0]]), np.array([0]))
    with pytest.raises(ValueError, match=r"frames must have the shape \[\*, \*, \*, 3\]"):
        ops.pack_canvases(frames[..., :2], np.array([[0]]), np.array([0, 1]))
