"""One score per block from what changed since the sample and since the frame before (algorithm, section 6)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .comparison import measure_changes, sum_profiles
from .launch import ceil_div, kernel, send_edges, words
from .order_statistic import order_statistic

USUAL = tl.constexpr(8191)
PERCENT = tl.constexpr(90)
REACH = tl.constexpr(16)
ELSEWHERE = tl.constexpr(8)
ALIKE = tl.constexpr(4)
STEADY = tl.constexpr(4)
PATIENCE = tl.constexpr(6)
NEW_SHOT = tl.constexpr(5 * 8191)


def change_scores(
    luma: torch.Tensor, prev_luma: torch.Tensor, group_edges: torch.Tensor, *, patch: int = 14, threads: int = 1
) -> torch.Tensor:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]`` on any device. Returns int32
    ``[N, hb, wb]``, zero in each group's first sample. Source: algorithm, section 6.
    """
    n, height, width = luma.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    edges = send_edges(group_edges, luma.device)
    luma, prev = words(luma), words(prev_luma)
    scores, changes = luma.new_empty((n, hb, wb)), luma.new_empty((3, n, hb, wb))
    profiles, shifts, elsewhere = luma.new_empty((n, height + width)), luma.new_empty((n, 2)), luma.new_empty((n,))
    light, opening = torch.empty_like(elsewhere, dtype=torch.int64), torch.empty_like(elsewhere)
    total = n * hb * wb
    sum_profiles((n, ceil_div(height, 32) + ceil_div(width, 128)), luma, profiles, height, width, LINES=32, WORDS=32)
    find_shifts((n, 2), profiles, shifts, height, width, CHUNK=128)
    planes = (luma, prev, shifts, changes)
    measure_changes((ceil_div(total, 8),), *planes, total, height, width, patch, BLOCKS=8, WORDS=8)
    lift_by_median((n,), changes, profiles, scores, elsewhere, light, total, hb * wb, patch, height, width, CHUNK=256)
    groups = len(group_edges) - 1
    find_new_shots((n,), profiles, elsewhere, light, opening, edges, groups, height, width, CHUNK=128)
    places = (groups, ceil_div(hb * wb, 8))
    relate_to_place(places, scores, edges, opening, hb, wb, patch, SAMPLES=128, PLACES=8)
    return scores


@triton.jit
def _cost(here, there, shift, margin, side, CHUNK: tl.constexpr):
    lane = tl.arange(0, CHUNK)
    costs = tl.zeros([CHUNK], tl.int64)
    for start in range(margin, side - margin, CHUNK):
        at = start + lane
        live = at < side - margin
        difference = tl.load(here + at, mask=live, other=0) - tl.load(there + at + shift, mask=live, other=0)
        costs += tl.abs(difference)
    return tl.sum(costs, 0)


