"""One score per block from what changed since the sample and since the frame before (algorithm, section 6)."""

from __future__ import annotations

import torch
import triton.language as tl

from .launch import ceil_div, kernel, send_edges, words
from .order_statistic import order_statistic

DEAD_ZONE = tl.constexpr(2)
USUAL = tl.constexpr(8191)


def change_scores(
    luma: torch.Tensor, prev_luma: torch.Tensor, group_edges: torch.Tensor, *, patch: int = 14, threads: int = 1
) -> torch.Tensor:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]`` on any device. Returns int32
    ``[N, hb, wb]``, at most 65535, zero in each group's first sample. Source: algorithm, section 6.
    """
    n, height, width = luma.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    edges = send_edges(group_edges, luma.device)
    luma, prev = words(luma), words(prev_luma)
    changes = luma.new_empty((n, hb, wb))
    scores = torch.empty_like(changes)
    total = n * hb * wb
    measure_changes((ceil_div(total, 4),), luma, prev, changes, total, height, width, patch, BLOCKS=4, LANES=32)
    lift_by_median((n,), changes, scores, hb * wb, CHUNK=256)
    relate_to_place((len(group_edges) - 1, ceil_div(hb * wb, 32)), scores, edges, hb * wb, patch * patch // 4, CHUNK=32)
    return scores


@kernel(
    types={
        "luma": "*i32",
        "prev": "*i32",
        "changes": "*i32",
        "total": "i32",
        "height": "i32",
        "width": "i32",
        "patch": "i32",
    },
    variants=({"BLOCKS": 4, "LANES": 32},),
)
def measure_changes(luma, prev, changes, total, height, width, patch, BLOCKS: tl.constexpr, LANES: tl.constexpr):
    """Grey levels beyond the dead zone of ``BLOCKS`` blocks, since sample and frame before; a lane takes four."""
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    words_per_row = width // 4
    block = tl.program_id(0) * BLOCKS + tl.arange(0, BLOCKS)
    in_range = block < total
    frame = tl.where(in_range, block // blocks, 0)
    index = tl.where(in_range, block - frame * blocks, 0)
    offset = (frame.to(tl.int64) * (height * words_per_row))[:, None]
    here, earlier = luma + offset, prev + offset
    # The first frame is compared with itself: it opens a group, whose changes count nowhere.
    before = luma + (tl.maximum(frame - 1, 0).to(tl.int64) * (height * words_per_row))[:, None]
    side = patch // 2
    first = (index // wb * (2 * patch) * words_per_row + index % wb * side)[:, None]
    lane = tl.arange(0, LANES)[None, :]
    count = 2 * patch * side
    sums = tl.zeros([BLOCKS, LANES], tl.int32)
    for start in range(0, count, LANES):
        at = start + lane
        live = in_range[:, None] & (at < count)
        place = first + at // side * words_per_row + at % side
        a = tl.load(here + place, mask=live, other=0)
        b = tl.load(before + place, mask=live, other=0)
        c = tl.load(earlier + place, mask=live, other=0)
        for byte in tl.static_range(4):
            level = (a >> (8 * byte)) & 255
            sums += tl.maximum(tl.abs(level - ((b >> (8 * byte)) & 255)) - DEAD_ZONE, 0)
            sums += tl.maximum(tl.abs(level - ((c >> (8 * byte)) & 255)) - DEAD_ZONE, 0)
    tl.store(changes + block, tl.sum(sums, 1), mask=in_range)


@kernel(types={"changes": "*i32", "scores": "*i32", "blocks": "i32"}, variants=({"CHUNK": 256},))
def lift_by_median(changes, scores, blocks, CHUNK: tl.constexpr):
    """Takes the lower median over a frame's blocks off each of them: one program per frame."""
    changes += tl.program_id(0).to(tl.int64) * blocks
    scores += tl.program_id(0).to(tl.int64) * blocks
    median, _ = order_statistic(changes, blocks, (blocks - 1) // 2, CHUNK)
    lane = tl.arange(0, CHUNK)
    for start in range(0, blocks, CHUNK):
        live = start + lane < blocks
        value = tl.load(changes + start + lane, mask=live, other=0)
        tl.store(scores + start + lane, tl.maximum(value - median, 0), mask=live)


@kernel(
    types={"scores": "*i32", "edges": "*i64", "blocks": "i32", "floor": "i32"},
    variants=({"CHUNK": 32},),
    threads=32,
)
def relate_to_place(scores, edges, blocks, floor, CHUNK: tl.constexpr):
    """Divides the changes of up to ``CHUNK`` places by their means over a group: a program per group and places."""
    group = tl.program_id(0)
    first = tl.load(edges + group)
    end = tl.load(edges + group + 1)
    index = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    live = index < blocks
    usual = tl.zeros([CHUNK], tl.int64)
    for t in range(first + 1, end):
        usual += tl.load(scores + t * blocks + index, mask=live, other=0)
    usual = floor + usual // tl.maximum(end - first - 1, 1)
    tl.store(scores + first * blocks + index, tl.zeros([CHUNK], tl.int32), mask=live)
    for t in range(first + 1, end):
        change = tl.load(scores + t * blocks + index, mask=live, other=0).to(tl.int64)
        score = tl.minimum(change * USUAL // usual, 65535)
        tl.store(scores + t * blocks + index, score.to(tl.int32), mask=live)
