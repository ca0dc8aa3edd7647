"""The encoder's input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import native, ops, reference
from ov2_kernels.tables import CLIP_MEAN, CLIP_STD, normalization_table

from parity import assert_same
from strategies import GRIDS, PATCHES, SEEDS


@settings(deadline=None, max_examples=80)
@given(
    seed=SEEDS,
    n=st.sampled_from([1, 4]),
    grid=GRIDS,
    patch=PATCHES,
    count=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["float32", "float16", "int16"]),
)
def test_native_equals_the_reference(seed, n, grid, patch, count, dtype):
    rng = np.random.default_rng(seed)
    blocks = grid[0] * grid[1]
    frames = rng.integers(0, 256, (n, 2 * patch * grid[0], 2 * patch * grid[1], 3), dtype=np.uint8)
    selected = rng.integers(0, n * blocks, (count, blocks))
    frame_ids = np.arange(n) * 3
    table = (100 * normalization_table()).astype(dtype)
    got = native.pack_pixel_values(frames, selected, frame_ids, table, patch=patch, threads=2)
    assert_same(got, reference.pack_pixel_values(frames, selected, frame_ids, table, patch=patch))


def test_rows_are_patches_in_block_order():
    """By hand, with transposes: blocks in raster order, patches inside a block, channel first."""
    frames = np.random.default_rng(2).integers(0, 256, (1, 56, 84, 3), dtype=np.uint8)
    values, positions = ops.pack_pixel_values(frames, np.arange(6)[None], np.array([5]))
    x = (frames[0] / 255.0 - CLIP_MEAN) / CLIP_STD
    rows = x.reshape(2, 2, 14, 3, 2, 14, 3).transpose(0, 3, 1, 4, 6, 2, 5).reshape(24, -1)
    assert_same(values, rows.astype(np.float32))
    assert positions[:6].tolist() == [[5, 0, 0], [5, 0, 1], [5, 1, 0], [5, 1, 1], [5, 0, 2], [5, 0, 3]]


def test_wrong_tables_are_named():
    frames = np.zeros((1, 28, 28, 3), np.uint8)
    with pytest.raises(ValueError, match=r"table must be \[3, 256\] of a type 2 or 4 bytes wide"):
        ops.pack_pixel_values(frames, np.array([[0]]), np.array([0]), normalization_table().astype(np.float64))
