"""Rotary position embedding over time, height and width (algorithm, section 9)."""

from __future__ import annotations

from functools import lru_cache

import torch
import triton.language as tl

from ..tables import rope_inverse_frequencies, sine_constants
from .launch import ceil_div, kernel, send, stream_of


def rope_frequencies(
    patch_positions: torch.Tensor, head_dim: int, theta: float = 10000.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of each patch's rotation angles.

    ``patch_positions`` int64 ``[L, 3]`` of ``(t, h, w)``; ``head_dim`` a multiple of 32. Returns two float32
    ``[L, head_dim / 2]``, whose columns belong to t, h and w in the ratio 4:6:6. Source: algorithm, section 9.
    """
    half = head_dim // 2
    frequencies, constants = _tables(head_dim, theta, patch_positions.device, stream_of(patch_positions.device))
    cos = patch_positions.new_empty((len(patch_positions), half), dtype=torch.float32)
    sin = torch.empty_like(cos)
    rotate(
        (ceil_div(len(patch_positions), 16), ceil_div(half, 32)),
        patch_positions.contiguous(),
        frequencies,
        constants,
        cos,
        sin,
        len(patch_positions),
        half,
        ROWS=16,
        COLUMNS=32,
    )
    return cos, sin


@lru_cache(maxsize=32)
def _tables(head_dim: int, theta: float, device: torch.device, stream: int) -> tuple[torch.Tensor, torch.Tensor]:
    return send(rope_inverse_frequencies(head_dim, theta), device), send(sine_constants(), device)


@kernel(
    types={
        "positions": "*i64",
        "frequencies": "*fp32",
        "constants": "*fp64",
        "cos": "*fp32",
        "sin": "*fp32",
        "count": "i32",
        "half": "i32",
    },
    variants=({"ROWS": 16, "COLUMNS": 32},),
)
def rotate(positions, frequencies, constants, cos, sin, count, half, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Cosine and sine of ``ROWS`` patches at ``COLUMNS`` frequencies, in the reference's order of operations."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    live = (row < count) & (column < half)
    unit = half // 16
    axis = (column >= 4 * unit).to(tl.int32) + (column >= 10 * unit).to(tl.int32)
    position = tl.load(positions + 3 * row + axis, mask=live, other=0).to(tl.float32)
    angle = position * tl.load(frequencies + column, mask=column < half, other=0.0)

    a = angle.to(tl.float64)
    turns = tl.floor(a * tl.load(constants) + 0.5)
    r = a - turns * tl.load(constants + 1) - turns * tl.load(constants + 2)
    square = r * r
    sine = tl.load(constants + 10)
    cosine = tl.load(constants + 18)
    for k in tl.static_range(6, -1, -1):
        sine = sine * square + tl.load(constants + 3 + k)
        cosine = cosine * square + tl.load(constants + 11 + k)
    sine = r + r * (square * sine)
    cosine = square * cosine + 1.0
    quarter = turns - 4.0 * tl.floor(turns * 0.25)
    odd = (quarter == 1) | (quarter == 3)
    cos_value = tl.where(odd, sine, cosine) * tl.where((quarter == 1) | (quarter == 2), -1.0, 1.0)
    sin_value = tl.where(odd, cosine, sine) * tl.where(quarter >= 2, -1.0, 1.0)
    place = row * half + column
    tl.store(cos + place, cos_value.to(tl.float32), mask=live)
    tl.store(sin + place, sin_value.to(tl.float32), mask=live)
