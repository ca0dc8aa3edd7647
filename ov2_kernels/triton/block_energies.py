"""What changed in each block: residual, motion and bits (algorithm, section 5)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .launch import ceil_div, kernel, words

VECTOR_LIMIT = tl.constexpr(2047)


def block_energies(
    luma: torch.Tensor,
    prev_luma: torch.Tensor,
    motion: torch.Tensor,
    packet_bytes: torch.Tensor,
    *,
    patch: int = 14,
    threads: int = 1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Measures the residual, the motion and the estimated bits of every 2x2-patch block.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``motion`` int16 ``[N, H/4, W/4, 2]`` in quarter pixels;
    ``packet_bytes`` int64 ``[N]``. Returns ``residual`` int32 (grey levels), ``motion`` int32 (1/16 quarter pixels)
    and ``bits`` int64 (1/256 bit), each ``[N, hb, wb]``. Source: algorithm, section 5.
    """
    n, height, width = luma.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    luma, prev_luma, motion = words(luma), words(prev_luma), words(motion)
    medians = luma.new_empty((n, 2))
    residual = luma.new_empty((n, hb, wb))
    motion_energy = torch.empty_like(residual)
    bits = torch.empty_like(residual, dtype=torch.int64)
    motion_medians((n,), motion, medians, height * width // 16, CHUNK=2048, RESIDENT=5)
    energies(
        (ceil_div(n * hb * wb, 16),),
        luma,
        prev_luma,
        motion,
        medians,
        residual,
        motion_energy,
        n * hb * wb,
        height,
        width,
        patch,
        BLOCKS=16,
        CELLS=8,
    )
    share_bits((n,), residual, packet_bytes.contiguous(), bits, hb * wb, patch * patch // 4, CHUNK=256)
    return residual, motion_energy, bits


@triton.jit
def _split(low, high):
    """Where to bisect: off zero first, for most often that is the median, then in the middle."""
    return tl.where((low < 0) & (high >= 0), -1, tl.where(low == 0, 0, (low + high) >> 1))


@kernel(
    types={"motion": "*i32", "medians": "*i32", "cells": "i32"},
    variants=({"CHUNK": 2048, "RESIDENT": 5},),
    threads=256,
)
def motion_medians(motion, medians, cells, CHUNK: tl.constexpr, RESIDENT: tl.constexpr):
    """Lower median of each vector component over a frame: one program per frame, bisection by counting.

    ``RESIDENT`` chunks of a frame stay in registers; those behind them are read again in every pass.
    """
    frame = tl.program_id(0).to(tl.int64)
    motion += frame * cells
    lane = tl.arange(0, CHUNK)
    low_x = tl.full([CHUNK], 32767, tl.int32) << 16
    low_y = tl.full([CHUNK], 32767, tl.int32) << 16
    high_x = tl.full([CHUNK], -32768, tl.int32) << 16
    high_y = high_x
    resident = ()
    for i in tl.static_range(RESIDENT):
        live = i * CHUNK + lane < cells
        word = tl.load(motion + i * CHUNK + lane, mask=live, other=0)
        # Components are compared in the upper half of 32 bits, whatever stands below. Lanes past the end hold zeros
        # here, which at worst cost a pass, and then the greatest vector, which is above every middle.
        low_x = tl.minimum(low_x, word << 16)
        high_x = tl.maximum(high_x, word << 16)
        low_y = tl.minimum(low_y, word)
        high_y = tl.maximum(high_y, word)
        resident += (tl.where(live, word, 0x7FFF7FFF),)  # type: ignore[assignment]
    for start in range(RESIDENT * CHUNK, cells, CHUNK):
        word = tl.load(motion + start + lane, mask=start + lane < cells, other=0)
        low_x = tl.minimum(low_x, word << 16)
        high_x = tl.maximum(high_x, word << 16)
        low_y = tl.minimum(low_y, word)
        high_y = tl.maximum(high_y, word)
    min_x = tl.min(low_x, 0) >> 16
    max_x = tl.max(high_x, 0) >> 16
    min_y = tl.min(low_y, 0) >> 16
    max_y = tl.max(high_y, 0) >> 16
    rank = (cells - 1) // 2
    while (min_x < max_x) | (min_y < max_y):
        middle_x = _split(min_x, max_x)
        middle_y = _split(min_y, max_y)
        limit_x = middle_x << 16
        limit_y = (middle_y << 16) | 0xFFFF
        below_x = tl.zeros([CHUNK], tl.int32)
        below_y = tl.zeros([CHUNK], tl.int32)
        for i in tl.static_range(RESIDENT):
            below_x += ((resident[i] << 16) <= limit_x).to(tl.int32)
            below_y += (resident[i] <= limit_y).to(tl.int32)
        for start in range(RESIDENT * CHUNK, cells, CHUNK):
            word = tl.load(motion + start + lane, mask=start + lane < cells, other=0x7FFF7FFF)
            below_x += ((word << 16) <= limit_x).to(tl.int32)
            below_y += (word <= limit_y).to(tl.int32)
        enough_x = tl.sum(below_x, 0) > rank
        enough_y = tl.sum(below_y, 0) > rank
        min_x = tl.where(enough_x, min_x, middle_x + 1)
        max_x = tl.where(enough_x, middle_x, max_x)
        min_y = tl.where(enough_y, min_y, middle_y + 1)
        max_y = tl.where(enough_y, middle_y, max_y)
    tl.store(medians + 2 * frame, min_x)
    tl.store(medians + 2 * frame + 1, min_y)


@triton.jit
def _beyond(column, words_per_row):
    """How to replace a word beyond the picture's sides by its outermost pixel: shift, mask and factor."""
    outside = (column < 0) | (column >= words_per_row)
    shift = tl.where(column >= words_per_row, 24, 0).to(tl.uint32)
    mask = tl.where(outside, 0xFF, -1).to(tl.uint32, bitcast=True)
    return shift, mask, tl.where(outside, 0x01010101, 1).to(tl.uint32)


@triton.jit
def _packed_distance(even, odd, even_below, odd_below, fy, luma):
    """Sum of |luma - pred| over four pixels, two 16-bit lanes at a time; no lane passes 16 * 255 + 8."""
    pred_even = ((even * (4 - fy) + even_below * fy + 0x00080008) >> 4) & 0x00FF00FF
    pred_odd = ((odd * (4 - fy) + odd_below * fy + 0x00080008) >> 4) & 0x00FF00FF
    # 256 more in each lane keeps the difference positive, so that nothing is borrowed from the lane above.
    d_even = (luma & 0x00FF00FF) + 0x01000100 - pred_even
    d_odd = ((luma >> 8) & 0x00FF00FF) + 0x01000100 - pred_odd
    total = tl.abs((d_even & 0xFFFF).to(tl.int32) - 256) + tl.abs((d_even >> 16).to(tl.int32) - 256)
    return total + tl.abs((d_odd & 0xFFFF).to(tl.int32) - 256) + tl.abs((d_odd >> 16).to(tl.int32) - 256)


@kernel(
    types={
        "luma": "*i32",
        "prev": "*i32",
        "motion": "*i32",
        "medians": "*i32",
        "residual": "*i32",
        "motion_energy": "*i32",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=({"BLOCKS": 16, "CELLS": 8},),
)
def energies(
    luma,
    prev,
    motion,
    medians,
    residual,
    motion_energy,
    total,
    height,
    width,
    patch,
    BLOCKS: tl.constexpr,
    CELLS: tl.constexpr,
):
    """Residual and motion of ``BLOCKS`` blocks: a lane works on one 4x4 cell at a time, in words of four pixels."""
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    words_per_row = width // 4
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    in_range = block < total
    frame = tl.where(in_range, block // blocks, 0)
    index = tl.where(in_range, block - frame * blocks, 0)
    # Inside a frame 32 bits suffice; frames are told apart by their pointers.
    words_per_frame = frame.to(tl.int64) * (height * words_per_row)
    luma_frame = luma + words_per_frame[:, None]
    prev_frame = prev + words_per_frame[:, None]
    motion_frame = motion + (frame.to(tl.int64) * (height // 4 * words_per_row))[:, None]
    median_x = tl.load(medians + 2 * frame)[:, None]
    median_y = tl.load(medians + 2 * frame + 1)[:, None]
    side = patch // 2
    first_y = (index // wb * side)[:, None]
    first_x = (index % wb * side)[:, None]
    lane = tl.arange(0, CELLS)[None, :]
    distance = tl.zeros([BLOCKS, CELLS], tl.int32)
    speed = tl.zeros([BLOCKS, CELLS], tl.int32)
    for row in range(side):
        for start in range(0, side, CELLS):
            # Lanes past the block's side go over its last cell again, and do not count.
            live = in_range[:, None] & (start + lane < side)
            cell_y = first_y + row
            cell_x = first_x + tl.minimum(start + lane, side - 1)
            word = tl.load(motion_frame + (cell_y * words_per_row + cell_x))
            vx = (word << 16) >> 16
            vy = word >> 16

            dx = tl.minimum(tl.maximum(vx - median_x, -VECTOR_LIMIT), VECTOR_LIMIT)
            dy = tl.minimum(tl.maximum(vy - median_y, -VECTOR_LIMIT), VECTOR_LIMIT)
            length = tl.sqrt_rn((dx * dx + dy * dy).to(tl.float32))
            speed += tl.where(live, (16.0 * length).to(tl.int32), 0)

            x = 4 * cell_x + (vx >> 2)
            y = 4 * cell_y + (vy >> 2)
            shift = ((x & 3) * 8).to(tl.uint64)
            fx = (vx & 3).to(tl.uint32)
            fy = (vy & 3).to(tl.uint32)
            difference = tl.zeros([BLOCKS, CELLS], tl.int32)
            even_above = tl.zeros([BLOCKS, CELLS], tl.uint32)
            odd_above = tl.zeros([BLOCKS, CELLS], tl.uint32)
            left_column = tl.minimum(tl.maximum(x >> 2, 0), words_per_row - 1)
            right_column = tl.minimum(tl.maximum((x >> 2) + 1, 0), words_per_row - 1)
            left_shift, left_mask, left_factor = _beyond(x >> 2, words_per_row)
            right_shift, right_mask, right_factor = _beyond((x >> 2) + 1, words_per_row)
            for j in tl.static_range(5):
                source_row = tl.minimum(tl.maximum(y + j, 0), height - 1)
                left = tl.load(prev_frame + (source_row * words_per_row + left_column)).to(tl.uint32, bitcast=True)
                right = tl.load(prev_frame + (source_row * words_per_row + right_column)).to(tl.uint32, bitcast=True)
                left = ((left >> left_shift) & left_mask) * left_factor
                right = ((right >> right_shift) & right_mask) * right_factor
                pair = left.to(tl.uint64) | (right.to(tl.uint64) << 32)
                head = (pair >> shift).to(tl.uint32)
                tail = (pair >> (shift + 16)).to(tl.uint32) & 0x00FF00FF
                # Pixels 0 and 2 share a word, 1 and 3 another; each is weighted with its right neighbour.
                odd = (head >> 8) & 0x00FF00FF
                even = (head & 0x00FF00FF) * (4 - fx) + odd * fx
                odd = odd * (4 - fx) + tail * fx
                if j > 0:
                    pixels = tl.load(luma_frame + ((4 * cell_y + j - 1) * words_per_row + cell_x))
                    pixels = pixels.to(tl.uint32, bitcast=True)
                    difference += _packed_distance(even_above, odd_above, even, odd, fy, pixels)
                even_above = even
                odd_above = odd
            distance += tl.where(live, difference, 0)
    tl.store(residual + block, tl.sum(distance, 1), mask=in_range)
    tl.store(motion_energy + block, tl.sum(speed, 1), mask=in_range)


@kernel(
    types={"residual": "*i32", "packet_bytes": "*i64", "bits": "*i64", "blocks": "i32", "floor": "i32"},
    variants=({"CHUNK": 256},),
)
def share_bits(residual, packet_bytes, bits, blocks, floor, CHUNK: tl.constexpr):
    """The picture's bits shared out by ``residual + floor``: one program per frame."""
    frame = tl.program_id(0).to(tl.int64)
    residual += frame * blocks
    bits += frame * blocks
    lane = tl.arange(0, CHUNK)
    weights = tl.zeros([CHUNK], tl.int64)
    for start in range(0, blocks, CHUNK):
        live = start + lane < blocks
        weights += tl.where(live, tl.load(residual + start + lane, mask=live, other=0) + floor, 0)
    total = tl.sum(weights, 0)
    picture_bits = 2048 * tl.load(packet_bytes + frame)
    for start in range(0, blocks, CHUNK):
        live = start + lane < blocks
        weight = (tl.load(residual + start + lane, mask=live, other=0) + floor).to(tl.int64)
        tl.store(bits + start + lane, picture_bits * weight // total, mask=live)
