"""The encoder's input, straight from the frames (algorithm, section 9)."""

from __future__ import annotations

import numpy as np

from ..media import Array


def pack_pixel_values(
    frames: Array, selected: Array, frame_ids: Array, table: Array, *, patch: int = 14, threads: int = 1
) -> tuple[Array, Array]:
    """Gathers, normalises and cuts the selected blocks into the rows that the vision encoder reads.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]``; ``frame_ids`` int64 ``[N]``; ``table``
    ``[3, 256]`` holds the normalised value of each channel and level, in the type wanted (2 or 4 bytes wide). Returns
    ``pixel_values`` ``[C * hp * wp, 3 * patch**2]`` of the table's type and ``patch_positions`` int64
    ``[C * hp * wp, 3]``, both in block order. Source: algorithm, section 9.
    """
    _, height, width, _ = frames.shape
    wb = width // (2 * patch)
    blocks = height // (2 * patch) * wb
    values = np.zeros((selected.size * 4, 3 * patch * patch), dtype=table.dtype)
    positions = np.zeros((selected.size * 4, 3), dtype=np.int64)
    for slot, source in enumerate(selected.ravel()):
        sample, index = divmod(int(source), blocks)
        for k in range(4):
            h = 2 * (index // wb) + k // 2
            w = 2 * (index % wb) + k % 2
            pixels = frames[sample, h * patch : (h + 1) * patch, w * patch : (w + 1) * patch]
            values[4 * slot + k] = np.stack([table[c][pixels[..., c]] for c in range(3)]).ravel()
            positions[4 * slot + k] = (frame_ids[sample], h, w)
    return values, positions
