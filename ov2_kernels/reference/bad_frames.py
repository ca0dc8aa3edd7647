"""Frames that show nothing (algorithm, section 13)."""

from __future__ import annotations

import numpy as np

from ..media import Array


def bad_frames(frames: Array, *, threads: int = 1) -> Array:
    """Tells frames that are black, flat or green throughout.

    ``frames`` uint8 ``[N, H, W, 3]``, RGB. Returns bool ``[N]``. Source: algorithm, section 13.
    """
    return np.array([_is_bad(frame.reshape(-1, 3).astype(np.int64)) for frame in frames], dtype=bool)


def _is_bad(rgb: Array) -> bool:
    count = len(rgb)
    luma = (4899 * rgb[:, 0] + 9617 * rgb[:, 1] + 1868 * rgb[:, 2] + 8192) >> 14
    black = luma.sum() <= 8 * count and _spread(luma) <= 6**2 * count**2
    flat = all(_spread(plane) <= 4**2 * count**2 for plane in (luma, *rgb.T)) and int(np.ptp(rgb, axis=0).max()) <= 12
    red, green, blue = rgb.T
    mostly_green = 20 * int(((green >= 180) & (red <= 90) & (blue <= 90)).sum()) >= 7 * count
    green_cast = (
        green.sum() > 120 * count
        and green.sum() - max(red.sum(), blue.sum()) > 80 * count
        and _spread(green) < 50**2 * count**2
    )
    return bool(black or flat or mostly_green or green_cast)


def _spread(values: Array) -> int:
    """The variance times the square of the count, which is an integer."""
    return len(values) * int((values**2).sum()) - int(values.sum()) ** 2
