"""Settings of the tokenizer."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .limits import Limits, setting

SAMPLING = ("peaks", "uniform", "near_keyframes")
PARTITION = ("energy", "uniform", "fixed")
SCORE_MODE = ("fused", "framediff", "motion", "residual", "bits", "change")
SELECTION = ("global", "stretches")
MOTION_SOURCE = ("auto", "estimated", "none")
BITS_SOURCE = ("exact", "estimated")
PROFILE = ("default", "readiness")

#: Weights of motion, residual and bits, in 1/256, for the score modes that fix them.
_FIXED_WEIGHTS = {"framediff": (0, 256, 0), "motion": (256, 0, 0), "residual": (0, 256, 0), "bits": (0, 0, 256)}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "frames_384": {"target_canvas": 48, "min_fps": 0.0},
    "frames_768": {"target_canvas": 96, "min_fps": 0.0},
    "dense": {"group_size": 64, "min_samples": 512, "max_samples": 7200, "min_fps": 12.0},
}

#: Seconds of video up to which max_samples is whole; from there to twice as many it falls to a quarter, no further.
_LONG = 600.0
#: Samples that min_fps asks for at most for each group that there may be, since those of a group are in memory at the
#: same time; an average, for groups differ in length.
_PER_GROUP = 600


@dataclass(frozen=True)
class CodecConfig(Limits):
    """What to look at, how to score it and how much to keep; a wrong value raises ``ValueError``.

    The section numbers in the comments are those of the algorithm, ``ov2_kernels/reference/README.md``.
    """

    # sections 2 and 3
    target_canvas: int = setting(32, "canvases at most, except with profile readiness")
    images_per_group: int = setting(4, "canvases per group: one I-canvas, the rest P-canvases")
    group_size: int = setting(32, "samples per group on average")
    min_samples: int = setting(256, "samples at least, however few the canvases, where the video has so many frames")
    min_fps: float = setting(
        8.0, "samples a second at least, up to max_samples and 600 a group on average; not with near_keyframes"
    )
    max_samples: int = setting(
        3200,
        "samples that min_fps asks for at most, no limit of others; falls to a quarter from ten to twenty minutes",
    )
    min_group_frames: int = setting(8, "samples in a group at least")
    max_group_frames: int = setting(64, "samples in a group at most, or twice the average if that is more")
    sampling: str = setting("peaks", "which frame of each interval to look at", SAMPLING)
    avoid_keyframes: bool = setting(True, "move samples off keyframes, which carry no motion")
    start_time: float | None = setting(None, "look no earlier than this, in seconds")
    end_time: float | None = setting(None, "look no later than this, in seconds")
    sample_fps: float | None = setting(None, "samples per second; by count where they would be too many")
    partition: str = setting("energy", "where groups end: at packet energy, evenly, or every group_size", PARTITION)
    # section 4
    patch: int = setting(14, "patch side in pixels, even")
    max_pixels: int = setting(150_000, "canvas area at most, in pixels")
    motion_source: str = setting(
        "auto", "motion vectors: the codec's or else estimated, always estimated, or none", MOTION_SOURCE
    )
    # section 6
    score_mode: str = setting("change", "what makes a block worth keeping", SCORE_MODE)
    motion_weight: float = setting(1.0, "weight of motion in the fused score, in steps of 1/256")
    residual_weight: float = setting(1.0, "weight of the residual in the fused score")
    bits_weight: float = setting(1.0, "weight of the bits in the fused score")
    # section 12
    bits_source: str = setting(
        "exact", "bits: off the bitstream where it can be read, or always estimated", BITS_SOURCE
    )
    # section 7
    selection: str = setting(
        "global", "P-canvases from the whole group, or each from a stretch of equal saliency", SELECTION
    )
    # section 13
    profile: str = setting("default", "readiness: the selection of codec-video-prep, by bits alone", PROFILE)
    # how, not what; what is accepted, and what happens where a file is broken, is for Limits to say
    threads: int | None = setting(None, "threads for decoding and kernels; all processors of this process by default")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_integers("target_canvas", "images_per_group", "group_size", "min_samples", "max_samples")
        self._check_integers("min_group_frames", "max_group_frames", "patch", "max_pixels")
        if self.max_group_frames < self.min_group_frames:
            raise ValueError(
                f"max_group_frames must be at least min_group_frames = {self.min_group_frames}, "
                f"got {self.max_group_frames}"
            )
        if self.threads is not None:
            self._check_integers("threads")
        for whole in ("target_canvas", "group_size"):
            if getattr(self, whole) % self.images_per_group:
                raise ValueError(
                    f"images_per_group must divide {whole}, got {self.images_per_group} for {getattr(self, whole)}"
                )
        if self.patch % 2 or self.patch > 256:
            raise ValueError(f"patch must be even and at most 256, got {self.patch}")
        if self.max_pixels < (2 * self.patch) ** 2:
            raise ValueError(
                f"max_pixels must be at least (2 * patch)**2 = {(2 * self.patch) ** 2}, got {self.max_pixels}"
            )
        for field in dataclasses.fields(self):
            choices = field.metadata["choices"]
            if choices and getattr(self, field.name) not in choices:
                raise ValueError(f"{field.name} must be one of {', '.join(choices)}, got {getattr(self, field.name)!r}")
        if not isinstance(self.avoid_keyframes, bool):
            raise ValueError(f"avoid_keyframes must be True or False, got {self.avoid_keyframes!r}")
        self._check_times()
        if self.profile == "readiness":
            for name in ("start_time", "end_time", "sample_fps"):
                if getattr(self, name) is not None:
                    raise ValueError(f"profile readiness takes no {name}, got {getattr(self, name)}")
        self._check_numbers("min_fps", "motion_weight", "residual_weight", "bits_weight")
        given = (self.motion_weight, self.residual_weight, self.bits_weight)
        if max(given) > 128 or not 0 < sum(self.weights) <= 32767:
            raise ValueError(
                "motion_weight, residual_weight and bits_weight must sum to more than 0 and less than 128, "
                f"got {given[0]}, {given[1]}, {given[2]}"
            )

    def _check_times(self) -> None:
        for name in ("start_time", "end_time"):
            if getattr(self, name) is not None:
                self._check_numbers(name)
        if self.start_time is not None and self.end_time is not None and self.end_time < self.start_time:
            raise ValueError(f"end_time must be at least start_time = {self.start_time}, got {self.end_time}")
        if self.sample_fps is not None:
            self._check_numbers("sample_fps", strict=True)

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> CodecConfig:
        """Settings by name: ``default``, ``dense``, ``frames_384`` or ``frames_768``; ``overrides`` are further fields.

        With the canvases that they come with, they take 256 to 3200, 512 to 4800, 384 and 768 samples.
        """
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls().replace(**{**PRESETS[name], **overrides})

    def replace(self, **overrides: Any) -> CodecConfig:
        """A copy with some fields changed; an unknown name raises ``TypeError`` that tells the nearest one."""
        names = [field.name for field in dataclasses.fields(self)]
        for name in overrides:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                raise TypeError(f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return dataclasses.replace(self, **overrides)

    @property
    def max_groups(self) -> int:
        """Groups at most."""
        return self.target_canvas // self.images_per_group

    def sample_limit(self, seconds: float) -> int:
        """Samples at most, of so many seconds of video (section 2); the readiness profile knows no least number."""
        given = self.max_groups * self.group_size
        if self.profile == "readiness":
            return given
        if self.sampling == "near_keyframes":
            return max(given, self.min_samples)
        most = self.max_samples * (7 * _LONG - 3 * min(max(seconds, _LONG), 2 * _LONG)) / (4 * _LONG)
        dense = min(self.min_fps * seconds, most, _PER_GROUP * self.max_groups)
        return max(given, self.min_samples, math.ceil(dense))

    @property
    def motion_wanted(self) -> str:
        """``motion_source``, but ``none`` where the score looks at no vectors."""
        return "none" if self.score_mode in ("framediff", "change") else self.motion_source

    @property
    def bits_wanted(self) -> bool:
        """Whether the score looks at bits."""
        return self.profile == "readiness" or (self.score_mode != "change" and self.weights[2] > 0)

    @property
    def weights(self) -> tuple[int, int, int]:
        """Weights of motion, residual and bits, in 1/256 (section 6)."""
        if self.score_mode in _FIXED_WEIGHTS:
            return _FIXED_WEIGHTS[self.score_mode]
        motion, residual, bits = (round(256 * w) for w in (self.motion_weight, self.residual_weight, self.bits_weight))
        return motion, residual, bits
