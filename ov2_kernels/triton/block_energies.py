"""What changed in each block: residual, motion and bits (algorithm, section 5)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .bytes import add_byte_distances, permute_bytes, places_beyond
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
    motion_medians((n,), motion, medians, height * width // 16, CHUNK=1024, SAMPLE=32)
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
def _element(values, rank):
    """The element of a rank among a few 16-bit integers, each of which is compared with all others."""
    below = tl.sum((values[None, :] < values[:, None]).to(tl.int32), 1)
    upto = tl.sum((values[None, :] <= values[:, None]).to(tl.int32), 1)
    return tl.max(tl.where((below <= rank) & (rank < upto), values, -32768), 0)


@triton.jit
def _narrow(low, high, guess, step, below, upto, rank):
    """What is left between ``low`` and ``high`` once it is known how many lie below a guess and up to it; the next."""
    is_lower = below > rank
    is_higher = upto <= rank
    low = tl.where(is_lower, low, guess + is_higher.to(tl.int32))
    high = tl.where(is_higher, high, guess - is_lower.to(tl.int32))
    middle = (low + high) >> 1
    # The guess was near: the next is not farther from it than a step, which grows.
    return low, high, tl.where(is_lower, tl.maximum(middle, guess - step), tl.minimum(middle, guess + step))


@kernel(
    types={"motion": "*i32", "medians": "*i32", "cells": "i32"},
    variants=({"CHUNK": 1024, "SAMPLE": 32},),
)
def motion_medians(motion, medians, cells, CHUNK: tl.constexpr, SAMPLE: tl.constexpr):
    """Lower median of each vector component over a frame: one program per frame.

    The median of a sample is guessed, and what lies below and up to it is counted; most often it is the median.
    Otherwise the search goes on from there.
    """
    frame = tl.program_id(0).to(tl.int64)
    motion += frame * cells
    size = tl.minimum(cells, SAMPLE)
    lane = tl.arange(0, SAMPLE)
    # Lanes past the end hold the greatest vector, which leaves the ranks below it as they are.
    sample = tl.load(motion + lane * (cells // size), mask=lane < size, other=0x7FFF7FFF)
    lane = tl.arange(0, CHUNK)
    guess_x = _element((sample << 16) >> 16, (size - 1) // 2)
    guess_y = _element(sample >> 16, (size - 1) // 2)
    rank = (cells - 1) // 2
    low_x = tl.full([], -32768, tl.int32)
    high_x = tl.full([], 32767, tl.int32)
    low_y = low_x
    high_y = high_x
    step = tl.full([], 4, tl.int32)
    while (low_x < high_x) | (low_y < high_y):
        # Components are compared in the upper half of 32 bits, whatever stands below.
        limit_x = guess_x << 16
        limit_y = guess_y << 16
        below_x = tl.zeros([CHUNK], tl.int32)
        upto_x = tl.zeros([CHUNK], tl.int32)
        below_y = tl.zeros([CHUNK], tl.int32)
        upto_y = tl.zeros([CHUNK], tl.int32)
        for start in range(0, cells, CHUNK):
            word = tl.load(motion + start + lane, mask=start + lane < cells, other=0x7FFF7FFF)
            below_x += ((word << 16) < limit_x).to(tl.int32)
            upto_x += ((word << 16) <= limit_x).to(tl.int32)
            below_y += (word < limit_y).to(tl.int32)
            upto_y += (word <= (limit_y | 0xFFFF)).to(tl.int32)
        low_x, high_x, guess_x = _narrow(low_x, high_x, guess_x, step, tl.sum(below_x, 0), tl.sum(upto_x, 0), rank)
        low_y, high_y, guess_y = _narrow(low_y, high_y, guess_y, step, tl.sum(below_y, 0), tl.sum(upto_y, 0), rank)
        step = tl.minimum(4 * step, 65536)
    tl.store(medians + 2 * frame, low_x)
    tl.store(medians + 2 * frame + 1, low_y)


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
    threads=64,
    knows_ptx=True,
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
    PTX: tl.constexpr,
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
    distance = tl.zeros([BLOCKS, CELLS], tl.uint32)
    speed = tl.zeros([BLOCKS, CELLS], tl.int32)
    first_cell = first_y * words_per_row + first_x
    vectors = tl.load(motion_frame + (first_cell + tl.minimum(lane, side - 1)))
    for row in range(side):
        for start in range(0, side, CELLS):
            # Lanes past the block's side go over its last cell again, and do not count.
            live = in_range[:, None] & (start + lane < side)
            cell_y = first_y + row
            cell_x = first_x + tl.minimum(start + lane, side - 1)
            # While this cell's pixels are waited for, the next one's vector is on its way.
            ends = start + CELLS >= side
            next_row = tl.minimum(row + tl.where(ends, 1, 0), side - 1)
            next_lane = tl.minimum(tl.where(ends, 0, start + CELLS) + lane, side - 1)
            following = tl.load(motion_frame + (first_cell + next_row * words_per_row + next_lane))
            vx = (vectors << 16) >> 16
            vy = vectors >> 16

            dx = tl.minimum(tl.maximum(vx - median_x, -VECTOR_LIMIT), VECTOR_LIMIT)
            dy = tl.minimum(tl.maximum(vy - median_y, -VECTOR_LIMIT), VECTOR_LIMIT)
            length = tl.sqrt_rn((dx * dx + dy * dy).to(tl.float32))
            speed += tl.where(live, (16.0 * length).to(tl.int32), 0)

            x = 4 * cell_x + (vx >> 2)
            y = 4 * cell_y + (vy >> 2)
            column = tl.minimum(tl.maximum(x >> 2, 0), tl.maximum(words_per_row - 2, 0))
            these, next_ones = places_beyond(x - 4 * column, -4 * column, 4 * (words_per_row - column) - 1)
            pixels = luma_frame + (4 * cell_y * words_per_row + cell_x)
            prev_column = prev_frame + column
            # All that a cell needs is asked for before any of it is waited for.
            given, left, right = (), (), ()
            for j in tl.static_range(4):
                given += (tl.load(pixels + j * words_per_row).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
            for j in tl.static_range(5):
                source = prev_column + tl.minimum(tl.maximum(y + j, 0), height - 1) * words_per_row
                left += (tl.load(source).to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
                pair = tl.load(source + 1, mask=column < words_per_row - 1, other=0)
                right += (pair.to(tl.uint32, bitcast=True),)  # type: ignore[assignment]
            fx = (vx & 3).to(tl.uint32)
            # Sixteen times the weights, so that predicted pixels stand in the upper halves of 16-bit lanes.
            weight_below = ((vy & 3) * 16).to(tl.uint32)
            weight_above = 64 - weight_below
            even_above = tl.zeros([BLOCKS, CELLS], tl.uint32)
            odd_above = tl.zeros([BLOCKS, CELLS], tl.uint32)
            difference = tl.zeros([BLOCKS, CELLS], tl.uint32)
            for j in tl.static_range(5):
                head = permute_bytes(left[j], right[j], these, PTX)
                tail = permute_bytes(left[j], right[j], next_ones, PTX)
                # Pixels 0 and 2 share a word, 1 and 3 another; each is weighted with its right neighbour.
                middle = tail & 0x00FF00FF
                even = (head & 0x00FF00FF) * (4 - fx) + middle * fx
                odd = middle * (4 - fx) + ((tail >> 8) & 0x00FF00FF) * fx
                if j > 0:
                    even_pixels = even_above * weight_above + even * weight_below + 0x00800080
                    odd_pixels = odd_above * weight_above + odd * weight_below + 0x00800080
                    predicted = permute_bytes(even_pixels, odd_pixels, tl.full([BLOCKS, CELLS], 0x7351, tl.uint32), PTX)
                    difference = add_byte_distances(given[j - 1], predicted, difference, PTX)
                even_above = even
                odd_above = odd
            distance += tl.where(live, difference, 0)
            vectors = following
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
