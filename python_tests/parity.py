"""The one comparison of a backend with the reference: equality, unless a caller states a bound and its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def assert_same(got: Any, expected: Any, name: str = "result", bound: int = 0) -> None:
    """Fails with the number of differences, the first few places and both values there."""
    if isinstance(expected, (tuple, list)) and not np.isscalar(expected[0] if expected else 0):
        assert len(got) == len(expected)
        for i, (a, b) in enumerate(zip(got, expected, strict=True)):
            assert_same(a, b, f"{name}[{i}]", bound)
        return
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype, f"{name}: dtype {got.dtype}, expected {expected.dtype}"
    assert got.shape == expected.shape, f"{name}: shape {got.shape}, expected {expected.shape}"
    differs = np.atleast_1d(got != expected)
    if bound:
        differs &= np.abs(got.astype(np.int64) - expected.astype(np.int64)) > bound
    if differs.any():
        places: Sequence[Any] = np.argwhere(differs)[:5]
        values = "; ".join(f"{tuple(p)}: {got[tuple(p)]} expected {expected[tuple(p)]}" for p in places)
        raise AssertionError(f"{name}: {int(differs.sum())} of {differs.size} differ by more than {bound}: {values}")


def bytes_read() -> int:
    """What this process has read from files so far, by Linux's count."""
    return int(Path("/proc/self/io").read_text().split()[1])
