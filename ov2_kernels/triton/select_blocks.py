"""Which blocks become visual tokens (algorithm, section 7)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl

from ..tables import attenuation_table
from .launch import kernel, send, send_edges, stream_of
from .order_statistic import order_statistic


def select_blocks(
    scores: torch.Tensor,
    group_edges: torch.Tensor,
    *,
    images_per_group: int = 4,
    selection: str = "global",
    threads: int = 1,
) -> torch.Tensor:
    """Chooses the source block of every block of every canvas.

    ``scores`` int32 ``[N, hb, wb]``, not negative; ``group_edges`` int64 ``[groups + 1]``. Returns int64
    ``[C, hb * wb]`` of ``sample * hb * wb + block``, ascending within a canvas: for each group its I-canvas, then its
    P-canvases. ``C`` follows from ``group_edges``: where they are on the device, they are fetched, and that is the only
    time this package waits for one. Source: algorithm, section 7.
    """
    n, hb, wb = scores.shape
    blocks = hb * wb
    lengths = np.diff(group_edges.cpu().numpy())
    images_per_group = min(images_per_group, int(lengths.max()))
    canvases = int(np.minimum(lengths, images_per_group).sum())
    edges = send_edges(group_edges, scores.device)
    table = _attenuation(blocks, scores.device, stream_of(scores.device))
    attenuated = torch.empty_like(scores, memory_format=torch.contiguous_format)
    mass = scores.new_empty((n,), dtype=torch.int64)
    selected = scores.new_empty((canvases, blocks), dtype=torch.int64)
    attenuate((n,), scores.contiguous(), table, attenuated, mass, blocks, TILE=256)
    select(
        (len(lengths) * images_per_group,),
        attenuated,
        mass,
        edges,
        selected,
        blocks,
        images_per_group,
        CHUNK=2048,
        FRAMES=64,
        GLOBAL=selection == "global",
    )
    return selected


@lru_cache(maxsize=32)
def _attenuation(blocks: int, device: torch.device, stream: int) -> torch.Tensor:
    return send(attenuation_table(blocks), device)


@kernel(
    types={"scores": "*i32", "table": "*i32", "attenuated": "*i32", "mass": "*i64", "blocks": "i32"},
    variants=({"TILE": 256},),
    threads=64,
)
def attenuate(scores, table, attenuated, mass, blocks, TILE: tl.constexpr):
    """Attenuation of one frame's scores by their rank in it, found by counting, and the sum of what is left."""
    frame = tl.program_id(0).to(tl.int64)
    scores += frame * blocks
    attenuated += frame * blocks
    lane = tl.arange(0, TILE)
    total = tl.zeros([TILE], tl.int64)
    for start in range(0, blocks, TILE):
        index = start + lane
        live = index < blocks
        score = tl.load(scores + index, mask=live, other=0)
        rank = tl.zeros([TILE], tl.int32)
        for other_index in range(0, blocks):
            rank += (tl.load(scores + other_index) > score).to(tl.int32)
        factor = tl.load(table + rank, mask=live, other=0).to(tl.int64)
        value = (score * factor) >> 16
        total += value
        tl.store(attenuated + index, value.to(tl.int32), mask=live)
    tl.store(mass + frame, tl.sum(total, 0))


@triton.jit
def _frames_below(mass, frames, total, scaled_level, stretches, FRAMES: tl.constexpr):
    """Number of frames whose level lies below one; the mass before a frame never falls, so they are the first ones."""
    lane = tl.arange(0, FRAMES)
    before = tl.zeros([], tl.int64)
    below = tl.zeros([FRAMES], tl.int32)
    for start in range(0, frames, FRAMES):
        live = start + lane < frames
        m = tl.load(mass + start + lane, mask=live, other=0)
        m = tl.where(live & (total == 0), 1, m)
        reached = before + tl.cumsum(m, 0) - m
        below += (live & (stretches * reached < scaled_level)).to(tl.int32)
        before += tl.sum(m, 0)
    return tl.sum(below, 0)


