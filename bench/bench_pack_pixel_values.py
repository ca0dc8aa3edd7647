from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ov2_kernels import ops
from ov2_kernels.tables import normalization_table

from conftest import Contender
from synthetic import PATCH, assert_equal, pictures, selected


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def bench_pack_pixel_values(timed: Callable[..., Any], contender: Contender, threads: int, dtype: str) -> None:
    p, chosen = pictures(contender.samples), selected(contender.samples)
    table = normalization_table().astype(dtype)

    def run(backend: str = contender.backend) -> Any:
        return ops.pack_pixel_values(
            p.frames, chosen, p.frame_ids, table, patch=PATCH, threads=threads, backend=backend
        )

    assert_equal(run(), run("reference"))
    timed(run, samples=contender.samples, canvases=len(chosen))
