"""The encoder's input, straight from the frames (algorithm, section 9)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .launch import kernel, words

#: integers as wide as a value, and as two
_BITS = {2: (torch.int16, torch.int32), 4: (torch.int32, torch.int64)}


def pack_pixel_values(
    frames: torch.Tensor,
    selected: torch.Tensor,
    frame_ids: torch.Tensor,
    table: torch.Tensor,
    *,
    patch: int = 14,
    threads: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gathers, normalises and cuts the selected blocks into the rows that the vision encoder reads.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]``; ``frame_ids`` int64 ``[N]``; ``table``
    ``[3, 256]`` holds the normalised value of each channel and level, in the type wanted (2 or 4 bytes wide). Returns
    ``pixel_values`` ``[C * hp * wp, 3 * patch**2]`` of the table's type and ``patch_positions`` int64
    ``[C * hp * wp, 3]``, both in block order. What ``selected`` holds is not checked: an entry outside the frames gives
    a black block at ``(-1, -1, -1)``. Source: algorithm, section 9.
    """
    n, height, width, _ = frames.shape
    slots = selected.numel()
    values = table.new_empty((4 * slots, 3 * patch * patch), device=frames.device)
    positions = selected.new_empty((4 * slots, 3))
    bits, pairs = _BITS[table.element_size()]
    gather_patches(
        (slots,),
        words(frames).view(torch.int16),
        selected.contiguous(),
        frame_ids.contiguous(),
        table.contiguous().view(bits),
        values.view(-1).view(pairs),
        positions,
        n * (height // (2 * patch)) * (width // (2 * patch)),
        height,
        width,
        patch,
        CHUNK=128,
    )
    return values, positions


@triton.jit
def _pair(table, first, second, PAIR: tl.constexpr):
    """The values of two levels as one integer, the first in its low half."""
    bits: tl.constexpr = table.dtype.element_ty.primitive_bitwidth
    low = tl.load(table + first).to(PAIR) & ((1 << bits) - 1)
    return low | (tl.load(table + second).to(PAIR) << bits)


@kernel(
    types={
        "frames": "*i16",
        "selected": "*i64",
        "frame_ids": "*i64",
        "table": "*i32",
        "values": "*i64",
        "positions": "*i64",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=(
        {"CHUNK": 128, "table": "*i16", "values": "*i32"},
        {"CHUNK": 128, "table": "*i32", "values": "*i64"},
    ),
    threads=64,
    aligned=("values",),
)
def gather_patches(
    frames,
    selected,
    frame_ids,
    table,
    values,
    positions,
    total,
    height,
    width,
    patch,
    CHUNK: tl.constexpr,
):
    """Writes the four patches of one block; a lane takes two pixels that are neighbours, hence three 16-bit halves."""
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    slot = tl.program_id(0).to(tl.int64)
    source = tl.load(selected + slot)
    inside = (source >= 0) & (source < total)
    source = tl.where(inside, source, 0).to(tl.int32)
    sample = source // blocks
    block_row = (source - sample * blocks) // wb
    block_column = source - sample * blocks - block_row * wb

    row = 3 * width // 2  # in halves, as all that follows
    plane = patch * patch // 2
    frames += (sample.to(tl.int64) * height + block_row * (2 * patch)) * row + block_column * (3 * patch)
    values += slot * (12 * plane)
    readable = tl.where(inside, plane, 0)
    for start in range(0, plane, CHUNK):
        pair = start + tl.arange(0, CHUNK)
        live = pair < plane
        y = pair // (patch // 2)
        at = frames + (y * row + 3 * (pair - y * (patch // 2)))
        halves = ()
        for k in tl.static_range(4):
            for i in tl.static_range(3):
                half = tl.load(
                    at + (k // 2 * patch * row + k % 2 * (3 * patch // 2) + i), mask=pair < readable, other=0
                )
                halves += (half.to(tl.int32),)  # type: ignore[assignment]
        # In memory: red, green, blue, red, green, blue; the low byte of a half comes first.
        pairs = ()
        for k in tl.static_range(4):
            a = halves[3 * k]  # type: ignore[var-annotated]
            b = halves[3 * k + 1]  # type: ignore[var-annotated]
            c = halves[3 * k + 2]  # type: ignore[var-annotated]
            pairs += (_pair(table, a & 255, (b >> 8) & 255, values.dtype.element_ty),)  # type: ignore[assignment]
            pairs += (_pair(table + 256, (a >> 8) & 255, c & 255, values.dtype.element_ty),)  # type: ignore[assignment]
            pairs += (_pair(table + 512, b & 255, (c >> 8) & 255, values.dtype.element_ty),)  # type: ignore[assignment]
        for i in tl.static_range(12):
            tl.store(values + (i * plane + pair), pairs[i], mask=live)

    lane = tl.arange(0, 16)
    h = 2 * block_row + lane // 6
    w = 2 * block_column + lane // 3 % 2
    t = tl.load(frame_ids + sample)
    position = tl.where(lane % 3 == 0, t, tl.where(lane % 3 == 1, h, w).to(tl.int64))
    tl.store(positions + 12 * slot + lane, tl.where(inside, position, -1), mask=lane < 12)
