"""The main job: a video in, codec-stream tokens out."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from . import ops
from .config import CodecConfig
from .geometry import canvas_size
from .media import Array
from .tokens import CodecTokens

#: Called with the name of the stage, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]


class _Stopwatch:
    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = now - self._last
        self._last = now
        self.timings["total"] = now - self._start


def tokenize_video(
    path: str | os.PathLike[str],
    config: CodecConfig | None = None,
    *,
    backend: str = "auto",
    device: Any = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> CodecTokens:
    """Tokenizes a video: reads it once, scores what changed, and keeps the best blocks on full canvases.

    ``config`` defaults to ``CodecConfig()``; ``overrides`` are fields of it. ``backend`` is ``auto``, ``native``,
    ``reference`` or ``triton``; all give the same bits from the same pixels. With ``device``, a torch device, the
    samples are uploaded while decoding goes on, and what follows, up to the tokens' canvases and model inputs, happens
    there; ``timings`` then tell when work was queued, not when it was done. ``progress`` is called with the stage, how
    much of it is done and how much there is; what it raises ends the work. Raises ``OSError`` where the file cannot be
    read, :class:`VideoError` where it holds no usable video and ``ValueError`` for a wrong setting.
    Source: algorithm, sections 1 to 8.
    """
    config = (config or CodecConfig()).replace(**overrides)
    threads = ops.resolve_threads(config.threads)
    uploader = None if device is None else device_module()
    watch = _Stopwatch()

    info = ops.probe(path, backend=backend)
    watch.lap("probe")
    frame_ids, range_start = ops.sample_frames(
        info,
        max_samples=config.max_samples,
        sampling=config.sampling,
        avoid_keyframes=config.avoid_keyframes,
        start_time=config.start_time,
        end_time=config.end_time,
        sample_fps=config.sample_fps,
        backend=backend,
    )
    group_edges = ops.partition_groups(
        info,
        frame_ids,
        range_start,
        partition=config.partition,
        max_groups=config.max_groups,
        group_size=config.group_size,
        min_group_frames=config.min_group_frames,
        max_group_frames=config.max_group_frames,
        backend=backend,
    )
    watch.lap("plan")
    height, width = canvas_size(info.height, info.width, patch=config.patch, max_pixels=config.max_pixels)
    options: dict[str, Any] = {
        "info": info,
        "threads": threads,
        "motion_source": config.motion_wanted,
        "progress": None if progress is None else lambda done: progress("read", done, len(frame_ids)),
        "backend": backend,
    }
    if uploader is None:
        samples = ops.read_samples(path, frame_ids, height, width, **options)
    else:
        samples = uploader.read_to_device(path, frame_ids, height, width, device, **options)
    watch.lap("read")
    how: dict[str, Any] = {"patch": config.patch, "threads": threads, "backend": backend}
    if config.score_mode == "change":
        scores = ops.change_scores(samples.luma, group_edges, **how)
    else:
        energies = ops.block_energies(samples.luma, samples.prev_luma, samples.motion, samples.packet_bytes, **how)
        scores = ops.fuse_scores(*energies, group_edges, weights=config.weights, **how)
    watch.lap("score")
    selected = ops.select_blocks(
        scores,
        group_edges,
        images_per_group=config.images_per_group,
        selection=config.selection,
        threads=threads,
        backend=backend,
    )
    watch.lap("select")
    canvases, positions = ops.pack_canvases(
        samples.frames, selected, samples.frame_ids, patch=config.patch, threads=threads, backend=backend
    )
    watch.lap("pack")
    group_ids, kinds = _canvas_labels(group_edges, config.images_per_group)
    return CodecTokens(
        canvases=canvases,
        src_patch_position=positions,
        group_ids=group_ids,
        canvas_kinds=kinds,
        frame_ids=frame_ids,
        timestamps=info.times[frame_ids],
        fps=info.fps,
        total_frames=info.frames,
        source_height=info.height,
        source_width=info.width,
        codec=info.codec,
        config=config,
        motion_source=samples.motion_source,
        bits_source="none" if config.score_mode == "change" else "estimated",
        substituted_frames=frame_ids[samples.substituted],
        timings=watch.timings,
        video=os.fsdecode(path),
    )


def device_module() -> ModuleType:
    """What brings samples to a torch device; ``ImportError`` where torch is missing."""
    try:
        return importlib.import_module("ov2_kernels.device")
    except ImportError as error:
        raise ImportError("device needs torch: pip install 'ov2_kernels[torch]'") from error


def _canvas_labels(group_edges: Array, images_per_group: int) -> tuple[Array, Array]:
    """Group of each canvas, int32, and whether it is its ``I`` or a ``P``."""
    counts = np.minimum(np.diff(group_edges), images_per_group)
    kinds = np.full(int(counts.sum()), "P")
    kinds[np.cumsum(counts) - counts] = "I"
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts), kinds
