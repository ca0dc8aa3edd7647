"""Selected blocks laid into canvases (algorithm, section 8)."""

from __future__ import annotations

import torch
import triton.language as tl

from .launch import PATCHES, kernel, patch_constant, words


def pack_canvases(
    frames: torch.Tensor, selected: torch.Tensor, frame_ids: torch.Tensor, *, patch: int = 14, threads: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lays the selected blocks of the frames into full canvases.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]`` as :func:`select_blocks` returns it;
    ``frame_ids`` int64 ``[N]``. Returns ``canvases`` uint8 ``[C, H, W, 3]`` and ``src_patch_position`` int32
    ``[C * hp * wp, 3]``, the ``(t, h, w)`` of each patch in row-major patch order. What ``selected`` holds is not
    checked: an entry outside the frames gives a black block at ``(-1, -1, -1)``. Source: algorithm, section 8.
    """
    n, height, width, _ = frames.shape
    count, blocks = selected.shape
    canvases = frames.new_empty((count, height, width, 3))
    positions = frames.new_empty((count * 4 * blocks, 3), dtype=torch.int32)
    copy_blocks(
        (count * blocks,),
        words(frames),
        selected.contiguous(),
        frame_ids.contiguous(),
        canvases.view(-1).view(torch.int32),
        positions,
        n * blocks,
        height,
        width,
        patch,
        PATCH=patch_constant(patch),
        CHUNK=256,
    )
    return canvases, positions


@kernel(
    types={
        "frames": "*i32",
        "selected": "*i64",
        "frame_ids": "*i64",
        "canvases": "*i32",
        "positions": "*i32",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=tuple({"PATCH": patch, "CHUNK": 256} for patch in PATCHES),
    aligned=("canvases",),
)
def copy_blocks(
    frames,
    selected,
    frame_ids,
    canvases,
    positions,
    total,
    height,
    width,
    patch,
    PATCH: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Copies one block, in words of four bytes, and writes the origin of its four patches."""
    p = PATCH if PATCH > 0 else patch
    wb = width // (2 * p)
    blocks = height // (2 * p) * wb
    words_per_row = 3 * width // 4
    words_per_line = 3 * p // 2
    slot = tl.program_id(0)
    canvas = slot // blocks
    target_row = (slot - canvas * blocks) // wb
    target_column = slot - canvas * blocks - target_row * wb
    source = tl.load(selected + slot)
    inside = (source >= 0) & (source < total)
    source = tl.where(inside, source, 0).to(tl.int32)
    sample = source // blocks
    row = (source - sample * blocks) // wb
    column = source - sample * blocks - row * wb

    frames += (sample.to(tl.int64) * height + row * (2 * p)) * words_per_row + column * words_per_line
    canvases += (canvas.to(tl.int64) * height + target_row * (2 * p)) * words_per_row + target_column * words_per_line
    size = 2 * p * words_per_line
    readable = tl.where(inside, size, 0)
    for start in range(0, size, CHUNK):
        index = start + tl.arange(0, CHUNK)
        offset = index // words_per_line * words_per_row + index % words_per_line
        word = tl.load(frames + offset, mask=index < readable, other=0)
        tl.store(canvases + offset, word, mask=index < size)

    lane = tl.arange(0, 16)
    k = lane // 3
    h = 2 * row + k // 2
    w = 2 * column + k % 2
    t = tl.load(frame_ids + sample).to(tl.int32)
    value = tl.where(lane % 3 == 0, t, tl.where(lane % 3 == 1, h, w))
    patch_row = canvas.to(tl.int64) * (4 * blocks) + (2 * target_row + k // 2) * (2 * wb) + 2 * target_column + k % 2
    tl.store(positions + 3 * patch_row + lane % 3, tl.where(inside, value, -1), mask=lane < 12)
