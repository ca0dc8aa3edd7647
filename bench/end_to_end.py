"""Whole clips, end to end: plain decode, our tokenizer and the programs people run today, side by side in one run.

    python bench/end_to_end.py CLIP... [--peers none|cv-preinfer|lmms|all] [--repeats 5] [--threads 2]

needs ``ov2_kernels`` and PyAV; ``cv-preinfer`` needs the ``ffmpeg`` command. Each peer is installed once, into a
virtual environment of its own under ``--venvs``. On Linux, set ``PIP_EXTRA_INDEX_URL`` to
``https://download.pytorch.org/whl/cpu`` for that, or lmms-video-utils pulls in gigabytes of CUDA with torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import PEERS, Peer, prepare
from processes import Finished, limit_processors, processor_model, python_command, run_child, run_interruptible
from report import clip_report, goals_report

BENCH = Path(__file__).resolve().parent

MEMORY_CODE = """\
import sys
from ov2_kernels import tokenize_video
print(len(tokenize_video(sys.argv[1], threads=int(sys.argv[2])).canvases))
"""
ASSETS_CODE = """\
import sys
from ov2_kernels import tokenize_video
tokenize_video(sys.argv[1], threads=int(sys.argv[2])).save(sys.argv[3])
"""


@dataclass
class Row:
    """One contestant on one clip."""

    clip: str
    contestant: str
    what: str
    #: measured within the process, or the process from start to end
    inside: bool
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)
    canvases: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def median(self) -> float | None:
        """Seconds; None where it failed."""
        return None if self.error or not self.seconds else statistics.median(self.seconds)

    @property
    def peak(self) -> int | None:
        """Bytes at most, over all rounds."""
        return None if self.error or not self.peaks else max(self.peaks)

    def stage(self, name: str) -> float:
        """Median seconds of a stage."""
        return statistics.median(timing[name] for timing in self.timings)

    def as_json(self) -> dict[str, Any]:
        """The row with its medians."""
        return {**vars(self), "median_seconds": self.median, "peak_bytes": self.peak}


@dataclass(frozen=True)
class Contestant:
    """A name, what it does, and the command for a clip and an output directory that does not exist yet."""

    name: str
    what: str
    command: Callable[[str, str], Sequence[str]]
    inside: bool = False


def our_contestants(threads: int) -> list[Contestant]:
    """Plain decode and our own runs."""

    def inside(job: str) -> Callable[[str, str], Sequence[str]]:
        return lambda clip, directory: [sys.executable, str(BENCH / "inside.py"), job, clip, str(threads)]

    return [
        Contestant("decode", "libav decode of the whole clip", inside("decode"), inside=True),
        Contestant("tokenize", "ov2_kernels tokenize_video", inside("tokenize"), inside=True),
        Contestant(
            "ours",
            "ov2_kernels, canvases in memory",
            lambda clip, directory: python_command(MEMORY_CODE, clip, str(threads)),
        ),
        Contestant(
            "ours-assets", "ov2_kernels, JPEG assets written", lambda clip, out: assets_command(clip, out, threads)
        ),
    ]


def assets_command(clip: str, directory: str, threads: int) -> list[str]:
    """The console command where it is installed, else the same by way of Python."""
    program = Path(sys.executable).with_name("ov2-kernels")
    if program.exists() and importlib.util.find_spec("ov2_kernels.cli"):
        return [str(program), "tokenize", clip, "-o", directory, "--threads", str(threads)]
    return python_command(ASSETS_CODE, clip, str(threads), directory)


def peer_contestant(peer: Peer, environment: Path) -> Contestant:
    """A peer as its users run it."""
    what = f"{peer.package} {peer.version}, " + ("JPEG assets written" if peer.writes_assets else "canvases in memory")
    return Contestant(peer.name, what, lambda clip, directory: peer.command(environment, clip, directory))


def measure(contestant: Contestant, row: Row, clip: str, timeout: float) -> None:
    """Runs a contestant once more and adds to its row; whatever it writes is removed."""
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as scratch:
        directory = Path(scratch, "assets")
        done = run_child(contestant.command(clip, str(directory)), timeout)
        row.error = done.error
        if row.error:
            return
        written = len(list(directory.glob("canvas_*")))
        record(contestant, row, done, written)


def record(contestant: Contestant, row: Row, done: Finished, written: int) -> None:
    """Adds a successful round to a row."""
    row.peaks.append(done.peak)
    row.cpu.append(done.cpu)
    if not contestant.inside:
        row.seconds.append(done.seconds)
        printed = done.stdout.strip()
        row.canvases = written or (int(printed) if printed.isdigit() else None)
        return
    facts = json.loads(done.stdout)
    row.seconds.append(facts.pop("seconds"))
    if "timings" in facts:
        row.timings.append(facts.pop("timings"))
    row.canvases = facts.pop("canvases", None)
    row.facts = facts


def run_rounds(contestants: Sequence[Contestant], clip: str, repeats: int, timeout: float) -> dict[str, Row]:
    """All contestants in turn, ``repeats`` times over, so that noise hits all alike; who fails is out."""
    rows = {c.name: Row(clip, c.name, c.what, c.inside) for c in contestants}
    for index in range(repeats):
        for contestant in contestants:
            if rows[contestant.name].error is None:
                note(f"{Path(clip).name}: round {index + 1} of {repeats}, {contestant.name}")
                measure(contestant, rows[contestant.name], clip, timeout)
    note("")
    return rows


def note(text: str) -> None:
    """Says on a terminal what is running."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def choose_peers(choice: str, environments: Path) -> tuple[list[Contestant], dict[str, str]]:
    """The peers that could be installed, and why the others could not."""
    names = {"none": [], "all": list(PEERS)}.get(choice, [choice])
    chosen: list[Contestant] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            chosen.append(peer_contestant(PEERS[name], prepare(PEERS[name], environments)))
        except RuntimeError as error:
            missing[name] = str(error)
    return chosen, missing


