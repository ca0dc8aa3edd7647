from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ov2_kernels import ops
from ov2_kernels.geometry import canvas_size

from conftest import Contender
from synthetic import assert_same_samples

# The reference resizes with the libswscale that PyAV carries, the native reader with the system's; releases of it round
# a plane differently by one level, which the colour matrix makes 1.17 + 2.12 levels of blue, rounded.
LUMA_BOUND = 1
RGB_BOUND = 4


def bench_read_samples(timed: Callable[..., Any], contender: Contender, clip: str, threads: int) -> None:
    info = ops.probe(clip)
    frame_ids, _ = ops.sample_frames(info, max_samples=contender.samples)
    height, width = canvas_size(info.height, info.width)

    def run(backend: str = contender.backend) -> Any:
        return ops.read_samples(clip, frame_ids, height, width, info=info, threads=threads, backend=backend)

    assert_same_samples(run(), run("reference"), LUMA_BOUND, RGB_BOUND)
    timed(run, frames=info.frames, samples=len(frame_ids), canvas=[height, width])
