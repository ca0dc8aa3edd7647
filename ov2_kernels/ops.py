"""The stages, one function each, on the backend of your choice.

Data flows one way: ``probe`` -> ``sample_frames`` -> ``partition_groups`` -> ``read_samples`` -> ``block_energies`` ->
``fuse_scores`` -> ``select_blocks`` -> ``pack_canvases`` or ``pack_pixel_values``. All backends agree bit for bit.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from .errors import BackendUnavailableError
from .media import Array, Samples, VideoInfo
from .tables import normalization_table

BACKENDS = ("native", "reference")


def load_backend(name: str = "auto") -> ModuleType:
    """The module that holds a backend's stages; ``auto`` is ``native``.

    Raises ``ValueError`` for an unknown name and :class:`BackendUnavailableError` where it cannot be loaded.
    """
    if name == "auto":
        name = "native"
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of auto, {', '.join(BACKENDS)}, got {name!r}")
    try:
        return importlib.import_module(f"ov2_kernels.{name}")
    except ImportError as error:
        raise BackendUnavailableError(f"the backend {name!r} cannot be loaded: {error}") from error


def resolve_threads(threads: int | None) -> int:
    """``threads``, or the number of processors that this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def _check(name: str, array: Array, dtype: str, shape: tuple[int | None, ...]) -> Array:
    array = np.asarray(array)
    if array.dtype != dtype:
        raise ValueError(f"{name} must be {dtype}, got {array.dtype}")
    if array.ndim != len(shape) or any(s is not None and s != t for s, t in zip(shape, array.shape, strict=False)):
        wanted = ", ".join("*" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have the shape [{wanted}], got {list(array.shape)}")
    return array


def _check_planes(name: str, planes: Array, patch: int) -> None:
    if patch < 2 or patch % 2:
        raise ValueError(f"patch must be even and at least 2, got {patch}")
    if planes.shape[1] % (2 * patch) or planes.shape[2] % (2 * patch) or not planes.shape[1] * planes.shape[2]:
        raise ValueError(
            f"{name} must be multiples of 2 * patch = {2 * patch} high and wide, got {list(planes.shape[1:3])}"
        )


def _check_edges(group_edges: Array, samples: int) -> Array:
    edges = _check("group_edges", group_edges, "int64", (None,))
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != samples or (np.diff(edges) <= 0).any():
        raise ValueError(f"group_edges must rise from 0 to the number of samples, {samples}, got {edges}")
    return edges


def probe(path: str | os.PathLike[str], *, backend: str = "auto") -> VideoInfo:
    """Reads the packet table and the facts of a video stream, without decoding.

    Raises ``OSError`` where the file cannot be read and :class:`VideoError` where it holds no usable video.
    Source: algorithm, section 1.
    """
    info: VideoInfo = load_backend(backend).probe(path)
    return info


def sample_frames(
    info: VideoInfo,
    *,
    max_samples: int,
    sampling: str = "peaks",
    avoid_keyframes: bool = True,
    start_time: float | None = None,
    end_time: float | None = None,
    sample_fps: float | None = None,
    backend: str = "auto",
) -> tuple[Array, int]:
    """Chooses the frames to look at, from the packet table alone.

    Returns the frames, int64 ``[N]``, strictly increasing, and the first frame of the range they were taken from.
    Times are seconds, both ends included. Raises ``ValueError`` where the range holds no frame.
    Source: algorithm, section 2.
    """
    if max_samples < 1:
        raise ValueError(f"max_samples must be at least 1, got {max_samples}")
    result: tuple[Array, int] = load_backend(backend).sample_frames(
        info,
        max_samples=max_samples,
        sampling=sampling,
        avoid_keyframes=avoid_keyframes,
        start_time=start_time,
        end_time=end_time,
        sample_fps=sample_fps,
    )
    return result


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
    backend: str = "auto",
) -> Array:
    """Cuts the samples into groups: short ones where packets carry many bytes, long ones where little happens.

    ``frame_ids`` int64 ``[N]``. Returns the edges in samples, int64 ``[groups + 1]``, at most ``max_groups`` groups.
    Source: algorithm, section 3.
    """
    edges: Array = load_backend(backend).partition_groups(
        info,
        _check("frame_ids", frame_ids, "int64", (None,)),
        range_start,
        partition=partition,
        max_groups=max_groups,
        group_size=group_size,
        min_group_frames=min_group_frames,
        max_group_frames=max_group_frames,
    )
    return edges


