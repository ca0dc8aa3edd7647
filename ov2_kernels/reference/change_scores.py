"""One score per block from what changed since the sample and since the frame before (algorithm, section 6)."""

from __future__ import annotations

import itertools

import numpy as np

from ..media import Array

#: Differences of so many grey levels are coding noise.
DEAD_ZONE = 2
#: The score of a change as large as is usual for its place; beyond eight times that it grows 256 times as slowly.
USUAL = 8191
#: So many in a hundred of a place's changes are no larger than what is usual there.
PERCENT = 90
#: By so many pixels at most, and a quarter of the picture's side, a camera is followed from sample to sample.
REACH = 16
#: A sample from which half the blocks differ by so many grey levels shows something else than the sample before.
ELSEWHERE = 8
#: Two samples whose rows and columns differ by less, on average and together, show the same.
ALIKE = 4
#: While a sample's mean luma differs by so much from one of the next two, light still changes.
STEADY = 4
#: That is waited for as long as one of so many samples, the sample's own the last, shows something else.
PATIENCE = 6
#: What each other block of the first sample of a new shot scores.
NEW_SHOT = 5 * USUAL


def change_scores(luma: Array, prev_luma: Array, group_edges: Array, *, patch: int = 14, threads: int = 1) -> Array:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]``. Returns int32 ``[N, hb, wb]``,
    zero in each group's first sample. Source: algorithm, section 6.
    """
    n, height, width = luma.shape
    block = 2 * patch
    scores = np.zeros((n, height // block, width // block), dtype=np.int64)
    floor = block * block // 8
    for first, end in itertools.pairwise(group_edges):
        if end - first < 2:
            continue
        change, elsewhere = zip(
            *(_change(luma[i], luma[i - 1], prev_luma[i], block) for i in range(first + 1, end)), strict=True
        )
        usual = floor + np.sort(change, axis=0)[PERCENT * (len(change) - 1) // 100]
        related = np.array(change) * USUAL // usual
        scores[first + 1 : end] = np.minimum(related, 65535) + np.maximum(related - 65535, 0) // 256
        row, column = np.indices(scores.shape[1:])
        for i in _new_shots(luma[first:end], [False, *elsewhere]):
            scores[first + i] = np.where((row + column) % 2 == 0, NEW_SHOT, 0)
    return scores.astype(np.int32)


def camera_shift(luma: Array, before: Array) -> tuple[int, int]:
    """How far down and right in ``before`` lies what ``luma`` shows, both uint8 ``[H, W]``, by row and column sums.

    Source: algorithm, section 6.
    """
    return _axis_shift(luma, before, 1), _axis_shift(luma, before, 0)


def _axis_shift(luma: Array, before: Array, axis: int) -> int:
    here, there = (plane.sum(axis=axis, dtype=np.int64) for plane in (luma, before))
    side = len(here)
    reach = min(REACH, side // 4)
    middle = here[reach : side - reach]

    def cost(shift: int) -> int:
        return int(np.abs(middle - there[reach + shift : side - reach + shift]).sum())

    best = min(range(-reach, reach + 1), key=lambda shift: (cost(shift), abs(shift), shift))
    return best if 2 * cost(best) < cost(0) else 0


def _new_shots(luma: Array, elsewhere: list[bool]) -> list[int]:
    """The samples of a group with which a new shot has settled; ``elsewhere`` tells which show something else."""
    light = luma.sum(axis=(1, 2), dtype=np.int64)
    found = []
    unsettled = 0  # since this sample
    for i in range(1, len(luma) - 2):
        if not unsettled and not elsewhere[i]:
            continue
        unsettled = unsettled or i
        changes = (np.abs(light[i + 1 : i + 3] - light[i]) >= STEADY * luma[i].size).any()
        if any(elsewhere[i + 1 : i + 3]) or (changes and any(elsewhere[max(i + 1 - PATIENCE, 0) : i + 1])):
            continue
        if not _alike(luma[i], luma[unsettled - 1]):
            found.append(i)
        unsettled = 0
    return found


def _alike(luma: Array, earlier: Array) -> bool:
    """Whether a sample shows what one did before: after a flash, the shot goes on."""
    rows, columns = (
        int(np.abs(luma.sum(axis=axis, dtype=np.int64) - earlier.sum(axis=axis, dtype=np.int64)).sum())
        for axis in (1, 0)
    )
    return rows + columns < ALIKE * luma.size


def _change(luma: Array, before: Array, prev_luma: Array, block: int) -> tuple[Array, bool]:
    """Grey levels beyond the dead zone, summed over each block; less the median of the frame's blocks.

    With it, whether the frame shows something else than the sample before, which then counts as no change.
    """
    height, width = luma.shape
    dy, dx = camera_shift(luma, before)
    rows, columns = np.clip(np.arange(height) + dy, 0, height - 1), np.clip(np.arange(width) + dx, 0, width - 1)
    followed = before[rows][:, columns]
    since_sample = np.minimum(_since_sample(luma, before, block), _since_sample(luma, followed, block))
    elsewhere = _median(since_sample) >= ELSEWHERE * block * block
    sums = _beyond(luma, prev_luma, block) + (0 if elsewhere else since_sample)
    return np.asarray(np.maximum(sums - _median(sums), 0)), elsewhere


def _median(sums: Array) -> int:
    return int(np.sort(sums, axis=None)[(sums.size - 1) // 2])


def _since_sample(luma: Array, before: Array, block: int) -> Array:
    """What single pixels differ by, and half of what the means of the patches do beyond a quarter of a grey level."""
    patch = block // 2
    apart = np.abs(_sums(luma.astype(np.int64) - before, patch))
    return _beyond(luma, before, block) + _sums(np.maximum(apart - patch * patch // 4, 0) // 2, 2)


def _beyond(luma: Array, other: Array, block: int) -> Array:
    return _sums(np.maximum(np.abs(luma.astype(np.int64) - other) - DEAD_ZONE, 0), block)


def _sums(values: Array, side: int) -> Array:
    """Over squares of so many values a side."""
    height, width = values.shape
    return np.asarray(values.reshape(height // side, side, width // side, side).sum(axis=(1, 3)))
