"""What a second worker brings: the same videos through ``tokenize_many`` with one worker, and with more.

    python bench/many.py CLIP... [--copies 4] [--workers 2] [--rounds 3]

Each worker has one thread, and the process as many processors as workers. Needs nothing but ``ov2_kernels``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from ov2_kernels import tokenize_many

from processes import limit_processors, processor_model, run_interruptible

GOAL = 0.95


def seconds(videos: Sequence[str], workers: int) -> float:
    """How long all videos take."""
    start = time.perf_counter()
    for result in tokenize_many(videos, workers=workers, ordered=False, threads=1):
        result.unwrap()
    return time.perf_counter() - start


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--copies", type=int, default=4, metavar="N", help="times that each is given (default: 4)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace) -> int:
    """Prints medians and how much faster the workers are than one."""
    videos = options.clips * options.copies
    print(f"{processor_model()}, {limit_processors(options.workers)} processors, {len(videos)} videos")
    seconds(options.clips, options.workers)  # warm
    rounds = [(seconds(videos, 1), seconds(videos, options.workers)) for _ in range(options.rounds)]
    one, many = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    goal = GOAL * options.workers
    print(f"1 worker {one:.2f} s, {options.workers} workers {many:.2f} s: {ratio:.2f} times as fast", end="")
    print(f" (goal: {goal:.2g}, {'reached' if ratio >= goal else 'not reached'})")
    return 0


if __name__ == "__main__":
    options = parse_arguments()
    sys.exit(run_interruptible(lambda: compare(options)))
