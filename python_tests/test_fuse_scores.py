"""One score from three energies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from ov2_kernels import native, ops, reference

from parity import assert_same
from strategies import fusion_inputs


@settings(deadline=None, max_examples=200)
@given(fusion_inputs())
def test_native_equals_the_reference(inputs):
    arrays, options = inputs
    got = native.fuse_scores(*arrays, **options, threads=2)
    assert_same(got, reference.fuse_scores(*arrays, **options))
    assert not got[arrays[-1][:-1]].any(), "the first sample of a group is no candidate"
    assert got.min() >= 0


def test_coding_noise_is_not_stretched_to_full_scale():
    residual = np.full((3, 1, 1), 28, dtype=np.int32)  # a thirtieth of a grey level per pixel
    zero = np.zeros((3, 1, 1), np.int32)
    scores = ops.fuse_scores(residual, zero, zero.astype(np.int64), np.array([0, 3]), weights=(0, 256, 0))
    assert 0 < scores[1, 0, 0] < 0.02 * 256 * 65535


def test_the_strongest_get_full_marks():
    residual = np.array([0, 10**6, 10**5], dtype=np.int32).reshape(3, 1, 1)
    zero = np.zeros((3, 1, 1), np.int32)
    scores = ops.fuse_scores(residual, zero, zero.astype(np.int64), np.array([0, 3]), weights=(0, 256, 0))
    assert scores.ravel().tolist() == [0, 256 * 65535, 256 * 6553]


def test_wrong_inputs_are_named():
    e = np.zeros((3, 1, 1), np.int32)
    with pytest.raises(ValueError, match="weights must be three, not negative"):
        ops.fuse_scores(e, e, e.astype(np.int64), np.array([0, 3]), weights=(-1, 1, 1))
    for edges in ([0, 2], [1, 3], [0, 2, 2, 3], [0]):
        with pytest.raises(ValueError, match="group_edges must rise from 0 to the number of samples, 3"):
            ops.fuse_scores(e, e, e.astype(np.int64), np.array(edges))
