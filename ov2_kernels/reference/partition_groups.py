"""Where one group of samples ends and the next begins (algorithm, section 3)."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..media import Array, VideoInfo


def partition_groups(
    info: VideoInfo,
    frame_ids: Array,
    range_start: int = 0,
    *,
    partition: str = "energy",
    max_groups: int,
    group_size: int = 32,
    min_group_frames: int = 8,
    max_group_frames: int = 64,
) -> Array:
    """Cuts the samples into groups: short ones where packets carry many bytes, long ones where little happens.

    ``frame_ids`` int64 ``[N]``. Returns the edges in samples, int64 ``[groups + 1]``; there are at most
    ``max_groups`` groups. Source: algorithm, section 3.
    """
    samples = len(frame_ids)
    if samples < min_group_frames:
        return np.array([0, samples], dtype=np.int64)
    energy = _sample_energy(info, frame_ids, range_start)
    if partition == "fixed":
        edges = [*range(0, samples, group_size), samples]
    elif partition == "uniform" or not any(energy):
        count = max(1, min(max_groups, samples // min_group_frames))
        edges = [i * samples // count for i in range(count + 1)]
    else:
        longest = max(max_group_frames, 2 * math.ceil(samples / max_groups))
        low, high = 1, sum(energy) + 1
        while low < high:
            middle = (low + high) // 2
            if len(_cut_by_quota(energy, middle, min_group_frames, longest)) - 1 <= max_groups:
                high = middle
            else:
                low = middle + 1
        edges = _cut_by_quota(energy, high, min_group_frames, longest)

    while len(edges) - 1 > max_groups:
        joint = [edges[i + 1] - edges[i - 1] for i in range(1, len(edges) - 1)]
        del edges[1 + joint.index(min(joint))]
    while partition != "fixed" and len(edges) - 1 < max_groups:
        length = [b - a for a, b in itertools.pairwise(edges)]
        longest_group = length.index(max(length))
        if length[longest_group] < 2 * min_group_frames:
            break
        edges.insert(longest_group + 1, edges[longest_group] + length[longest_group] // 2)
    return np.array(edges, dtype=np.int64)


def _sample_energy(info: VideoInfo, frame_ids: Array, range_start: int) -> list[int]:
    """Bytes of the non-key packets in ``(t_{i-1}, t_i]``, from the range's start for the first sample."""
    energy = []
    begin = range_start
    for frame in frame_ids:
        energy.append(sum(int(info.size[t]) for t in range(begin, int(frame) + 1) if not info.is_key[t]))
        begin = int(frame) + 1
    return energy


def _cut_by_quota(energy: list[int], quota: int, shortest: int, longest: int) -> list[int]:
    samples = len(energy)
    edges = [0]
    start = 0
    while start < samples:
        gathered = 0
        for i in range(start, samples):
            gathered += energy[i]
            length = i - start + 1
            if length >= longest or (length >= shortest and gathered >= quota):
                break
        else:
            edges.append(samples)
            break
        near = range(max(0, i - shortest // 2), min(samples - 1, i + shortest // 2) + 1)
        cuts = [c for c in near if shortest <= c - start + 1 <= longest]
        start = min(cuts, key=lambda c: (energy[c], abs(c - i), c)) + 1
        edges.append(start)
    if len(edges) > 2 and edges[-1] - edges[-2] < shortest:
        del edges[-2]
    return edges
