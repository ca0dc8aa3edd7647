"""``run_preinfer`` and ``ov2-preinfer`` in place of ``codec_video_prep.run_preinfer`` and ``cv-preinfer``.

The command line is that of codec-video-prep 0.2.5, so that programs which run what ``CV_PREINFER_BIN`` names, or
``cv-preinfer`` by default, run this package instead, and so is the asset directory that they read back.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import check_integer, check_number
from ..config import CodecConfig
from ..flags import flag_options
from ..limits import Limits
from ..termination import ends_at_sigterm

if TYPE_CHECKING:
    from ..video import Progress

_SAMPLING = {"uniform_count": "uniform", "fps": "uniform", "pkt_peak": "peaks"}


def _flag(default: Any, help_: str, choices: tuple[str, ...] | None = None, *, readiness: bool = False) -> Any:
    help_ = f"{help_}; for readiness only" if readiness else help_
    metadata = {"help": help_, "choices": choices, "readiness": readiness, "ignored": False}
    return dataclasses.field(default=default, metadata=metadata)


def _ignored(default: Any, choices: tuple[str, ...] | None = None) -> Any:
    metadata = {"help": "ignored", "choices": choices, "readiness": False, "ignored": True}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass
class PreinferConfig:
    """The flags of ``cv-preinfer``, by name and with its defaults."""

    video: str
    out_dir: str
    num_sampled_frames: int = _flag(1024, "frames to look at; a whole number of groups of them where there are as many")
    group_size: int = _flag(32, "sampled frames per group")
    images_per_group: int = _flag(4, "canvases per group")
    patch: int = _flag(14, "patch side in pixels")
    max_pixels: int = _flag(153664, "canvas area at most, in pixels")
    block_size: int = _flag(2, "patches along a block's side; there is only 2")
    min_group_frames: int = _flag(8, "sampled frames in a group at least")
    max_group_frames: int = _flag(64, "sampled frames in a group at most")
    thread_type: str = _ignored("slice", ("auto", "slice", "frame"))
    thread_count: int | None = _flag(None, "threads; all processors of this process by default")
    disable_target_only: bool = _ignored(False)
    bitcost_grid: str = _flag("adaptive", "cells of the bit map", ("sub", "mb", "ctu", "adaptive"), readiness=True)
    canvas_format: str = _flag("jpg", "of the canvases", ("jpg", "png", "npy"))
    grouping_mode: str = _flag("readiness", "how groups are made", ("fixed", "readiness"))
    frame_sampling_mode: str = _flag("uniform_count", "which frames to look at", tuple(_SAMPLING))
    sample_fps: float = _flag(4.0, "frames to look at per second, for fps")
    readiness_sum_threshold: float = _flag(0.0, "when a group is ready; 0 is from the video", readiness=True)
    readiness_sum_threshold_mode: str = _flag(
        "legacy", "how that is found", ("legacy", "auto", "clamped_sqrt_bpppf", "fixed"), readiness=True
    )
    readiness_norm_sum_threshold: float = _ignored(2250000.0)
    iframe_score_clip_mode: str = _flag("none", "limit of I-frame scores", ("none", "non_i_percentile"), readiness=True)
    iframe_score_clip_percentile: float = _ignored(95.0)
    avoid_keyframes: bool = _flag(True, "move samples off keyframes")
    save_mask_video: bool = _ignored(False)
    parallel_decode_cv_reader: bool = _ignored(False)
    decode_backend: str = _ignored("cv_reader_pixels", ("ffmpeg_native", "cv_reader_pixels"))
    parallel_segments: int = _ignored(0)
    threads_per_segment: int = _ignored(4)
    segment_guard_frames: int = _ignored(30)
    #: ours: what of a video is accepted, and what happens where it is broken
    limits: Limits = dataclasses.field(default_factory=Limits)

    def codec_config(self) -> CodecConfig:
        """The settings of :func:`ov2_kernels.tokenize_video` that these flags stand for; ``ValueError`` if none do."""
        for field in dataclasses.fields(self):
            choices = field.metadata.get("choices")
            if choices and getattr(self, field.name) not in choices:
                raise ValueError(f"{field.name} must be one of {', '.join(choices)}, got {getattr(self, field.name)!r}")
        if self.block_size != 2:
            raise ValueError(f"block_size must be 2, the encoder merges 2x2 patches, got {self.block_size}")
        for name in ("num_sampled_frames", "group_size", "images_per_group"):
            check_integer(name, getattr(self, name), 1)
        check_number("readiness_sum_threshold", self.readiness_sum_threshold, -math.inf)
        if self.grouping_mode == "readiness":
            self._check_readiness()
        return CodecConfig(
            target_canvas=-(-self.num_sampled_frames // self.group_size) * self.images_per_group,
            images_per_group=self.images_per_group,
            group_size=self.group_size,
            min_group_frames=self.min_group_frames,
            max_group_frames=self.max_group_frames,
            sampling=_SAMPLING[self.frame_sampling_mode],
            sample_fps=self.sample_fps if self.frame_sampling_mode == "fps" else None,
            avoid_keyframes=self.avoid_keyframes,
            partition="fixed",
            min_samples=1,
            min_fps=0.0,
            score_mode="fused",
            selection="stretches",
            profile="readiness" if self.grouping_mode == "readiness" else "default",
            patch=self.patch,
            max_pixels=self.max_pixels,
            threads=self.thread_count,
            **dataclasses.asdict(Limits.checked(self.limits)),
        )

    def _check_readiness(self) -> None:
        """Of the ways to make ready groups there is that of the released checkpoints."""
        if self.readiness_sum_threshold_mode == "legacy" and self.readiness_sum_threshold > 0:
            given = self.readiness_sum_threshold
            raise ValueError(f"readiness_sum_threshold must be 0, which has it found from the video, got {given}")
        for name, offered in (
            ("frame_sampling_mode", ("uniform_count",)),
            ("readiness_sum_threshold_mode", ("legacy", "auto")),
            ("iframe_score_clip_mode", ("none",)),
            ("bitcost_grid", ("adaptive", "mb")),
        ):
            if getattr(self, name) not in offered:
                raise ValueError(
                    f"{name} must be {' or '.join(offered)} with grouping_mode readiness, got {getattr(self, name)}"
                )

    def changed(self) -> list[str]:
        """Names of the flags that are not at their defaults."""
        return [f.name for f in dataclasses.fields(self) if f.metadata and getattr(self, f.name) != f.default]

    def ignored(self, given: Collection[str]) -> list[str]:
        """Those of the given flags that change nothing."""
        kinds = ("ignored",) if self.grouping_mode == "readiness" else ("ignored", "readiness")
        idle = {f.name for f in dataclasses.fields(self) if any(f.metadata.get(kind) for kind in kinds)}
        return [name for name in given if name in idle]


@dataclass
class PreinferResult:
    """Where the assets are, and what ``meta.json`` says."""

    out_dir: str
    meta_path: str
    #: names in ``out_dir``, in order
    canvas_files: list[str]
    summary: dict[str, Any]

    @property
    def timings(self) -> dict[str, float]:
        """Seconds per stage."""
        return dict(self.summary["timing_sec"])


def run_preinfer(*args: Any, **flags: Any) -> PreinferResult:
    """Tokenizes ``video`` and writes ``out_dir``; the other flags are those of :class:`PreinferConfig`.

    A directory that exists is replaced if it is empty, or an asset directory, also of ``cv-preinfer``, that holds
    nothing else; otherwise ``FileExistsError``. It appears whole or not at all. Flags that change nothing here are
    named in one warning.
    """
    config = PreinferConfig(*args, **flags)
    ignored = config.ignored(config.changed())
    if ignored:
        warnings.warn(f"ignored, they change nothing here: {', '.join(ignored)}", stacklevel=2)
    return _preinfer(config)


def _preinfer(config: PreinferConfig, progress: Progress | None = None) -> PreinferResult:
    from ..assets import check_assets_target, save_assets
    from ..video import tokenize_video

    target, settings = Path(config.out_dir), config.codec_config()
    check_assets_target(target, overwrite=True, source=config.video)
    tokens = tokenize_video(config.video, settings, progress=progress)
    summary = save_assets(tokens, target, format=config.canvas_format, overwrite=True)
    return PreinferResult(str(target), str(target / "meta.json"), summary["canvas_files"], summary)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ov2-preinfer", description="Writes the asset directory of a video, by the command line of cv-preinfer."
    )
    for field in dataclasses.fields(PreinferConfig):
        if field.metadata:
            options = flag_options(PreinferConfig, field)
            if options.get("action"):
                options["action"] = "store_true"
            parser.add_argument(f"--{field.name}", **options)
        elif field.name != "limits":
            parser.add_argument(f"--{field.name}", required=True)
    parser.add_argument("--no_avoid_keyframes", action="store_true", help="leave samples on keyframes")
    group = parser.add_argument_group("what of a video is accepted (cv-preinfer has no such flags)")
    for field in dataclasses.fields(Limits):
        group.add_argument(f"--{field.name}", **flag_options(Limits, field))
    return parser


@ends_at_sigterm()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``ov2-preinfer``; the exit status is 0, or not 0, and then a line on stderr says why; 143 at SIGTERM."""
    flags = vars(_parser().parse_args(argv))
    if flags.pop("no_avoid_keyframes"):
        flags["avoid_keyframes"] = False
    from ..progress import ProgressBar

    try:
        limits = {f.name: flags.pop(f.name) for f in dataclasses.fields(Limits) if f.name in flags}
        config = PreinferConfig(**flags, limits=Limits(**limits))
        ignored = [f"--{name}" for name in config.ignored(flags)]
        if ignored:
            print(f"ov2-preinfer: ignored, they change nothing here: {', '.join(ignored)}", file=sys.stderr)
        with ProgressBar(Path(config.video).name) as bar:
            result = _preinfer(config, bar)
        summary = {"out_dir": result.out_dir, "meta_path": result.meta_path, "timings": result.timings}
        print(json.dumps(summary, indent=2))
    except KeyboardInterrupt:
        print("ov2-preinfer: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        line = "ov2-preinfer: " + " ".join(str(error).split())
        print(line.encode(errors="replace").decode(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
