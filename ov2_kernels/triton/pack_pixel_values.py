"""The encoder's input, straight from the frames (algorithm, section 9)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import triton.language as tl

from .launch import kernel, send, stream_of

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
        _places(patch, frames.device, stream_of(frames.device)),
        values.view(bits),
        positions,
        n * (height // (2 * patch)) * (width // (2 * patch)),
        height,
        width,
        patch,
        CHUNK=512,
    )
    return values, positions


@lru_cache(maxsize=8)
def _places(patch: int, device: torch.device, stream: int = 0) -> torch.Tensor:
    """Where in a block each of its values comes from, int32 ``[12 * patch**2]``.

    In the order of the result: the line in bits 16 and up, the byte in the line in bits 2 to 15, the channel below.
    """
    if patch > 2048:
        raise ValueError(f"patch must be at most 2048 here, got {patch}")
    k, channel, y, x = np.indices((4, 3, patch, patch))
    line, byte = y + k // 2 * patch, 3 * (x + k % 2 * patch) + channel
    return send((line << 16 | byte << 2 | channel).ravel().astype(np.int32), device)


@kernel(
    types={
        "frames": "*u8",
        "selected": "*i64",
        "frame_ids": "*i64",
        "table": "*i32",
        "places": "*i32",
        "values": "*i32",
        "positions": "*i64",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=tuple({"CHUNK": 512, "table": bits, "values": bits} for bits in ("*i16", "*i32")),
    aligned=("places", "values"),
)
def gather_patches(
    frames,
    selected,
    frame_ids,
    table,
    places,
    values,
    positions,
    total,
    height,
    width,
    patch,
    CHUNK: tl.constexpr,
):
    """Writes the four patches of one block: each output once, in order; values come from the table."""
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    slot = tl.program_id(0).to(tl.int64)
    source = tl.load(selected + slot)
    inside = (source >= 0) & (source < total)
    source = tl.where(inside, source, 0).to(tl.int32)
    sample = source // blocks
    block_row = (source - sample * blocks) // wb
    block_column = source - sample * blocks - block_row * wb

    # A block's outputs are a multiple of 16 bytes where patches are of 2 * k pixels: stores need not be cut up.
    size = 12 * patch * patch
    values += slot * size
    frames += 3 * ((sample.to(tl.int64) * height + block_row * (2 * patch)) * width + block_column * (2 * patch))
    readable = tl.where(inside, size, 0)
    for start in range(0, size, CHUNK):
        index = start + tl.arange(0, CHUNK)
        live = index < size
        place = tl.load(places + index, mask=live, other=0)
        level = tl.load(
            frames + ((place >> 16) * (3 * width) + ((place >> 2) & 0x3FFF)), mask=index < readable, other=0
        )
        value = tl.load(table + ((place & 3) * 256 + level), mask=live)
        tl.store(values + index, value, mask=live)

    lane = tl.arange(0, 16)
    h = 2 * block_row + lane // 6
    w = 2 * block_column + lane // 3 % 2
    t = tl.load(frame_ids + sample)
    position = tl.where(lane % 3 == 0, t, tl.where(lane % 3 == 1, h, w).to(tl.int64))
    tl.store(positions + 12 * slot + lane, tl.where(inside, position, -1), mask=lane < 12)
