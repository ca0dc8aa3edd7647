"""The stages, one function each, on the backend of your choice.

Data flows one way: ``probe`` -> ``sample_frames`` -> ``partition_groups`` -> ``read_samples`` -> ``block_energies`` ->
``fuse_scores`` -> ``select_blocks`` -> ``pack_canvases`` or ``pack_pixel_values``. All backends agree bit for bit.

From ``block_energies`` on, a stage takes NumPy arrays or torch tensors, and answers in kind and on the same device.
``backend="auto"`` is ``triton`` for tensors on a CUDA or ROCm device and ``native`` for all else. For tensors the
stages are torch operators, ``torch.ops.ov2_kernels.*``, which ``torch.compile`` passes over; types and shapes are
checked, but not what a device holds. The first four stages have no Triton form: there ``triton`` means ``native``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .config import MOTION_SOURCE, PARTITION, SAMPLING, SELECTION
from .errors import BackendUnavailableError
from .media import Array, BitCost, Pictures, Samples, VideoInfo
from .tables import normalization_table

BACKENDS = ("native", "reference", "triton")

#: A NumPy array, or a torch tensor.
ArrayOrTensor = Any


def load_backend(name: str = "auto") -> ModuleType:
    """The module that holds a backend's stages; ``auto`` is ``native``.

    Raises ``ValueError`` for an unknown name and :class:`BackendUnavailableError` where it cannot be loaded.
    """
    if name == "auto":
        name = "native"
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of auto, {', '.join(BACKENDS)}, got {name!r}")
    try:
        module = importlib.import_module(f"ov2_kernels.{name}")
    except ImportError as error:
        raise BackendUnavailableError(f"the backend {name!r} cannot be loaded: {error}") from error
    if name == "triton":
        module.default_device()  # which says why, where there is none
    return module


def _host_backend(name: str) -> ModuleType:
    """The module that holds the stages up to decoding."""
    module = load_backend(name)
    return load_backend("native") if name == "triton" else module


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _run(stage: str, backend: str, arrays: tuple[Any, ...], threads: int | None, **options: Any) -> Any:
    """Runs a stage on NumPy arrays here, or on tensors as the torch operator of that name."""
    tensors = any(map(is_tensor, arrays))
    if backend == "triton" and not tensors:
        load_backend(backend)  # which says why, where it cannot
    if backend == "triton" or tensors:
        from . import torch_ops

        return torch_ops.run(stage, backend, arrays, threads, options)
    return getattr(load_backend(backend), stage)(*arrays, threads=resolve_threads(threads), **options)


def resolve_threads(threads: int | None) -> int:
    """``threads``, or the number of processors that this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _check(name: str, array: Any, dtype: str, shape: tuple[int | None, ...]) -> Any:
    array = array if is_tensor(array) else np.asarray(array)
    if str(array.dtype).replace("torch.", "") != dtype:
        raise ValueError(f"{name} must be {dtype}, got {array.dtype}")
    if array.ndim != len(shape) or any(s is not None and s != t for s, t in zip(shape, array.shape, strict=False)):
        wanted = ", ".join("*" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have the shape [{wanted}], got {list(array.shape)}")
    return array


def _check_planes(name: str, planes: Any, patch: int) -> None:
    if patch < 2 or patch % 2:
        raise ValueError(f"patch must be even and at least 2, got {patch}")
    if planes.shape[1] % (2 * patch) or planes.shape[2] % (2 * patch) or not planes.shape[1] * planes.shape[2]:
        raise ValueError(
            f"{name} must be multiples of 2 * patch = {2 * patch} high and wide, got {list(planes.shape[1:3])}"
        )


def check_edges(group_edges: Any, samples: int) -> Any:
    """``group_edges``, int64 ``[groups + 1]``; ``ValueError`` where they do not cut up so many samples."""
    edges = _check("group_edges", group_edges, "int64", (None,))
    if is_tensor(edges):
        return edges  # the operator looks into them
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != samples or (np.diff(edges) <= 0).any():
        raise ValueError(f"group_edges must rise from 0 to the number of samples, {samples}, got {edges}")
    return edges


def probe(path: str | os.PathLike[str], *, backend: str = "auto") -> VideoInfo:
    """Reads the packet table and the facts of a video stream, without decoding.

    Raises ``OSError`` where the file cannot be read and :class:`VideoError` where it holds no usable video.
    Source: algorithm, section 1.
    """
    info: VideoInfo = _host_backend(backend).probe(path)
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
    _check_choice("sampling", sampling, SAMPLING)
    if sample_fps is not None and not sample_fps > 0:
        raise ValueError(f"sample_fps must be above 0, got {sample_fps}")
    result: tuple[Array, int] = _host_backend(backend).sample_frames(
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
    _check_choice("partition", partition, PARTITION)
    edges: Array = _host_backend(backend).partition_groups(
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
    pictures: Pictures | None = None,
    backend: str = "auto",
) -> Samples:
    """Decodes a video once and keeps what the sampled frames need, upright and at canvas size.

    ``frame_ids`` are rows of the packet table, strictly increasing; ``height`` and ``width`` are those of the canvas in
    pixels, multiples of 4. ``info`` saves a second look at the container. ``motion_source`` is ``auto`` (the codec's
    vectors, estimated where it exports none), ``estimated`` or ``none``. ``progress`` is called with the number of
    samples, from the first on, whose pictures are written (0 again if reading must start anew); what it raises ends the
    read. ``pictures`` is memory for them; where its ``prev_luma`` has no rows, which takes ``motion_source="none"``,
    the pictures before the samples are not decoded for their own sake. Raises :class:`VideoError` where a frame cannot
    be decoded.
    Source: algorithm, section 4.
    """
    _check_choice("motion_source", motion_source, MOTION_SOURCE)
    samples: Samples = _host_backend(backend).read_samples(
        path,
        frame_ids,
        height,
        width,
        info=info,
        threads=resolve_threads(threads),
        motion_source=motion_source,
        progress=progress,
        pictures=pictures,
    )
    return samples


def bit_cost(
    path: str | os.PathLike[str],
    frame_indices: Sequence[int] | Array,
    *,
    info: VideoInfo | None = None,
    threads: int | None = None,
    whole_bytes: bool = False,
    run_to_first_skipped: bool = False,
    terminate_to_nobody: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BitCost:
    """Reads off the bitstream how many bits each macroblock of some pictures took, without decoding any.

    ``frame_indices`` are rows of the packet table, strictly increasing; where that has no timestamps, they count
    packets in decode order. Only H.264 is parsed; of other codecs, and where a slice does not end exactly where its
    data end, the status says why the bits are not known. ``info`` saves a second look at the container. ``progress`` is
    called with the number of pictures read; what it raises ends the work. The other arguments count bits as
    codec-video-prep does: CABAC positions in whole bytes, a skip run with the first macroblock that it skips, the end
    flag of CABAC with none. There is one parser, in C++: what proves it right is the stream itself.
    Source: algorithm, section 12.
    """
    cost: BitCost = load_backend("native").bit_cost(
        path,
        frame_indices,
        info=info,
        threads=resolve_threads(threads),
        whole_bytes=whole_bytes,
        run_to_first_skipped=run_to_first_skipped,
        terminate_to_nobody=terminate_to_nobody,
        progress=progress,
    )
    return cost


def block_bits(
    cells: Array,
    edges_y: Array,
    edges_x: Array,
    height: int,
    width: int,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> Array:
    """Hands the bits of a grid of cells to the blocks of the canvas, by the area that they share.

    ``cells`` int64 ``[N, rows, columns]`` in 1/256 bit; ``edges_y`` and ``edges_x``, int64 ``[rows + 1]`` and
    ``[columns + 1]``, are where rows and columns begin, from 0, in pixels of the upright picture, and where that ends;
    ``height`` and ``width`` are those of the canvas. Returns int64 ``[N, hb, wb]``. It knows nothing of codecs.
    Source: algorithm, section 12.
    """
    if patch < 2 or patch % 2:
        raise ValueError(f"patch must be even and at least 2, got {patch}")
    if height < 1 or width < 1 or height % (2 * patch) or width % (2 * patch):
        raise ValueError(f"height and width must be multiples of 2 * patch = {2 * patch}, got {height} and {width}")
    cells = _check("cells", cells, "int64", (None, None, None))
    for name, edges, count in (("edges_y", edges_y, cells.shape[1]), ("edges_x", edges_x, cells.shape[2])):
        edges = _check(name, edges, "int64", (count + 1,))
        if edges[0] != 0 or (np.diff(edges) < 0).any() or not 0 < edges[-1] < 2**20:
            raise ValueError(f"{name} must not fall, and run from 0 to a size below 2**20, got {edges}")
    bits: Array = _host_backend(backend).block_bits(
        cells, edges_y, edges_x, height, width, patch=patch, threads=resolve_threads(threads)
    )
    return bits


def bad_frames(frames: Array, *, threads: int | None = None, backend: str = "auto") -> Array:
    """Tells frames that are black, flat or green throughout.

    ``frames`` uint8 ``[N, H, W, 3]``, RGB, with less than ``2**23`` pixels each. Returns bool ``[N]``.
    Source: algorithm, section 13.
    """
    frames = _check("frames", frames, "uint8", (None, None, None, 3))
    if not 0 < frames.shape[1] * frames.shape[2] < 2**23:
        raise ValueError(f"frames must have from 1 to 2**23 - 1 pixels, got {list(frames.shape[1:3])}")
    bad: Array = _host_backend(backend).bad_frames(frames, threads=resolve_threads(threads))
    return bad


def block_energies(
    luma: ArrayOrTensor,
    prev_luma: ArrayOrTensor,
    motion: ArrayOrTensor,
    packet_bytes: ArrayOrTensor,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[ArrayOrTensor, ArrayOrTensor, ArrayOrTensor]:
    """Measures the residual, the motion and the estimated bits of every 2x2-patch block.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``motion`` int16 ``[N, H/4, W/4, 2]`` in quarter pixels;
    ``packet_bytes`` int64 ``[N]``. Returns ``residual`` int32 (grey levels), ``motion`` int32 (1/16 quarter pixels)
    and ``bits`` int64 (1/256 bit), each ``[N, hb, wb]``. Source: algorithm, section 5.
    """
    luma = _check("luma", luma, "uint8", (None, None, None))
    _check_planes("luma", luma, patch)
    n, height, width = luma.shape
    arrays = (
        luma,
        _check("prev_luma", prev_luma, "uint8", (n, height, width)),
        _check("motion", motion, "int16", (n, height // 4, width // 4, 2)),
        _check("packet_bytes", packet_bytes, "int64", (n,)),
    )
    result: tuple[ArrayOrTensor, ArrayOrTensor, ArrayOrTensor] = _run(
        "block_energies", backend, arrays, threads, patch=patch
    )
    return result


def change_scores(
    luma: ArrayOrTensor,
    group_edges: ArrayOrTensor,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> ArrayOrTensor:
    """Scores the blocks by how much more they changed, since the sample before, than their place does otherwise.

    ``luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]``. Returns int32 ``[N, hb, wb]``, at most 65535,
    zero in each group's first sample: in the stead of what :func:`fuse_scores` returns. Source: algorithm, section 6.
    """
    luma = _check("luma", luma, "uint8", (None, None, None))
    _check_planes("luma", luma, patch)
    return _run("change_scores", backend, (luma, check_edges(group_edges, len(luma))), threads, patch=patch)


def fuse_scores(
    residual: ArrayOrTensor,
    motion_energy: ArrayOrTensor,
    bits: ArrayOrTensor,
    group_edges: ArrayOrTensor,
    *,
    weights: tuple[int, int, int] = (256, 256, 256),
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> ArrayOrTensor:
    """Adds the energies of each block, each normalised within its group.

    ``residual``, ``motion_energy`` int32 and ``bits`` int64 ``[N, hb, wb]``; ``group_edges`` int64 ``[groups + 1]``;
    ``weights`` of motion, residual and bits in 1/256, at most 32767 together. Returns int32 ``[N, hb, wb]``, zero in
    each group's first sample. Source: algorithm, section 6.
    """
    residual = _check("residual", residual, "int32", (None, None, None))
    if min(weights) < 0 or sum(weights) > 32767:
        raise ValueError(f"weights must not be negative, nor sum to more than 32767, got {weights}")
    arrays = (
        residual,
        _check("motion_energy", motion_energy, "int32", tuple(residual.shape)),
        _check("bits", bits, "int64", tuple(residual.shape)),
        check_edges(group_edges, len(residual)),
    )
    return _run("fuse_scores", backend, arrays, threads, weights=weights, patch=patch)


def select_blocks(
    scores: ArrayOrTensor,
    group_edges: ArrayOrTensor,
    *,
    images_per_group: int = 4,
    selection: str = "stretches",
    threads: int | None = None,
    backend: str = "auto",
) -> ArrayOrTensor:
    """Chooses the source block of every block of every canvas.

    ``scores`` int32 ``[N, hb, wb]``, not negative; ``group_edges`` int64 ``[groups + 1]``. Returns int64
    ``[C, hb * wb]`` of ``sample * hb * wb + block``, ascending within a canvas: for each group its I-canvas, then its
    P-canvases. Source: algorithm, section 7.
    """
    scores = _check("scores", scores, "int32", (None, None, None))
    if images_per_group < 1:
        raise ValueError(f"images_per_group must be at least 1, got {images_per_group}")
    _check_choice("selection", selection, SELECTION)
    arrays = (scores, check_edges(group_edges, len(scores)))
    return _run("select_blocks", backend, arrays, threads, images_per_group=images_per_group, selection=selection)


def _check_selection(frames: Any, selected: Any, frame_ids: Any, patch: int) -> tuple[Any, Any, Any]:
    frames = _check("frames", frames, "uint8", (None, None, None, 3))
    _check_planes("frames", frames, patch)
    blocks = frames.shape[1] * frames.shape[2] // (2 * patch) ** 2
    selected = _check("selected", selected, "int64", (None, blocks))
    if not is_tensor(selected) and selected.size and (selected.min() < 0 or selected.max() >= len(frames) * blocks):
        raise ValueError(f"selected must lie in [0, {len(frames) * blocks}), got {selected.min()} to {selected.max()}")
    return frames, selected, _check("frame_ids", frame_ids, "int64", (len(frames),))


def pack_canvases(
    frames: ArrayOrTensor,
    selected: ArrayOrTensor,
    frame_ids: ArrayOrTensor,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Lays the selected blocks of the frames into full canvases.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]`` as :func:`select_blocks` returns it;
    ``frame_ids`` int64 ``[N]``. Returns ``canvases`` uint8 ``[C, H, W, 3]`` and ``src_patch_position`` int32
    ``[C * hp * wp, 3]``, the ``(t, h, w)`` of each patch in row-major patch order. Source: algorithm, section 8.
    """
    arrays = _check_selection(frames, selected, frame_ids, patch)
    result: tuple[ArrayOrTensor, ArrayOrTensor] = _run("pack_canvases", backend, arrays, threads, patch=patch)
    return result


def pack_pixel_values(
    frames: ArrayOrTensor,
    selected: ArrayOrTensor,
    frame_ids: ArrayOrTensor,
    table: ArrayOrTensor | None = None,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Gathers, normalises and cuts the selected blocks into the rows that the vision encoder reads.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]``; ``frame_ids`` int64 ``[N]``; ``table``
    ``[3, 256]`` holds the normalised value of each channel and level, in the type wanted (2 or 4 bytes wide), CLIP's
    in float32 by default. Returns ``pixel_values`` ``[C * hp * wp, 3 * patch**2]`` of the table's type and
    ``patch_positions`` int64 ``[C * hp * wp, 3]``, both in block order. Source: algorithm, section 9.
    """
    table = normalization_table() if table is None else table if is_tensor(table) else np.asarray(table)
    if tuple(table.shape) != (3, 256) or table.dtype.itemsize not in (2, 4):
        raise ValueError(
            f"table must be [3, 256] of a type 2 or 4 bytes wide, got {list(table.shape)} of {table.dtype}"
        )
    arrays = (*_check_selection(frames, selected, frame_ids, patch), table)
    result: tuple[ArrayOrTensor, ArrayOrTensor] = _run("pack_pixel_values", backend, arrays, threads, patch=patch)
    return result


def rope_frequencies(
    patch_positions: ArrayOrTensor, head_dim: int, theta: float = 10000.0, *, backend: str = "auto"
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Cosine and sine of each patch's rotation angles, for 3-D rotary position embedding.

    ``patch_positions`` int64 ``[L, 3]`` of ``(t, h, w)``; ``head_dim`` a multiple of 32. Returns two float32
    ``[L, head_dim / 2]``, whose columns belong to t, h and w in the ratio 4:6:6. There is no native form: ``auto`` on
    the host is ``reference``. Source: algorithm, section 9.
    """
    positions = _check("patch_positions", patch_positions, "int64", (None, 3))
    if head_dim < 32 or head_dim % 32:
        raise ValueError(f"head_dim must be a positive multiple of 32, got {head_dim}")
    if not theta > 0:
        raise ValueError(f"theta must be positive, got {theta}")
    if backend == "native":
        raise BackendUnavailableError("the backend 'native' has no rope_frequencies; take auto, reference or triton")
    if is_tensor(positions) or backend == "triton":
        result: tuple[ArrayOrTensor, ArrayOrTensor] = _run(
            "rope_frequencies", backend, (positions,), None, head_dim=head_dim, theta=theta
        )
        return result
    load_backend("reference")
    from .reference import rope_frequencies as on_host

    return on_host(positions, head_dim, theta)
