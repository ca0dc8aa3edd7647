"""The stages in C++, with the signatures of their twins in :mod:`ov2_kernels.reference`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

try:
    from . import _core
except ImportError as error:
    raise ImportError(
        f"the compiled extension ov2_kernels._core does not load ({error}); build it with 'pip install .' in a "
        "checkout, and run Python from elsewhere"
    ) from error
from .limits import Limits, native_limits
from .media import BIT_STATUS, MOTION_SOURCES, Array, BitCost, DeferredFrames, Pictures, Samples, VideoInfo
from .tables import attenuation_table

SAMPLING = {"uniform": 0, "peaks": 1, "near_keyframes": 2}
PARTITION = {"energy": 0, "uniform": 1, "fixed": 2}
_MOTION = {"none": 0, "auto": 1, "estimated": 2}


def _as(array: Array | Sequence[int], dtype: str) -> Array:
    return np.ascontiguousarray(array, dtype=dtype)


def _encoded(path: str) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"path must not hold a null character, got {path!r}")
    return encoded


def probe(path: str | os.PathLike[str], *, limits: Limits | None = None) -> VideoInfo:
    """Twin of :func:`ov2_kernels.reference.probe`."""
    path = os.fspath(path)
    table = _core.probe(_encoded(path), native_limits(limits))
    table["missing_frames"] = table.pop("missing")
    table["time_base"] = Fraction(*table["time_base"])
    table["frame_rate"] = Fraction(*table["frame_rate"])
    table["is_key"] = table["is_key"].astype(bool)
    return VideoInfo(path=path, **table)


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
    """Twin of :func:`ov2_kernels.reference.sample_frames`."""
    return _core.sample_frames(
        _as(info.size, "int64"),
        _as(info.pts, "int64"),
        _as(info.is_key, "uint8"),
        _as(info.decode_index, "int64"),
        info.time_base.numerator,
        info.time_base.denominator,
        max_samples,
        SAMPLING[sampling],
        avoid_keyframes,
        -math.inf if start_time is None else start_time,
        math.inf if end_time is None else end_time,
        0.0 if sample_fps is None else sample_fps,
    )


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
    """Twin of :func:`ov2_kernels.reference.partition_groups`."""
    return _core.partition_groups(
        _as(info.size, "int64"),
        _as(info.is_key, "uint8"),
        _as(frame_ids, "int64"),
        range_start,
        PARTITION[partition],
        max_groups,
        group_size,
        min_group_frames,
        max_group_frames,
    )


def read_samples(
    path: str | os.PathLike[str],
    frame_ids: Sequence[int] | Array,
    height: int,
    width: int,
    *,
    info: VideoInfo | None = None,
    threads: int = 1,
    motion_source: str = "auto",
    progress: Callable[[int], None] | None = None,
    progress_at: Sequence[int] | Array = (),
    pictures: Pictures | None = None,
    limits: Limits | None = None,
) -> Samples:
    """Twin of :func:`ov2_kernels.reference.read_samples`."""
    path = os.fspath(path)
    info = info or probe(path, limits=limits)
    pictures = pictures or Pictures.empty(len(frame_ids), height, width)
    frames = deferred_frames(pictures.luma) if pictures.frames is None else pictures.frames
    converted, colors = (None, frames.colors) if isinstance(frames, DeferredFrames) else (frames, None)
    out = _core.read_samples(
        _encoded(path),
        _as(info.size, "int64"),
        _as(info.pts, "int64"),
        _as(info.is_key, "uint8"),
        _as(info.decode_index, "int64"),
        info.has_timestamps,
        _as(frame_ids, "int64"),
        height,
        width,
        threads,
        _MOTION[motion_source],
        native_limits(limits),
        progress,
        _as(progress_at, "int64"),
        converted,
        colors,
        pictures.luma,
        pictures.prev_luma,
    )
    out["pict_types"] = out["pict_types"].view("S1")
    out["motion_source"] = MOTION_SOURCES[out["motion_source"]]
    wanted = np.array(frame_ids, dtype=np.int64)
    out["substituted"] = out["shown_ids"] != wanted
    return Samples(wanted, frames, pictures.luma, pictures.prev_luma, **out)


def deferred_frames(luma: Array) -> DeferredFrames:
    """Frames of which nothing is there yet but the memory for their luma, uint8 ``[N, H, W]``: ``Pictures.frames``.

    While they are read, those samples may be packed that the reader's ``progress`` has told of.
    """
    return DeferredFrames(_core.KeptColors(*luma.shape), luma)


def bit_cost(
    path: str | os.PathLike[str],
    frame_indices: Sequence[int] | Array,
    *,
    info: VideoInfo | None = None,
    threads: int = 1,
    whole_bytes: bool = False,
    run_to_first_skipped: bool = False,
    terminate_to_nobody: bool = False,
    progress: Callable[[int], None] | None = None,
    limits: Limits | None = None,
) -> BitCost:
    """What :func:`ov2_kernels.ops.bit_cost` runs."""
    path = os.fspath(path)
    info = info or probe(path, limits=limits)
    out = _core.bit_cost(
        _encoded(path),
        _as(info.size, "int64"),
        _as(info.pts, "int64"),
        _as(info.is_key, "uint8"),
        _as(info.decode_index, "int64"),
        _as(frame_indices, "int64"),
        threads,
        whole_bytes,
        run_to_first_skipped,
        terminate_to_nobody,
        native_limits(limits),
        progress,
    )
    out["field_pairs"] = out["field_pairs"].astype(bool)
    out["status"] = tuple(BIT_STATUS[code] for code in out["status"])
    out["slice_types"] = tuple(out["slice_types"])
    return BitCost(np.array(frame_indices, dtype=np.int64), **out)


def bad_frames(frames: Array, *, threads: int = 1) -> Array:
    """Twin of :func:`ov2_kernels.reference.bad_frames`."""
    return _core.bad_frames(_as(frames, "uint8"), threads).astype(bool)


def block_bits(
    cells: Array, edges_y: Array, edges_x: Array, height: int, width: int, *, patch: int = 14, threads: int = 1
) -> Array:
    """Twin of :func:`ov2_kernels.reference.block_bits`."""
    return _core.block_bits(
        _as(cells, "int64"), _as(edges_y, "int64"), _as(edges_x, "int64"), height, width, patch, threads
    )


def block_energies(
    luma: Array, prev_luma: Array, motion: Array, packet_bytes: Array, *, patch: int = 14, threads: int = 1
) -> tuple[Array, Array, Array]:
    """Twin of :func:`ov2_kernels.reference.block_energies`."""
    return _core.block_energies(
        _as(luma, "uint8"), _as(prev_luma, "uint8"), _as(motion, "int16"), _as(packet_bytes, "int64"), patch, threads
    )


def change_scores(luma: Array, prev_luma: Array, group_edges: Array, *, patch: int = 14, threads: int = 1) -> Array:
    """Twin of :func:`ov2_kernels.reference.change_scores`."""
    return _core.change_scores(_as(luma, "uint8"), _as(prev_luma, "uint8"), _as(group_edges, "int64"), patch, threads)


def changes(samples: int, height: int, width: int, patch: int, group_edges: Array) -> _core.Changes:
    """What :func:`change_scores` does, by and by: samples are measured as they come, groups scored when complete."""
    return _core.Changes(samples, height, width, patch, _as(group_edges, "int64"))


def release_pictures(planes: Array, begin: int, end: int) -> None:
    """Gives back the memory of some of the planes, uint8 ``[N, H, W]``, until they are written again.

    Those before ``begin`` are not needed either: what large pages hold of them and of these goes together.
    """
    _core.release_pictures(planes, begin, end)


def lower_thread_priority() -> None:
    """Lets all others, such as a decoder's threads, go before the calling thread, for good; on Linux alone."""
    _core.lower_thread_priority()


