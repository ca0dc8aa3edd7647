"""What a stage requires of its arguments; each check raises ``ValueError`` that names the argument."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np

from .dispatch import is_tensor


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises where a value is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_integer(name: str, value: Any, lowest: int, highest: int = 2**31 - 1) -> None:
    """Raises where a value is no integer in a range; NumPy's integers are some."""
    try:
        integer = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        integer = None
    if integer is None or integer < lowest:
        raise ValueError(f"{name} must be at least {lowest}, an integer, got {value!r}")
    if integer > highest:
        raise ValueError(f"{name} must be at most {highest}, got {value!r}")


def check_number(name: str, value: Any, lowest: float, *, strict: bool = False) -> None:
    """Raises where a value is no finite number of at least, or if ``strict`` above, the lowest."""
    try:
        good = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        good = False
    if not good or value < lowest or (strict and value == lowest):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {lowest:g}, a number, got {value!r}")


def check_array(name: str, array: Any, dtype: str, shape: tuple[int | None, ...]) -> Any:
    """An array or tensor of a type and shape; ``None`` stands for any length."""
    array = array if is_tensor(array) else np.asarray(array)
    if str(array.dtype).replace("torch.", "") != dtype:
        raise ValueError(f"{name} must be {dtype}, got {array.dtype}")
    if array.ndim != len(shape) or any(s is not None and s != t for s, t in zip(shape, array.shape, strict=False)):
        wanted = ", ".join("*" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} must have the shape [{wanted}], got {list(array.shape)}")
    return array


def check_patch(patch: int) -> None:
    """Raises where nothing is made of patches of that side."""
    if patch < 2 or patch % 2 or patch > 256:
        raise ValueError(f"patch must be even and from 2 to 256, got {patch}")


def check_planes(name: str, planes: Any, patch: int) -> None:
    """Raises where planes ``[N, H, W, ...]`` are not made of whole blocks."""
    check_patch(patch)
    if planes.shape[1] % (2 * patch) or planes.shape[2] % (2 * patch) or not planes.shape[1] * planes.shape[2]:
        raise ValueError(
            f"{name} must be multiples of 2 * patch = {2 * patch} high and wide, got {list(planes.shape[1:3])}"
        )


def check_edges(group_edges: Any, samples: int) -> Any:
    """``group_edges``, int64 ``[groups + 1]``; ``ValueError`` where they do not cut up so many samples."""
    edges = check_array("group_edges", group_edges, "int64", (None,))
    if is_tensor(edges):
        return edges  # the operator looks into them
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != samples or (np.diff(edges) <= 0).any():
        raise ValueError(f"group_edges must rise from 0 to the number of samples, {samples}, got {edges}")
    return edges
