"""In place of the codec module beside the LLaVA-OneVision-2 checkpoints (``codec_video_processing_llava_onevision2``).

Names, signatures and results are those of that module, and of its like beside Mage-VL, so that a processor imports this
one instead. The work is done in this process; what goes to disk, and when, is told at :func:`process_codec_video`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import config as settings
from ..checks import check_number
from ..errors import VideoCancelledError
from ..limits import Limits
from ..media import Array
from ..prompt import IMAGE_PAD, VISION_END, VISION_START, runs, vision_lines
from ..video import tokenize_video

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..tokens import CodecTokens

__all__ = [
    "IMAGE_PAD",
    "VISION_END",
    "VISION_START",
    "CodecConfig",
    "codec_image_processor_outputs",
    "codec_positions_for_processor",
    "convert_positions_to_block_layout",
    "drop_padding_canvases",
    "process_codec_video",
    "rewrite_text_with_codec_positions",
]

#: the engines that stand for what the video's own codec tells
_ENGINES = ("hevc", "cv-preinfer")


def _cache_root() -> Path | None:
    root = os.environ.get("ONLINE_CODEC_CACHE_DIR")
    return Path(root).expanduser() if root else None


def _timeout() -> int:
    given = os.environ.get("ONLINE_CODEC_TIMEOUT", "7200")
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"ONLINE_CODEC_TIMEOUT must be a whole number of seconds, got {given!r}") from None


@dataclass
class CodecConfig:
    """The knobs of that module; ``validate`` raises ``ValueError`` where they do not fit together."""

    target_canvas: int = 32
    group_size: int = 32
    images_per_group: int = 4
    patch: int = 14
    max_pixels: int = 150000
    min_group_frames: int = 8
    max_group_frames: int = 64
    #: only ``off``
    spatial_mask_mode: str = "off"
    #: where results are kept; nowhere if ``None``, which is the default unless ``ONLINE_CODEC_CACHE_DIR`` is set
    cache_root: str | os.PathLike[str] | None = field(default_factory=_cache_root)
    #: after so many seconds a video is given up with ``TimeoutError``; ``ONLINE_CODEC_TIMEOUT``, or two hours
    timeout_seconds: int = field(default_factory=_timeout)
    #: ``hevc`` or ``cv-preinfer``, whatever the video's codec; a neural codec is not offered
    engine: str = "hevc"
    #: settings of that neural codec, taken and left alone
    dcvc: Any = None
    #: the selection: ``readiness``, as in that module, or ``default``, as in :func:`ov2_kernels.tokenize_video`
    profile: str = "readiness"
    #: what of a video is accepted, and what happens where it is broken; ``max_wall_seconds`` other than its default
    #: holds beside ``timeout_seconds``
    limits: Limits = field(default_factory=Limits)

    def validate(self) -> None:
        """Raises ``ValueError`` that names the field and what it got."""
        if self.engine not in _ENGINES:
            raise ValueError(f"engine must be one of {', '.join(_ENGINES)}, got {self.engine!r}")
        if self.spatial_mask_mode != "off":
            raise ValueError(f"spatial_mask_mode must be off, got {self.spatial_mask_mode!r}")
        check_number("timeout_seconds", self.timeout_seconds, 0, strict=True)
        self.tokenizer_config()

    def num_sampled_frames(self) -> int:
        """Frames that are looked at, where the video has as many and is as long."""
        return self.tokenizer_config().sample_limit(sys.maxsize)

    def tokenizer_config(self) -> settings.CodecConfig:
        """The settings of :func:`ov2_kernels.tokenize_video` that these stand for."""
        shared = {f.name for f in dataclasses.fields(settings.CodecConfig)} & set(vars(self))
        own = {name: getattr(self, name) for name in shared}
        return settings.CodecConfig(**own, **dataclasses.asdict(Limits.checked(self.limits)))


def process_codec_video(video_url: str | os.PathLike[str], cfg: CodecConfig) -> dict[str, Any]:
    """Tokenizes a video for the processors.

    Returns ``images`` (PIL, the canvases), ``src_positions`` (int32 ``[C * hp * wp, 3]``), ``fps``, ``meta`` (what
    ``meta.json`` holds) and ``out_dir``. Without ``cfg.cache_root`` all is done in memory and ``out_dir`` is ``None``.
    With it the result is kept there as an asset directory with PNG canvases, which is whole or not there; asked for
    again, it is read, as long as path, size and modification time of the video and all settings are the same. Of
    several processes that ask for a video at once, one does the work. That needs ``filelock``. Raises what
    :func:`ov2_kernels.tokenize_video` raises, and ``TimeoutError`` after ``cfg.timeout_seconds``.
    """
    cfg.validate()
    deadline = time.monotonic() + cfg.timeout_seconds
    if cfg.cache_root is None:
        return _payload(_tokenize(video_url, cfg, deadline))
    from .cache import TokenCache

    cache = TokenCache(cfg.cache_root)
    tokens, directory = cache.get(
        video_url, cfg.tokenizer_config(), lambda: _tokenize(video_url, cfg, deadline), cfg.timeout_seconds
    )
    return {**_payload(tokens), "out_dir": None if directory is None else str(directory)}


def _tokenize(video: str | os.PathLike[str], cfg: CodecConfig, deadline: float) -> CodecTokens:
    def watch(*_: Any) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{os.fspath(video)}: not done after {cfg.timeout_seconds} seconds")

    config = cfg.tokenizer_config()
    seconds: float = cfg.timeout_seconds
    if config.max_wall_seconds != Limits().max_wall_seconds:
        seconds = min(seconds, config.max_wall_seconds)
    try:
        tokens = tokenize_video(video, config.replace(max_wall_seconds=seconds), progress=watch)
    except VideoCancelledError:
        watch()  # which tells of timeout_seconds, where these are over
        raise
    # What is kept is the same work, whatever the time it might take.
    return dataclasses.replace(tokens, config=config)


def _payload(tokens: CodecTokens) -> dict[str, Any]:
    from PIL import Image

    from ..assets import canvas_names, describe

    return {
        "images": [Image.fromarray(canvas) for canvas in tokens.canvases],
        "src_positions": tokens.src_patch_position,
        "fps": tokens.fps,
        "out_dir": None,
        "meta": describe(tokens, canvas_names(tokens, "png")),
    }


def drop_padding_canvases(images: list[Image.Image], src_positions: Array) -> tuple[list[Image.Image], Array, int]:
    """Leaves out the canvases that are padding throughout (every ``t`` below 0), and their positions.

    Returns the rest and how many went. Ours never have any; this is for directories that others wrote. Raises
    ``ValueError`` for a canvas that is padding in part, and where positions and canvases do not match.
    """
    if not images:
        return images, src_positions, 0
    if len(src_positions) % len(images):
        raise ValueError(f"src_positions must be as many for each of {len(images)} images, got {len(src_positions)}")
    by_canvas = src_positions.reshape(len(images), -1, 3)
    real = by_canvas[..., 0] >= 0
    keep, whole = np.asarray(real.any(axis=1)), np.asarray(real.all(axis=1))
    in_part = np.flatnonzero(keep & ~whole)
    if len(in_part):
        raise ValueError(f"src_positions: canvas {in_part[0]} is padding in part")
    if keep.all():
        return images, src_positions, 0
    kept = [image for image, good in zip(images, keep.tolist(), strict=True) if good]
    return kept, by_canvas[keep].reshape(-1, 3), len(images) - len(kept)


def convert_positions_to_block_layout(
    positions: torch.Tensor, t: int, h: int, w: int, spatial_merge_size: int = 2
) -> torch.Tensor:
    """Positions ``[t * h * w, 3]`` of patches in raster order, put in the order of the merged blocks."""
    size = int(spatial_merge_size)
    blocks = positions.reshape(t, h // size, size, w // size, size, positions.shape[-1])
    return blocks.transpose(2, 3).reshape(-1, positions.shape[-1])


def codec_positions_for_processor(
    src_positions: Array, image_grid_thw: torch.Tensor, device: Any = None, spatial_merge_size: int = 2
) -> torch.Tensor:
    """Positions of all canvases in the order of the processor's ``pixel_values``, int64 ``[patches, 3]``.

    ``image_grid_thw`` has a row for each canvas. Raises ``ValueError`` where the number of patches differs.
    """
    import torch

    positions = torch.as_tensor(np.asarray(src_positions), dtype=torch.int64, device=device)
    sizes = image_grid_thw.prod(dim=1).tolist()
    if sum(sizes) != len(positions):
        raise ValueError(f"src_positions must hold {sum(sizes)} patches as image_grid_thw does, got {len(positions)}")
    parts = [
        convert_positions_to_block_layout(part, t, h, w, spatial_merge_size)
        for part, (t, h, w) in zip(positions.split(sizes), image_grid_thw.tolist(), strict=True)
    ]
    return torch.cat(parts)


def rewrite_text_with_codec_positions(
    text: str, patch_positions: torch.Tensor, fps: float, decimals: int = 1, spatial_merge_size: int = 2
) -> str:
    """Puts ``<12.3 seconds>`` and its image pads, a line for each run of equal ``t``, in a prompt's vision part.

    That part reaches from the first ``<|vision_start|>`` to the last ``<|vision_end|>`` and a line feed behind it; a
    text without one is returned as it is. Times are ``t / fps``; :func:`ov2_kernels.vision_prompt` knows the true ones.
    """
    start, end = text.find(VISION_START), text.rfind(VISION_END)
    if start < 0 or end < 0:
        return text
    frames, patches = runs(np.asarray(patch_positions[:, 0].cpu()))
    counts = patches // int(spatial_merge_size) ** 2
    shown = (frames >= 0) & (counts > 0)
    seconds = frames[shown] / float(fps)
    lines = vision_lines(zip(seconds.tolist(), counts[shown].tolist(), strict=True), int(decimals))
    return text[:start] + lines + text[end + len(VISION_END) :].removeprefix("\n")


def codec_image_processor_outputs(image_processor: Any, images: Sequence[Image.Image], max_pixels: int) -> Any:
    """Runs the image processor on canvases so that it resizes none of them.

    Its limits are set to the smallest and the largest canvas (``max_pixels`` if that is more), by the names that the
    processor's release takes.
    """
    pixels = [image.width * image.height for image in images]
    least, most = min(pixels, default=1), max([int(max_pixels), *pixels])
    if "longest_edge" in (getattr(image_processor, "size", None) or {}):
        limits: dict[str, Any] = {"size": {"shortest_edge": least, "longest_edge": most}}
    else:
        limits = {"min_pixels": least, "max_pixels": most}
    return image_processor(images=images, return_tensors="pt", **limits)
