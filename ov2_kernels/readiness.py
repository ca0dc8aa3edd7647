"""The readiness profile: what codec-video-prep 0.2.5 selects, from bits read off the bitstream (section 13).

Float arithmetic, on the host; the one stage that looks at pixels, ``bad_frames``, is exact and has backends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .media import Array, BitCost, VideoInfo

#: bins of time that a group's blocks should come from
TIME_BINS = 3
#: a group grows no further once a frame more adds less than this share
LEAST_GAIN = 0.05


@dataclass(frozen=True)
class ReadinessRules:
    """How codec-video-prep counts; each rule may be switched off, which is truer and selects otherwise."""

    #: CABAC positions are rounded up to bytes
    whole_bytes: bool = True
    #: a skip run belongs to the first macroblock that it skips
    run_to_first_skipped: bool = True
    #: the end flag of CABAC belongs to no macroblock
    terminate_to_nobody: bool = True
    #: the map has one more column, of zeros, on the right
    zero_column: bool = True
    #: bits per macroblock (``mb``; ``adaptive`` is the same for H.264), or a sixteenth of them per 4x4 cell (``sub``)
    grid: str = "adaptive"


def readiness_samples(info: VideoInfo, max_samples: int, *, avoid_keyframes: bool = True) -> Array:
    """The frames to look at, int64 ``[N]``, strictly increasing; ``N`` is ``min(max_samples, frames)``."""
    total = info.frames
    count = min(max_samples, total)
    ids = np.floor(np.linspace(0, total - 1, count)).astype(np.int64)
    if not avoid_keyframes:
        return np.unique(ids)
    is_key = np.asarray(info.is_key, dtype=bool)
    for i in np.flatnonzero(is_key[ids]):
        for step in (1, -1, 2, -2, 3, -3, 4, -4):
            moved = ids[i] + step
            if 0 <= moved < total and not is_key[moved]:
                ids[i] = moved
                break
    kept = np.unique(ids)
    missing = count - len(kept)
    if missing:
        frames = np.arange(total)
        right = np.searchsorted(kept, frames).clip(max=len(kept) - 1)
        nearest = np.minimum(np.abs(kept[right] - frames), np.abs(kept[np.maximum(right - 1, 0)] - frames))
        unused = (nearest > 0) & ~is_key
        order = np.lexsort((frames[unused], np.abs(frames - total // 2)[unused], nearest[unused]))
        refill = frames[unused][order][:missing]
        kept = np.union1d(kept, refill)
        # Keyframes fill what is still missing, from the first on.
        rest = np.setdiff1d(frames, kept)[: count - len(kept)]
        kept = np.union1d(kept, rest)
    return kept.astype(np.int64)


def readiness_maps(cost: BitCost, info: VideoInfo, rules: ReadinessRules) -> Array:
    """The bits as maps that cover the upright picture, float32 ``[N, rows, columns]``."""
    maps: Array = cost.bits.astype(np.float32)
    if rules.grid == "sub":
        maps = (maps / 16).repeat(4, axis=1).repeat(4, axis=2)
    elif rules.zero_column:
        maps = np.pad(maps, ((0, 0), (0, 0), (0, 1)))
    maps = np.rot90(maps, -(info.rotation // 90), axes=(1, 2))
    return np.ascontiguousarray(maps[:, :, ::-1] if info.mirrored else maps)


def readiness_scores(maps: Array, height: int, width: int, *, patch: int = 14) -> Array:
    """Block scores, float32 ``[N, hb, wb]``, of maps float32 ``[N, rows, columns]`` stretched over the canvas."""
    values = np.log1p(np.maximum(maps, np.float32(0)))
    scale = np.maximum(np.percentile(values, 99, axis=(1, 2), keepdims=True), 1e-6)
    values = np.clip(values / scale, 0.0, 1.0).astype(np.float32)
    # Nearest neighbour: how many rows, and columns, of a block's pixels fall on those of the map.
    down = _pixels_per_cell(height, maps.shape[1], 2 * patch)
    across = _pixels_per_cell(width, maps.shape[2], 2 * patch)
    sums: Array = np.einsum("br,nrc,dc->nbd", down, values.astype(np.float64), across, optimize=True)
    return sums.astype(np.float32)


def _pixels_per_cell(size: int, cells: int, block: int) -> Array:
    pixels = np.arange(size)
    source = np.minimum(np.floor(pixels * (1.0 / (size / cells))).astype(np.int64), cells - 1)
    counts = np.zeros((size // block, cells))
    np.add.at(counts, (pixels // block, source), 1.0)
    return counts


class _Run:
    """The ``budget`` best blocks of a growing run of samples but its first, by (score descending, sample, index)."""

    def __init__(self, scores: Array, start: int, budget: int) -> None:
        self._scores = scores.reshape(len(scores), -1)
        self._start = start
        self._budget = budget
        self._best = np.zeros(0, dtype=np.float32)
        self._sample = np.zeros(0, dtype=np.int64)
        self.length = 1

    def grow(self, length: int) -> None:
        for at in range(self.length, length):
            row = self._scores[self._start + at]
            best = np.concatenate([self._best, row])
            sample = np.concatenate([self._sample, np.full(len(row), at)])
            order = np.argsort(-best, kind="stable")[: self._budget]
            self._best, self._sample = best[order], sample[order]
        self.length = length

    @property
    def readiness(self) -> float:
        return float(self._best.sum(dtype=np.float64))

    @property
    def bins_covered(self) -> int:
        edges = np.linspace(1, max(2, self.length), TIME_BINS + 1).astype(np.int64)
        samples = np.unique(self._sample)
        covered = 0
        for low, high in itertools.pairwise(edges):
            inside = (samples >= low) & (samples < max(high, low + 1))
            covered += bool(inside.any())
            samples = samples[~inside]
        return covered


def readiness_groups(
    scores: Array,
    *,
    images_per_group: int = 4,
    group_size: int = 32,
    min_group_frames: int = 8,
    max_group_frames: int = 64,
) -> Array:
    """Edges of the groups, int64 ``[groups + 1]``, of block scores float32 ``[N, hb, wb]``.

    They begin with 0; a tail too short for a group is left out, so that the last edge may be below ``N``. Fewer samples
    than a group needs are one group.
    """
    n = len(scores)
    budget = (images_per_group - 1) * scores.shape[1] * scores.shape[2]
    least = max(4, min_group_frames)
    most = max(least, max_group_frames)
    bins_wanted = min(TIME_BINS, images_per_group - 1)
    if n < least:
        return np.array([0, n], dtype=np.int64)
    fixed = []
    for start in range(0, n, group_size):
        if min(n - start, group_size) >= max(4, TIME_BINS + 1):
            run = _Run(scores, start, budget)
            run.grow(min(n - start, group_size))
            fixed.append(run.readiness)
    threshold = float(np.mean(fixed)) if fixed else 0.0
    edges = [0]
    while n - edges[-1] >= least:
        start = edges[-1]
        run = _Run(scores, start, budget)
        end = min(n, start + most)
        before: float | None = None
        for length in range(least, end - start + 1):
            run.grow(length)
            now = run.readiness
            if now >= threshold and run.bins_covered >= bins_wanted:
                chosen = length
                if before is not None and (now - before) / max(abs(before), 1e-6) < LEAST_GAIN:
                    break
            elif length == least:
                chosen = 0
            before = now
        edges.append(start + chosen if chosen else end)
    return np.array(edges, dtype=np.int64)


def readiness_blocks(
    scores: Array, bad: Array, group_edges: Array, *, images_per_group: int = 4
) -> tuple[Array, Array, Array]:
    """The source block of every block of every canvas, as ``select_blocks`` returns them, but for bad frames.

    A bad first sample gives its place to the first good one, and bad samples give no blocks. Returns int64
    ``[C, hb * wb]``, the group of each canvas, int32 ``[C]``, and whether it is an I-canvas, bool ``[C]``.
    """
    blocks = scores.shape[1] * scores.shape[2]
    flat = scores.reshape(len(scores), blocks)
    canvases, groups, first = [], [], []
    for group, (start, end) in enumerate(itertools.pairwise(group_edges)):
        good = start + np.flatnonzero(~bad[start:end])
        anchor = good[0] if len(good) else start
        candidates = good[1:]
        places = (candidates[:, None] * blocks + np.arange(blocks)).ravel()
        budget = min((images_per_group - 1) * blocks, len(places))
        best = np.sort(places[np.argsort(-flat[candidates].ravel(), kind="stable")[:budget]])
        canvases += [anchor * blocks + np.arange(blocks), *best.reshape(-1, blocks)]
        count = 1 + budget // blocks
        groups += [group] * count
        first += [True] + [False] * (count - 1)
    return np.array(canvases, dtype=np.int64), np.array(groups, dtype=np.int32), np.array(first)
