"""The encoder's input, straight from the frames (algorithm, section 9)."""

from __future__ import annotations

import torch
import triton.language as tl

from .launch import PATCHES, kernel, patch_constant

_BITS = {2: torch.int16, 4: torch.int32}


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
    bits = _BITS[table.element_size()]
    gather_patches(
        (slots,),
        frames.contiguous(),
        selected.contiguous(),
        frame_ids.contiguous(),
        table.contiguous().view(bits),
        values.view(bits),
        positions,
        n,
        height,
        width,
        patch,
        PATCH=patch_constant(patch),
        CHUNK=512,
    )
    return values, positions


@kernel(
    types={
        "frames": "*u8",
        "selected": "*i64",
        "frame_ids": "*i64",
        "table": "*i32",
        "values": "*i32",
        "positions": "*i64",
        "count": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=tuple(
        {"PATCH": patch, "CHUNK": 512, "table": bits, "values": bits} for patch in PATCHES for bits in ("*i16", "*i32")
    ),
    aligned=("values",),
)
def gather_patches(
    frames,
    selected,
    frame_ids,
    table,
    values,
    positions,
    count,
    height,
    width,
    patch,
    PATCH: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Writes the four patches of one block: each output once, in order; values come from the table."""
    p = PATCH if PATCH > 0 else patch
    wb = width // (2 * p)
    blocks = height // (2 * p) * wb
    slot = tl.program_id(0).to(tl.int64)
    source = tl.load(selected + slot)
    inside = (source >= 0) & (source < count.to(tl.int64) * blocks)
    source = tl.where(inside, source, 0)
    sample = source // blocks
    block = (source - sample * blocks).to(tl.int32)

    area = p * p
    values += slot * (12 * area)
    frames += 3 * ((sample * height + block // wb * (2 * p)) * width + block % wb * (2 * p))
    readable = tl.where(inside, 12 * area, 0)
    for start in range(0, 12 * area, CHUNK):
        index = start + tl.arange(0, CHUNK)
        live = index < 12 * area
        plane = index // area
        k = plane // 3
        channel = plane % 3
        y = index % area // p + k // 2 * p
        x = index % p + k % 2 * p
        level = tl.load(frames + (3 * (y * width + x) + channel), mask=index < readable, other=0)
        value = tl.load(table + (256 * channel + level), mask=live)
        tl.store(values + index, value, mask=live)

    lane = tl.arange(0, 16)
    h = 2 * (block // wb) + lane // 6
    w = 2 * (block % wb) + lane // 3 % 2
    t = tl.load(frame_ids + sample)
    position = tl.where(lane % 3 == 0, t, tl.where(lane % 3 == 1, h, w).to(tl.int64))
    tl.store(positions + 12 * slot + lane, tl.where(inside, position, -1), mask=lane < 12)