@triton.jit
def _stretch(mass, frames, stretches, which, FRAMES: tl.constexpr):
    """First frame of a stretch of equal saliency mass, and the first behind it."""
    lane = tl.arange(0, FRAMES)
    sums = tl.zeros([FRAMES], tl.int64)
    for start in range(0, frames, FRAMES):
        sums += tl.load(mass + start + lane, mask=start + lane < frames, other=0)
    total = tl.sum(sums, 0)
    divisor = tl.where(total == 0, frames, total)
    begin = tl.zeros([], tl.int32)
    end = tl.zeros([], tl.int32)
    for r in range(1, which + 2):
        begin = end
        end = tl.maximum(_frames_below(mass, frames, total, r * divisor, stretches, FRAMES), end + 1)
    begin = tl.minimum(begin, frames - (stretches - which))
    end = tl.minimum(end, frames - (stretches - which - 1))
    return begin, tl.where(which + 1 == stretches, frames, end)


@triton.jit
def _take_best(values, count, wanted, base, out, CHUNK: tl.constexpr):
    """Places of the ``wanted`` greatest of ``count`` values, the earlier among equals, ascending from ``base``."""
    lane = tl.arange(0, CHUNK)
    threshold, upto = order_statistic(values, count, count - wanted, CHUNK)
    ties = wanted - (count - upto)
    above_before = tl.zeros([], tl.int32)
    equal_before = tl.zeros([], tl.int32)
    for start in range(0, count, CHUNK):
        live = start + lane < count
        value = tl.load(values + start + lane, mask=live, other=0)
        above = (live & (value > threshold)).to(tl.int32)
        equal = (live & (value == threshold)).to(tl.int32)
        # One scan for both: neither count passes CHUNK.
        before = tl.cumsum(above + (equal << 16), 0) - (above + (equal << 16))
        tied = equal_before + (before >> 16)
        place = above_before + (before & 0xFFFF) + tl.minimum(tied, ties)
        tl.store(out + place, base + start + lane, mask=(above > 0) | ((equal > 0) & (tied < ties)))
        above_before += tl.sum(above, 0)
        equal_before += tl.sum(equal, 0)


@kernel(
    types={
        "attenuated": "*i32",
        "mass": "*i64",
        "edges": "*i64",
        "selected": "*i64",
        "blocks": "i32",
        "images_per_group": "i32",
    },
    variants=tuple({"CHUNK": 2048, "FRAMES": 64, "GLOBAL": value} for value in (False, True)),
    threads=256,
)
def select(
    attenuated,
    mass,
    edges,
    selected,
    blocks,
    images_per_group,
    CHUNK: tl.constexpr,
    FRAMES: tl.constexpr,
    GLOBAL: tl.constexpr,
):
    """Blocks of one canvas of one group; with ``GLOBAL`` the first P-canvas's program fills all of the group's."""
    group = tl.program_id(0) // images_per_group
    image = tl.program_id(0) % images_per_group
    lane = tl.arange(0, FRAMES)
    earlier = tl.zeros([FRAMES], tl.int64)
    for start in range(0, group, FRAMES):
        live = start + lane < group
        edge = tl.load(edges + start + lane, mask=live, other=0)
        length = tl.load(edges + start + lane + 1, mask=live, other=0) - edge
        earlier += tl.minimum(length, images_per_group)
    selected += (tl.sum(earlier, 0) + image) * blocks

    first = tl.load(edges + group)
    frames = (tl.load(edges + group + 1) - first - 1).to(tl.int32)
    stretches = tl.minimum(images_per_group - 1, frames)
    base = (first + 1) * blocks
    if image == 0:
        index = tl.arange(0, CHUNK)
        for start in range(0, blocks, CHUNK):
            tl.store(selected + start + index, first * blocks + start + index, mask=start + index < blocks)
    elif GLOBAL:
        if (image == 1) & (stretches > 0):
            _take_best(attenuated + base, frames * blocks, stretches * blocks, base, selected, CHUNK)
    elif image <= stretches:
        begin, end = _stretch(mass + first + 1, frames, stretches, image - 1, FRAMES)
        base += begin * blocks
        _take_best(attenuated + base, (end - begin) * blocks, blocks, base, selected, CHUNK)
