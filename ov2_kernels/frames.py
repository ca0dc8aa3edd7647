"""Whole frames as evidence: no selection, every sampled frame a canvas of its own."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ops
from .checks import check_integer
from .config import CodecConfig
from .dispatch import resolve_threads
from .geometry import canvas_size
from .limits import Deadline, Limits
from .media import Array, Pictures, VideoInfo
from .tokens import CodecTokens
from .video import Progress, device_module

if TYPE_CHECKING:
    from PIL import Image

#: frames at most of a video whose number of frames is not given
MAX_FRAMES = 32


def tokenize_frames(
    source: str | os.PathLike[str] | Array | Sequence[Array | Image.Image],
    *,
    target_fps: float | None = None,
    num_frames: int | None = None,
    max_frames: int | None = None,
    fps: float = 1.0,
    start_time: float | None = None,
    end_time: float | None = None,
    patch: int = 14,
    max_pixels: int = 150_000,
    threads: int | None = None,
    limits: Limits | None = None,
    backend: str = "auto",
    device: Any = None,
    progress: Progress | None = None,
) -> CodecTokens:
    """Tokenizes evenly spaced whole frames of a video, or frames that the caller brings.

    Of a video there are ``target_fps`` a second or ``num_frames`` (not both), or, where neither is given, 8 below 10
    seconds, 16 below 30 and else ``max_frames`` (32), which also limits ``target_fps``; ``start_time`` and
    ``end_time``, in seconds, restrict it first. Frames that the caller brings, PIL images or uint8 ``[H, W, 3]``, are
    ``1 / fps`` seconds apart and all taken unless one of the three is given. Every frame is a group of its own.
    ``limits`` say what of a video is accepted. Raises what :func:`ov2_kernels.tokenize_video` raises. Source:
    algorithm, section 10.
    """
    start = time.perf_counter()
    for name, value in (("num_frames", num_frames), ("max_frames", max_frames)):
        if value is not None:
            check_integer(name, value, 1)
    for name, number in (("target_fps", target_fps), ("fps", fps)):
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"{name} must be above 0, got {number}")
    if num_frames is not None and target_fps is not None:
        raise ValueError(f"num_frames and target_fps exclude each other, got {num_frames} and {target_fps}")
    if device is not None:
        device_module().check_device(device)
    limits = (limits or Limits()).limits
    config = whole_config(patch, max_pixels, threads).replace(
        start_time=start_time, end_time=end_time, **dataclasses.asdict(limits)
    )
    facts: dict[str, Any]
    if isinstance(source, (str, os.PathLike)):
        with Deadline(source, limits) as deadline:
            info = ops.probe(source, limits=deadline.left(), backend=backend)
            first, count = _range(info, config)
            duration = float(info.times[first + count - 1] - info.times[first]) + 1.0 / info.fps
            wanted = _number_of_frames(duration, target_fps, num_frames, max_frames or MAX_FRAMES)
            frame_ids = first + spread(count, wanted)
            height, width = canvas_size(info.height, info.width, patch=patch, max_pixels=max_pixels)
            samples = ops.read_samples(
                source,
                frame_ids,
                height,
                width,
                info=info,
                threads=resolve_threads(threads),
                motion_source="none",
                pictures=Pictures.empty(len(frame_ids), height, width, predecessors=False),
                progress=None if progress is None else lambda done: progress("read", done, len(frame_ids)),
                limits=deadline.left(),
                backend=backend,
            )
        frames = samples.frames
        facts = {
            "timestamps": info.times[frame_ids],
            "fps": info.fps,
            "total_frames": info.frames,
            "source_height": info.height,
            "source_width": info.width,
            "codec": info.codec,
            "video": os.fsdecode(source),
            "substituted_frames": frame_ids[samples.substituted],
            "substitutes": samples.shown_ids[samples.substituted],
            "missing_frames": info.missing_frames,
        }
    else:
        frame_ids, frames, facts = _from_memory(source, config, fps, (target_fps, num_frames, max_frames))
    return pack_whole(frames, frame_ids, config, "frames", backend, device, start, facts)


def spread(count: int, wanted: int) -> Array:
    """``wanted`` places, or all if there are fewer, evenly over ``0 .. count - 1``, halves to even: int64."""
    places: Array = np.rint(np.linspace(0, count - 1, min(wanted, count))).astype(np.int64)
    return places


def _number_of_frames(duration: float, target_fps: float | None, num_frames: int | None, max_frames: int) -> int:
    if target_fps is not None:
        return min(max(1, int(duration * target_fps + 1e-6)), max_frames)
    if num_frames is not None:
        return num_frames
    return min(8 if duration < 10 else 16 if duration < 30 else max_frames, max_frames)


def _range(info: VideoInfo, config: CodecConfig) -> tuple[int, int]:
    """First frame and number of frames in the range of times."""
    low = -math.inf if config.start_time is None else config.start_time
    high = math.inf if config.end_time is None else config.end_time
    inside = np.flatnonzero((info.times >= low) & (info.times <= high))
    if not len(inside):
        raise ValueError(f"start_time and end_time leave no frame of {info.path}: it has {info.duration:.3f} seconds")
    return int(inside[0]), int(inside[-1] - inside[0]) + 1


def _from_memory(
    source: Any, config: CodecConfig, fps: float, limits: tuple[float | None, int | None, int | None]
) -> tuple[Array, Array, dict[str, Any]]:
    from .image import as_rgb, resize_rgb

    if isinstance(source, (bytes, bytearray)) or not hasattr(source, "__len__"):
        raise ValueError(f"source must be a path, a list of frames or an array of them, got {type(source).__name__}")
    count = len(source)
    if not count:
        raise ValueError("source must hold at least one frame, got none")
    times = np.arange(count) / fps
    low, high = config.start_time or 0.0, math.inf if config.end_time is None else config.end_time
    inside = np.flatnonzero((times >= low) & (times <= high))
    if not len(inside):
        raise ValueError(f"start_time and end_time leave none of {count} frames at {fps:g} a second")
    wanted = len(inside)
    target_fps, num_frames, max_frames = limits
    if target_fps is not None or num_frames is not None:
        wanted = _number_of_frames(len(inside) / fps, target_fps, num_frames, max_frames or count)
    elif max_frames is not None:
        wanted = min(wanted, max_frames)
    frame_ids = inside[spread(len(inside), wanted)].astype(np.int64)
    height, width = as_rgb(source[frame_ids[0]]).shape[:2]
    size = canvas_size(height, width, patch=config.patch, max_pixels=config.max_pixels)
    frames = np.stack([resize_rgb(as_rgb(source[t]), *size) for t in frame_ids])
    facts = {
        "timestamps": times[frame_ids],
        "fps": float(fps),
        "total_frames": count,
        "source_height": height,
        "source_width": width,
        "codec": "none",
    }
    return frame_ids, frames, facts


def whole_config(patch: int, max_pixels: int, threads: int | None) -> CodecConfig:
    """Settings under which every sample is a group of one canvas."""
    return CodecConfig(
        target_canvas=1,
        images_per_group=1,
        group_size=1,
        min_group_frames=1,
        sampling="uniform",
        avoid_keyframes=False,
        partition="fixed",
        patch=patch,
        max_pixels=max_pixels,
        motion_source="none",
        threads=threads,
    )


def pack_whole(
    frames: Array,
    frame_ids: Array,
    config: CodecConfig,
    evidence: str,
    backend: str,
    device: Any,
    start: float,
    facts: dict[str, Any],
) -> CodecTokens:
    """Packs every frame whole; on a torch device where one is given. ``start`` is when the work began."""
    read = time.perf_counter()
    count, height, width, _ = frames.shape
    blocks = height * width // (2 * config.patch) ** 2
    canvases, positions = ops.pack_canvases(
        frames if device is None else device_module().to_device(frames, device),
        np.arange(count * blocks, dtype=np.int64).reshape(count, blocks),
        frame_ids,
        patch=config.patch,
        threads=resolve_threads(config.threads),
        backend=backend,
    )
    done = time.perf_counter()
    return CodecTokens(
        canvases=canvases,
        src_patch_position=positions,
        group_ids=np.arange(count, dtype=np.int32),
        canvas_kinds=np.full(count, "I"),
        frame_ids=frame_ids,
        config=config.replace(target_canvas=count),
        motion_source="none",
        bits_source="none",
        evidence=evidence,
        timings={"read": read - start, "pack": done - read, "total": done - start},
        **facts,
    )
