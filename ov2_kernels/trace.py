"""Tokens traced back: the packets, pictures and scores that they come from, worked out once more for whoever looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import ops
from .bits import exact_bits, merge_bits
from .choose import score_inputs
from .media import Array, Samples, VideoInfo
from .tokens import CodecTokens


@dataclass(frozen=True, eq=False)
class Trace:
    """The stages' results between the video and its tokens; ``N`` samples of ``hb`` x ``wb`` blocks."""

    info: VideoInfo
    samples: Samples
    #: int32, int32 and int64 ``[N, hb, wb]``, as ``block_energies`` returns them
    residual: Array
    motion: Array
    bits: Array
    #: int32 ``[N, hb, wb]``, as ``fuse_scores`` or ``change_scores`` returns it
    scores: Array
    #: source block of each block of each canvas, int64 ``[C, hb * wb]``: ``sample * hb * wb + block``
    selected: Array

    @property
    def kept(self) -> Array:
        """Which blocks of the samples are on a canvas, bool ``[N, hb, wb]``."""
        mask = np.zeros(self.scores.size, dtype=bool)
        mask[self.selected.ravel()] = True
        return mask.reshape(self.scores.shape)


def trace_tokens(
    tokens: CodecTokens,
    video: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
) -> Trace:
    """Reads the samples of ``tokens`` from their video again and scores them as they were scored.

    The three energies are measured even where the score looks at none of them.
    ``video`` is by default where ``tokens`` found it. Raises ``ValueError`` where it is another video.
    """
    tokens = tokens.numpy()
    if tokens.evidence != "codec":
        raise ValueError(f"only codec-stream tokens can be traced: these are {tokens.evidence}, kept whole")
    if tokens.config.profile != "default":
        raise ValueError(f"tokens of the profile {tokens.config.profile} cannot be traced")
    path = tokens.video if video is None else os.fsdecode(video)
    if not path:
        raise ValueError("video must be given: these tokens do not know where theirs lies")
    info = ops.probe(path, limits=tokens.config.limits, backend=backend)
    seen = (info.frames, info.height, info.width, info.codec)
    told = (tokens.total_frames, tokens.source_height, tokens.source_width, tokens.codec)
    if seen != told:
        raise ValueError(
            f"{path} is not the video of these tokens: {seen[0]} frames of {seen[2]}x{seen[1]} in {seen[3]}, "
            f"not {told[0]} of {told[2]}x{told[1]} in {told[3]}"
        )
    config = tokens.config
    shown = config.replace(score_mode="fused") if config.score_mode == "change" else config
    height, width = tokens.canvases.shape[1:3]
    samples = ops.read_samples(
        path,
        tokens.frame_ids,
        height,
        width,
        info=info,
        threads=config.threads,
        motion_source=shown.motion_wanted,
        progress=progress,
        limits=config.limits,
        backend=backend,
    )
    exact, known = exact_bits(path, info, tokens.frame_ids, height, width, shown, backend=backend)
    residual, motion, bits = score_inputs(samples, config, config.threads, backend, partial(merge_bits, exact, known))
    how: dict[str, Any] = {"patch": config.patch, "threads": config.threads, "backend": backend}
    if config.score_mode == "change":
        scores = ops.change_scores(samples.luma, samples.prev_luma, tokens.group_edges, **how)
    else:
        scores = ops.fuse_scores(residual, motion, bits, tokens.group_edges, weights=config.weights, **how)
    return Trace(info, samples, residual, motion, bits, scores, _selected(tokens))


def _selected(tokens: CodecTokens) -> Array:
    """Where each block of each canvas was taken from, by the position of its first patch."""
    hp, wp = tokens.grid
    places = tokens.src_patch_position.reshape(len(tokens.canvases), hp // 2, 2, wp // 2, 2, 3)[:, :, 0, :, 0]
    sample = np.searchsorted(tokens.frame_ids, places[..., 0])
    block = places[..., 1] // 2 * (wp // 2) + places[..., 2] // 2
    return np.asarray(sample * (hp * wp // 4) + block, dtype=np.int64).reshape(len(tokens.canvases), -1)
