from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ov2_kernels import ops
from ov2_kernels.config import PARTITION

from synthetic import SAMPLES, assert_equal


@pytest.mark.parametrize("partition", PARTITION)
def bench_partition_groups(timed: Callable[..., Any], backend: str, clip: str, partition: str) -> None:
    info = ops.probe(clip)
    frame_ids, start = ops.sample_frames(info, max_samples=SAMPLES)

    def run(backend: str = backend) -> Any:
        return ops.partition_groups(info, frame_ids, start, partition=partition, max_groups=8, backend=backend)

    edges = run()
    assert_equal(edges, run("reference"))
    timed(run, packets=info.frames, samples=len(frame_ids), groups=len(edges) - 1)
