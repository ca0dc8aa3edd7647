from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ov2_kernels import ops

from synthetic import PATCH, SAMPLES, assert_equal, energies, group_edges


def bench_fuse_scores(timed: Callable[..., Any], backend: str, threads: int) -> None:
    def run(backend: str = backend) -> Any:
        return ops.fuse_scores(*energies(), group_edges(), patch=PATCH, threads=threads, backend=backend)

    assert_equal(run(), run("reference"))
    timed(run, samples=SAMPLES)
