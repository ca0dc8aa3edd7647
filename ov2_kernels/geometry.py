"""Sizes that follow from the settings alone."""

from __future__ import annotations

import math

import numpy as np

from .media import Array


def canvas_size(height: int, width: int, *, patch: int = 14, max_pixels: int = 150_000) -> tuple[int, int]:
    """Canvas height and width for an upright picture of ``height`` x ``width`` pixels (algorithm, section 4).

    Both are multiples of ``2 * patch``, and their product is at most ``max_pixels``. Raises ``ValueError`` where not
    even one block fits.
    """
    factor = 2 * patch
    if max_pixels < factor * factor:
        raise ValueError(f"max_pixels must be at least (2 * patch)**2 = {factor * factor}, got {max_pixels}")
    canvas_height = max(factor, round(height / factor) * factor)
    canvas_width = max(factor, round(width / factor) * factor)
    if canvas_height * canvas_width > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        canvas_height = max(factor, math.floor(height / beta / factor) * factor)
        canvas_width = max(factor, math.floor(width / beta / factor) * factor)
        # A side that was raised to one block leaves less room for the other.
        longest = max_pixels // factor // factor * factor
        if canvas_height == factor:
            canvas_width = min(canvas_width, longest)
        if canvas_width == factor:
            canvas_height = min(canvas_height, longest)
    return canvas_height, canvas_width


def canvases_per_group(group_edges: Array, images_per_group: int) -> Array:
    """How many canvases each group gets, int64 ``[groups]``, of its edges in samples, int64 ``[groups + 1]``."""
    return np.minimum(np.diff(group_edges), images_per_group)
