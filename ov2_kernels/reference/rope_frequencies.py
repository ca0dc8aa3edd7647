"""Rotary position embedding over time, height and width (algorithm, section 9)."""

from __future__ import annotations

import numpy as np

from ..media import Array
from ..tables import rope_inverse_frequencies, sine_constants


def rope_frequencies(patch_positions: Array, head_dim: int, theta: float = 10000.0) -> tuple[Array, Array]:
    """Cosine and sine of each patch's rotation angles.

    ``patch_positions`` int64 ``[L, 3]`` of ``(t, h, w)``; ``head_dim`` a multiple of 32. Returns two float32
    ``[L, head_dim / 2]``, whose columns belong to t, h and w in the ratio 4:6:6. An angle is the float32 product of the
    position and the frequency. Its cosine and sine are computed in float64, by additions and multiplications in a fixed
    order that no backend may fuse, and rounded once: all backends agree, and up to an angle of 2**20 the results are
    within 0.5001 ulp of the true ones. Source: algorithm, section 9.
    """
    unit = head_dim // 32
    axis = np.repeat([0, 1, 2], [4 * unit, 6 * unit, 6 * unit])
    angle = np.take(patch_positions, axis, axis=1).astype(np.float32) * rope_inverse_frequencies(head_dim, theta)
    a = angle.astype(np.float64)
    constants = sine_constants()
    turns = np.floor(a * constants[0] + 0.5)
    r = a - turns * constants[1] - turns * constants[2]
    square = r * r
    sine, cosine = np.full_like(r, constants[10]), np.full_like(r, constants[18])
    for k in range(6, -1, -1):
        sine = sine * square + constants[3 + k]
        cosine = cosine * square + constants[11 + k]
    sine = r + r * (square * sine)
    cosine = square * cosine + 1.0
    quarter = turns - 4.0 * np.floor(turns * 0.25)
    odd = (quarter == 1) | (quarter == 3)
    cos = np.where(odd, sine, cosine) * np.where((quarter == 1) | (quarter == 2), -1.0, 1.0)
    sin = np.where(odd, cosine, sine) * np.where(quarter >= 2, -1.0, 1.0)
    return cos.astype(np.float32), sin.astype(np.float32)
