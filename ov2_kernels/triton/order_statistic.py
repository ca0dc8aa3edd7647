"""Exact order statistics inside a kernel."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def order_statistic(values, count, rank, CHUNK: tl.constexpr):
    """Element ``rank`` in ascending order of ``count > 0`` integers that are not negative, in their own type.

    The whole program bisects on the value, between the least and the greatest, and counts what is not above it, until
    one element is left in between. The first ``CHUNK`` stay in registers; the rest is read again in every pass.
    Returns the element, and how many are not above it.
    """
    lane = tl.arange(0, CHUNK)
    first = tl.load(values + tl.minimum(lane, count - 1))
    low = first
    high = first
    for start in range(CHUNK, count, CHUNK):
        value = tl.load(values + tl.minimum(start + lane, count - 1))
        low = tl.minimum(low, value)
        high = tl.maximum(high, value)
    least = tl.min(low, 0)
    greatest = tl.max(high, 0)
    # Lanes past the end hold the greatest, which is above every middle.
    first = tl.where(lane < count, first, greatest)
    beyond = greatest
    under = tl.zeros([], tl.int32)
    upto = under + count
    while (least < greatest) & (upto - under > 1):
        middle = least + ((greatest - least) >> 1)
        below = (first <= middle).to(tl.int32)
        for start in range(CHUNK, count, CHUNK):
            value = tl.load(values + start + lane, mask=start + lane < count, other=beyond)
            below += (value <= middle).to(tl.int32)
        reached = tl.sum(below, 0)
        enough = reached > rank
        least = tl.where(enough, least, middle + 1)
        under = tl.where(enough, under, reached)
        greatest = tl.where(enough, middle, greatest)
        upto = tl.where(enough, reached, upto)
    if least < greatest:
        # Exactly one is in between.
        found = tl.where(first >= least, first, greatest)
        for start in range(CHUNK, count, CHUNK):
            value = tl.load(values + start + lane, mask=start + lane < count, other=beyond)
            found = tl.minimum(found, tl.where(value >= least, value, greatest))
        least = tl.min(found, 0)
    return least, upto
