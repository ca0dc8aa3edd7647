"""In place of ``lmms_video_utils`` 0.1.0: its names, shapes, types and messages over the stages of this package.

Frames are sampled, canvases sized, groups made and blocks chosen by that package's rules, which
:mod:`ov2_kernels.integrations.lmms_stages` holds, from what our own reader and kernels measure. No canvas is padded,
there are never more than ``target_canvas``, and a video has one block grid throughout.
"""

from __future__ import annotations

import os
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np

from ..checks import check_integer, check_number
from ..limits import Limits
from . import lmms_stages

if TYPE_CHECKING:
    import torch

__all__ = ["CodecConfig", "CodecVideoOutput", "CodecVideoReader", "fetch_codec_video", "process_video_info"]

_SCORE_MODES = ("framediff", "mvwarp")
_GOP_MODES = ("uniform", "bitcost")
_BITCOST_SCORE_MODES = ("additive", "multiplicative", "off")
_BACKENDS = ("auto", "torchcodec", "pyav")

#: what a message calls a setting, and its name in :class:`CodecConfig`
_MESSAGE_KEYS = {
    "video_start": "start_time",
    "video_end": "end_time",
    "fps": "target_fps",
    "nframes": "max_frames",
    "max_pixels": "max_pixels",
    "min_pixels": "min_pixels",
}


