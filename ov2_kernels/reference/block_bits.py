"""The share of each block in what was measured on a grid of cells (algorithm, section 12)."""

from __future__ import annotations

import numpy as np

from ..media import Array


def block_bits(
    cells: Array, edges_y: Array, edges_x: Array, height: int, width: int, *, patch: int = 14, threads: int = 1
) -> Array:
    """Hands the bits of a grid of cells to the blocks of the canvas, by the area that they share.

    ``cells`` int64 ``[N, rows, columns]`` in 1/256 bit; ``edges_y`` and ``edges_x``, int64 ``[rows + 1]`` and
    ``[columns + 1]``, are where rows and columns begin, from 0, in pixels of the upright picture, and where that ends;
    ``height`` and ``width`` are those of the canvas. Returns int64 ``[N, hb, wb]``. Source: algorithm, section 12.
    """
    block = 2 * patch
    bits = np.zeros((len(cells), height // block, width // block), dtype=object)
    for row in range(cells.shape[1]):
        down = _overlaps(int(edges_y[row]), int(edges_y[row + 1]), int(edges_y[-1]), height, block)
        for column in range(cells.shape[2]):
            across = _overlaps(int(edges_x[column]), int(edges_x[column + 1]), int(edges_x[-1]), width, block)
            value = cells[:, row, column].astype(object)  # Python's integers, which have no limit
            area = sum(down.values()) * sum(across.values())
            for by, dy in down.items():
                for bx, dx in across.items():
                    bits[:, by, bx] += value * (dy * dx) // area
    return bits.astype(np.int64)


def _overlaps(begin: int, end: int, source: int, size: int, block: int) -> dict[int, int]:
    """How far a cell and each block share an axis, in 1/``size`` source pixels; no block where nothing is shared."""
    shared = {}
    for b in range(size // block):
        overlap = min(end * size, (b + 1) * block * source) - max(begin * size, b * block * source)
        if overlap > 0:
            shared[b] = overlap
    return shared
