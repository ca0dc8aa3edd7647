from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ov2_kernels import ops
from ov2_kernels.config import SAMPLING

from synthetic import SAMPLES, assert_equal


@pytest.mark.parametrize("sampling", SAMPLING)
def bench_sample_frames(timed: Callable[..., Any], backend: str, clip: str, sampling: str) -> None:
    info = ops.probe(clip)

    def run(backend: str = backend) -> Any:
        return ops.sample_frames(info, max_samples=SAMPLES, sampling=sampling, backend=backend)

    (got, start), (wanted, wanted_start) = run(), run("reference")
    assert_equal(got, wanted)
    assert start == wanted_start
    timed(run, packets=info.frames, samples=len(got))
