"""One score per block from its three energies (algorithm, section 6)."""

from __future__ import annotations

import itertools

import numpy as np

from ..media import Array


def fuse_scores(
    residual: Array,
    motion_energy: Array,
    bits: Array,
    group_edges: Array,
    *,
    weights: tuple[int, int, int] = (256, 256, 256),
    patch: int = 14,
    threads: int = 1,
) -> Array:
    """Adds the energies of each block, each normalised within its group.

    ``residual``, ``motion_energy`` int32 and ``bits`` int64 ``[N, hb, wb]``; ``group_edges`` int64 ``[groups + 1]``;
    ``weights`` of motion, residual and bits in 1/256, at most 32767 together. Returns int32 ``[N, hb, wb]``, zero in
    each group's first sample. Source: algorithm, section 6.
    """
    scores = np.zeros(residual.shape, dtype=np.int64)
    floors = (64 * (patch // 2) ** 2, 2 * (2 * patch) ** 2, 1)
    for first, end in itertools.pairwise(group_edges):
        if end - first < 2:
            continue
        for energy, weight, floor in zip((motion_energy, residual, bits), weights, floors, strict=True):
            candidates = energy[first + 1 : end].astype(np.int64)
            n = candidates.size
            percentile = np.sort(candidates, axis=None)[(95 * n + 99) // 100 - 1]
            scale = max(floor, int(percentile))
            scores[first + 1 : end] += weight * (np.minimum(candidates, scale) * 65535 // scale)
    return scores.astype(np.int32)
