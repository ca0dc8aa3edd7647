"""Codec-stream tokenization of video for multimodal models.

``tokenize_video(path)`` is the whole job; ``ops`` holds its stages, ``reference`` the algorithm in plain NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import ops
    from .config import CodecConfig
    from .errors import BackendUnavailableError, VideoError
    from .media import Samples, VideoInfo
    from .ops import probe
    from .tokenize import tokenize_video
    from .tokens import CodecTokens

__version__ = "0.1.0"

__all__ = [
    "BackendUnavailableError",
    "CodecConfig",
    "CodecTokens",
    "Samples",
    "VideoError",
    "VideoInfo",
    "ops",
    "probe",
    "tokenize_video",
]

_HOMES = {
    "BackendUnavailableError": "errors",
    "CodecConfig": "config",
    "CodecTokens": "tokens",
    "Samples": "media",
    "VideoError": "errors",
    "VideoInfo": "media",
    "probe": "ops",
    "tokenize_video": "tokenize",
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