#: of a canvas at most: messages may ask for it, and small pictures are enlarged
MOST_PIXELS = 1 << 26


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class CodecConfig:
    """The settings of that package; ``validate`` raises ``ValueError`` where they do not fit together."""

    target_canvas: int = 32
    group_size: int = 32
    images_per_group: int = 4
    patch: int = 14
    #: patches along a block's side, only 2
    block: int = 2
    max_pixels: int = 150_000
    min_group_frames: int = 8
    max_group_frames: int = 64
    #: ``framediff`` or ``mvwarp``; ``mvwarp_edge`` is not offered
    score_mode: str = "framediff"
    #: of ``mvwarp_edge`` alone
    mv_edge_weight: float = 0.5
    gop_mode: str = "uniform"
    bitcost_score_weight: float = 0.5
    bitcost_score_mode: str = "additive"
    #: only 0
    bitcost_bin_seconds: float = 0.0
    #: taken, and left alone: there is one reader
    backend: str = "auto"
    #: where ``canvases`` go
    device: str = field(default_factory=_default_device)
    start_time: float | None = None
    end_time: float | None = None
    target_fps: float | None = None
    max_frames: int | None = None
    #: taken, and without effect, there too
    min_pixels: int | None = None
    #: ours: what of a video is accepted, and what happens where it is broken
    limits: Limits = field(default_factory=Limits)

    def validate(self) -> None:
        """Raises ``ValueError`` that names the field and what it got."""
        for name in (
            "target_canvas",
            "images_per_group",
            "group_size",
            "patch",
            "min_group_frames",
            "max_group_frames",
        ):
            check_integer(name, getattr(self, name), 1)
        for whole in ("target_canvas", "group_size"):
            if getattr(self, whole) % self.images_per_group:
                raise ValueError(f"{whole} must be a multiple of images_per_group, got {getattr(self, whole)}")
        Limits.checked(self.limits)
        if self.block != 2:
            raise ValueError(f"block must be 2, the encoder merges 2x2 patches, got {self.block}")
        if self.min_group_frames > self.max_group_frames:
            raise ValueError(f"max_group_frames must be at least min_group_frames, got {self.max_group_frames}")
        for name, choices in (
            ("score_mode", _SCORE_MODES),
            ("gop_mode", _GOP_MODES),
            ("bitcost_score_mode", _BITCOST_SCORE_MODES),
            ("backend", _BACKENDS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("bitcost_bin_seconds", "bitcost_score_weight"):
            check_number(name, getattr(self, name), 0)
        if self.bitcost_bin_seconds != 0:
            raise ValueError(f"bitcost_bin_seconds must be 0, got {self.bitcost_bin_seconds}")
        for name in ("target_fps", "start_time", "end_time"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), 0)
        for name in ("max_frames", "min_pixels"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 0)
        if self.start_time is not None and self.end_time is not None and self.start_time >= self.end_time:
            raise ValueError(f"end_time must be above start_time = {self.start_time}, got {self.end_time}")
        check_integer("max_pixels", self.max_pixels, 1, MOST_PIXELS)
        if self.max_pixels < self.block_px**2:
            raise ValueError(f"max_pixels must hold a block of {self.block_px**2} pixels, got {self.max_pixels}")
        if self.min_pixels is not None and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels must be at most max_pixels = {self.max_pixels}, got {self.min_pixels}")

    def num_sampled_frames(self, video_duration: float | None = None) -> int:
        """Frames that are looked at, a multiple of ``group_size``, where the video has as many.

        With ``target_fps`` it takes ``end_time``, or the video's duration in seconds, to know.
        """
        count = self.target_canvas // self.images_per_group * self.group_size
        if self.target_fps:
            end = video_duration if self.end_time is None else self.end_time
            if end is None:
                raise ValueError("target_fps needs end_time or video_duration")
            seconds = max(0.0, float(end) - float(self.start_time or 0.0))
            count = round(min(seconds * float(self.target_fps), 2.0**31))
        if self.max_frames is not None:
            count = min(count, self.max_frames)
        if count % self.group_size:
            warnings.warn(f"{count} frames are no multiple of group_size = {self.group_size}", stacklevel=2)
        return max(count // self.group_size, 1) * self.group_size

    @property
    def block_px(self) -> int:
        """Pixels along a block's side."""
        return self.patch * self.block


@dataclass
class CodecVideoOutput:
    """Canvases of a video and where they come from."""

    #: RGB, uint8 ``[C, 3, H, W]``, on the device asked for
    canvases: torch.Tensor
    #: ``(t, h, w)`` of each patch, int64 ``[C * hp * wp, 3]``, row-major per canvas
    patch_positions: torch.Tensor
    #: group of each canvas, int64 ``[C]``
    gop_ids: torch.Tensor
    #: time of the first frame of each canvas's group, in seconds of the stream's clock, float32 ``[C]``
    source_pts: torch.Tensor
    fps: float
    n_groups: int

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(vars(self))


def fetch_codec_video(path: str | os.PathLike[str], **overrides: Any) -> CodecVideoOutput:
    """Tokenizes a video; ``overrides`` are fields of :class:`CodecConfig`, which ``None`` leaves at their defaults.

    Raises a :class:`ov2_kernels.VideoError` where the file cannot be read (then also an ``OSError``), holds no usable
    video or exceeds ``limits``, and ``ValueError`` for a wrong setting.
    """
    import torch

    config = CodecConfig(**{name: value for name, value in overrides.items() if value is not None})
    config.validate()
    result = lmms_stages.tokenize(path, config)
    canvases = torch.from_numpy(np.ascontiguousarray(result.canvases.transpose(0, 3, 1, 2)))
    return CodecVideoOutput(
        canvases=canvases.to(config.device),
        patch_positions=torch.from_numpy(result.positions.astype(np.int64)),
        gop_ids=torch.from_numpy(result.group_ids),
        source_pts=torch.from_numpy(result.group_times[result.group_ids].astype(np.float32)),
        fps=result.fps,
        n_groups=len(result.group_times),
    )


def process_video_info(
    messages: list[dict[str, Any]], video_backend: str = "codec", **defaults: Any
) -> tuple[list[Any], list[CodecVideoOutput]]:
    """Tokenizes the videos of chat messages, in order: ``([], outputs)``.

    A video is a part of a message's ``content`` of type ``video`` or ``video_url`` whose value is a path, a ``file://``
    URL, or a mapping with one of these as ``url`` or ``path``; for any other, such as a list of frames, ``ValueError``.
    ``video_start``, ``video_end``, ``fps``, ``nframes``, ``max_pixels`` and ``min_pixels`` beside it, unless ``None``,
    win over ``defaults``, which are fields of :class:`CodecConfig`.
    """
    if video_backend != "codec":
        raise ValueError(f"video_backend must be codec, got {video_backend!r}")
    if not isinstance(messages, Sequence) or not all(isinstance(message, Mapping) for message in messages):
        raise ValueError(f"messages must be a list of mappings, got {reprlib.repr(messages)}")
    outputs = []
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            path = _video_of(part)
            if path is not None:
                given = {name: part[key] for key, name in _MESSAGE_KEYS.items() if part.get(key) is not None}
                outputs.append(fetch_codec_video(path, **{**defaults, **given}))
    return [], outputs


def _video_of(part: Any) -> str | None:
    if not isinstance(part, dict) or part.get("type") not in ("video", "video_url"):
        return None
    value = part.get("video")
    if value is None:
        value = part.get("video_url")
    if value is None:
        return None
    path = value
    if isinstance(value, Mapping):
        path = value.get("path") if value.get("url") is None else value["url"]
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise ValueError(
            "a video must be a path, a file:// URL or a mapping with one of these as url or path, got "
            f"{type(value).__name__} {reprlib.repr(value)}"
        )
    name = os.fsdecode(path)
    return url2pathname(urlparse(name).path) if name.startswith("file://") else name


class CodecVideoReader:
    """The canvases of a video by index; ``overrides`` are fields of :class:`CodecConfig`."""

    def __init__(self, path: str | os.PathLike[str], **overrides: Any) -> None:
        self._output = fetch_codec_video(path, **overrides)

    def __len__(self) -> int:
        return len(self._output.canvases)

    def __getitem__(self, index: Any) -> torch.Tensor:
        return self._output.canvases[index]

    @property
    def patch_positions(self) -> torch.Tensor:
        """``(t, h, w)`` of each patch, int64."""
        return self._output.patch_positions

    @property
    def gop_ids(self) -> torch.Tensor:
        """Group of each canvas, int64."""
        return self._output.gop_ids

    @property
    def source_pts(self) -> torch.Tensor:
        """Seconds at which the group of each canvas begins, float32."""
        return self._output.source_pts

    @property
    def fps(self) -> float:
        """Average frame rate of the video."""
        return self._output.fps

    def as_output(self) -> CodecVideoOutput:
        """All of it."""
        return self._output
