"""Selected blocks laid into canvases (algorithm, section 8)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .launch import ceil_div, kernel, words


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
        (count * (height // (2 * patch)), ceil_div(3 * width // 4, 256)),
        words(frames),
        selected.contiguous(),
        frame_ids.contiguous(),
        canvases.view(-1).view(torch.int32),
        positions,
        n * blocks,
        height,
        width,
        patch,
        WORDS=256,
        ROWS=4,
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
    variants=({"WORDS": 256, "ROWS": 4},),
    threads=256,
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
    WORDS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Fills a row of blocks of one canvas, ``WORDS`` words of four bytes wide, and says where its patches are from.

    A lane copies one column of words, so that what is written lies side by side, whatever the blocks' sources.
    """
    side = 2 * patch
    wb = width // side
    blocks = height // side * wb
    words_per_row = 3 * width // 4
    words_per_line = 3 * side // 4
    first = tl.program_id(0) * wb  # slot of the leftmost block
    canvas = first // blocks
    target_row = (first - canvas * blocks) // wb

    column = tl.program_id(1) * WORDS + tl.arange(0, WORDS)
    live = column < words_per_row
    target_column = tl.minimum(column, words_per_row - 1) // words_per_line
    sample, row, source_column, inside = _place(selected, first + target_column, total, blocks, wb)
    shift = (source_column - target_column) * words_per_line
    frames += (sample.to(tl.int64) * height + row * side) * words_per_row + (column + shift)
    canvases += (canvas.to(tl.int64) * height + target_row * side) * words_per_row
    for top in range(0, side, ROWS):
        copied = ()
        for y in tl.static_range(ROWS):
            word = tl.load(frames + (top + y) * words_per_row, mask=live & inside, other=0)
            copied += (word,)  # type: ignore[assignment]
        for y in tl.static_range(ROWS):
            tl.store(canvases + ((top + y) * words_per_row + column), copied[y], mask=live)

    # A lane for each coordinate of each patch of these blocks.
    patches = positions + (canvas.to(tl.int64) * (4 * blocks) + target_row * (4 * wb)) * 3
    for start in range(tl.program_id(1) * WORDS, 12 * wb, tl.num_programs(1) * WORDS):
        lane = start + tl.arange(0, WORDS)
        written = lane < 12 * wb
        lower = lane // (6 * wb)
        w = lane // 3 - lower * (2 * wb)
        axis = lane % 3
        sample, row, source_column, inside = _place(selected, first + tl.minimum(w // 2, wb - 1), total, blocks, wb)
        t = tl.load(frame_ids + sample, mask=inside, other=0).to(tl.int32)
        value = tl.where(axis == 0, t, tl.where(axis == 1, 2 * row + lower, 2 * source_column + w % 2))
        tl.store(patches + lane, tl.where(inside, value, -1), mask=written)


@triton.jit
def _place(selected, slots, total, blocks, wb):
    """Sample, row and column of the blocks that slots take, and whether they are inside the frames."""
    source = tl.load(selected + slots)
    inside = (source >= 0) & (source < total)
    source = tl.where(inside, source, 0).to(tl.int32)
    sample = source // blocks
    row = (source - sample * blocks) // wb
    return sample, row, source - sample * blocks - row * wb, inside
