"""From a video's packets to its canvases: which frames are looked at, read and scored, and which blocks are kept."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from . import bits, ops
from .beside import Beside
from .config import CodecConfig
from .geometry import canvas_size, canvases_per_group
from .limits import Deadline
from .media import Array, Pictures, Samples, VideoInfo


@dataclass(frozen=True, eq=False)
class Choice:
    """The canvases, and where what is on them comes from."""

    #: the sampled frames, int64 ``[N]``
    frame_ids: Array
    #: those of them that were read
    samples: Samples
    #: uint8 ``[C, H, W, 3]`` and int32 ``[C * hp * wp, 3]``, as ``pack_canvases`` returns them
    canvases: Any
    positions: Any
    #: first sample of each group and the end of the last, int64 ``[groups + 1]``
    group_edges: Array
    #: group of each canvas, int32 ``[C]``, and whether it is its ``I`` or a ``P``, ``U1`` ``[C]``
    group_ids: Array
    canvas_kinds: Array
    #: of which samples the bits are exact, bool ``[N]``
    exact: Array
    #: samples for which the next picture stands in, int64
    substituted_frames: Array


@dataclass(frozen=True, eq=False)
class Chooser:
    """One video, and how to go about it."""

    path: str | os.PathLike[str]
    info: VideoInfo
    config: CodecConfig
    threads: int
    backend: str
    #: a torch device, or None
    device: Any
    #: called with the stage, how much of it is done and how much there is; or None
    progress: Callable[[str, int, int], None] | None
    #: called with the name of a stage when it ends
    lap: Callable[[str], None]
    deadline: Deadline

    def choose(self) -> Choice:
        """The choice that the configuration asks for."""
        return self._by_readiness() if self.config.profile == "readiness" else self._by_score()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvases."""
        config = self.config
        return canvas_size(self.info.height, self.info.width, patch=config.patch, max_pixels=config.max_pixels)

    @property
    def _on_device(self) -> ModuleType:
        """What brings arrays to a torch device; without one, torch need not be there."""
        return importlib.import_module("ov2_kernels.device")

    def _tell(self, stage: str, total: int) -> Callable[[int], None] | None:
        progress = self.progress
        return None if progress is None else lambda done: progress(stage, done, total)

    @property
    def _how(self) -> dict[str, Any]:
        """What the stages that work on blocks are told."""
        return {"patch": self.config.patch, "threads": self.threads, "backend": self.backend}

    def _read(
        self, frame_ids: Array, motion_source: str, *, predecessors: bool = True, whole_frames: bool = False
    ) -> Samples:
        options = {**self._reading(frame_ids), "motion_source": motion_source}
        if self.device is None:
            # Of most frames few blocks are kept: unless frames are looked at whole, colour is converted of those.
            pictures = Pictures.empty(len(frame_ids), *self.size, predecessors=predecessors, frames=whole_frames)
            samples = ops.read_samples(self.path, frame_ids, *self.size, pictures=pictures, **options)
        else:
            samples = self._on_device.read_to_device(
                self.path, frame_ids, *self.size, self.device, predecessors=predecessors, **options
            )
        self.lap("read")
        return samples

    def _reading(self, frame_ids: Array) -> dict[str, Any]:
        """What every reader is told."""
        return {
            "info": self.info,
            "threads": self.threads,
            "progress": self._tell("read", len(frame_ids)),
            "limits": self.deadline.left(),
            "backend": self.backend,
        }

    @property
    def _packs_as_read(self) -> bool:
        """Whether groups are finished while later ones are read, which takes the memory of a few groups only.

        Memory that is touched for the first time is dear, and what others decode into meanwhile stays in the cache.
        """
        on_host = self.device is None and self.backend in ("auto", "native")
        return self.config.score_mode == "change" and on_host

    def _pack_as_read(self, frame_ids: Array, edges: Array) -> tuple[Samples, tuple[Array, Array]]:
        """The samples, and their canvases and positions; where both fail, what is known first is raised."""
        from .groups import GroupsAsRead  # which only loads where the extension does

        options = self._reading(frame_ids)
        tell = options["progress"]
        with GroupsAsRead(self.config, frame_ids, edges, self.size, self.threads, self.lap) as groups:

            def progress(ready: int) -> None:
                groups.progress(ready)
                if tell is not None:
                    tell(ready)

            options |= {"progress": progress, "progress_at": groups.progress_at}
            options |= {"motion_source": "none", "pictures": groups.pictures}
            samples = ops.read_samples(self.path, frame_ids, *self.size, **options)
            self.lap("read")
            return samples, groups.result()

    def _by_score(self) -> Choice:
        config, info = self.config, self.info
        frame_ids, edges = plan(info, config, self.backend)
        self.lap("plan")
        read = frame_ids
        samples = None
        if self._beside:
            samples, (exact, known) = self._read_beside_bits(frame_ids)
        else:
            exact, known = self._bits(frame_ids, config, self._tell("bits", len(frame_ids)))
        self.lap("bits")
        if self._packs_as_read:
            samples, packed = self._pack_as_read(frame_ids, edges)
        elif config.score_mode == "bits" and known.all():
            # Nothing else counts, so nothing need be decoded to choose.
            zeros = np.zeros(exact.shape, dtype=np.int32)
            selected = self._select(self._fuse((zeros, zeros, exact), edges), edges)
            read, samples, selected = self._read_chosen(frame_ids, selected, exact[0].size)
            packed = self._pack(samples, selected)
        else:
            merge = self._merge(edges, exact, known)
            if samples is None:
                samples = self._read(frame_ids, config.motion_wanted)
            if config.score_mode == "change":
                selected = self._select(ops.change_scores(samples.luma, samples.prev_luma, edges, **self._how), edges)
            else:
                energies = score_inputs(samples, config, self.threads, self.backend, merge)
                selected = self._select(self._fuse(energies, edges), edges)
            packed = self._pack(samples, selected)
        counts = canvases_per_group(edges, config.images_per_group)
        kinds = np.full(int(counts.sum()), "P")
        kinds[np.cumsum(counts) - counts] = "I"
        group_ids = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return Choice(frame_ids, samples, *packed, edges, group_ids, kinds, known, read[samples.substituted])

    @property
    def _beside(self) -> bool:
        """Whether bits are read while pictures are: not where they decide what is read, or go to a device first."""
        config = self.config
        return config.bits_wanted and config.score_mode != "bits" and self.device is None and self.threads > 1

    def _bits(
        self, frame_ids: Array, config: CodecConfig, progress: Callable[[int], None] | None
    ) -> tuple[Array, Array]:
        return bits.exact_bits(
            self.path,
            self.info,
            frame_ids,
            *self.size,
            config,
            progress=progress,
            limits=self.deadline.left(),
            backend=self.backend,
        )

    def _read_beside_bits(self, frame_ids: Array) -> tuple[Samples, tuple[Array, Array]]:
        """The samples, and what :meth:`_bits` gives; decoders wait for each other, and bits fill the time.

        Where both fail, the reader's error is the one that is raised, whichever came first.
        """
        few = self.config.replace(threads=self.threads // 2)
        with Beside(partial(self._bits, frame_ids, few)) as beside:
            samples = self._read(frame_ids, self.config.motion_wanted)
            known = beside.result()
        tell = self._tell("bits", len(frame_ids))
        if tell is not None:
            tell(len(frame_ids))
        return samples, known

    def _merge(self, edges: Array, exact: Array, known: Array) -> Callable[[Any], Any]:
        """What puts the exact bits into the estimated ones; with a device, these and the edges are sent there first."""
        if self.device is None:
            return partial(bits.merge_bits, exact, known)
        merge: Callable[[Any], Any] = self._on_device.send_plan(self.device, edges, exact, known, self.backend)
        return merge

    def _fuse(self, energies: tuple[Any, Any, Any], edges: Array) -> Any:
        return ops.fuse_scores(*energies, edges, weights=self.config.weights, **self._how)

    def _select(self, scores: Any, edges: Array) -> Any:
        config = self.config
        self.lap("score")
        selected = ops.select_blocks(
            scores,
            edges,
            images_per_group=config.images_per_group,
            selection=config.selection,
            threads=self.threads,
            backend=self.backend,
        )
        self.lap("select")
        return selected

    def _pack(self, samples: Samples, selected: Any) -> tuple[Any, Any]:
        packed = ops.pack_canvases(samples.frames, selected, samples.frame_ids, **self._how)
        self.lap("pack")
        return packed

    def _read_chosen(self, frame_ids: Array, selected: Array, blocks: int) -> tuple[Array, Samples, Any]:
        """Reads the samples that give a block; says which, and where among them the selected blocks are."""
        used, place = np.unique(selected // blocks, return_inverse=True)
        among = place.reshape(selected.shape) * blocks + selected % blocks
        if self.device is not None:
            among = self._on_device.upload_together(self.device, among=among)["among"]
        return frame_ids[used], self._read(frame_ids[used], "none", predecessors=False), among

    def _by_readiness(self) -> Choice:
        from . import readiness  # which nothing else needs

        config, info = self.config, self.info
        frame_ids = readiness.readiness_samples(info, config.sample_limit(0), avoid_keyframes=config.avoid_keyframes)
        self.lap("plan")
        rules = readiness.ReadinessRules()
        cost = bits.sample_costs(
            self.path,
            info,
            frame_ids,
            config,
            progress=self._tell("bits", len(frame_ids)),
            limits=self.deadline.left(),
            whole_bytes=rules.whole_bytes,
            run_to_first_skipped=rules.run_to_first_skipped,
            terminate_to_nobody=rules.terminate_to_nobody,
        )
        known = np.zeros(len(frame_ids), dtype=bool) if cost is None else cost.exact
        self.lap("bits")
        chooser = dataclasses.replace(self, device=None)
        samples = chooser._read(frame_ids, "none", whole_frames=True)
        height, width = self.size
        block = 2 * config.patch
        scores = np.zeros((len(frame_ids), height // block, width // block), dtype=np.float32)
        if cost is not None and known.any():
            maps = readiness.readiness_maps(cost, info, rules)[known]
            scores[known] = readiness.readiness_scores(maps, height, width, patch=config.patch)
        if not known.all():
            estimated = score_inputs(samples, config, self.threads, self.backend)[2][~known]
            maps = (estimated / 256).astype(np.float32)
            scores[~known] = readiness.readiness_scores(maps, height, width, patch=config.patch)
        edges = readiness.readiness_groups(
            scores,
            images_per_group=config.images_per_group,
            group_size=config.group_size,
            min_group_frames=config.min_group_frames,
            max_group_frames=config.max_group_frames,
        )
        self.lap("score")
        bad = ops.bad_frames(samples.frames, threads=self.threads, backend=self.backend)
        selected, group_ids, first = readiness.readiness_blocks(
            scores, bad, edges, images_per_group=config.images_per_group
        )
        self.lap("select")
        kinds = np.where(first, "I", "P")
        packed = self._pack(samples, selected)
        substituted = frame_ids[samples.substituted]
        return Choice(frame_ids, samples, *packed, edges, group_ids, kinds, known, substituted)


def plan(info: VideoInfo, config: CodecConfig, backend: str = "auto") -> tuple[Array, Array]:
    """The frames to look at, int64 ``[N]``, and the edges of their groups, int64 ``[groups + 1]``."""
    begin = max(config.start_time or 0.0, 0.0)
    end = float(info.times[-1]) if config.end_time is None else min(config.end_time, float(info.times[-1]))
    frame_ids, range_start = ops.sample_frames(
        info,
        max_samples=config.sample_limit(max(end - begin, 0.0)),
        sampling=config.sampling,
        avoid_keyframes=config.avoid_keyframes,
        start_time=config.start_time,
        end_time=config.end_time,
        sample_fps=config.sample_fps,
        backend=backend,
    )
    edges = ops.partition_groups(
        info,
        frame_ids,
        range_start,
        partition=config.partition,
        max_groups=config.max_groups,
        group_size=config.group_size,
        min_group_frames=config.min_group_frames,
        max_group_frames=config.max_group_frames,
        backend=backend,
    )
    return frame_ids, edges


def score_inputs(
    samples: Samples, config: CodecConfig, threads: int | None, backend: str, merge: Callable[[Any], Any] | None = None
) -> tuple[Any, Any, Any]:
    """Residual, motion and bits of the samples' blocks; the bits are what ``merge`` makes of the estimated ones."""
    residual, motion, estimated = ops.block_energies(
        samples.luma,
        samples.prev_luma,
        samples.motion,
        samples.packet_bytes,
        patch=config.patch,
        threads=threads,
        backend=backend,
    )
    return residual, motion, estimated if merge is None else merge(estimated)