def fuse_scores(
    residual: Array,
    motion_energy: Array,
    bits: Array,
    group_edges: Array,
    *,
    weights: tuple[int, int, int] = (256, 256, 256),
    patch: int = 14,
    threads: int = 1,
) -> Array:
    """Twin of :func:`ov2_kernels.reference.fuse_scores`."""
    return _core.fuse_scores(
        _as(residual, "int32"),
        _as(motion_energy, "int32"),
        _as(bits, "int64"),
        _as(group_edges, "int64"),
        *weights,
        patch,
        threads,
    )


def select_blocks(
    scores: Array,
    group_edges: Array,
    *,
    images_per_group: int = 4,
    selection: str = "global",
    threads: int = 1,
) -> Array:
    """Twin of :func:`ov2_kernels.reference.select_blocks`."""
    table = attenuation_table(scores.shape[1] * scores.shape[2])
    return _core.select_blocks(
        _as(scores, "int32"), _as(group_edges, "int64"), table, images_per_group, selection == "global", threads
    )


def pack_canvases(
    frames: Array | DeferredFrames,
    selected: Array,
    frame_ids: Array,
    *,
    patch: int = 14,
    threads: int = 1,
    out: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """Twin of :func:`ov2_kernels.reference.pack_canvases`; ``out`` is memory for what it returns."""
    height, width = frames.shape[1:3]
    canvases, positions = out or empty_canvases(len(selected), height, width, patch)
    rest = (_as(selected, "int64"), _as(frame_ids, "int64"), patch, threads, canvases, positions)
    if isinstance(frames, DeferredFrames):
        frames.colors.pack_canvases(frames.luma, *rest)
    else:
        _core.pack_canvases(_as(frames, "uint8"), *rest)
    return canvases, positions


def empty_canvases(count: int, height: int, width: int, patch: int) -> tuple[Array, Array]:
    """Memory for what :func:`pack_canvases` returns, not initialised."""
    patches = (height // patch) * (width // patch)
    return np.empty((count, height, width, 3), np.uint8), np.empty((count * patches, 3), np.int32)


def pack_pixel_values(
    frames: Array, selected: Array, frame_ids: Array, table: Array, *, patch: int = 14, threads: int = 1
) -> tuple[Array, Array]:
    """Twin of :func:`ov2_kernels.reference.pack_pixel_values`."""
    # The kernel only copies table entries, so it works on their bits, whatever the type.
    bits = np.ascontiguousarray(table).view(f"uint{8 * table.dtype.itemsize}")
    values, positions = _core.pack_pixel_values(
        _as(frames, "uint8"), _as(selected, "int64"), _as(frame_ids, "int64"), bits, patch, threads
    )
    return values.view(table.dtype), positions
