"""One score per block from its three energies (algorithm, section 6)."""

from __future__ import annotations

import torch
import triton.language as tl

from .launch import ceil_div, kernel, send_edges
from .order_statistic import order_statistic


def fuse_scores(
    residual: torch.Tensor,
    motion_energy: torch.Tensor,
    bits: torch.Tensor,
    group_edges: torch.Tensor,
    *,
    weights: tuple[int, int, int] = (256, 256, 256),
    patch: int = 14,
    threads: int = 1,
) -> torch.Tensor:
    """Adds the energies of each block, each normalised within its group.

    ``residual``, ``motion_energy`` int32 and ``bits`` int64 ``[N, hb, wb]``, none negative; ``group_edges`` int64
    ``[groups + 1]`` on any device; ``weights`` of motion, residual and bits in 1/256, at most 32767 together. Returns
    int32 ``[N, hb, wb]``, zero in each group's first sample. Source: algorithm, section 6.
    """
    n, hb, wb = residual.shape
    groups = len(group_edges) - 1
    residual, motion_energy, bits = residual.contiguous(), motion_energy.contiguous(), bits.contiguous()
    edges = send_edges(group_edges, residual.device)
    scales = residual.new_empty((groups, 3), dtype=torch.int64)
    scores = torch.empty_like(residual)
    group_scales(
        (groups, 3),
        residual,
        motion_energy,
        bits,
        edges,
        scales,
        hb * wb,
        2 * (2 * patch) ** 2,
        64 * (patch // 2) ** 2,
        CHUNK=8192,
    )
    weigh(
        (n, ceil_div(hb * wb, 256)),
        residual,
        motion_energy,
        bits,
        edges,
        scales,
        scores,
        groups,
        hb * wb,
        *weights,
        CHUNK=256,
        GROUPS=128,
    )
    return scores


@kernel(
    types={
        "residual": "*i32",
        "motion_energy": "*i32",
        "bits": "*i64",
        "edges": "*i64",
        "scales": "*i64",
        "blocks": "i32",
        "residual_floor": "i32",
        "motion_floor": "i32",
    },
    variants=({"CHUNK": 8192},),
    threads=512,
)
def group_scales(
    residual, motion_energy, bits, edges, scales, blocks, residual_floor, motion_floor, CHUNK: tl.constexpr
):
    """What each energy is divided by: its 95th percentile in a group, or its floor; a program per group and energy."""
    group = tl.program_id(0)
    energy = tl.program_id(1)
    begin = (tl.load(edges + group) + 1) * blocks
    count = (tl.load(edges + group + 1) * blocks - begin).to(tl.int32)
    rank = ((95 * count.to(tl.int64) + 99) // 100).to(tl.int32) - 1
    scale = tl.full([], 1, tl.int64)
    if energy == 2:
        if count > 0:
            scale, _ = order_statistic(bits + begin, count, rank, CHUNK)
            scale = tl.maximum(scale, 1)
    else:
        values = residual
        floor = residual_floor
        if energy == 0:
            values = motion_energy
            floor = motion_floor
        scale *= floor
        if count > 0:
            percentile, _ = order_statistic(values + begin, count, rank, CHUNK)
            scale = tl.maximum(percentile, floor).to(tl.int64)
    tl.store(scales + 3 * group + energy, scale)


@kernel(
    types={
        "residual": "*i32",
        "motion_energy": "*i32",
        "bits": "*i64",
        "edges": "*i64",
        "scales": "*i64",
        "scores": "*i32",
        "groups": "i32",
        "blocks": "i32",
        "motion_weight": "i32",
        "residual_weight": "i32",
        "bits_weight": "i32",
    },
    variants=({"CHUNK": 256, "GROUPS": 128},),
)
def weigh(
    residual,
    motion_energy,
    bits,
    edges,
    scales,
    scores,
    groups,
    blocks,
    motion_weight,
    residual_weight,
    bits_weight,
    CHUNK: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """Weighted sum of the normalised energies of up to ``CHUNK`` blocks of one frame."""
    frame = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, GROUPS)
    begun = tl.zeros([GROUPS], tl.int32)
    opened = tl.zeros([GROUPS], tl.int32)
    for start in range(0, groups, GROUPS):
        live = start + lane < groups
        edge = tl.load(edges + start + lane, mask=live, other=0)
        begun += (live & (edge <= frame)).to(tl.int32)
        opened += (live & (edge == frame)).to(tl.int32)
    scales += 3 * (tl.sum(begun, 0) - 1)
    # A group's first sample is no candidate, and none of its blocks are read.
    used_blocks = tl.where(tl.sum(opened, 0) == 0, blocks, 0)
    motion_scale = tl.load(scales)
    residual_scale = tl.load(scales + 1)
    bits_scale = tl.load(scales + 2)

    index = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    live = index < blocks
    place = frame * blocks + index
    used = index < used_blocks
    m = tl.minimum(tl.load(motion_energy + place, mask=used, other=0).to(tl.int64), motion_scale)
    r = tl.minimum(tl.load(residual + place, mask=used, other=0).to(tl.int64), residual_scale)
    b = tl.minimum(tl.load(bits + place, mask=used, other=0), bits_scale)
    score = motion_weight * (m * 65535 // motion_scale)
    score += residual_weight * (r * 65535 // residual_scale)
    score += bits_weight * (b * 65535 // bits_scale)
    tl.store(scores + place, score.to(tl.int32), mask=live)
