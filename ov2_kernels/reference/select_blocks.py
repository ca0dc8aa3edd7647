"""Which blocks become visual tokens (algorithm, section 7)."""

from __future__ import annotations

import itertools

import numpy as np

from ..media import Array
from ..tables import attenuation_table


def select_blocks(
    scores: Array,
    group_edges: Array,
    *,
    images_per_group: int = 4,
    selection: str = "global",
    threads: int = 1,
) -> Array:
    """Chooses the source block of every block of every canvas.

    ``scores`` int32 ``[N, hb, wb]``, not negative; ``group_edges`` int64 ``[groups + 1]``. Returns int64
    ``[C, hb * wb]`` of ``sample * hb * wb + block``, ascending within a canvas: for each group its I-canvas, then its
    P-canvases. Source: algorithm, section 7.
    """
    blocks = scores.shape[1] * scores.shape[2]
    flat = scores.reshape(-1, blocks).astype(np.int64)
    attenuation = attenuation_table(blocks).astype(np.int64)
    canvases: list[Array] = []
    for first, end in itertools.pairwise(group_edges):
        canvases.append(first * blocks + np.arange(blocks))
        frames = int(end - first) - 1
        count = min(images_per_group - 1, frames)
        if count == 0:
            continue
        offset = (first + 1) * blocks
        candidates = np.stack([_attenuate(frame, attenuation) for frame in flat[first + 1 : end]])
        if selection == "global":
            best = _best(candidates.ravel(), 0, count * blocks)
            canvases.extend(offset + best.reshape(count, blocks))
            continue
        edges = _stretch_edges([int(m) for m in candidates.sum(axis=1)], count)
        for a, b in itertools.pairwise(edges):
            canvases.append(offset + _best(candidates[a:b].ravel(), a * blocks, blocks))
    return np.stack(canvases).astype(np.int64)


def _attenuate(frame: Array, attenuation: Array) -> Array:
    ranks = [int((frame > score).sum()) for score in frame]
    return frame * attenuation[ranks] >> 16


def _best(values: Array, base: int, count: int) -> Array:
    """The ``count`` best of ``values``, earlier ones first among equals, ascending by index from ``base``."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    return np.array(sorted(order[:count]), dtype=np.int64) + base


def _stretch_edges(mass: list[int], stretches: int) -> list[int]:
    """First frame of each stretch of equal saliency mass, and the end."""
    frames = len(mass)
    if sum(mass) == 0:
        mass = [1] * frames
    level = [stretches * sum(mass[:t]) // sum(mass) for t in range(frames)]
    edges = [next((t for t in range(frames) if level[t] >= r), frames) for r in range(stretches)]
    for r in range(1, stretches):
        edges[r] = max(edges[r], edges[r - 1] + 1)
    for r in range(stretches):
        edges[r] = min(edges[r], frames - (stretches - r))
    return [*edges, frames]
