"""Which blocks are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from ov2_kernels import native, ops, reference

from parity import assert_same
from strategies import selection_inputs


@settings(deadline=None, max_examples=250)
@given(selection_inputs())
def test_native_equals_the_reference(inputs):
    (scores, edges), options = inputs
    got = native.select_blocks(scores, edges, threads=2, **options)
    assert_same(got, reference.select_blocks(scores, edges, **options))
    blocks = scores[0].size
    lengths = np.minimum(np.diff(edges), options["images_per_group"])
    assert len(got) == lengths.sum()
    assert (np.diff(got, axis=1) > 0).all(), "raster order, and no block twice"
    assert len(np.unique(got)) == got.size
    assert_same(got[np.cumsum(lengths) - lengths], edges[:-1, None] * blocks + np.arange(blocks))


def test_stretches_of_equal_mass_spread_over_time():
    """A second half that is a shade stronger does not take every canvas."""
    scores = np.full((25, 2, 2), 1000, np.int32)
    scores[13:] = 1001
    stretched = ops.select_blocks(scores, np.array([0, 25]), selection="stretches")
    whole = ops.select_blocks(scores, np.array([0, 25]))
    assert (stretched[1] // 4).max() < 13
    assert (whole[1:] // 4).min() >= 13


def test_no_frame_takes_the_whole_budget():
    scores = 100 + np.arange(16, dtype=np.int32).reshape(4, 4) + np.zeros((9, 1, 1), np.int32)
    scores[4] += 30
    chosen = ops.select_blocks(scores, np.array([0, 9]), images_per_group=2)[1] // 16
    assert 4 in chosen
    assert len(np.unique(chosen)) > 4


def test_a_rank_divides_what_a_frame_gets():
    """Its fourth block counts an eighth, so that slighter things elsewhere come first."""
    scores = np.zeros((9, 4, 4), np.int32)
    scores[4] = 1000 + np.arange(16).reshape(4, 4)
    scores[[1, 2, 3, 5, 6, 7, 8], 2, 1] = 130
    chosen = ops.select_blocks(scores, np.array([0, 9]), images_per_group=2)[1] // 16
    assert set(chosen) == set(range(1, 9))


def test_equal_scores_share_their_rank():
    scores = np.zeros((9, 4, 4), np.int32)
    scores[4] = 200
    scores[[1, 2, 3, 5, 6, 7, 8], 2, 1] = 199
    chosen = ops.select_blocks(scores, np.array([0, 9]), images_per_group=2)[1] // 16
    assert set(chosen) == {4}


def test_saliency_behind_empty_frames():
    scores = np.zeros((7, 1, 1), np.int32)
    scores[1] = 5
    for selection in ("stretches", "global"):
        got = ops.select_blocks(scores, np.array([0, 7]), selection=selection)
        assert got[1, 0] == 1
        assert_same(got, reference.select_blocks(scores, np.array([0, 7]), selection=selection))


def test_wrong_inputs_are_named():
    scores = np.zeros((3, 1, 1), np.int32)
    with pytest.raises(ValueError, match="images_per_group must be at least 1, an integer, got 0"):
        ops.select_blocks(scores, np.array([0, 3]), images_per_group=0)
    with pytest.raises(ValueError, match="selection must be one of global, stretches, got 'best'"):
        ops.select_blocks(scores, np.array([0, 3]), selection="best")
