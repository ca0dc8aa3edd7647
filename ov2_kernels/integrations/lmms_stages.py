"""The rules of ``lmms_video_utils`` 0.1.0 over our reader and kernels, in integers.

Sampling: ``n`` frames of the range at ``round(linspace)``; a time is the frame ``round(time * fps)``. Groups: even, or
by packet energy (algorithm, section 3). Scores, ``framediff``: the difference to the sample before, summed over a
block; ``mvwarp``: the residual of section 5, times ``1 + weight * b`` or ``(b + 1e-6) ** weight`` with ``b`` the
sample's packet size, scaled to 0 .. 1 over the group. Selection: in each frame a block's score is divided by
``sqrt(1 + rank / 2)``; the group is cut into as many stretches, of equal numbers of frames, as there are P-canvases,
and each gives its best blocks, those at places that an earlier stretch has shown counting 0.15.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import ops
from ..frames import spread
from ..limits import Deadline
from ..media import Array, Samples, VideoInfo

if TYPE_CHECKING:
    from .lmms_video_utils import CodecConfig

#: 1 in the fixed-point factors of scores
ONE = 1 << 16
#: what a block counts whose place the group has shown already
SHOWN_BEFORE = 9830  # 0.15


@dataclass(frozen=True, eq=False)
class Result:
    """What becomes of a video, as arrays."""

    #: uint8 ``[C, H, W, 3]``
    canvases: Array
    #: int32 ``[C * hp * wp, 3]``
    positions: Array
    #: int64 ``[C]``
    group_ids: Array
    #: seconds of each group's first frame on the stream's clock, float64 ``[groups]``
    group_times: Array
    fps: float


def tokenize(path: str | os.PathLike[str], config: CodecConfig) -> Result:
    """Tokenizes a video."""
    with Deadline(path, config.limits) as deadline:
        info = ops.probe(path, limits=deadline.left())
        first, count = frame_range(info, config.start_time, config.end_time)
        wanted = config.num_sampled_frames(info.duration)
        frame_ids = first + spread(count, wanted)
        edges = ops.partition_groups(
            info,
            frame_ids,
            first,
            partition={"uniform": "uniform", "bitcost": "energy"}[config.gop_mode],
            max_groups=config.target_canvas // config.images_per_group,
            group_size=config.group_size,
            min_group_frames=config.min_group_frames,
            max_group_frames=config.max_group_frames,
        )
        height, width = canvas_size(info.height, info.width, config.block_px, config.max_pixels)
        motion_source = "none" if config.score_mode == "framediff" else "auto"
        samples = ops.read_samples(
            path, frame_ids, height, width, info=info, motion_source=motion_source, limits=deadline.left()
        )
    selected, group_ids = select(score(samples, edges, config), edges, config.images_per_group - 1)
    canvases, positions = ops.pack_canvases(samples.frames, selected, frame_ids, patch=config.patch)
    times = info.pts[frame_ids[edges[:-1]]] * float(info.time_base)
    return Result(canvases, positions, group_ids, np.asarray(times), info.fps)


def frame_range(info: VideoInfo, start_time: float | None, end_time: float | None) -> tuple[int, int]:
    """First frame and number of frames whose times, rounded to frames, lie in ``[start_time, end_time)``."""
    half = 0.5 / info.fps
    low = -math.inf if start_time is None else start_time - half
    high = math.inf if end_time is None else end_time - half
    inside = np.flatnonzero((info.times >= low) & (info.times < high))
    if not len(inside):
        raise ValueError(f"start_time and end_time leave no frame of {info.path}: it has {info.duration:.3f} seconds")
    return int(inside[0]), int(inside[-1] - inside[0]) + 1


def canvas_size(height: int, width: int, block_px: int, max_pixels: int) -> tuple[int, int]:
    """Canvas of as many blocks as ``max_pixels`` holds, in the shape of the picture: small ones are enlarged to it."""
    limit = max_pixels // block_px**2
    ratio = width / height
    rows = max(1, round(math.sqrt(limit / ratio)))
    columns = max(1, round(rows * ratio))
    if rows * columns > limit:
        columns = max(1, limit // rows)
    if rows * columns > limit:
        rows = limit // columns
    return rows * block_px, columns * block_px


def score(samples: Samples, edges: Array, config: CodecConfig) -> Array:
    """Score of every block, int64 ``[N, hb, wb]``; those of a group's first sample mean nothing."""
    framediff = config.score_mode == "framediff"
    before = np.concatenate([samples.luma[:1], samples.luma[:-1]]) if framediff else samples.prev_luma
    residual, _, _ = ops.block_energies(samples.luma, before, samples.motion, samples.packet_bytes, patch=config.patch)
    scores: Array = residual.astype(np.int64)
    if framediff or config.bitcost_score_mode == "off":
        return scores
    return scores * packet_weights(samples.packet_bytes, edges, config)[:, None, None] // ONE


def packet_weights(packet_bytes: Array, edges: Array, config: CodecConfig) -> Array:
    """What a sample's packet makes its scores count, in ``1 / ONE``, int64 ``[N]``."""
    share = np.zeros(len(packet_bytes))
    for first, end in zip(edges[:-1] + 1, edges[1:], strict=True):
        sizes = packet_bytes[first:end]
        if len(sizes):
            share[first:end] = (sizes - sizes.min()) / max(int(sizes.max() - sizes.min()), 1)
    if config.bitcost_score_mode == "additive":
        weights = 1.0 + config.bitcost_score_weight * share
    else:
        weights = (share + 1e-6) ** config.bitcost_score_weight
    rounded: Array = np.rint(ONE * weights).astype(np.int64)
    return rounded


def select(scores: Array, edges: Array, p_canvases: int) -> tuple[Array, Array]:
    """The blocks of every canvas, as :func:`ov2_kernels.ops.select_blocks` gives them, and each canvas's group.

    A stretch without frames gives no canvas.
    """
    blocks = scores.shape[1] * scores.shape[2]
    attenuated = attenuate(scores.reshape(len(scores), blocks))
    selected: list[Array] = []
    groups: list[int] = []
    for group, (first, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        selected.append(first * blocks + np.arange(blocks))
        groups.append(group)
        shown = np.zeros(blocks, dtype=bool)
        for r in range(p_canvases):
            low, high = (first + 1 + round(i * (end - first) / p_canvases) for i in (r, r + 1))
            candidates = attenuated[low : min(high, end)]
            if not len(candidates):
                continue
            weighed = np.where(shown, candidates * SHOWN_BEFORE >> 16, candidates).reshape(-1)
            best = np.sort(np.argsort(-weighed, kind="stable")[:blocks])
            shown[best % blocks] = True
            selected.append(low * blocks + best)
            groups.append(group)
    return np.stack(selected), np.array(groups, dtype=np.int64)


def attenuate(scores: Array) -> Array:
    """Scores ``[N, blocks]``, each divided by ``sqrt(1 + rank / 2)`` with its rank in its frame, int64."""
    order = np.argsort(-scores, axis=1, kind="stable")
    table = np.rint(ONE / np.sqrt(1.0 + 0.5 * np.arange(scores.shape[1]))).astype(np.int64)
    factors = np.empty_like(order)
    np.put_along_axis(factors, order, np.broadcast_to(table, order.shape), axis=1)
    return scores * factors
