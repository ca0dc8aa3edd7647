"""What each stage on arrays requires: a function of its name takes what it takes, and returns its arrays.

Raises ``ValueError`` that names the argument. Whatever way a stage is called, this is asked first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import check_array, check_choice, check_edges, check_integer, check_number, check_patch, check_planes
from .config import SELECTION
from .dispatch import is_tensor
from .media import DeferredFrames


def block_energies(luma: Any, prev_luma: Any, motion: Any, packet_bytes: Any, *, patch: int) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.block_energies` takes."""
    luma = check_array("luma", luma, "uint8", (None, None, None))
    check_planes("luma", luma, patch)
    n, height, width = luma.shape
    return (
        luma,
        check_array("prev_luma", prev_luma, "uint8", (n, height, width)),
        check_array("motion", motion, "int16", (n, height // 4, width // 4, 2)),
        check_array("packet_bytes", packet_bytes, "int64", (n,)),
    )


def change_scores(luma: Any, prev_luma: Any, group_edges: Any, *, patch: int) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.change_scores` takes."""
    luma = check_array("luma", luma, "uint8", (None, None, None))
    check_planes("luma", luma, patch)
    prev_luma = check_array("prev_luma", prev_luma, "uint8", tuple(luma.shape))
    return luma, prev_luma, check_edges(group_edges, len(luma))


def fuse_scores(
    residual: Any, motion_energy: Any, bits: Any, group_edges: Any, *, weights: Sequence[int], patch: int
) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.fuse_scores` takes."""
    check_patch(patch)
    residual = check_array("residual", residual, "int32", (None, None, None))
    if len(weights) != 3 or min(weights) < 0 or sum(weights) > 32767:
        raise ValueError(f"weights must be three, not negative, nor sum to more than 32767, got {weights}")
    return (
        residual,
        check_array("motion_energy", motion_energy, "int32", tuple(residual.shape)),
        check_array("bits", bits, "int64", tuple(residual.shape)),
        check_edges(group_edges, len(residual)),
    )


def select_blocks(scores: Any, group_edges: Any, *, images_per_group: int, selection: str) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.select_blocks` takes."""
    scores = check_array("scores", scores, "int32", (None, None, None))
    check_integer("images_per_group", images_per_group, 1)
    check_choice("selection", selection, SELECTION)
    return scores, check_edges(group_edges, len(scores))


def pack_canvases(frames: Any, selected: Any, frame_ids: Any, *, patch: int) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.pack_canvases` takes."""
    return _check_selection(frames, selected, frame_ids, patch)


def pack_pixel_values(frames: Any, selected: Any, frame_ids: Any, table: Any, *, patch: int) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.pack_pixel_values` takes."""
    table = table if is_tensor(table) else np.asarray(table)
    if tuple(table.shape) != (3, 256) or table.dtype.itemsize not in (2, 4):
        raise ValueError(
            f"table must be [3, 256] of a type 2 or 4 bytes wide, got {list(table.shape)} of {table.dtype}"
        )
    if isinstance(frames, DeferredFrames):
        frames = np.asarray(frames)
    return (*_check_selection(frames, selected, frame_ids, patch), table)


def rope_frequencies(patch_positions: Any, *, head_dim: int, theta: float) -> tuple[Any, ...]:
    """What :func:`ov2_kernels.ops.rope_frequencies` takes."""
    positions = check_array("patch_positions", patch_positions, "int64", (None, 3))
    if head_dim < 32 or head_dim % 32:
        raise ValueError(f"head_dim must be a positive multiple of 32, got {head_dim}")
    check_number("theta", theta, 0.0, strict=True)
    return (positions,)


def _check_selection(frames: Any, selected: Any, frame_ids: Any, patch: int) -> tuple[Any, Any, Any]:
    """What the packing stages take; raises where a block selected lies in no frame."""
    if isinstance(frames, DeferredFrames):
        if is_tensor(selected) or is_tensor(frame_ids):
            raise ValueError("frames that are deferred take NumPy arrays beside them, got tensors")
    else:
        frames = check_array("frames", frames, "uint8", (None, None, None, 3))
    check_planes("frames", frames, patch)
    blocks = frames.shape[1] * frames.shape[2] // (2 * patch) ** 2
    selected = check_array("selected", selected, "int64", (None, blocks))
    if not is_tensor(selected) and selected.size and (selected.min() < 0 or selected.max() >= len(frames) * blocks):
        raise ValueError(f"selected must lie in [0, {len(frames) * blocks}), got {selected.min()} to {selected.max()}")
    return frames, selected, check_array("frame_ids", frame_ids, "int64", (len(frames),))
