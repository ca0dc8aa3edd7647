"""A picture of what was kept: canvases, frames and kept blocks side by side."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import ops
from .media import Array
from .tokens import CodecTokens

MARGIN = 8
CAPTION = 16
BACKGROUND = (24, 26, 30)
INK = (225, 228, 232)


def kept_blocks(tokens: CodecTokens) -> dict[int, Array]:
    """For each frame of the source that gave blocks to a P-canvas, which of its blocks: bool ``[hb, wb]``."""
    hp, wp = tokens.grid
    positions = tokens.src_patch_position.reshape(len(tokens.canvases), hp * wp, 3)
    kept: dict[int, Array] = {}
    for canvas in positions[tokens.canvas_kinds == "P"]:
        for frame in np.unique(canvas[:, 0]):
            of_frame = canvas[canvas[:, 0] == frame]
            mask = kept.setdefault(int(frame), np.zeros((hp // 2, wp // 2), dtype=bool))
            mask[of_frame[:, 1] // 2, of_frame[:, 2] // 2] = True
    return kept


def dim_unkept(frame: Array, mask: Array, block: int) -> Array:
    """A frame ``[H, W, 3]`` with the blocks outside ``mask`` ``[hb, wb]`` dimmed."""
    bright = mask.repeat(block, axis=0).repeat(block, axis=1)[..., None]
    return np.where(bright, frame, frame // 5 + 12).astype(np.uint8)


def contact_sheet(
    path: str | os.PathLike[str],
    tokens: CodecTokens,
    *,
    frames_per_group: int = 4,
    tile_height: int = 168,
    backend: str = "auto",
) -> Image.Image:
    """Draws one row per group: its canvases, the frames that gave most blocks, and those with unkept blocks dimmed.

    ``path`` is the video that ``tokens`` came from; the frames shown are read again. Tiles are ``tile_height`` pixels
    high.
    """
    kept = kept_blocks(tokens)
    groups = int(tokens.group_ids[-1]) + 1
    shown = [_most_kept(tokens, kept, k, frames_per_group) for k in range(groups)]
    height, width = tokens.canvases.shape[1:3]
    read = sorted({frame for frames in shown for frame in frames})
    how: dict[str, Any] = {"motion_source": "none", "limits": tokens.config.limits, "backend": backend}
    samples = ops.read_samples(path, read, height, width, **how) if read else None
    seconds = dict(zip(tokens.frame_ids.tolist(), tokens.timestamps.tolist(), strict=True))

    columns = int(np.bincount(tokens.group_ids).max())
    widest = max((len(frames) for frames in shown), default=0)
    tile_width = max(1, round(tile_height * width / height))
    step_x, step_y = tile_width + MARGIN, tile_height + CAPTION + MARGIN
    sheet = Image.new(
        "RGB", (MARGIN + step_x * (columns + 2 * widest), 2 * MARGIN + CAPTION + step_y * groups), BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()

    def tile(column: int, row: int, picture: Array, caption: str) -> None:
        x, y = MARGIN + column * step_x, MARGIN + CAPTION + row * step_y
        sheet.paste(
            Image.fromarray(picture).resize((tile_width, tile_height), Image.Resampling.LANCZOS), (x, y + CAPTION)
        )
        draw.text((x, y + 2), caption, fill=INK, font=font)

    for column, title in ((0, "CANVASES"), (columns, "FRAMES"), (columns + widest, "KEPT BLOCKS")):
        draw.text((MARGIN + column * step_x, MARGIN), title, fill=INK, font=font)
    for k in range(groups):
        for column, c in enumerate(np.flatnonzero(tokens.group_ids == k)):
            tile(column, k, tokens.canvases[c], f"group {k}  {tokens.canvas_kinds[c]}")
        for column, frame in enumerate(shown[k]):
            assert samples is not None
            picture = samples.frames[read.index(frame)]
            mask = kept[frame]
            tile(columns + column, k, picture, f"{seconds[frame]:.2f} s")
            share = f"{seconds[frame]:.2f} s  {100 * mask.mean():.0f}% kept"
            tile(columns + widest + column, k, dim_unkept(picture, mask, 2 * tokens.config.patch), share)
    return sheet


def _most_kept(tokens: CodecTokens, kept: dict[int, Array], group: int, count: int) -> list[int]:
    """Frames of a group that gave most blocks, in order of time."""
    hp, wp = tokens.grid
    own = (tokens.group_ids == group) & (tokens.canvas_kinds == "P")
    times = tokens.src_patch_position.reshape(len(tokens.canvases), hp * wp, 3)[own, :, 0]
    frames = sorted((int(t) for t in np.unique(times)), key=lambda t: (-int(kept[t].sum()), t))
    return sorted(frames[:count])
