from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ov2_kernels import ops

from synthetic import PATCH, assert_equal, group_edges, pictures


def bench_change_scores(timed: Callable[..., Any], backend: str, threads: int) -> None:
    samples = 32 if backend == "reference" else 256
    pair = (pictures(samples).luma, pictures(samples).prev_luma)

    def run(backend: str = backend) -> Any:
        return ops.change_scores(*pair, group_edges(samples), patch=PATCH, threads=threads, backend=backend)

    assert_equal(run(), run("reference"))
    timed(run, samples=samples)
