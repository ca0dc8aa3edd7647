"""Residual, motion and bits of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import _core, native, ops, reference

from parity import assert_same
from strategies import energy_inputs, motion_fields, non_contiguous, picture_pairs


@settings(deadline=None, max_examples=150)
@given(inputs=energy_inputs(), threads=st.sampled_from([1, 3]))
def test_native_equals_the_reference(inputs, threads):
    arrays, options = inputs
    got = native.block_energies(*arrays, **options, threads=threads)
    assert_same(got, reference.block_energies(*arrays, **options))


@pytest.mark.parametrize("instructions", range(4), ids=["any", "avx2", "avx512", "avx512wide"])
@settings(deadline=None, max_examples=80)
@given(inputs=energy_inputs())
def test_fewer_instructions_give_the_same(instructions, inputs):
    """What this processor lacks, it does with less."""
    arrays, options = inputs
    got = _core.block_energies(*arrays, options["patch"], 1, instructions)
    assert_same(got, reference.block_energies(*arrays, **options))


def test_non_contiguous_inputs():
    luma, prev = picture_pairs(3, 2, 56, 84, "noise")
    motion = motion_fields(3, 2, 56, 84, "small")
    sizes = np.array([10, 20, 30, 40], dtype=np.int64)[::2]
    got = ops.block_energies(non_contiguous(luma), non_contiguous(prev), non_contiguous(motion), sizes)
    assert_same(got, ops.block_energies(luma, prev, motion, sizes.copy(), backend="reference"))


def test_a_still_scene_has_only_bits():
    luma, prev = picture_pairs(1, 1, 56, 56, "equal")
    residual, motion, bits = ops.block_energies(luma, prev, motion_fields(1, 1, 56, 56, "none"), np.array([100]))
    assert not residual.any()
    assert not motion.any()
    assert_same(bits, np.full((1, 2, 2), 100 * 8 * 256 // 4))


def test_a_pan_that_vectors_describe_leaves_nothing():
    rng = np.random.default_rng(5)
    wide = rng.integers(0, 256, (56, 90), dtype=np.uint8)
    luma, prev = wide[None, :, 4:60], wide[None, :, 0:56]
    motion = np.zeros((1, 14, 14, 2), np.int16)
    motion[..., 0] = 16  # four pixels to the right in the picture before
    residual, energy, _ = ops.block_energies(luma, prev, motion, np.array([1]))
    assert not energy.any(), "what the whole picture does is not motion"
    assert residual[0, :, 0].tolist() == [0, 0], "only the clamped right edge differs"
    assert residual[0, :, 1].all()


def test_a_quarter_pixel_is_bilinear():
    prev = np.tile(np.arange(0, 112, 4, dtype=np.uint8), (28, 1))[None]
    motion = np.zeros((1, 7, 7, 2), np.int16)
    motion[..., 0] = 1
    residual, _, _ = ops.block_energies(prev, prev, motion, np.array([1]))
    assert residual.item() == 28 * 27  # one grey level everywhere but at the clamped edge


def test_real_samples(real_clip):
    info = native.probe(real_clip)
    frames, _ = native.sample_frames(info, max_samples=12)
    s = native.read_samples(real_clip, frames, 280, 504, info=info)
    got = native.block_energies(s.luma, s.prev_luma, s.motion, s.packet_bytes, threads=2)
    assert_same(got, reference.block_energies(s.luma, s.prev_luma, s.motion, s.packet_bytes))
    assert got[0].any()
    assert got[1].any()


def test_no_samples():
    empty = np.zeros((0, 28, 28), np.uint8)
    got = ops.block_energies(empty, empty, np.zeros((0, 7, 7, 2), np.int16), np.zeros(0, np.int64))
    expected = reference.block_energies(empty, empty, np.zeros((0, 7, 7, 2), np.int16), np.zeros(0, np.int64))
    assert_same(got, expected)


def test_wrong_inputs_are_named():
    luma = np.zeros((1, 28, 56), np.uint8)
    motion, sizes = np.zeros((1, 7, 14, 2), np.int16), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match=r"prev_luma must have the shape \[1, 28, 56\], got \[1, 28, 28\]"):
        ops.block_energies(luma, luma[:, :, :28], motion, sizes)
    with pytest.raises(ValueError, match="luma must be uint8, got int64"):
        ops.block_energies(luma.astype(np.int64), luma, motion, sizes)
    with pytest.raises(ValueError, match="multiples of 2 \\* patch = 32"):
        ops.block_energies(luma, luma, motion, sizes, patch=16)
    with pytest.raises(ValueError, match="patch must be even and from 2 to 256, got 7"):
        ops.block_energies(luma, luma, motion, sizes, patch=7)
