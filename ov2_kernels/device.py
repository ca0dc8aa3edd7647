"""Samples brought to a torch device while decoding goes on, and model inputs made there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from . import ops
from .media import Array, Pictures, Samples
from .tables import normalization_table

#: samples that one copy moves
CHUNK = 32

_UPLOADED = ("frame_ids", "packet_bytes", "motion", "luma", "prev_luma", "frames")


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
    the vectors at the end, when they are known. ``options`` are those of ``read_samples``. The result is that of
    :func:`upload_samples`.
    """
    upload = _Upload(torch.device(device))
    count = len(frame_ids)
    shapes: dict[str, tuple[int, ...]] = {
        "frames": (count, height, width, 3),
        "luma": (count, height, width),
        "prev_luma": (count if predecessors else 0, height, width),
    }
    pinned = upload.stream is not None
    host = {name: torch.empty(shape, dtype=torch.uint8, pin_memory=pinned) for name, shape in shapes.items()}
    tensors: dict[str, Any] = {name: upload.allocate(shape, "uint8") for name, shape in shapes.items()}
    sent = 0

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
        array = getattr(samples, name)
        tensors[name] = upload.allocate(array.shape, array.dtype.name)
        upload.copy(tensors[name], torch.from_numpy(array))
    upload.finish()
    return dataclasses.replace(samples, **tensors)


def upload_samples(samples: Samples, device: Any) -> Samples:
    """The samples with what the kernels need as tensors on a torch device; the rest stays arrays.

    To a CUDA device the pictures go in chunks of ``CHUNK`` samples: while one is on its way from pinned memory, the
    next is laid there. The scores' inputs go first. Returns before the last copy is through; work that is queued on the
    current stream afterwards waits for it.
    """
    device = torch.device(device)
    upload = _Upload(device)
    tensors: dict[str, Any] = {}
    for name in _UPLOADED:
        array = getattr(samples, name)
        tensors[name] = upload.allocate(array.shape, array.dtype.name)
        for first in range(0, len(array), CHUNK):
            upload.copy(tensors[name][first : first + CHUNK], torch.from_numpy(array[first : first + CHUNK]))
    upload.finish()
    return dataclasses.replace(samples, **tensors)


def to_device(array: Array, device: Any) -> torch.Tensor:
    """An array as a tensor on a torch device."""
    return torch.tensor(array, device=device)


class _Upload:
    """Copies from the host to a device; to a CUDA one from pinned memory, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self.stream is not None:
            # Memory from the allocator may still be in use by work queued earlier.
            self.stream.wait_stream(torch.cuda.current_stream(device))

    def allocate(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        return torch.empty(shape, dtype=getattr(torch, dtype), device=self.device)

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> None:
        if self.stream is None:
            target.copy_(source)
            return
        if not source.is_pinned():
            source = torch.empty(source.shape, dtype=source.dtype, pin_memory=True).copy_(source)
        # The allocator of pinned memory hands it out again only when the copy is through.
        with torch.cuda.stream(self.stream):
            target.copy_(source, non_blocking=True)

    def finish(self) -> None:
        if self.stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self.stream)


def pixel_values(
    canvases: torch.Tensor, positions: torch.Tensor, dtype: str, patch: int, backend: str
) -> tuple[Any, Any]:
    """``pixel_values`` and ``patch_positions`` of canvases, each its own source, on their device."""
    count, height, width, _ = canvases.shape
    hb, wb = height // (2 * patch), width // (2 * patch)
    index = torch.arange(count * hb * wb, device=canvases.device)
    table = _table(dtype, canvases.device)
    values, _ = ops.pack_pixel_values(
        canvases, index.view(count, -1), index[:count], table, patch=patch, backend=backend
    )
    by_block = positions.view(count, hb, 2, wb, 2, 3).transpose(2, 3)
    return values, by_block.to(torch.int64, memory_format=torch.contiguous_format).view(-1, 3)


@lru_cache(maxsize=16)
def _table(dtype: str, device: torch.device) -> torch.Tensor:
    """The normalisation table in the type wanted, each value rounded once, on the host."""
    return torch.tensor(normalization_table()).to(getattr(torch, dtype)).to(device)
