"""The Triton kernels against the reference: equal bits, on the cases that the native backend is held to."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import reference
from ov2_kernels.tables import normalization_table

from parity import assert_same
from strategies import (
    PATCHES,
    SEEDS,
    change_inputs,
    energy_inputs,
    fusion_inputs,
    motion_fields,
    non_contiguous,
    picture_pairs,
    random_scores,
    selection_inputs,
)
from triton_support import KERNELS, kernels, needs_interpreter, only_last_program, sanitized, to_device, to_numpy, torch

SMALL_GRIDS = st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 2), (5, 1), (2, 7)])


def check(name: str, *arrays, **options) -> np.ndarray | tuple[np.ndarray, ...]:
    """Runs a stage on both and compares; group edges stay on the host, as in the pipeline."""
    tensors = to_device(*arrays)
    got = to_numpy(getattr(kernels, name)(*tensors, **options))
    expected = getattr(reference, name)(*arrays, **options)
    assert_same(got, expected)
    return got


@settings(deadline=None, max_examples=25)
@given(energy_inputs(samples=(1, 3), grids=SMALL_GRIDS))
def test_block_energies(inputs):
    arrays, options = inputs
    check("block_energies", *arrays, **options)


@pytest.mark.parametrize("patch", [6, 14, 16, 18])
def test_block_energies_of_every_kind(patch):
    """Frames of unlike kinds in one launch, a patch wider than a tile, and no 32-bit sum that overflows."""
    height, width = 2 * patch * 2, 2 * patch * 3
    pictures = [picture_pairs(5, 1, height, width, kind) for kind in ("noise", "equal", "extreme", "noise", "noise")]
    luma, prev = (np.concatenate(planes) for planes in zip(*pictures, strict=True))
    kinds = ("saturated", "small", "pan", "type_limits", "none")
    motion = np.concatenate([motion_fields(7, 1, height, width, kind) for kind in kinds])
    with sanitized():
        check("block_energies", luma, prev, motion, np.array([3, 10**9, 0, 77, 5]), patch=patch)


def test_medians_of_long_frames_and_at_the_ends_of_the_type():
    """Bisection of one component goes on while the other is settled; a frame may be longer than what stays."""
    rng = np.random.default_rng(1)
    motion = np.zeros((3, 10243, 2), np.int16)
    motion[0] = (32767, -32768)
    motion[0, :99, 1] = 5
    motion[1] = rng.integers(-300, 301, motion[1].shape)
    motion[2, :, 0] = 32767 * rng.integers(0, 2, 10243)
    (vectors,) = to_device(motion)
    medians = torch.zeros((3, 2), dtype=torch.int32, device=vectors.device)
    KERNELS["motion_medians"]((3,), as_words(vectors), medians, 10243, CHUNK=1024, SAMPLE=32)
    assert_same(to_numpy(medians), np.sort(motion, axis=1)[:, 5121].astype(np.int32))


@settings(deadline=None, max_examples=40)
@given(fusion_inputs())
def test_fuse_scores(inputs):
    arrays, options = inputs
    check("fuse_scores", *arrays, **options)


@settings(deadline=None, max_examples=25)
@given(change_inputs(samples=(1, 2, 3, 9), grids=SMALL_GRIDS))
def test_change_scores(inputs):
    arrays, options = inputs
    check("change_scores", *arrays, **options)


@pytest.mark.parametrize(("n", "grid", "patch"), [(3, (13, 21), 2), (4, (2, 2), 18), (300, (1, 2), 2)])
def test_change_scores_of_many(n, grid, patch):
    """More blocks than a tile holds, a patch that is no power of two, a long group; one without candidates."""
    rng = np.random.default_rng(5)
    luma, prev = rng.integers(0, 256, (2, n, 2 * patch * grid[0], 2 * patch * grid[1]), dtype=np.uint8)
    luma[:, : 2 * patch] //= 8
    with sanitized():
        check("change_scores", luma, prev, np.array([0, n - 1, n]), patch=patch)
    check("change_scores", non_contiguous(luma), non_contiguous(prev), np.array([0, n]), patch=patch)


@pytest.mark.parametrize(("shape", "edges"), [((140, 1, 2), np.arange(141)), ((2, 91, 91), np.array([0, 2]))])
def test_fuse_scores_of_many(shape, edges):
    """More groups, then more candidates, than a tile holds."""
    rng = np.random.default_rng(2)
    residual, motion = (rng.integers(0, high, shape).astype(np.int32) for high in (5000, 90000))
    check("fuse_scores", residual, motion, rng.integers(0, 10**12, shape), edges)
    check("fuse_scores", residual, motion, rng.integers(0, 10**12, shape), edges[[0, -1]])


@settings(deadline=None, max_examples=60)
@given(selection_inputs())
def test_select_blocks(inputs):
    arrays, options = inputs
    check("select_blocks", *arrays, **options)


@pytest.mark.parametrize("kind", ["spread", "ties", "zero", "largest"])
@pytest.mark.parametrize("selection", ["stretches", "global"])
def test_select_blocks_of_many(kind, selection):
    """More frames, blocks and groups than any tile holds."""
    wide = random_scores(3, 9 if kind == "ties" else 3, 17, 16, kind)
    check("select_blocks", wide, np.array([0, len(wide)]), images_per_group=2, selection=selection)
    long = random_scores(4, 150, 2, 3, kind)
    check("select_blocks", long, np.array([0, 150]), images_per_group=20, selection=selection)
    check("select_blocks", long[:70], np.arange(71), images_per_group=2**31 - 1, selection=selection)


def test_saliency_behind_empty_frames():
    """Where nothing follows the last score, the later stretches are empty but for the repair."""
    scores = np.zeros((8, 1, 2), np.int32)
    for frame in (1, 4, 7):
        scores[:] = 0
        scores[frame] = 5
        check("select_blocks", scores, np.array([0, 8]))
        check("select_blocks", scores, np.array([0, 8]), images_per_group=8)


def random_pack(seed: int, n: int, grid: tuple[int, int], patch: int, count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n, 2 * patch * grid[0], 2 * patch * grid[1], 3), dtype=np.uint8)
    selected = rng.integers(0, n * grid[0] * grid[1], (count, grid[0] * grid[1]))
    return frames, selected, np.sort(rng.choice(2**31 - 1, n, replace=False))


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, n=st.sampled_from([1, 2, 7]), grid=SMALL_GRIDS, patch=PATCHES, count=st.sampled_from([0, 1, 3]))
def test_pack_canvases(seed, n, grid, patch, count):
    check("pack_canvases", *random_pack(seed, n, grid, patch, count), patch=patch)


@settings(deadline=None, max_examples=25)
@given(
    seed=SEEDS,
    n=st.sampled_from([1, 4]),
    grid=SMALL_GRIDS,
    patch=PATCHES,
    count=st.sampled_from([0, 1, 3]),
    dtype=st.sampled_from(["float32", "float16", "int16"]),
)
def test_pack_pixel_values(seed, n, grid, patch, count, dtype):
    table = (100 * normalization_table()).astype(dtype)
    check("pack_pixel_values", *random_pack(seed, n, grid, patch, count), table, patch=patch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_float32_rounded_once(dtype):
    frames, selected, frame_ids = random_pack(1, 3, (2, 3), 14, 2)
    exact, _ = reference.pack_pixel_values(frames, selected, frame_ids, normalization_table())
    table = torch.tensor(normalization_table()).to(dtype)
    got, _ = kernels.pack_pixel_values(*to_device(frames, selected, frame_ids), table.to(to_device(frames)[0].device))
    assert got.dtype == dtype
    assert_same(to_numpy(got.view(torch.int16)), torch.from_numpy(exact).to(dtype).view(torch.int16).numpy())


def test_entries_outside_the_frames_read_nothing():
    frames, selected, frame_ids = random_pack(2, 2, (1, 2), 14, 2)
    selected[:] = [[0, -1], [4, 3]]
    canvases, positions = to_numpy(kernels.pack_canvases(*to_device(frames, selected, frame_ids)))
    expected, at = reference.pack_canvases(frames, np.clip(selected, 0, 3), frame_ids)
    expected[0, :, 28:] = 0
    expected[1, :, :28] = 0
    assert_same(canvases, expected)
    at = at.reshape(2, 2, 4, 3)
    at[0, :, 2:] = -1
    at[1, :, :2] = -1
    assert_same(positions, at.reshape(-1, 3))
    table = normalization_table().copy()
    values, positions = to_numpy(kernels.pack_pixel_values(*to_device(frames, selected, frame_ids, table)))
    expected, at = reference.pack_pixel_values(frames, np.clip(selected, 0, 3), frame_ids, table)
    black = np.repeat(table[:, 0], 196)
    for slot in (1, 2):
        expected[4 * slot : 4 * slot + 4] = black
        at[4 * slot : 4 * slot + 4] = -1
    assert_same((values, positions), (expected, at))


def test_non_contiguous_inputs():
    luma, prev = picture_pairs(3, 2, 56, 84, "noise")
    motion = motion_fields(3, 2, 56, 84, "small")
    sizes = np.array([10, 20, 30, 40], dtype=np.int64)[::2]
    got = check("block_energies", non_contiguous(luma), non_contiguous(prev), non_contiguous(motion), sizes)
    got = check("fuse_scores", *(non_contiguous(e) for e in got), np.array([0, 0, 2, 2])[::2])
    chosen = check("select_blocks", non_contiguous(got), np.array([0, 2]))
    frames = np.random.default_rng(1).integers(0, 256, (2, 56, 84, 3), dtype=np.uint8)
    frame_ids = np.array([4, 0, 9, 0])[::2]
    check("pack_canvases", non_contiguous(frames), non_contiguous(chosen), frame_ids)
    check("pack_pixel_values", non_contiguous(frames), non_contiguous(chosen), frame_ids, normalization_table())


def test_planes_that_start_between_words():
    luma, prev = picture_pairs(4, 1, 28, 56, "noise")
    motion = motion_fields(4, 1, 28, 56, "small")
    arrays = (luma, prev, motion, np.array([9]))
    shifted = []
    for tensor in to_device(*arrays):
        memory = torch.zeros(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
        memory[1:] = tensor.reshape(-1)
        shifted.append(memory[1:].view(tensor.shape))
    assert shifted[0].data_ptr() % 4
    assert_same(to_numpy(kernels.block_energies(*shifted)), reference.block_energies(*arrays))


def test_no_samples():
    empty = np.zeros((0, 28, 28), np.uint8)
    check("block_energies", empty, empty, np.zeros((0, 7, 7, 2), np.int16), np.zeros(0, np.int64))


@settings(deadline=None, max_examples=25)
@given(
    seed=SEEDS,
    count=st.sampled_from([0, 1, 15, 33]),
    highest=st.sampled_from([1, 40, 10**4, 2**20 - 1]),
    head_dim=st.sampled_from([32, 64, 96, 128]),
    theta=st.sampled_from([10000.0, 500000.0]),
)
def test_rope_frequencies(seed, count, highest, head_dim, theta):
    positions = np.random.default_rng(seed).integers(-1, highest, (count, 3))
    check("rope_frequencies", positions, head_dim=head_dim, theta=theta)


def test_rope_frequencies_are_the_rounded_ones():
    """Where cosine and sine from the platform's float64 library, rounded to float32, are the judge."""
    positions = np.random.default_rng(0).integers(0, 2**20, (4000, 3))
    cos, sin = reference.rope_frequencies(positions, 64)
    inverse = np.concatenate([10000.0 ** (-np.arange(n) / n) for n in (8, 12, 12)]).astype(np.float32)
    angle = positions[:, [0] * 8 + [1] * 12 + [2] * 12].astype(np.float32) * inverse
    assert_same(cos, np.cos(angle.astype(np.float64)).astype(np.float32))
    assert_same(sin, np.sin(angle.astype(np.float64)).astype(np.float32))


