"""The stages, one function each, on the backend of your choice.

Data flows one way: ``probe`` -> ``sample_frames`` -> ``partition_groups`` -> ``read_samples`` -> ``change_scores``, or
``block_energies`` -> ``fuse_scores`` -> ``select_blocks`` -> ``pack_canvases`` or ``pack_pixel_values``. All backends
agree bit for bit.

From scores on, a stage takes NumPy arrays or torch tensors, and answers in kind and on the same device.
``backend="auto"`` is ``triton`` for tensors on a CUDA or ROCm device and ``native`` for all else. For tensors the
stages are torch operators, ``torch.ops.ov2_kernels.*``, which ``torch.compile`` passes over; types and shapes are
checked, but not what a device holds. The first four stages have no Triton form: there ``triton`` means ``native``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import stage_inputs
from .checks import check_array, check_choice, check_integer, check_number, check_patch
from .config import MOTION_SOURCE, PARTITION, SAMPLING
from .dispatch import host_backend, is_tensor, load_backend, resolve_threads, run
from .errors import BackendUnavailableError
from .limits import Limits
from .media import Array, BitCost, DeferredFrames, Pictures, Samples, VideoInfo
from .tables import normalization_table

#: A NumPy array, or a torch tensor.
ArrayOrTensor = Any


def probe(path: str | os.PathLike[str], *, limits: Limits | None = None, backend: str = "auto") -> VideoInfo:
    """Reads the packet table and the facts of a video stream, without decoding.

    ``limits`` say what is accepted, by default ``Limits()``. Raises a :class:`VideoError` (see
    :mod:`ov2_kernels.errors`) where the file cannot be read, holds no usable video or exceeds a limit.
    Source: algorithm, section 1.
    """
    info: VideoInfo = host_backend(backend).probe(path, limits=limits)
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
    check_integer("max_samples", max_samples, 1)
    check_choice("sampling", sampling, SAMPLING)
    for name, time in (("start_time", start_time), ("end_time", end_time)):
        if time is not None:
            check_number(name, time, -math.inf)
    if sample_fps is not None:
        check_number("sample_fps", sample_fps, 0.0, strict=True)
    result: tuple[Array, int] = host_backend(backend).sample_frames(
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
    check_choice("partition", partition, PARTITION)
    for name, count in (("max_groups", max_groups), ("group_size", group_size), ("min_group_frames", min_group_frames)):
        check_integer(name, count, 1)
    check_integer("max_group_frames", max_group_frames, min_group_frames)
    frame_ids = check_array("frame_ids", frame_ids, "int64", (None,))
    if not len(frame_ids):
        raise ValueError("frame_ids must hold a frame at least")
    edges: Array = host_backend(backend).partition_groups(
        info,
        frame_ids,
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
    progress_at: Sequence[int] | Array = (),
    pictures: Pictures | None = None,
    limits: Limits | None = None,
    backend: str = "auto",
) -> Samples:
    """Decodes a video once and keeps what the sampled frames need, upright and at canvas size.

    ``frame_ids`` are rows of the packet table, strictly increasing; ``height`` and ``width`` are those of the canvas in
    pixels, multiples of 4. ``info`` saves a second look at the container. ``motion_source`` is ``auto`` (the codec's
    vectors, estimated where it exports none), ``estimated`` or ``none``. ``progress`` is called with the number of
    samples, from the first on, whose pictures are written and will stay (0 again if reading must start anew): now and
    then, and soon after one of ``progress_at``, which rise, is reached; what it raises ends the read. ``pictures`` is
    memory for them. Where it has none for frames, their colour may be converted later, of the
    blocks that are packed (:class:`ov2_kernels.media.DeferredFrames`); where its ``prev_luma`` has no rows, which takes
    ``motion_source="none"``, the pictures before the samples are not decoded for their own sake. ``limits`` are those
    of :func:`probe`. Raises :class:`VideoError` where a frame cannot be decoded, unless ``limits.on_error`` is
    ``salvage`` and any can. Source: algorithm, section 4.
    """
    check_choice("motion_source", motion_source, MOTION_SOURCE)
    samples: Samples = host_backend(backend).read_samples(
        path,
        frame_ids,
        height,
        width,
        info=info,
        threads=resolve_threads(threads),
        motion_source=motion_source,
        progress=progress,
        progress_at=progress_at,
        pictures=pictures,
        limits=limits,
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
    limits: Limits | None = None,
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
        limits=limits,
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
    check_patch(patch)
    if height < 1 or width < 1 or height % (2 * patch) or width % (2 * patch):
        raise ValueError(f"height and width must be multiples of 2 * patch = {2 * patch}, got {height} and {width}")
    cells = check_array("cells", cells, "int64", (None, None, None))
    for name, edges, count in (("edges_y", edges_y, cells.shape[1]), ("edges_x", edges_x, cells.shape[2])):
        edges = check_array(name, edges, "int64", (count + 1,))
        if edges[0] != 0 or (np.diff(edges) < 0).any() or not 0 < edges[-1] < 2**20:
            raise ValueError(f"{name} must not fall, and run from 0 to a size below 2**20, got {edges}")
    bits: Array = host_backend(backend).block_bits(
        cells, edges_y, edges_x, height, width, patch=patch, threads=resolve_threads(threads)
    )
    return bits


def bad_frames(frames: Array, *, threads: int | None = None, backend: str = "auto") -> Array:
    """Tells frames that are black, flat or green throughout.

    ``frames`` uint8 ``[N, H, W, 3]``, RGB, with less than ``2**23`` pixels each. Returns bool ``[N]``.
    Source: algorithm, section 13.
    """
    frames = check_array("frames", frames, "uint8", (None, None, None, 3))
    if not 0 < frames.shape[1] * frames.shape[2] < 2**23:
        raise ValueError(f"frames must have from 1 to 2**23 - 1 pixels, got {list(frames.shape[1:3])}")
    bad: Array = host_backend(backend).bad_frames(frames, threads=resolve_threads(threads))
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
    arrays = stage_inputs.block_energies(luma, prev_luma, motion, packet_bytes, patch=patch)
    result: tuple[ArrayOrTensor, ArrayOrTensor, ArrayOrTensor] = run(
        "block_energies", backend, arrays, threads, patch=patch
    )
    return result


def change_scores(
    luma: ArrayOrTensor,
    prev_luma: ArrayOrTensor,
    group_edges: ArrayOrTensor,
    *,
    patch: int = 14,
    threads: int | None = None,
    backend: str = "auto",
) -> ArrayOrTensor:
    """Scores the blocks by how much more they changed, since the sample and the frame before, than their place does.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``group_edges`` int64 ``[groups + 1]``. Returns int32 ``[N, hb, wb]``,
    zero in each group's first sample: in the stead of what :func:`fuse_scores` returns.
    Source: algorithm, section 6.
    """
    arrays = stage_inputs.change_scores(luma, prev_luma, group_edges, patch=patch)
    return run("change_scores", backend, arrays, threads, patch=patch)


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
    arrays = stage_inputs.fuse_scores(residual, motion_energy, bits, group_edges, weights=weights, patch=patch)
    return run("fuse_scores", backend, arrays, threads, weights=weights, patch=patch)


def select_blocks(
    scores: ArrayOrTensor,
    group_edges: ArrayOrTensor,
    *,
    images_per_group: int = 4,
    selection: str = "global",
    threads: int | None = None,
    backend: str = "auto",
) -> ArrayOrTensor:
    """Chooses the source block of every block of every canvas.

    ``scores`` int32 ``[N, hb, wb]``, not negative; ``group_edges`` int64 ``[groups + 1]``. Returns int64
    ``[C, hb * wb]`` of ``sample * hb * wb + block``, ascending within a canvas: for each group its I-canvas, then its
    P-canvases. Source: algorithm, section 7.
    """
    arrays = stage_inputs.select_blocks(scores, group_edges, images_per_group=images_per_group, selection=selection)
    return run("select_blocks", backend, arrays, threads, images_per_group=images_per_group, selection=selection)


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

    ``frames`` uint8 ``[N, H, W, 3]``, or deferred ones; ``selected`` int64 ``[C, hb * wb]`` as :func:`select_blocks`
    returns it; ``frame_ids`` int64 ``[N]``. Returns ``canvases`` uint8 ``[C, H, W, 3]`` and ``src_patch_position``
    int32 ``[C * hp * wp, 3]``, the ``(t, h, w)`` of each patch in row-major patch order. Source: algorithm, section 8.
    """
    if backend not in ("auto", "native") and isinstance(frames, DeferredFrames):
        frames = np.asarray(frames)
    arrays = stage_inputs.pack_canvases(frames, selected, frame_ids, patch=patch)
    result: tuple[ArrayOrTensor, ArrayOrTensor] = run("pack_canvases", backend, arrays, threads, patch=patch)
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
    table = normalization_table() if table is None else table
    arrays = stage_inputs.pack_pixel_values(frames, selected, frame_ids, table, patch=patch)
    result: tuple[ArrayOrTensor, ArrayOrTensor] = run("pack_pixel_values", backend, arrays, threads, patch=patch)
    return result


def rope_frequencies(
    patch_positions: ArrayOrTensor, head_dim: int, theta: float = 10000.0, *, backend: str = "auto"
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Cosine and sine of each patch's rotation angles, for 3-D rotary position embedding.

    ``patch_positions`` int64 ``[L, 3]`` of ``(t, h, w)``; ``head_dim`` a multiple of 32. Returns two float32
    ``[L, head_dim / 2]``, whose columns belong to t, h and w in the ratio 4:6:6. There is no native form: ``auto`` on
    the host is ``reference``. Source: algorithm, section 9.
    """
    (positions,) = stage_inputs.rope_frequencies(patch_positions, head_dim=head_dim, theta=theta)
    if backend == "native":
        raise BackendUnavailableError("the backend 'native' has no rope_frequencies; take auto, reference or triton")
    if is_tensor(positions) or backend == "triton":
        result: tuple[ArrayOrTensor, ArrayOrTensor] = run(
            "rope_frequencies", backend, (positions,), None, head_dim=head_dim, theta=theta
        )
        return result
    load_backend("reference")
    from .reference import rope_frequencies as on_host

    return on_host(positions, head_dim, theta)
