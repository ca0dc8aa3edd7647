"""Runs every launcher up to the point of launching, on a driver that only names a device; not a test by itself.

``python launch_without_gpu.py cuda:90`` prints, in JSON, the kernels whose code was not compiled ahead of time, and the
forms compiled ahead of time that no launcher asked for.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ov2_kernels.triton as kernels
import torch
import triton
from ov2_kernels.triton import launch
from ov2_kernels.triton.ahead_of_time import TARGETS, compile_kernels


class Driver:
    """A device in name."""

    def get_current_target(self) -> Any:
        return TARGETS[sys.argv[1]]

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


asked: dict[str, str] = {}


def warm_up(self: launch.Kernel, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    target = TARGETS[sys.argv[1]]
    told = {**constants, **self.about(target.backend), **self.options(target.warp_size)}
    compiled = self.function.warmup(*arguments, grid=grid, **told)
    asked[compiled.asm["ptx" if "ptx" in compiled.asm else "amdgcn"]] = f"{self.name} {constants}"


def bytes_(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.uint8)


def main() -> None:
    triton.runtime.driver.set_active(Driver())
    launch.Kernel.__call__ = warm_up
    # One frame, block and group as well: a parameter of 1 must not make a form of its own.
    for n, wide in ((6, 2), (1, 1)):
        edges = torch.tensor([0, 2, 6] if n > 1 else [0, 1])
        motion = torch.zeros((n, 7, 7 * wide, 2), dtype=torch.int16)
        energies = kernels.block_energies(
            bytes_(n, 28, 28 * wide), bytes_(n, 28, 28 * wide), motion, torch.ones(n).long()
        )
        scores = kernels.fuse_scores(*energies, edges, weights=(1, 16, 256))
        kernels.change_scores(bytes_(n, 28, 28 * wide), bytes_(n, 28, 28 * wide), edges)
        for selection in ("stretches", "global"):
            selected = kernels.select_blocks(scores, edges, selection=selection)
        for patch in (2, 14, 16, 18):
            pack = (bytes_(n, 2 * patch, 2 * patch * wide, 3), selected, torch.arange(n))
            kernels.pack_canvases(*pack, patch=patch)
            for dtype in (torch.float32, torch.float16, torch.bfloat16):
                kernels.pack_pixel_values(*pack, torch.zeros((3, 256), dtype=dtype), patch=patch)
        kernels.rope_frequencies(torch.zeros((n, 3), dtype=torch.int64), 32 * n)
    ahead = {b.assembly: f"{b.kernel} {b.form}" for b in compile_kernels((sys.argv[1],))}
    report = {
        "unforeseen": [name for code, name in asked.items() if code not in ahead],
        "unused": [name for code, name in ahead.items() if code not in asked],
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
