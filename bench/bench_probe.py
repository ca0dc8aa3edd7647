from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from ov2_kernels import ops


def bench_probe(timed: Callable[..., Any], backend: str, clip: str) -> None:
    got, wanted = ops.probe(clip, backend=backend), ops.probe(clip, backend="reference")
    for field in dataclasses.fields(wanted):
        np.testing.assert_array_equal(getattr(got, field.name), getattr(wanted, field.name), err_msg=field.name)
    timed(lambda: ops.probe(clip, backend=backend), packets=wanted.frames)
