"""Bits handed from a grid of cells to blocks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import bit_cost, native, ops, reference

from parity import assert_same
from strategies import GRIDS, PATCHES, SEEDS


@st.composite
def edges(draw, count):
    steps = draw(st.lists(st.sampled_from([0, 1, 7, 16]), min_size=count, max_size=count))
    steps[draw(st.integers(0, count - 1))] += 5
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


@settings(deadline=None, max_examples=100)
@given(
    seed=SEEDS,
    n=st.sampled_from([0, 1, 3]),
    patch=PATCHES,
    grid=GRIDS,
    edges_y=st.sampled_from([1, 2, 5]).flatmap(edges),
    edges_x=st.sampled_from([1, 3, 6]).flatmap(edges),
    most=st.sampled_from([0, 3000 * 256, 2**40]),
    threads=st.sampled_from([1, 3]),
)
def test_native_equals_the_reference(seed, n, patch, grid, edges_y, edges_x, most, threads):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, most + 1, (n, len(edges_y) - 1, len(edges_x) - 1))
    height, width = 2 * patch * grid[0], 2 * patch * grid[1]
    got = native.block_bits(cells, edges_y, edges_x, height, width, patch=patch, threads=threads)
    assert_same(got, reference.block_bits(cells, edges_y, edges_x, height, width, patch=patch))


def test_cells_that_blocks_cover_whole_arrive_whole():
    cells = np.arange(24, dtype=np.int64).reshape(1, 4, 6)
    bits = ops.block_bits(cells, np.arange(5) * 14, np.arange(7) * 14, 56, 84)
    np.testing.assert_array_equal(bits, cells.reshape(1, 2, 2, 3, 2).sum((2, 4)))


def test_a_cell_is_shared_by_area():
    # 20 source pixels on 56 canvas pixels: the border between the blocks cuts the second cell in half.
    edges = np.array([0, 8, 12, 20])
    cells = np.array([[[100, 60, 10]]], dtype=np.int64)
    np.testing.assert_array_equal(ops.block_bits(cells, np.array([0, 9]), edges, 28, 56)[0, 0], [130, 40])


def test_no_bit_is_lost_but_for_rounding(clip_path):
    path = clip_path("h264_444_odd_size")
    info = ops.probe(path)
    cost = bit_cost(path, np.arange(info.frames), info=info)
    cells, edges_y, edges_x = cost.cells(info)
    assert (edges_y[-1], edges_x[-1]) == (75, 101)
    bits = ops.block_bits(cells, edges_y, edges_x, 56, 84)
    lost = 256 * cost.bits.sum((1, 2)) - bits.sum((1, 2))
    assert (lost >= 0).all()
    assert (lost < 4 * cost.bits[0].size).all()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_cells_are_upright(clip_path, rotation, mirrored):
    path = clip_path("h264_444_odd_size")
    info = dataclasses.replace(ops.probe(path), rotation=rotation, mirrored=mirrored)
    cost = bit_cost(path, [0], info=info)
    cells, edges_y, edges_x = cost.cells(info)
    # The same, pixel by pixel.
    pixels = cost.bits[0].repeat(16, 0).repeat(16, 1)[:75, :101] * 256
    pixels = np.rot90(pixels, -rotation // 90)
    pixels = pixels[:, ::-1] if mirrored else pixels
    rows = np.searchsorted(edges_y, np.arange(edges_y[-1]), side="right") - 1
    columns = np.searchsorted(edges_x, np.arange(edges_x[-1]), side="right") - 1
    np.testing.assert_array_equal(cells[0][rows][:, columns], pixels)


def test_field_pairs_share_their_bits(clip_path):
    path = clip_path("h264_bframes")
    info = ops.probe(path)
    cost = bit_cost(path, [0], info=info)
    pairs = np.zeros_like(cost.field_pairs)
    pairs[0, 2:4, 1] = True
    cells, _, _ = dataclasses.replace(cost, field_pairs=pairs).cells(info)
    assert (cells[0, 2:4, 1] == 128 * cost.bits[0, 2:4, 1].sum()).all()
    cells[0, 2:4, 1] = 256 * cost.bits[0, 2:4, 1]
    np.testing.assert_array_equal(cells[0], 256 * cost.bits[0].astype(np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges_y": np.array([0, 16])}, r"edges_y must have the shape \[3\]"),
        ({"edges_x": np.array([1, 16, 32, 48])}, "edges_x must not fall, and run from 0"),
        ({"edges_x": np.array([0, 32, 16, 48])}, "edges_x must not fall"),
        ({"cells": np.zeros((1, 2, 3), np.int32)}, "cells must be int64"),
        ({"height": 50}, "height and width must be multiples of"),
        ({"patch": 3}, "patch must be even"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    good = {
        "cells": np.zeros((1, 2, 3), np.int64),
        "edges_y": np.array([0, 16, 32]),
        "edges_x": np.array([0, 16, 32, 48]),
        "height": 56,
        "width": 84,
        "patch": 14,
    }
    ops.block_bits(**good)
    with pytest.raises(ValueError, match=message):
        ops.block_bits(**{**good, **change})
