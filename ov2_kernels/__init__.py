"""Codec-stream tokenization of video for multimodal models.

``tokenize_video(path)`` is the whole job, and ``tokenize(source)`` takes images and frames too; ``ops`` holds the
stages, ``reference`` the algorithm in plain NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import ops
    from .config import CodecConfig
    from .errors import BackendUnavailableError, VideoError
    from .frames import tokenize_frames
    from .image import tokenize_image
    from .many import Tokenized, tokenize_many
    from .media import BitCost, Samples, VideoInfo
    from .ops import bit_cost, probe
    from .prompt import vision_prompt
    from .sources import tokenize
    from .tokens import CodecTokens
    from .video import tokenize_video

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "BitCost",
    "CodecConfig",
    "CodecTokens",
    "Samples",
    "Tokenized",
    "VideoError",
    "VideoInfo",
    "bit_cost",
    "ops",
    "probe",
    "tokenize",
    "tokenize_frames",
    "tokenize_image",
    "tokenize_many",
    "tokenize_video",
    "vision_prompt",
]

_HOMES = {
    "BackendUnavailableError": "errors",
    "BitCost": "media",
    "CodecConfig": "config",
    "CodecTokens": "tokens",
    "Samples": "media",
    "Tokenized": "many",
    "VideoError": "errors",
    "VideoInfo": "media",
    "bit_cost": "ops",
    "probe": "ops",
    "tokenize": "sources",
    "tokenize_frames": "frames",
    "tokenize_image": "image",
    "tokenize_many": "many",
    "tokenize_video": "video",
    "vision_prompt": "prompt",
}


def __getattr__(name: str) -> Any:
    """Loads the public names when they are first used: importing the package alone stays quick."""
    if name == "ops":
        return importlib.import_module(".ops", __name__)
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