def untouched(*shape: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    """Zeros that take no memory until they are written."""
    no_reserve = 0x4000
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return torch.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=dtype).view(shape)


def as_words(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.view(-1).view(torch.int32)


@needs_interpreter
@pytest.mark.skipif(sys.platform != "linux", reason="memory on paper is Linux's")
class TestFourK:
    """The last program of a launch over 768 frames of 4K and more, so that an index that wraps shows."""

    n, height, width = 768, 2156, 3836
    blocks = 77 * 137
    size = (n * blocks, height, width, 14)

    def test_packing(self, monkeypatch):
        n, slots = self.n, self.n * self.blocks
        frames, canvases = (untouched(n, self.height, self.width, 3) for _ in range(2))
        frames[-1, -28:, -28:] = torch.randint(256, (28, 28, 3), dtype=torch.uint8)
        selected = torch.full((slots,), slots - 1)
        common = (selected, torch.arange(n))
        table = torch.tensor(normalization_table())
        values = untouched(slots * 4, 588, dtype=torch.float32)
        pairs = values.view(-1).view(torch.int64)
        positions = untouched(slots * 4, 3, dtype=torch.int64)
        sources = untouched(slots * 4, 3, dtype=torch.int32)
        with only_last_program(monkeypatch) as launch, sanitized():
            arguments = (as_words(frames), *common, as_words(canvases), sources, *self.size)
            # The last program of a row of blocks copies its end; before it comes the one for its last patches.
            for across in (12 * 137 // 256 + 1, 3 * self.width // 4 // 256 + 1):
                launch(KERNELS["copy_blocks"], (slots // 137, across), *arguments, WORDS=256, ROWS=4)
            halves = frames.view(-1).view(torch.int16)
            arguments = (halves, *common, as_words(table), pairs, positions, *self.size)
            launch(KERNELS["gather_patches"], (slots,), *arguments, CHUNK=128)
        assert torch.equal(canvases[-1, -28:, -28:], frames[-1, -28:, -28:])
        last = frames[-1:, -28:, -28:].numpy()
        expected, _ = reference.pack_pixel_values(last, np.array([[0]]), np.array([0]), table.numpy())
        assert_same(values[-4:].numpy(), expected)
        assert positions[-1].tolist() == sources[-1].tolist() == [n - 1, 2 * 77 - 1, 2 * 137 - 1]

    def test_energies(self, monkeypatch):
        """Of 1536 frames: the words of 768 such planes still fit 31 bits."""
        n, blocks = 2 * self.n, 2 * self.n * self.blocks
        luma, prev = (untouched(n, self.height, self.width) for _ in range(2))
        motion = untouched(n, self.height // 4, self.width // 4, 2, dtype=torch.int16)
        residual, speed = (untouched(blocks, dtype=torch.int32) for _ in range(2))
        medians = torch.zeros((n, 2), dtype=torch.int32)
        strip = luma[-1, -28:, -28 * 16 :]
        strip[:] = torch.randint(256, strip.shape, dtype=torch.uint8)
        motion[-1, -7:, -7 * 16 :, 1] = 3
        prev[-1, -28:] = 8
        with only_last_program(monkeypatch) as launch, sanitized():
            arguments = (as_words(luma), as_words(prev), as_words(motion), medians, residual, speed)
            launch(KERNELS["energies"], (blocks // 16,), *arguments, blocks, *self.size[1:], BLOCKS=16, CELLS=8)
        distance = (strip.to(torch.int32) - 8).abs().view(28, 16, 28).sum(dim=(0, 2), dtype=torch.int32)
        assert torch.equal(residual[-16:], distance)
        assert speed[-16:].tolist() == [49 * 48] * 16
