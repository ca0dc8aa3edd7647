"""GB/s of every native stage over pictures, on one core, beside memcpy in the same run.

    python bench/bandwidth.py [--samples 256] [--repeats 15] [--threads 1]

A stage's bytes are what it must move: each input read once and each output written once; memcpy's are what it reads
and writes. Every stage is compared with the reference first, on fewer samples. Rounds are interleaved; each stage
follows a run of itself, so that it does not wait while the memory of another one is handed back, and is related to
the memcpy of its own round: the median of these quotients is what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ov2_kernels import ops
from ov2_kernels.tables import normalization_table

from processes import limit_processors, processor_model, run_interruptible
from report import align
from synthetic import PATCH, assert_equal, energies, group_edges, pictures, selected

#: of memcpy's speed, for block_energies
GOAL = 0.5
#: samples on which stages are compared with the reference
CHECKED = 8


@dataclass(frozen=True)
class Stage:
    """A stage on its inputs, the bytes it must move, and what it waits for."""

    name: str
    run: Callable[[str, int], Any]
    bytes: int
    bound: str


def stages(samples: int, threads: int) -> list[Stage]:
    """The stages over so many synthetic samples."""
    p, edges = pictures(samples), group_edges(samples)
    residual, motion, bits = (array[:samples] for array in energies())
    scores = ops.fuse_scores(residual, motion, bits, edges, patch=PATCH)
    chosen = selected(samples)
    table = normalization_table()
    still = np.zeros_like(p.motion)

    def on(stage: Callable[..., Any], *arrays: Any, sliced: int) -> Callable[[str, int], Any]:
        """The stage with its first ``sliced`` arrays cut to the samples wanted."""

        def run(backend: str, count: int) -> Any:
            few = [array[:count] for array in arrays[:sliced]]
            rest = [group_edges(count) if array is edges else array for array in arrays[sliced:]]
            return stage(*few, *rest, patch=PATCH, threads=threads, backend=backend)

        return run

    def select(backend: str, count: int) -> Any:
        return ops.select_blocks(scores[:count], group_edges(count), threads=threads, backend=backend)

    def pack(stage: Callable[..., Any], *more: Any) -> Callable[[str, int], Any]:
        def run(backend: str, count: int) -> Any:
            some = chosen if count == samples else np.arange(2 * chosen.shape[1]).reshape(2, -1)
            how: dict[str, Any] = {"patch": PATCH, "threads": threads, "backend": backend}
            return stage(p.frames[:count], some, p.frame_ids[:count], *more, **how)

        return run

    def moved(*arrays: Any) -> int:
        return int(sum(array.nbytes for array in arrays))

    inputs = (p.luma, p.prev_luma, p.motion, p.packet_bytes)
    out = moved(residual, motion, bits)
    canvases = 3 * chosen.size * (2 * PATCH) ** 2
    return [
        Stage(
            "block_energies", on(ops.block_energies, *inputs, sliced=4), moved(*inputs) + out,
            "arithmetic: four taps a pixel where blocks move by fractions",
        ),
        Stage(
            "block_energies, still",
            on(ops.block_energies, p.luma, p.prev_luma, still, p.packet_bytes, sliced=4), moved(*inputs) + out,
            "reading both planes from memory",
        ),
        Stage(
            "change_scores", on(ops.change_scores, p.luma, p.prev_luma, edges, sliced=2),
            moved(p.luma, p.prev_luma, residual), "reading planes, each of luma again as the one before the next",
        ),
        Stage(
            "fuse_scores", on(ops.fuse_scores, residual, motion, bits, edges, sliced=3), out + moved(scores),
            "divisions of 64 bits, three a block, and the order statistics",
        ),
        Stage("select_blocks", select, moved(scores, chosen), "comparisons: sorting each frame's blocks"),
        Stage(
            "pack_canvases", pack(ops.pack_canvases), 2 * canvases + moved(chosen) + 48 * chosen.size,
            "rows of 84 bytes, from places that no cache holds",
        ),
        Stage(
            "pack_pixel_values", pack(ops.pack_pixel_values, table),
            5 * canvases + moved(chosen) + 96 * chosen.size,
            "one table look-up a value, and first writes to new memory",
        ),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where block_energies misses its goal, or 130 after Ctrl-C."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=256, metavar="N", help="a multiple of 32 (default: 256)")
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="rounds (default: 15)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1")
    options = parser.parse_args(arguments)
    return run_interruptible(lambda: measure(options))


def measure(options: argparse.Namespace) -> int:
    """Checks, times and prints."""
    limit_processors(options.threads)
    listed = stages(options.samples, options.threads)
    for stage in listed:
        assert_equal(stage.run("native", CHECKED), stage.run("reference", CHECKED))
    source = np.concatenate([pictures(options.samples).luma.ravel()] * 2)
    target = np.empty_like(source)
    copied = 2 * source.nbytes
    memcpy: list[float] = []
    speeds: dict[str, list[float]] = {stage.name: [] for stage in listed}
    for _ in range(options.repeats):
        for stage in listed:
            stage.run("native", options.samples)
            memcpy.append(copied / seconds(lambda: np.copyto(target, source)) / 1e9)
            speed = stage.bytes / seconds(lambda stage=stage: stage.run("native", options.samples)) / 1e9
            speeds[stage.name].append(speed / memcpy[-1])
    base = statistics.median(memcpy)
    print(f"{processor_model()}; {options.threads} threads, {options.samples} samples; memcpy {base:.2f} GB/s")
    table = [("stage", "", "MB", "GB/s", "of memcpy", "bound by")]
    for stage in listed:
        share = statistics.median(speeds[stage.name])
        row = (stage.name, "", f"{stage.bytes / 1e6:.1f}", f"{share * base:.2f}", f"{share:.2f}", stage.bound)
        table.append(row)
    print("\n".join(align(table)))
    reached = statistics.median(speeds["block_energies"])
    print(f"block_energies at {reached:.2f} of memcpy, goal {GOAL}: {'yes' if reached >= GOAL else 'no'}")
    return int(reached < GOAL)


def seconds(job: Callable[[], Any]) -> float:
    """Of one run."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
