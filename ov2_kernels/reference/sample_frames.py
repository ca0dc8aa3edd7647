"""Which frames to look at (algorithm, section 2)."""

from __future__ import annotations

import math

import numpy as np

from ..media import Array, VideoInfo

#: Frames shown after a frame that are asked whether they are decoded before it.
AHEAD = 32
#: Frames of a kind before and after a frame that tell with it what is usual.
NEIGHBOURS = 12


def sample_frames(
    info: VideoInfo,
    *,
    max_samples: int,
    sampling: str = "peaks",
    avoid_keyframes: bool = True,
    start_time: float | None = None,
    end_time: float | None = None,
    sample_fps: float | None = None,
) -> tuple[Array, int]:
    """Chooses the frames to look at, from the packet table alone.

    Returns the frames, int64 ``[N]``, strictly increasing, and the first frame of the range they were taken from.
    Times are seconds, both ends included. Raises ``ValueError`` where the range holds no frame.
    Source: algorithm, section 2.
    """
    times = info.times
    start = -math.inf if start_time is None else start_time
    end = math.inf if end_time is None else end_time
    inside = [t for t in range(info.frames) if start <= times[t] <= end]
    if not inside:
        raise ValueError("no frame lies between start_time and end_time")
    first, last = inside[0], inside[-1]

    base: list[int] = []
    if sample_fps is not None:
        base = _by_rate(times, first, last, max_samples, sample_fps)
    if not base:
        base = _by_count(first, last, max_samples)

    excess = packet_excess(info) if sampling == "peaks" else np.empty(0)
    frame_ids = []
    for i, frame in enumerate(base):
        begin = first if i == 0 else (base[i - 1] + frame) // 2 + 1
        end_ = last if i == len(base) - 1 else (frame + base[i + 1]) // 2
        interval = range(begin, end_ + 1)
        if sampling == "peaks":
            peak = min(interval, key=lambda t: (-excess[t], t))
            frame = peak if excess[peak] > 0 else frame
        elif sampling == "near_keyframes":
            frame = min(interval, key=lambda t: (_decode_cost(info, t), t))
        if avoid_keyframes:
            moving = [t for t in interval if not info.is_key[t]]
            frame = min(moving, key=lambda t: (abs(t - frame), -t), default=frame)
        frame_ids.append(frame)
    return np.array(frame_ids, dtype=np.int64), first


def packet_excess(info: VideoInfo) -> Array:
    """By how many bytes each frame's packet exceeds the usual of its kind, int64 ``[frames]``; 0 unless by half of it.

    Keyframes have none. Source: algorithm, section 2.
    """
    excess = np.zeros(info.frames, dtype=np.int64)
    kinds = [
        min(2, int((info.decode_index[t + 1 : t + 1 + AHEAD] < info.decode_index[t]).sum())) for t in range(info.frames)
    ]
    for kind in range(3):
        alike = [t for t in range(info.frames) if kinds[t] == kind and not info.is_key[t]]
        for place, t in enumerate(alike):
            sizes = sorted(int(info.size[u]) for u in alike[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1])
            usual = sizes[(len(sizes) - 1) // 2]
            beyond = int(info.size[t]) - usual
            excess[t] = beyond if 2 * beyond > usual else 0
    return excess


def _by_count(first: int, last: int, max_samples: int) -> list[int]:
    frames = last - first + 1
    count = min(max_samples, frames)
    if count == 1:
        return [first]
    return [first + i * (frames - 1) // (count - 1) for i in range(count)]


def _by_rate(times: Array, first: int, last: int, max_samples: int, sample_fps: float) -> list[int]:
    """Frames nearest to instants ``1 / sample_fps`` apart, none where there would be more than ``max_samples``."""
    start = float(times[first])
    count = math.floor((float(times[last]) - start) * sample_fps + 1e-9) + 1
    if count > max_samples:
        return []
    frames = []
    for k in range(count):
        instant = start + k / sample_fps
        frames.append(min(range(first, last + 1), key=lambda t: (abs(float(times[t]) - instant), t)))
    return sorted(set(frames))


def _decode_cost(info: VideoInfo, frame: int) -> int:
    """Packets from the keyframe before, in decode order; from the start where there is none."""
    place = int(info.decode_index[frame])
    before = [int(k) for k in info.decode_index[info.is_key] if k <= place]
    return place - max(before, default=-1)
