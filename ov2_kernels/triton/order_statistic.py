"""Exact order statistics inside a kernel."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def order_statistic(values, count, rank, CHUNK: tl.constexpr):
    """Element ``rank`` in ascending order of ``count > 0`` integers that are not negative, in their own type.

    The whole program bisects on the value, between the least and the greatest, and counts what is not above it.
    """
    lane = tl.arange(0, CHUNK)
    low = tl.load(values + tl.minimum(lane, count - 1))
    high = low
    for start in range(CHUNK, count, CHUNK):
        value = tl.load(values + tl.minimum(start + lane, count - 1))
        low = tl.minimum(low, value)
        high = tl.maximum(high, value)
    least = tl.min(low, 0)
    greatest = tl.max(high, 0)
    while least < greatest:
        middle = least + ((greatest - least) >> 1)
        below = tl.zeros([CHUNK], tl.int32)
        for start in range(0, count, CHUNK):
            live = start + lane < count
            value = tl.load(values + start + lane, mask=live, other=0)
            below += (live & (value <= middle)).to(tl.int32)
        enough = tl.sum(below, 0) > rank
        least = tl.where(enough, least, middle + 1)
        greatest = tl.where(enough, middle, greatest)
    return least
