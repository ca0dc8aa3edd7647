from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ov2_kernels import ops

from conftest import Contender
from synthetic import PATCH, assert_equal, pictures


def bench_block_energies(timed: Callable[..., Any], contender: Contender, threads: int) -> None:
    p = pictures(contender.samples)

    def run(backend: str = contender.backend) -> Any:
        return ops.block_energies(
            p.luma, p.prev_luma, p.motion, p.packet_bytes, patch=PATCH, threads=threads, backend=backend
        )

    assert_equal(run(), run("reference"))
    timed(run, samples=contender.samples)
