from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ov2_kernels import ops

from conftest import Contender
from synthetic import PATCH, assert_equal, pictures, selected


def bench_pack_canvases(timed: Callable[..., Any], contender: Contender, threads: int) -> None:
    p, chosen = pictures(contender.samples), selected(contender.samples)

    def run(backend: str = contender.backend) -> Any:
        return ops.pack_canvases(p.frames, chosen, p.frame_ids, patch=PATCH, threads=threads, backend=backend)

    assert_equal(run(), run("reference"))
    timed(run, samples=contender.samples, canvases=len(chosen))
