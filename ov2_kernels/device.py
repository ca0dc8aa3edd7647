"""Samples brought to a torch device, and model inputs made there."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import torch

from . import ops
from .media import Array, Samples
from .tables import normalization_table

#: samples that one copy moves
CHUNK = 32

_UPLOADED = ("frame_ids", "packet_bytes", "motion", "luma", "prev_luma", "frames")


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
            upload.copy(tensors[name][first : first + CHUNK], array[first : first + CHUNK])
    upload.finish()
    return dataclasses.replace(samples, **tensors)


class _Upload:
    """Copies arrays to a device; to a CUDA one through pinned memory, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self.stream is not None:
            # Memory from the allocator may still be in use by work queued earlier.
            self.stream.wait_stream(torch.cuda.current_stream(device))

    def allocate(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        return torch.empty(shape, dtype=getattr(torch, dtype), device=self.device)

    def copy(self, target: torch.Tensor, array: Array) -> None:
        source = torch.from_numpy(array)
        if self.stream is None:
            target.copy_(source)
            return
        # The allocator of pinned memory hands it out again only when the copy is through.
        pinned = torch.empty(source.shape, dtype=source.dtype, pin_memory=True).copy_(source)
        with torch.cuda.stream(self.stream):
            target.copy_(pinned, non_blocking=True)

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