def read_samples(
    path: str | os.PathLike[str],
    frame_ids: Sequence[int] | Array,
    height: int,
    width: int,
    *,
    info: VideoInfo | None = None,
    threads: int | None = None,
    motion_source: str = "auto",
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
) -> Samples:
    """Decodes a video once and keeps what the sampled frames need, upright and at canvas size.

    ``frame_ids`` are rows of the packet table, strictly increasing; ``height`` and ``width`` are those of the canvas in
    pixels, multiples of 4. ``info`` saves a second look at the container. ``motion_source`` is ``auto`` (the codec's
    vectors, estimated where it exports none), ``estimated`` or ``none``. ``progress`` is called with the number of
    samples read; what it raises ends the read. Raises :class:`VideoError` where a frame cannot be decoded.
    Source: algorithm, section 4.
    """
    if motion_source not in ("auto", "estimated", "none"):
        raise ValueError(f"motion_source must be one of auto, estimated, none, got {motion_source!r}")
    samples: Samples = load_backend(backend).read_samples(
        path,
        frame_ids,
        height,
        width,
        info=info,
        threads=resolve_threads(threads),
        motion_source=motion_source,
        progress=progress,
    )
    return samples


def block_energies(
    luma: Array,
    prev_luma: Array,
    motion: Array,
    packet_bytes: Array,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[Array, Array, Array]:
    """Measures the residual, the motion and the estimated bits of every 2x2-patch block.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``motion`` int16 ``[N, H/4, W/4, 2]`` in quarter pixels;
    ``packet_bytes`` int64 ``[N]``. Returns ``residual`` int32 (grey levels), ``motion`` int32 (1/16 quarter pixels)
    and ``bits`` int64 (1/256 bit), each ``[N, hb, wb]``. Source: algorithm, section 5.
    """
    luma = _check("luma", luma, "uint8", (None, None, None))
    _check_planes("luma", luma, patch)
    n, height, width = luma.shape
    result: tuple[Array, Array, Array] = load_backend(backend).block_energies(
        luma,
        _check("prev_luma", prev_luma, "uint8", (n, height, width)),
        _check("motion", motion, "int16", (n, height // 4, width // 4, 2)),
        _check("packet_bytes", packet_bytes, "int64", (n,)),
        patch=patch,
        threads=resolve_threads(threads),
    )
    return result


def fuse_scores(
    residual: Array,
    motion_energy: Array,
    bits: Array,
    group_edges: Array,
    *,
    weights: tuple[int, int, int] = (256, 256, 256),
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> Array:
    """Adds the energies of each block, each normalised within its group.

    ``residual``, ``motion_energy`` int32 and ``bits`` int64 ``[N, hb, wb]``; ``group_edges`` int64 ``[groups + 1]``;
    ``weights`` of motion, residual and bits in 1/256, at most 32767 together. Returns int32 ``[N, hb, wb]``, zero in
    each group's first sample. Source: algorithm, section 6.
    """
    residual = _check("residual", residual, "int32", (None, None, None))
    if min(weights) < 0 or sum(weights) > 32767:
        raise ValueError(f"weights must not be negative, nor sum to more than 32767, got {weights}")
    scores: Array = load_backend(backend).fuse_scores(
        residual,
        _check("motion_energy", motion_energy, "int32", residual.shape),
        _check("bits", bits, "int64", residual.shape),
        _check_edges(group_edges, len(residual)),
        weights=weights,
        patch=patch,
        threads=resolve_threads(threads),
    )
    return scores


def select_blocks(
    scores: Array,
    group_edges: Array,
    *,
    images_per_group: int = 4,
    selection: str = "stretches",
    threads: int | None = None,
    backend: str = "auto",
) -> Array:
    """Chooses the source block of every block of every canvas.

    ``scores`` int32 ``[N, hb, wb]``, not negative; ``group_edges`` int64 ``[groups + 1]``. Returns int64
    ``[C, hb * wb]`` of ``sample * hb * wb + block``, ascending within a canvas: for each group its I-canvas, then its
    P-canvases. Source: algorithm, section 7.
    """
    scores = _check("scores", scores, "int32", (None, None, None))
    if images_per_group < 1:
        raise ValueError(f"images_per_group must be at least 1, got {images_per_group}")
    if selection not in ("stretches", "global"):
        raise ValueError(f"selection must be one of stretches, global, got {selection!r}")
    selected: Array = load_backend(backend).select_blocks(
        scores,
        _check_edges(group_edges, len(scores)),
        images_per_group=images_per_group,
        selection=selection,
        threads=resolve_threads(threads),
    )
    return selected


def _check_selection(frames: Array, selected: Array, frame_ids: Array, patch: int) -> tuple[Array, Array, Array]:
    frames = _check("frames", frames, "uint8", (None, None, None, 3))
    _check_planes("frames", frames, patch)
    blocks = frames.shape[1] * frames.shape[2] // (2 * patch) ** 2
    selected = _check("selected", selected, "int64", (None, blocks))
    if selected.size and (selected.min() < 0 or selected.max() >= len(frames) * blocks):
        raise ValueError(f"selected must lie in [0, {len(frames) * blocks}), got {selected.min()} to {selected.max()}")
    return frames, selected, _check("frame_ids", frame_ids, "int64", (len(frames),))


def pack_canvases(
    frames: Array,
    selected: Array,
    frame_ids: Array,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Lays the selected blocks of the frames into full canvases.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]`` as :func:`select_blocks` returns it;
    ``frame_ids`` int64 ``[N]``. Returns ``canvases`` uint8 ``[C, H, W, 3]`` and ``src_patch_position`` int32
    ``[C * hp * wp, 3]``, the ``(t, h, w)`` of each patch in row-major patch order. Source: algorithm, section 8.
    """
    result: tuple[Array, Array] = load_backend(backend).pack_canvases(
        *_check_selection(frames, selected, frame_ids, patch), patch=patch, threads=resolve_threads(threads)
    )
    return result


def pack_pixel_values(
    frames: Array,
    selected: Array,
    frame_ids: Array,
    table: Array | None = None,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[Array, Array]:
    """Gathers, normalises and cuts the selected blocks into the rows that the vision encoder reads.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]``; ``frame_ids`` int64 ``[N]``; ``table``
    ``[3, 256]`` holds the normalised value of each channel and level, in the type wanted (2 or 4 bytes wide), CLIP's
    in float32 by default. Returns ``pixel_values`` ``[C * hp * wp, 3 * patch**2]`` of the table's type and
    ``patch_positions`` int64 ``[C * hp * wp, 3]``, both in block order. Source: algorithm, section 9.
    """
    table = normalization_table() if table is None else np.asarray(table)
    if table.shape != (3, 256) or table.dtype.itemsize not in (2, 4):
        raise ValueError(
            f"table must be [3, 256] of a type 2 or 4 bytes wide, got {list(table.shape)} of {table.dtype}"
        )
    result: tuple[Array, Array] = load_backend(backend).pack_pixel_values(
        *_check_selection(frames, selected, frame_ids, patch), table, patch=patch, threads=resolve_threads(threads)
    )
    return result
