"""The main job: a video in, codec-stream tokens out."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import ops
from .bits import source_name
from .choose import Chooser
from .config import CodecConfig
from .dispatch import resolve_threads
from .errors import NotAVideoError
from .limits import Deadline
from .tokens import CodecTokens

#: Called with the name of the stage, how much of it is done and how much there is.
Progress = Callable[[str, int, int], None]


class _Stopwatch:
    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings[stage] = self.timings.get(stage, 0.0) + now - self._last
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

    ``profile="readiness"`` selects what codec-video-prep 0.2.5 selects (section 13). With ``score_mode="bits"`` and
    H.264, nothing is decoded before it is known what is kept, and only what is needed for that. ``config`` defaults to
    ``CodecConfig()``; ``overrides`` are fields of it. ``backend`` is ``auto``, ``native``, ``reference`` or ``triton``;
    all give the same bits from the same pixels. With ``device``, a torch device, the samples are uploaded while
    decoding goes on, and what follows, up to the tokens' canvases and model inputs, happens there. On the CPU, with the
    native backend and ``score_mode="change"``, each group is scored and packed as soon as its samples are there, while
    later ones are decoded. ``timings`` are seconds that the calling thread spent on each stage, and sum to ``total``.
    What went on beside reading, groups and bits, counts as ``read``; ``score``, ``select`` and ``pack`` are then of the
    groups that were left when all was read. With ``device`` they tell when work was queued, not when it was done.
    ``progress`` is called in the calling thread with the stage, how much of it is done and how much there is; what it
    raises ends the work. Raises a :class:`VideoError` (see :mod:`ov2_kernels.errors`) where the file cannot be read
    (then also an ``OSError``), holds no usable video, exceeds a limit or takes too long, ``ValueError`` for a wrong
    setting and ``TypeError`` for one that there is not. Source: algorithm, sections 1 to 8, 12 and 13.
    """
    config = (config or CodecConfig()).replace(**overrides)
    threads = resolve_threads(config.threads)
    if device is not None:
        if config.profile == "readiness":
            raise ValueError("profile readiness is for the CPU: device must be None")
        device_module().check_device(device)  # before any work
    watch = _Stopwatch()
    deadline = Deadline(path, config)

    def lap(stage: str) -> None:
        watch.lap(stage)
        deadline.check()

    with deadline:
        try:
            info = ops.probe(path, limits=deadline.left(), backend=backend)
        except NotAVideoError as error:
            if _is_image(path):
                hint = "is an image, not a video: ov2_kernels.tokenize_image takes it"
                raise NotAVideoError(f"{os.fsdecode(path)}: {hint}") from error
            raise
        lap("probe")
        choice = Chooser(path, info, config, threads, backend, device, progress, lap, deadline).choose()
    samples, frame_ids = choice.samples, choice.frame_ids
    return CodecTokens(
        canvases=choice.canvases,
        src_patch_position=choice.positions,
        group_ids=choice.group_ids,
        canvas_kinds=choice.canvas_kinds,
        frame_ids=frame_ids,
        timestamps=info.times[frame_ids],
        fps=info.fps,
        total_frames=info.frames,
        source_height=info.height,
        source_width=info.width,
        codec=info.codec,
        config=config,
        motion_source=samples.motion_source,
        bits_source=source_name(choice.exact, config),
        exact_pictures=int(choice.exact.sum()),
        substituted_frames=choice.substituted_frames,
        substitutes=samples.shown_ids[samples.substituted],
        missing_frames=info.missing_frames,
        sample_edges=choice.group_edges,
        timings=watch.timings,
        video=os.fsdecode(path),
    )


def _is_image(path: str | os.PathLike[str]) -> bool:
    from .sources import evidence_of

    with contextlib.suppress(Exception):  # in broken data Pillow meets whatever there is
        return evidence_of(path) == "image"
    return False


def device_module() -> ModuleType:
    """What brings samples to a torch device; ``ImportError`` where torch is missing."""
    try:
        return importlib.import_module("ov2_kernels.device")
    except ImportError as error:
        raise ImportError("device needs torch: pip install 'ov2_kernels[torch]'") from error
