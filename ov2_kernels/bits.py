"""Bits of the sampled frames' blocks: off the bitstream where that can be read, estimated elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from . import ops
from .config import CodecConfig
from .errors import BackendUnavailableError
from .limits import Limits
from .media import Array, BitCost, VideoInfo


def sample_costs(
    path: str | os.PathLike[str],
    info: VideoInfo,
    frame_ids: Array,
    config: CodecConfig,
    *,
    progress: Callable[[int], None] | None = None,
    limits: Limits | None = None,
    **rules: bool,
) -> BitCost | None:
    """The bit cost of the samples; None where none can be had, or none is asked for.

    Without timestamps it is the decoder that knows which packet a picture comes from, and so nobody here does.
    """
    if config.bits_source != "exact" or info.codec != "h264" or not info.has_timestamps:
        return None
    try:
        return ops.bit_cost(
            path,
            frame_ids,
            info=info,
            threads=config.threads,
            progress=progress,
            limits=limits or config.limits,
            **rules,
        )
    except BackendUnavailableError:  # the parser is compiled; the reference backend works without
        return None


def exact_bits(
    path: str | os.PathLike[str],
    info: VideoInfo,
    frame_ids: Array,
    height: int,
    width: int,
    config: CodecConfig,
    *,
    progress: Callable[[int], None] | None = None,
    limits: Limits | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """The bits of the samples' blocks, int64 ``[N, hb, wb]`` in 1/256 bit, and where they are known, bool ``[N]``.

    Where the score leaves bits out, none are read. ``limits`` are by default those of ``config``.
    Source: algorithm, section 12.
    """
    count, block = len(frame_ids), 2 * config.patch
    cost = None
    if config.bits_wanted:
        cost = sample_costs(path, info, frame_ids, config, progress=progress, limits=limits)
    if cost is None or not cost.exact.any():
        return np.zeros((count, height // block, width // block), dtype=np.int64), np.zeros(count, dtype=bool)
    bits = ops.block_bits(*cost.cells(info), height, width, patch=config.patch, threads=config.threads, backend=backend)
    return bits, cost.exact


def merge_bits(exact: Array, known: Array, estimated: Array) -> Array:
    """``exact`` where ``known``, else ``estimated``; on a device, ``device.send_plan`` does the same."""
    return np.where(known[:, None, None], exact, estimated)


def source_name(known: Array, config: CodecConfig) -> str:
    """``exact``, ``estimated``, ``mixed`` where pictures differ in that, or ``none`` where no bits count."""
    if not config.bits_wanted:
        return "none"
    return "exact" if known.all() else "mixed" if known.any() else "estimated"
