"""What the command spends around its work: ``ov2-kernels tokenize`` less the stages that its result states.

    python bench/startup.py CLIP... [--repeats 7] [--threads 2]

prints, for each clip, medians of the whole process from start to end, of decoding and kernels (the stages from probe to
pack, as the result states them), of the difference (Python, imports, FFmpeg's libraries, JPEG files, the end of the
process), and of what of it goes before the command's own code and for imports alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from end_to_end import assets_command
from processes import limit_processors, python_command, run_child, run_interruptible
from report import align

GOAL = 0.25
#: what a process costs that does nothing, one with the extension's imports, and one that also loads FFmpeg
PARTS = {
    "Python": "pass",
    "and NumPy": "import numpy",
    "and the extension": "from ov2_kernels import tokenize_video; from ov2_kernels import native",
}


def seconds_around(clip: str, threads: int) -> tuple[float, float]:
    """Seconds of one command from start to end, and those of the stages that it states."""
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as scratch:
        directory = Path(scratch, "assets")
        done = run_child(assets_command(clip, str(directory), threads), timeout=600)
        if done.error:
            raise RuntimeError(f"{clip}: {done.error}")
        stages = json.loads((directory / "meta.json").read_text())["timing_sec"]
        return done.seconds, stages["total"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where the goal is missed, or 130 after Ctrl-C."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds (default: 7)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    options = parser.parse_args(arguments)
    return run_interruptible(lambda: measure(options))


def measure(options: argparse.Namespace) -> int:
    """Runs everything and prints the tables."""
    limit_processors(options.threads)
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    clips: dict[str, list[tuple[float, float]]] = {clip: [] for clip in options.clips}
    for _ in range(options.repeats):
        for name, code in PARTS.items():
            done = run_child(python_command(code), timeout=60)
            if done.error:
                raise RuntimeError(f"{code}: {done.error}")
            parts[name].append(done.seconds)
        for clip, rounds in clips.items():
            rounds.append(seconds_around(clip, options.threads))
    table = [("clip", "", "process s", "stages s", "around s", "goal")]
    missed = False
    for clip, rounds in clips.items():
        whole, stages = (statistics.median(column) for column in zip(*rounds, strict=True))
        around = statistics.median(process - inside for process, inside in rounds)
        missed |= around >= GOAL
        verdict = f"< {GOAL:g}: {'no' if around >= GOAL else 'yes'}"
        table.append((Path(clip).name, "", f"{whole:.3f}", f"{stages:.3f}", f"{around:.3f}", verdict))
    print("\n".join(align(table)))
    print("a process with " + ", ".join(f"{name} {statistics.median(times):.3f} s" for name, times in parts.items()))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
