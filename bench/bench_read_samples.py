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
#: samples that the reference reads too, spread over the clip
CHECKED = 16


def bench_read_samples(timed: Callable[..., Any], contender: Contender, clip: str, threads: int) -> None:
    info = ops.probe(clip)
    frame_ids, _ = ops.sample_frames(info, max_samples=contender.samples)
    height, width = canvas_size(info.height, info.width)

    def run(backend: str = contender.backend, wanted: Any = frame_ids) -> Any:
        return ops.read_samples(clip, wanted, height, width, info=info, threads=threads, backend=backend)

    # The reference is not compared with itself.
    some = frame_ids[:: -(-len(frame_ids) // CHECKED)]
    if contender.backend != "reference":
        assert_same_samples(run(wanted=some), run("reference", some), LUMA_BOUND, RGB_BOUND)
    timed(run, frames=info.frames, samples=len(frame_ids), canvas=[height, width])
