"""What FFmpeg has to say while it reads, as lines of the logger ``ov2_kernels.ffmpeg``."""

from __future__ import annotations

import logging

_LOGGER = logging.getLogger("ov2_kernels.ffmpeg")
# Else Python would print warnings of programs that set up no logging.
_LOGGER.addHandler(logging.NullHandler())

#: FFmpeg's levels, the least grave first
_LEVELS = ((24, logging.WARNING), (16, logging.ERROR), (0, logging.CRITICAL))


def tell(path: str, lines: list[tuple[int, bytes]], dropped: int) -> None:
    """Logs the lines about one video, each with FFmpeg's level, and how many more there were."""
    for level, text in lines:
        grave = next(ours for theirs, ours in _LEVELS if level >= theirs)
        _LOGGER.log(grave, "%s: %s", path, text.decode(errors="replace"))
    if dropped:
        _LOGGER.warning("%s: %d more lines like these", path, dropped)
