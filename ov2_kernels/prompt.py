"""The text that stands in a prompt for a video's tokens."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .media import Array
from .tokens import CodecTokens

VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
IMAGE_PAD = "<|image_pad|>"

TIMESTAMPS = ("stream", "frame_rate")


def vision_prompt(tokens: CodecTokens, decimals: int = 1, *, timestamps: str = "stream") -> str:
    """One line for each run of tokens from the same frame: ``<12.3 seconds>``, then as many image pads.

    Seconds, with so many ``decimals``, are those of the stream's clock, from its first frame; with
    ``timestamps="frame_rate"`` they are ``t / fps``, as other tokenizers write them. An image has no time. There are
    ``tokens.num_tokens`` pads in all, in the order of ``tokens.model_inputs()``. Source: algorithm, section 11.
    """
    if timestamps not in TIMESTAMPS:
        raise ValueError(f"timestamps must be one of {', '.join(TIMESTAMPS)}, got {timestamps!r}")
    if decimals < 0:
        raise ValueError(f"decimals must be at least 0, got {decimals}")
    tokens = tokens.numpy()
    hp, wp = tokens.grid
    # The patches of a block come from one frame, so that its first tells for all four.
    frames, counts = runs(tokens.src_patch_position.reshape(-1, hp, wp, 3)[:, ::2, ::2, 0].reshape(-1))
    if tokens.evidence == "image":
        return "".join(f"{VISION_START}{IMAGE_PAD * count}{VISION_END}\n" for count in counts.tolist())
    if timestamps == "stream":
        seconds = tokens.timestamps[np.searchsorted(tokens.frame_ids, frames)]
    else:
        seconds = frames / tokens.fps
    return vision_lines(zip(seconds.tolist(), counts.tolist(), strict=True), decimals)


def runs(values: Array) -> tuple[Array, Array]:
    """Values and lengths of the stretches of equal neighbours, each ``[runs]``."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])
    return values[starts], np.diff(np.append(starts, len(values)))


def vision_lines(seconds_and_counts: Iterable[tuple[float, int]], decimals: int) -> str:
    """A line for each time in seconds and number of tokens."""
    return "".join(
        f"<{seconds:.{decimals}f} seconds>{VISION_START}{IMAGE_PAD * count}{VISION_END}\n"
        for seconds, count in seconds_and_counts
    )
