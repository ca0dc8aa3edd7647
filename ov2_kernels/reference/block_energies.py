"""What changed in each block: residual, motion and bits (algorithm, section 5)."""

from __future__ import annotations

import numpy as np

from ..media import Array

VECTOR_LIMIT = 2047


def block_energies(
    luma: Array, prev_luma: Array, motion: Array, packet_bytes: Array, *, patch: int = 14, threads: int = 1
) -> tuple[Array, Array, Array]:
    """Measures the residual, the motion and the estimated bits of every 2x2-patch block.

    ``luma``, ``prev_luma`` uint8 ``[N, H, W]``; ``motion`` int16 ``[N, H/4, W/4, 2]`` in quarter pixels;
    ``packet_bytes`` int64 ``[N]``. Returns ``residual`` int32 (grey levels), ``motion`` int32 (1/16 quarter pixels)
    and ``bits`` int64 (1/256 bit), each ``[N, hb, wb]``. Source: algorithm, section 5.
    """
    results = [_frame_energies(*frame, patch) for frame in zip(luma, prev_luma, motion, packet_bytes, strict=True)]
    hb, wb = luma.shape[1] // (2 * patch), luma.shape[2] // (2 * patch)
    residual, motion_energy, bits = zip(*results, strict=True) if results else ((), (), ())
    shape = (len(luma), hb, wb)
    return (
        np.array(residual, dtype=np.int32).reshape(shape),
        np.array(motion_energy, dtype=np.int32).reshape(shape),
        np.array(bits, dtype=np.int64).reshape(shape),
    )


def _frame_energies(
    luma: Array, prev_luma: Array, motion: Array, packet_bytes: int, patch: int
) -> tuple[Array, Array, Array]:
    block = 2 * patch
    residual = _block_sums(np.abs(luma.astype(np.int64) - _warp(prev_luma, motion)), block)

    vectors = motion.reshape(-1, 2).astype(np.int64)
    median = np.sort(vectors, axis=0)[(len(vectors) - 1) // 2]
    relative = np.clip(motion.astype(np.int64) - median, -VECTOR_LIMIT, VECTOR_LIMIT)
    squares = (relative**2).sum(axis=-1).astype(np.float32)
    magnitude = np.trunc(np.float32(16) * np.sqrt(squares)).astype(np.int64)
    motion_energy = _block_sums(magnitude, block // 4)

    weight = residual + block * block // 16
    bits = 8 * 256 * int(packet_bytes) * weight // weight.sum()
    return residual, motion_energy, bits


def _block_sums(values: Array, side: int) -> Array:
    height, width = values.shape
    return np.asarray(values.reshape(height // side, side, width // side, side).sum(axis=(1, 3)))


def _warp(prev: Array, motion: Array) -> Array:
    """``prev`` sampled at each pixel moved by its cell's vector, bilinear in quarter pixels, taps clamped."""
    height, width = prev.shape
    per_pixel = motion.astype(np.int64).repeat(4, axis=0).repeat(4, axis=1)
    qx = 4 * np.arange(width)[None, :] + per_pixel[..., 0]
    qy = 4 * np.arange(height)[:, None] + per_pixel[..., 1]
    x, fx = qx >> 2, qx & 3
    y, fy = qy >> 2, qy & 3

    def tap(dy: int, dx: int) -> Array:
        pixels: Array = prev[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        return pixels.astype(np.int64)

    above = tap(0, 0) * (4 - fx) + tap(0, 1) * fx
    below = tap(1, 0) * (4 - fx) + tap(1, 1) * fx
    return np.asarray((above * (4 - fy) + below * fy + 8) >> 4)
