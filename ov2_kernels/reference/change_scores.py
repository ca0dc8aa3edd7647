"""One score per block from what changed since the sample and since the frame before (algorithm, section 6)."""

from __future__ import annotations

import itertools

import numpy as np

from ..media import Array

#: Differences of so many grey levels are coding noise.
DEAD_ZONE = 2
#: The score of a change as large as its place's mean; eight times that is full marks.
USUAL = 8191


def change_scores(luma: Array, prev_luma: Array, group_edges: Array, *, patch: int = 14, threads: int = 1) -> Array:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]``. Returns int32 ``[N, hb, wb]``,
    at most 65535, zero in each group's first sample. Source: algorithm, section 6.
    """
    n, height, width = luma.shape
    block = 2 * patch
    scores = np.zeros((n, height // block, width // block), dtype=np.int64)
    floor = block * block // 16
    for first, end in itertools.pairwise(group_edges):
        if end - first < 2:
            continue
        change = np.stack([_change(luma[i], (luma[i - 1], prev_luma[i]), block) for i in range(first + 1, end)])
        usual = floor + change.sum(axis=0) // len(change)
        scores[first + 1 : end] = np.minimum(change * USUAL // usual, 65535)
    return scores.astype(np.int32)


def _change(luma: Array, earlier: tuple[Array, Array], block: int) -> Array:
    """Grey levels beyond the dead zone, summed over each block; less the median of the frame's blocks."""
    here = luma.astype(np.int64)
    beyond = np.sum([np.maximum(np.abs(here - before) - DEAD_ZONE, 0) for before in earlier], axis=0)
    height, width = luma.shape
    sums = beyond.reshape(height // block, block, width // block, block).sum(axis=(1, 3))
    median = np.sort(sums, axis=None)[(sums.size - 1) // 2]
    return np.asarray(np.maximum(sums - median, 0))