@kernel(
    types={"profiles": "*i32", "shifts": "*i32", "height": "i32", "width": "i32"},
    variants=({"CHUNK": 128},),
    threads=32,
)
def find_shifts(profiles, shifts, height, width, CHUNK: tl.constexpr):
    """How far down and right in the sample before lies what a frame shows: a program per frame and axis."""
    frame, axis = tl.program_id(0), tl.program_id(1)
    side = tl.where(axis == 0, height, width)
    reach = tl.minimum(REACH, side // 4)
    offset = tl.where(axis == 0, 0, height)
    here = profiles + frame.to(tl.int64) * (height + width) + offset
    there = profiles + tl.maximum(frame - 1, 0).to(tl.int64) * (height + width) + offset
    unmoved = _cost(here, there, 0, reach, side, CHUNK)
    least = unmoved
    best = reach * 0
    for i in range(1, 2 * reach + 1):
        shift = tl.where(i % 2 == 0, i // 2, -((i + 1) // 2))
        cost = _cost(here, there, shift, reach, side, CHUNK)
        best = tl.where(cost < least, shift, best)
        least = tl.minimum(cost, least)
    tl.store(shifts + 2 * frame + axis, tl.where(2 * least < unmoved, best, 0))


@kernel(
    types={
        "changes": "*i32",
        "profiles": "*i32",
        "scores": "*i32",
        "elsewhere": "*i32",
        "light": "*i64",
        "total": "i32",
        "blocks": "i32",
        "patch": "i32",
        "height": "i32",
        "width": "i32",
    },
    variants=({"CHUNK": 256},),
)
def lift_by_median(
    changes, profiles, scores, elsewhere, light, total, blocks, patch, height, width, CHUNK: tl.constexpr
):
    """Takes the lower median over a frame's blocks off each of them, and adds up its light: one program per frame.

    Where it shows something else than the sample before, only what changed since the frame before counts.
    """
    changes += tl.program_id(0).to(tl.int64) * blocks
    scores += tl.program_id(0).to(tl.int64) * blocks
    median, _ = order_statistic(changes, blocks, (blocks - 1) // 2, CHUNK)
    other = median >= ELSEWHERE * 4 * patch * patch
    tl.store(elsewhere + tl.program_id(0), other.to(tl.int32))
    changes += total
    changes += tl.where(other, 0, total)
    median, _ = order_statistic(changes, blocks, (blocks - 1) // 2, CHUNK)
    lane = tl.arange(0, CHUNK)
    for start in range(0, blocks, CHUNK):
        live = start + lane < blocks
        value = tl.load(changes + start + lane, mask=live, other=0)
        tl.store(scores + start + lane, tl.maximum(value - median, 0), mask=live)
    profiles += tl.program_id(0).to(tl.int64) * (height + width)
    rows = tl.zeros([CHUNK], tl.int64)
    for start in range(0, height, CHUNK):
        rows += tl.load(profiles + start + lane, mask=start + lane < height, other=0)
    tl.store(light + tl.program_id(0), tl.sum(rows, 0))


@triton.jit
def _elsewhere(elsewhere, t, first, end):
    """Whether a frame of the group shows something else than the one before; those outside, and its first, do not."""
    return tl.load(elsewhere + t, mask=(t > first) & (t < end), other=0) != 0


@triton.jit
def _settled(elsewhere, light, t, first, end, steady):
    """Whether the two frames behind one are in its group, show nothing else, and have its light if that matters yet."""
    lane = tl.arange(0, PATIENCE + 2)
    at = t + 1 - PATIENCE + lane
    behind = lane >= PATIENCE
    other = _elsewhere(elsewhere, at, first, end).to(tl.int32)
    calm = tl.max(tl.where(behind, 0, other), 0) == 0
    light_behind = tl.load(light + at, mask=behind & (at < end), other=0)
    change = tl.max(tl.where(behind, tl.abs(light_behind - tl.load(light + t)), 0), 0)
    return (t + 2 < end) & (calm | (change < steady)) & (tl.max(tl.where(behind, other, 0), 0) == 0)


@kernel(
    types={
        "profiles": "*i32",
        "elsewhere": "*i32",
        "light": "*i64",
        "opening": "*i32",
        "edges": "*i64",
        "groups": "i32",
        "height": "i32",
        "width": "i32",
    },
    variants=({"CHUNK": 128},),
    threads=32,
)
def find_new_shots(profiles, elsewhere, light, opening, edges, groups, height, width, CHUNK: tl.constexpr):
    """Which frames are the first of a new shot, once the picture has settled: one program per frame.

    What is as it was before the picture became unsettled is none: after a flash the shot goes on.
    """
    frame = tl.program_id(0)
    sides = height + width
    lane = tl.arange(0, CHUNK)
    first = frame * 0
    for start in range(0, groups, CHUNK):
        edge = tl.load(edges + start + lane, mask=start + lane < groups, other=0).to(tl.int32)
        first = tl.maximum(first, tl.max(tl.where(edge <= frame, edge, 0), 0))
    end = tl.num_programs(0)
    for start in range(0, groups, CHUNK):
        edge = tl.load(edges + 1 + start + lane, mask=start + lane < groups, other=0).to(tl.int32)
        end = tl.minimum(end, tl.min(tl.where(edge > frame, edge, end), 0))
    pixels = height.to(tl.int64) * width
    steady = pixels * STEADY
    unsettled = tl.where(_elsewhere(elsewhere, frame, first, end), frame, end)  # since this frame
    is_new = _settled(elsewhere, light, frame, first, end, steady)
    if is_new:
        t = frame - 1
        while (t > first) & ~_settled(elsewhere, light, tl.maximum(t, 0), first, end, steady):
            unsettled = tl.where(_elsewhere(elsewhere, t, first, end), t, unsettled)
            t -= 1
        is_new = unsettled < end
        if is_new:
            here, there = profiles + frame.to(tl.int64) * sides, profiles + (unsettled - 1).to(tl.int64) * sides
            is_new = _cost(here, there, 0, 0, sides, CHUNK) >= pixels * ALIKE
    tl.store(opening + frame, is_new.to(tl.int32))


@kernel(
    types={"scores": "*i32", "edges": "*i64", "opening": "*i32", "hb": "i32", "wb": "i32", "patch": "i32"},
    variants=({"SAMPLES": 128, "PLACES": 8},),
)
def relate_to_place(scores, edges, opening, hb, wb, patch, SAMPLES: tl.constexpr, PLACES: tl.constexpr):
    """Divides the changes of up to ``PLACES`` places by what is usual there: a program per group and places.

    The program bisects for that, all places at once; the first ``SAMPLES`` stay in registers. Of the first frame of a
    new shot every other block counts instead.
    """
    group = tl.program_id(0)
    first = tl.load(edges + group)
    count = (tl.load(edges + group + 1) - first - 1).to(tl.int32)
    blocks = hb * wb
    index = tl.program_id(1) * PLACES + tl.arange(0, PLACES)
    scores += index
    there = (index < blocks)[None, :]
    tl.store(scores + first * blocks, tl.zeros([PLACES], tl.int32), mask=index < blocks)
    lane = tl.arange(0, SAMPLES)
    sample = first + 1 + lane
    changes = scores[None, :] + sample[:, None] * blocks
    kept = tl.load(changes, mask=there & (lane < count)[:, None], other=0)
    greatest = tl.max(kept, 0)
    for start in range(SAMPLES, count, SAMPLES):
        live = there & (start + lane < count)[:, None]
        change = tl.load(scores[None, :] + (sample + start)[:, None] * blocks, mask=live, other=0)
        greatest = tl.maximum(greatest, tl.max(change, 0))
    least = tl.zeros([PLACES], tl.int32)
    rank = PERCENT * tl.maximum(count - 1, 0).to(tl.int64) // 100
    while tl.max(greatest - least, 0) > 0:
        middle = least + ((greatest - least) >> 1)
        upto = tl.sum(((kept <= middle[None, :]) & (lane < count)[:, None]).to(tl.int32), 0)
        for start in range(SAMPLES, count, SAMPLES):
            live = there & (start + lane < count)[:, None]
            change = tl.load(scores[None, :] + (sample + start)[:, None] * blocks, mask=live, other=0)
            upto += tl.sum(((change <= middle[None, :]) & live).to(tl.int32), 0)
        enough = upto > rank
        least = tl.where(enough, least, middle + 1)
        greatest = tl.where(enough, middle, greatest)
    usual = patch * patch // 2 + least
    shown = tl.where((index // wb + index % wb) % 2 == 0, NEW_SHOT, 0)
    for start in range(0, count, SAMPLES):
        live = there & (start + lane < count)[:, None]
        at = scores[None, :] + (sample + start)[:, None] * blocks
        related = tl.load(at, mask=live, other=0).to(tl.int64) * USUAL // usual[None, :]
        score = (tl.minimum(related, 65535) + tl.maximum(related - 65535, 0) // 256).to(tl.int32)
        is_new = tl.load(opening + sample + start, mask=start + lane < count, other=0) != 0
        tl.store(at, tl.where(is_new[:, None], shown[None, :], score), mask=live)
