from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ov2_kernels import ops
from ov2_kernels.config import SELECTION

from synthetic import IMAGES_PER_GROUP, SAMPLES, assert_equal, group_edges, scores


@pytest.mark.parametrize("selection", SELECTION)
def bench_select_blocks(timed: Callable[..., Any], backend: str, threads: int, selection: str) -> None:
    def run(backend: str = backend) -> Any:
        return ops.select_blocks(
            scores(),
            group_edges(),
            images_per_group=IMAGES_PER_GROUP,
            selection=selection,
            threads=threads,
            backend=backend,
        )

    selected = run()
    assert_equal(selected, run("reference"))
    timed(run, samples=SAMPLES, canvases=len(selected))
