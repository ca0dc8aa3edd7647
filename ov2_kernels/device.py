"""Samples brought to a torch device while decoding goes on, and model inputs made there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from . import ops
from .dispatch import load_backend
from .errors import BackendUnavailableError
from .media import Array, Pictures, Samples
from .tables import normalization_table

#: samples that one copy moves
CHUNK = 32

_UPLOADED = ("frame_ids", "packet_bytes", "motion", "luma", "prev_luma", "frames")


def check_device(device: Any) -> None:
    """Raises ``ValueError`` where torch knows no such device."""
    try:
        torch.device(device)
    except (RuntimeError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"device must be one that torch knows, got {device!r}: {reason}") from error


def read_to_device(
    path: str | os.PathLike[str],
    frame_ids: Array,
    height: int,
    width: int,
    device: Any,
    *,
    progress: Callable[[int], None] | None = None,
    predecessors: bool = True,
    **options: Any,
) -> Samples:
    """Reads samples as :func:`ov2_kernels.ops.read_samples` does, and uploads pictures while others are decoded.

    They are decoded into pinned memory where ``device`` is a CUDA one; ``CHUNK`` of them or more go in one copy, and
    the vectors at the end, when they are known. Without ``predecessors``, ``prev_luma`` stays empty. ``options`` are
    those of ``read_samples``. The result is that of :func:`upload_samples`.
    """
    count = len(frame_ids)
    shapes: dict[str, tuple[int, ...]] = {
        "frames": (count, height, width, 3),
        "luma": (count, height, width),
        "prev_luma": (count if predecessors else 0, height, width),
    }
    sent = 0
    with _Upload(device) as upload:
        host = {name: upload.host_memory(shape, torch.uint8) for name, shape in shapes.items()}
        tensors: dict[str, Any] = {name: upload.device_memory(shape, torch.uint8) for name, shape in shapes.items()}

        def send(ready: int, least: int = CHUNK) -> None:
            nonlocal sent
            sent = min(sent, ready)  # where reading starts anew, what was sent is sent again
            if ready - sent >= least:
                for name, source in host.items():
                    upload.copy(tensors[name][sent:ready], source[sent:ready])
                sent = ready

        def on_progress(ready: int) -> None:
            send(ready)
            if progress is not None:
                progress(ready)

        pictures = Pictures(**{name: tensor.numpy() for name, tensor in host.items()})
        samples = ops.read_samples(path, frame_ids, height, width, progress=on_progress, pictures=pictures, **options)
        send(len(frame_ids), 1)
        for name in ("motion", "packet_bytes", "frame_ids"):
            source = torch.from_numpy(getattr(samples, name))
            if name == "motion" and samples.motion_source == "none":
                # One zero that every vector is, where nobody looks for vectors.
                source = source[:1, :1, :1, :1]
            tensors[name] = upload.device_memory(source.shape, source.dtype)
            upload.copy(tensors[name], source)
    tensors["motion"] = tensors["motion"].expand(samples.motion.shape)
    return dataclasses.replace(samples, **tensors)


def upload_samples(samples: Samples, device: Any) -> Samples:
    """The samples with what the kernels need as tensors on a torch device; the rest stays arrays.

    To a CUDA device the pictures go in chunks of ``CHUNK`` samples: while one is on its way from pinned memory, the
    next is laid there. The scores' inputs go first. Returns before the last copy is through; work that is queued on the
    current stream afterwards waits for it.
    """
    tensors: dict[str, Any] = {}
    with _Upload(device) as upload:
        for name in _UPLOADED:
            source = torch.from_numpy(np.asarray(getattr(samples, name)))
            tensors[name] = upload.device_memory(source.shape, source.dtype)
            for first in range(0, len(source), CHUNK):
                upload.copy(tensors[name][first : first + CHUNK], source[first : first + CHUNK])
    return dataclasses.replace(samples, **tensors)


def to_device(array: Array, device: Any) -> torch.Tensor:
    """An array as a tensor on a torch device."""
    return torch.tensor(array, device=device)


def send_plan(device: Any, group_edges: Array, exact: Array, known: Array, backend: str) -> Callable[[Any], Any]:
    """Uploads what is known before anything is decoded, so that no stage after it need wait or copy.

    Returns what makes the samples' bits of the estimated ones: ``exact``, int64 ``[N, hb, wb]``, where ``known``, bool
    ``[N]``. The edges wait on the device for the stages that are given the same.
    """
    device = _resolve(device)
    if device.type == "cuda" and backend in ("auto", "triton"):
        load_backend("triton").send_edges(torch.from_numpy(group_edges), device)
    if not known.any():
        return lambda estimated: estimated
    sent = upload_together(device, exact=exact, known=known[:, None, None])
    if known.all():
        return lambda _: sent["exact"]
    return lambda estimated: torch.where(sent["known"], sent["exact"], estimated)


def upload_together(device: Any, **arrays: Array) -> dict[str, torch.Tensor]:
    """Small arrays as tensors on a device, in one copy, for which the host does not wait."""
    device = _resolve(device)
    sizes = [-(-array.nbytes // 16) * 16 for array in arrays.values()]
    host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=device.type == "cuda")
    places = np.cumsum([0, *sizes]).tolist()
    for place, array in zip(places, arrays.values(), strict=False):
        host.numpy()[place : place + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    # The allocator of pinned memory hands it out again only when the copy is through.
    memory = host.to(device, non_blocking=True)
    return {
        name: memory[place : place + array.nbytes].view(getattr(torch, array.dtype.name)).view(array.shape)
        for place, (name, array) in zip(places, arrays.items(), strict=False)
    }


def _resolve(device: Any) -> torch.device:
    """A device with its number, whatever becomes the current one; ``BackendUnavailableError`` where there is none."""
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailableError(f"{device} is a CUDA or ROCm device, and torch sees none")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


class _Upload:
    """Copies from the host to a device; to a CUDA one from pinned memory, on a stream of its own.

    When the ``with`` block is left, also by an exception, what is queued on the current stream waits for the copies:
    memory that they write into must not go to anyone else before.
    """

    def __init__(self, device: Any) -> None:
        self.device = _resolve(device)
        self.stream: Any = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self.stream)

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=self.stream is not None)

    def device_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        memory = torch.empty(shape, dtype=dtype, device=self.device)
        if self.stream is not None:
            # It belongs to the current stream, where work that used it before may still be queued.
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
        return memory

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        if self.stream is None:
            target.copy_(source)
            return
        if not source.is_pinned():
            source = self.host_memory(source.shape, source.dtype).copy_(source)
        # The allocator of pinned memory hands it out again only when the copy is through.
        with torch.cuda.stream(self.stream):
            target.copy_(source, non_blocking=True)


def model_inputs(
    canvases: torch.Tensor, positions: torch.Tensor, dtype: str, patch: int, backend: str, **small: Array
) -> dict[str, torch.Tensor]:
    """``pixel_values`` and ``patch_positions`` of canvases, each its own source, and small arrays, on their device."""
    count, height, width, _ = canvases.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    index = np.arange(count * hb * wb).reshape(count, -1)
    small_tensors = upload_together(canvases.device, index=index, table=_table(dtype), **small)
    chosen, table = (small_tensors.pop(name) for name in ("index", "table"))
    table = table.view(getattr(torch, dtype))
    values, _ = ops.pack_pixel_values(canvases, chosen, chosen.view(-1)[:count], table, patch=patch, backend=backend)
    by_block = positions.view(count, hb, 2, wb, 2, 3).transpose(2, 3)
    by_block = by_block.to(torch.int64, memory_format=torch.contiguous_format).view(-1, 3)
    return {"pixel_values": values, "patch_positions": by_block, **small_tensors}


@lru_cache(maxsize=3)
def _table(dtype: str) -> Array:
    """The bits of the normalisation table in the type wanted, each value rounded once."""
    table = torch.tensor(normalization_table()).to(getattr(torch, dtype))
    bits: Array = table.view(torch.int32 if dtype == "float32" else torch.int16).numpy()
    return bits