def machine(threads: int, processors: int) -> dict[str, Any]:
    """What the numbers depend on."""
    ffmpeg = shutil.which("ffmpeg")
    banner = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=False).stdout if ffmpeg else ""
    return {
        "processor": processor_model(),
        "processors used": processors,
        "threads": threads,
        "system": platform.platform(),
        "Python": platform.python_version(),
        "ffmpeg command": banner.split("\n")[0].split(" Copyright")[0].removeprefix("ffmpeg version ") or "none",
    }


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds over all contestants (default: 5)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of decode and ours; all contestants are "
                        "confined to as many processors where the system can (default: 2)")  # fmt: skip
    parser.add_argument("--peers", choices=("none", *PEERS, "all"), default="all", help="default: all")
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/ov2_kernels_bench"), metavar="DIR",
                        help="where the peers are installed (default: %(default)s)")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds for one run (default: 600)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.threads < 1:
        parser.error("--repeats and --threads must be at least 1")
    for clip in options.clips:
        if not Path(clip).is_file():
            parser.error(f"no such file: {clip}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where decode or one of our own runs failed, or 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    return run_interruptible(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Runs everything and prints the report."""
    peers, missing = choose_peers(options.peers, options.venvs.expanduser())
    facts = machine(options.threads, limit_processors(options.threads))
    ours = our_contestants(options.threads)
    results: dict[str, dict[str, Row]] = {}
    for clip in options.clips:
        rows = run_rounds([*ours, *peers], clip, options.repeats, options.timeout)
        for name, error in missing.items():
            rows[name] = Row(clip, name, PEERS[name].package, inside=False, error=error)
        if not results:
            for name in ("tokenize", "decode"):
                facts.update(rows[name].facts.get("versions", {}))
            print("; ".join(f"{key} {value}" for key, value in facts.items()))
        print(clip_report(clip, rows, options.repeats), flush=True)
        results[clip] = rows
    print(goals_report(results))
    if options.json:
        listed = [row.as_json() for rows in results.values() for row in rows.values()]
        options.json.write_text(json.dumps({"machine": facts, "rows": listed}, indent=1) + "\n", encoding="utf-8")
    return int(any(rows[contestant.name].error for rows in results.values() for contestant in ours))


if __name__ == "__main__":
    sys.exit(main())
