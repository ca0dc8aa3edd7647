"""Selected blocks laid into canvases (algorithm, section 8)."""

from __future__ import annotations

import numpy as np

from ..media import Array


def pack_canvases(
    frames: Array, selected: Array, frame_ids: Array, *, patch: int = 14, threads: int = 1
) -> tuple[Array, Array]:
    """Lays the selected blocks of the frames into full canvases.

    ``frames`` uint8 ``[N, H, W, 3]``; ``selected`` int64 ``[C, hb * wb]`` as :func:`select_blocks` returns it;
    ``frame_ids`` int64 ``[N]``. Returns ``canvases`` uint8 ``[C, H, W, 3]`` and ``src_patch_position`` int32
    ``[C * hp * wp, 3]``, the ``(t, h, w)`` of each patch in row-major patch order. Source: algorithm, section 8.
    """
    _, height, width, _ = frames.shape
    block = 2 * patch
    hb, wb = height // block, width // block
    count = len(selected)
    canvases = np.zeros((count, height, width, 3), dtype=np.uint8)
    positions = np.zeros((count, 2 * hb, 2 * wb, 3), dtype=np.int32)
    for c in range(count):
        for slot, source in enumerate(selected[c]):
            sample, index = divmod(int(source), hb * wb)
            (bh, bw), (ch, cw) = divmod(index, wb), divmod(slot, wb)
            pixels = frames[sample, bh * block : (bh + 1) * block, bw * block : (bw + 1) * block]
            canvases[c, ch * block : (ch + 1) * block, cw * block : (cw + 1) * block] = pixels
            for dh in range(2):
                for dw in range(2):
                    positions[c, 2 * ch + dh, 2 * cw + dw] = (frame_ids[sample], 2 * bh + dh, 2 * bw + dw)
    return canvases, positions.reshape(-1, 3)
