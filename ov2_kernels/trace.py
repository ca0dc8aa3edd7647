"""Tokens traced back: the packets, pictures and scores that they come from, worked out once more for whoever looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import ops
from .bits import exact_bits, merge_bits
from .choose import score_inputs
from .config import CodecConfig
from .limits import Deadline
from .media import Array, Pictures, Samples, VideoInfo
from .tokens import CodecTokens

#: Groups are read together up to so many samples, whose pictures are in memory at the same time.
_AT_ONCE = 512
#: Up to so many samples the pictures of all are kept, of more only those that gave a block.
MOST_PICTURES = 1024


@dataclass(frozen=True, eq=False)
class Trace:
    """The stages' results between the video and its tokens; ``N`` samples of ``hb`` x ``wb`` blocks."""

    info: VideoInfo
    #: the samples whose pictures are kept, int64 ``[S]``, and these, RGB uint8 ``[S, H, W, 3]``
    shown: Array
    pictures: Array
    #: bytes of each sample's packet, int64 ``[N]``, and letter of its picture type, ``S1`` ``[N]``
    packet_bytes: Array
    pict_types: Array
    #: int32, int32 and int64 ``[N, hb, wb]``, as ``block_energies`` returns them
    residual: Array
    motion: Array
    bits: Array
    #: int32 ``[N, hb, wb]``, as ``fuse_scores`` or ``change_scores`` returns it
    scores: Array
    #: source block of each block of each canvas, int64 ``[C, hb * wb]``: ``sample * hb * wb + block``
    selected: Array


def trace_tokens(
    tokens: CodecTokens,
    video: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
) -> Trace:
    """Reads the samples of ``tokens`` from their video again and scores them as they were scored.

    The three energies are measured even where the score looks at none of them.
    ``video`` is by default where ``tokens`` found it. Raises ``ValueError`` where it is another video, or where these
    are tokens of whole frames or of another profile.
    """
    tokens, path, info = traceable(tokens, video, backend)
    config = tokens.config
    selected = _selected(tokens)
    blocks = selected.shape[1]
    shown = np.arange(len(tokens.frame_ids))
    if len(shown) > MOST_PICTURES:
        shown = np.flatnonzero(np.bincount(selected.ravel() // blocks, minlength=len(shown)))
    height, width = tokens.canvases.shape[1:3]
    pictures = np.empty((len(shown), height, width, 3), np.uint8)
    parts: list[tuple[Array, ...]] = []
    deadline = Deadline(path, config)
    for first, end, samples in _read(tokens, path, info, deadline, progress, backend):
        edges = tokens.group_edges[(tokens.group_edges >= first) & (tokens.group_edges <= end)] - first
        parts.append(
            (samples.packet_bytes, samples.pict_types, *_score(samples, edges, path, info, config, deadline, backend))
        )
        here = (shown >= first) & (shown < end)
        whole = (shown[here, None] - first) * blocks + np.arange(blocks)
        # Colour is converted where it is packed: these are whole frames.
        pictures[here], _ = ops.pack_canvases(
            samples.frames, whole, samples.frame_ids, patch=config.patch, threads=config.threads, backend=backend
        )
    packet_bytes, pict_types, residual, motion, bits, scores = map(np.concatenate, zip(*parts, strict=True))
    return Trace(info, shown, pictures, packet_bytes, pict_types, residual, motion, bits, scores, selected)


def traceable(
    tokens: CodecTokens, video: str | os.PathLike[str] | None, backend: str
) -> tuple[CodecTokens, str, VideoInfo]:
    """The tokens in memory of the host, where their video lies, and its packets; raises as :func:`trace_tokens`."""
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
    return tokens, path, info


def _reading(config: CodecConfig) -> CodecConfig:
    """The settings with which samples are read again: all energies are measured, whatever the score looks at."""
    return config.replace(score_mode="fused") if config.score_mode == "change" else config


def runs(group_edges: Array, most: int) -> list[tuple[int, int]]:
    """Runs of whole groups, of ``most`` samples at most but where a group has more."""
    edges = group_edges.tolist()
    found, first = [], edges[0]
    for edge, following in zip(edges[1:], [*edges[2:], None], strict=True):
        if following is None or following - first > most:
            found.append((first, edge))
            first = edge
    return found


def _read(
    tokens: CodecTokens,
    path: str,
    info: VideoInfo,
    deadline: Deadline,
    progress: Callable[[int], None] | None,
    backend: str,
) -> Iterator[tuple[int, int, Samples]]:
    """The samples, some groups at a time; first and end of each such run."""
    height, width = tokens.canvases.shape[1:3]
    config = _reading(tokens.config)
    for first, end in runs(tokens.group_edges, _AT_ONCE):
        yield (
            first,
            end,
            ops.read_samples(
                path,
                tokens.frame_ids[first:end],
                height,
                width,
                info=info,
                pictures=Pictures.empty(end - first, height, width, frames=False),
                threads=config.threads,
                motion_source=config.motion_wanted,
                progress=further(progress, first),
                limits=deadline.left(),
                backend=backend,
            ),
        )


def further(progress: Callable[[int], None] | None, before: int) -> Callable[[int], None] | None:
    """What tells ``progress`` of samples that come behind so many."""
    return None if progress is None else lambda done: progress(before + done)


def _score(
    samples: Samples,
    edges: Array,
    path: str,
    info: VideoInfo,
    config: CodecConfig,
    deadline: Deadline,
    backend: str,
) -> tuple[Array, Array, Array, Array]:
    """The three energies and the score of some groups."""
    height, width = samples.luma.shape[1:]
    exact, known = exact_bits(
        path, info, samples.frame_ids, height, width, _reading(config), limits=deadline.left(), backend=backend
    )
    energies = score_inputs(samples, config, config.threads, backend, partial(merge_bits, exact, known))
    how: dict[str, Any] = {"patch": config.patch, "threads": config.threads, "backend": backend}
    if config.score_mode == "change":
        scores = ops.change_scores(samples.luma, samples.prev_luma, edges, **how)
    else:
        scores = ops.fuse_scores(*energies, edges, weights=config.weights, **how)
    return (*energies, scores)


def kept_mask(tokens: CodecTokens) -> Array:
    """Which blocks of the samples are on a canvas, bool ``[N, hb, wb]``."""
    hp, wp = tokens.grid
    mask = np.zeros((len(tokens.frame_ids), hp // 2, wp // 2), dtype=bool)
    mask.ravel()[_selected(tokens).ravel()] = True
    return mask


def _selected(tokens: CodecTokens) -> Array:
    """Where each block of each canvas was taken from, by the position of its first patch."""
    hp, wp = tokens.grid
    places = tokens.src_patch_position.reshape(len(tokens.canvases), hp // 2, 2, wp // 2, 2, 3)[:, :, 0, :, 0]
    sample = np.searchsorted(tokens.frame_ids, places[..., 0])
    block = places[..., 1] // 2 * (wp // 2) + places[..., 2] // 2
    return np.asarray(sample * (hp * wp // 4) + block, dtype=np.int64).reshape(len(tokens.canvases), -1)
