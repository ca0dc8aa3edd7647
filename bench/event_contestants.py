"""Our ways to keep blocks of a clip, and whole frames at even distances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ov2_kernels import CodecConfig, ops, tokenize_video
from ov2_kernels.bits import exact_bits, merge_bits
from ov2_kernels.choose import plan
from ov2_kernels.geometry import canvas_size

from event_measures import Kept

Array = npt.NDArray[Any]

#: name -> preset and settings
OURS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("default", {}),
    "dense": ("dense", {}),
    "fused": ("default", {"score_mode": "fused"}),
    "group size 64": ("default", {"group_size": 64}),
    "uniform sampling": ("default", {"sampling": "uniform"}),
    "uniform groups": ("default", {"sampling": "uniform", "partition": "uniform"}),
    "near keyframes": ("default", {"sampling": "near_keyframes"}),
    "stretches": ("default", {"selection": "stretches"}),
    "motion": ("default", {"score_mode": "motion"}),
    "residual": ("default", {"score_mode": "residual"}),
    "bits": ("default", {"score_mode": "bits"}),
    "framediff": ("default", {"score_mode": "framediff"}),
}
_CHUNK = 1024


class Footage:
    """A clip with the energies of all its frames, so that many settings can choose from one decode."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads = path, threads
        self.info = ops.probe(path)
        config = CodecConfig()
        self.height, self.width = canvas_size(
            self.info.height, self.info.width, patch=config.patch, max_pixels=config.max_pixels
        )
        parts = [self._read(first) for first in range(0, self.info.frames, _CHUNK)]
        #: luma; residual, motion and bits; and the residual that is left where no vectors are used
        self.luma, *self.energies = [np.concatenate(part) for part in zip(*parts, strict=True)]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a canvas."""
        return self.height // CodecConfig().patch, self.width // CodecConfig().patch

    def _read(self, first: int) -> tuple[Array, ...]:
        frame_ids = np.arange(first, min(first + _CHUNK, self.info.frames))
        s = ops.read_samples(self.path, frame_ids, self.height, self.width, info=self.info, threads=self.threads)
        moving = ops.block_energies(s.luma, s.prev_luma, s.motion, s.packet_bytes, threads=self.threads)
        still = ops.block_energies(s.luma, s.prev_luma, 0 * s.motion, s.packet_bytes, threads=self.threads)
        config = CodecConfig(score_mode="fused")  # change would leave bits out
        exact, known = exact_bits(self.path, self.info, frame_ids, self.height, self.width, config)
        return s.luma, *moving[:2], merge_bits(exact, known, moving[2]), still[0]

    def kept(self, contestant: tuple[str, Mapping[str, Any]], canvases: int) -> Kept:
        """What ``tokenize_video`` keeps with a preset and settings at a budget."""
        preset, settings = contestant
        config = CodecConfig.preset(preset, **{**settings, "target_canvas": canvases})
        return self.select(config)

    def select(self, config: CodecConfig) -> Kept:
        """What ``tokenize_video`` keeps."""
        frame_ids, group_edges = plan(self.info, config)
        if config.score_mode == "change":
            luma, prev_luma = self.luma[frame_ids], self.luma[np.maximum(frame_ids - 1, 0)]
            scores = ops.change_scores(luma, prev_luma, group_edges, threads=self.threads)
        else:
            residual, motion, bits, difference = (energy[frame_ids] for energy in self.energies)
            if config.score_mode == "framediff":
                residual = difference
            scores = ops.fuse_scores(residual, motion, bits, group_edges, weights=config.weights, threads=self.threads)
        selected = ops.select_blocks(
            scores,
            group_edges,
            images_per_group=config.images_per_group,
            selection=config.selection,
            threads=self.threads,
        )
        sample, block = np.divmod(selected.ravel(), scores[0].size)
        starts = frame_ids[group_edges[:-1]]
        return Kept(frame_ids[sample], block, *scores.shape[1:], len(selected), frame_ids, starts)

    def assert_like_tokenize_video(self, canvases: int) -> None:
        """Every one of our contestants keeps what the package itself keeps."""
        for preset, settings in OURS.values():
            config = CodecConfig.preset(preset, **{**settings, "target_canvas": canvases})
            ours = self.select(config)
            tokens = tokenize_video(self.path, config, threads=self.threads)
            theirs = Kept.of_positions(tokens.src_patch_position, tokens.grid)
            np.testing.assert_array_equal(ours.frames, theirs.frames, err_msg=f"{preset} {settings}")
            np.testing.assert_array_equal(ours.blocks, theirs.blocks, err_msg=f"{preset} {settings}")


def uniform_frames(footage: Footage, canvases: int) -> Kept:
    """As many whole frames, evenly spread from the first to the last."""
    count = min(canvases, footage.info.frames)
    frames = np.rint(np.linspace(0, footage.info.frames - 1, count)).astype(np.int64)
    rows, columns = (n // 2 for n in footage.grid)
    blocks = rows * columns
    return Kept(frames.repeat(blocks), np.tile(np.arange(blocks), count), rows, columns, count, frames, frames)
