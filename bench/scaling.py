"""How the cost grows with the length of the video: the same number of samples from ever longer clips.

    python bench/scaling.py SOURCE [--minutes 1/4 1 10 60 120] [--gops 250 60] [--peers none|lmms|cv-preinfer|all]
                            [--samples N]

We take 256 samples, or ``--samples``, from every clip; with ``--samples 0`` as many as the default settings take, which
differ from length to length. Peers take as many as they please.

Makes 1280x720 clips out of the pictures of ``SOURCE`` (x264's defaults but for the GOP); those longer than a minute
repeat it by stream copy. *Floor* is libav alone, with as many threads, decoding exactly the pictures that the same
samples depend on. Peers run as their users run them, cv-preinfer also at its best for this machine (one segment and one
thread a processor); a peer that fails on a clip is said to have failed. Needs ``ov2_kernels`` and PyAV; ``cv-preinfer``
needs the ``ffmpeg`` command, and peers are installed under ``--venvs``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from end_to_end import note
from peers import PEERS, prepare
from processes import limit_processors, processor_model, run_child, run_interruptible
from report import align

BENCH = Path(__file__).resolve().parent
FLOOR_GOAL, SHORT_GOAL, DEFAULT_GOAL, NEAR_GOAL = 1.15, 1.5, 2.0, 6.0
LENGTH_GOAL, PEAK_GOAL, PROBE_GOAL = 1.8, 400e6, 0.5

Times = dict[tuple[int, Fraction], dict[str, dict[str, Any]]]


def jobs(threads: int, minutes: Fraction, longest_decode: int, samples: int) -> dict[str, list[str]]:
    """Our own measurements, by name."""
    inside = [sys.executable, str(BENCH / "inside.py")]
    count, taken = str(threads), str(samples)
    chosen = {
        "probe": [*inside, "probe", "CLIP", count],
        "floor": [*inside, "floor", "CLIP", count, "uniform", taken],
        "uniform": [*inside, "tokenize", "CLIP", count, "uniform", taken],
        "near_keyframes": [*inside, "tokenize", "CLIP", count, "near_keyframes", taken],
    }
    return chosen if minutes > longest_decode else {"decode": [*inside, "decode", "CLIP", count], **chosen}


def peer_jobs(name: str, environments: Path, threads: int) -> dict[str, list[str]]:
    """A peer as its users run it, and cv-preinfer also at its best here."""
    command = list(PEERS[name].command(prepare(PEERS[name], environments), "CLIP", "DIRECTORY"))
    if name != "cv-preinfer":
        return {name: command}
    best = ["--parallel_segments", str(threads), "--threads_per_segment", "1"]
    return {name: command, f"{name} best": [*command, *best]}


def make_clip(source: Path, minutes: Fraction, gop: int, folder: Path) -> Path:
    """A long clip, made in a process of its own: the memory that takes would be counted to those measured later."""
    words = [str(source), str(minutes), str(gop), str(folder)]
    done = run_child([sys.executable, str(BENCH / "long_clips.py"), *words], timeout=3600)
    if done.error:
        raise RuntimeError(f"{source}: {done.error}")
    return Path(done.stdout.strip())


def measure(command: Sequence[str], clip: Path, timeout: float) -> dict[str, Any]:
    """One run: seconds within the process where it tells, else the process's own, and peak memory in bytes."""
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as scratch:
        places = {"CLIP": str(clip), "DIRECTORY": str(Path(scratch, "assets"))}
        done = run_child([places.get(word, word) for word in command], timeout)
    if done.error:
        return {"error": done.error}
    facts = json.loads(done.stdout) if "inside.py" in " ".join(command[:2]) else {}
    return {"seconds": done.seconds, **facts, "peak": done.peak}


def measure_clip(commands: dict[str, list[str]], clip: Path, rounds: int, timeout: float) -> dict[str, dict[str, Any]]:
    """Medians over rounds in which all take turns."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for index in range(rounds):
        for name, command in commands.items():
            if runs[name] and "error" in runs[name][-1]:
                continue
            note(f"{clip.name}: round {index + 1} of {rounds}, {name}")
            runs[name].append(measure(command, clip, timeout))
    note("")
    return {
        name: done[-1]
        if "error" in done[-1]
        else {
            **done[-1],
            "seconds": statistics.median(d["seconds"] for d in done),
            "peak": max(d["peak"] for d in done),
        }
        for name, done in runs.items()
    }


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each contestant on a clip."""
    floor = results["floor"].get("seconds")
    lines = [("contestant", "", "seconds", "of floor", "peak MB", "samples", "pictures", "MB read")]
    for name, facts in results.items():
        if "error" in facts:
            lines.append((name, facts["error"], "failed", "", "", "", "", ""))
            continue
        samples = facts.get("samples", facts.get("clip", {}).get("samples"))
        pictures = facts.get("decoded", facts.get("frames"))
        read = facts.get("bytes read")
        lines.append(
            (
                name,
                "",
                f"{facts['seconds']:.3f}",
                f"{facts['seconds'] / floor:.2f}" if floor and name != "probe" else "",
                f"{facts['peak'] / 1e6:.0f}",
                "" if samples is None else str(samples),
                "" if pictures is None else str(pictures),
                "" if read is None else f"{read / 1e6:.0f}",
            )
        )
    return align(lines)


def goals(results: Times, samples: int) -> list[str]:
    """What is aimed at, what came out; lengths are compared only where all gave as many ``samples``."""
    lines = [("goal", "clip", "reached", "")]

    def add(goal: str, clip: str, value: float, met: bool) -> None:
        lines.append((goal, clip, f"{value:.3g}", "yes" if met else "no"))

    def seconds(key: tuple[int, Fraction], name: str) -> float | None:
        value: float | None = results.get(key, {}).get(name, {}).get("seconds")
        return value

    for (gop, minutes), found in results.items():
        clip = f"{float(minutes):g} min, GOP {gop}"
        ours = seconds((gop, minutes), "uniform")
        if ours is None:
            continue
        floor, default = seconds((gop, minutes), "floor"), seconds((gop, minutes), "cv-preinfer")
        best = seconds((gop, minutes), "cv-preinfer best")
        decode = seconds((gop, minutes), "decode")
        if decode and minutes < Fraction(1, 2):
            add(f"uniform / decode <= {SHORT_GOAL}", clip, ours / decode, ours <= SHORT_GOAL * decode)
        if floor and minutes >= 10:
            add(f"uniform / floor <= {FLOOR_GOAL}", clip, ours / floor, ours <= FLOOR_GOAL * floor)
        if default:
            add(f"cv-preinfer / uniform >= {DEFAULT_GOAL:g}", clip, default / ours, default >= DEFAULT_GOAL * ours)
        if best:
            add("cv-preinfer best / uniform > 1", clip, best / ours, best > ours)
            near = seconds((gop, minutes), "near_keyframes")
            if near and (gop, minutes) == (60, Fraction(10)):
                add(f"cv-preinfer best / near_keyframes >= {NEAR_GOAL:g}", clip, best / near, best >= NEAR_GOAL * near)
        peak = found["uniform"]["peak"]
        add(f"peak MB < {PEAK_GOAL / 1e6:.0f}", clip, peak / 1e6, peak < PEAK_GOAL)
        probe = seconds((gop, minutes), "probe")
        if probe and minutes >= 120:
            add(f"probe s < {PROBE_GOAL}", clip, probe, probe < PROBE_GOAL)
    short, long = seconds((60, Fraction(10)), "uniform"), seconds((60, Fraction(120)), "uniform")
    if samples and short and long:
        add(f"uniform, 120 min / 10 min <= {LENGTH_GOAL}", "GOP 60", long / short, long <= LENGTH_GOAL * short)
    return align(lines)


def _minutes(text: str) -> Fraction:
    try:
        minutes = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"no number of minutes: {text}") from None
    if minutes < Fraction(1, 60) or (minutes > 1 and minutes.denominator != 1):
        raise argparse.ArgumentTypeError(f"must be whole, or from 1/60 to 1, got {text}")
    return minutes


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("--minutes", type=_minutes, nargs="+", metavar="M", help="whole, or from 1/60 to 1",
                        default=[Fraction(1, 4), *map(Fraction, (1, 10, 60, 120))])  # fmt: skip
    parser.add_argument("--gops", type=int, nargs="+", default=[250, 60], metavar="G")
    parser.add_argument("--folder", type=Path, default=Path("~/.cache/ov2_kernels_bench/clips"), metavar="DIR",
                        help="where the clips are kept (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="up to ten minutes; one beyond (default: 3)")
    parser.add_argument("--samples", type=int, default=256, metavar="N",
                        help="of every clip, at least 256; 0: those of the defaults (default: 256)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="all are confined to as many processors")
    parser.add_argument("--longest-decode", type=int, default=10, metavar="M",
                        help="no plain decode and no peer beyond (default: 10)")  # fmt: skip
    parser.add_argument("--peers", choices=("none", *PEERS, "all"), default="cv-preinfer")
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/ov2_kernels_bench"), metavar="DIR")
    parser.add_argument("--timeout", type=float, default=3600.0, metavar="S", help="seconds for one run")
    options = parser.parse_args(arguments)
    if not options.source.is_file():
        parser.error(f"no such file: {options.source}")
    if options.samples != 0 and options.samples < 256:
        parser.error(f"--samples must be 0, or 256 at least, got {options.samples}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table for each clip, then the goals; 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    return run_interruptible(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Makes the clips and runs everything."""
    peers: dict[str, list[str]] = {}
    for name in PEERS if options.peers == "all" else [] if options.peers == "none" else [options.peers]:
        peers |= peer_jobs(name, options.venvs.expanduser(), options.threads)
    taken = f"{options.samples} samples of every clip" if options.samples else "as many samples as the defaults take"
    print(f"{processor_model()}, {limit_processors(options.threads)} processors; {taken}; 1 MB = 10^6 bytes")
    results: Times = {}
    for gop in options.gops:
        for minutes in options.minutes:
            note(f"making {float(minutes):g} min, GOP {gop}")
            clip = make_clip(options.source, minutes, gop, options.folder.expanduser())
            commands = jobs(options.threads, minutes, options.longest_decode, options.samples)
            if minutes <= options.longest_decode:
                commands |= peers
            rounds = options.rounds if minutes <= 10 else 1
            results[gop, minutes] = measure_clip(commands, clip, rounds, options.timeout)
            print(f"\n{clip.name}: {clip.stat().st_size / 1e6:.0f} MB, {rounds} rounds")
            print("\n".join(table(results[gop, minutes])), flush=True)
    print()
    print("\n".join(goals(results, options.samples)))
    ours = [facts for found in results.values() for name, facts in found.items() if name not in peers]
    return int(any("error" in facts for facts in ours))


if __name__ == "__main__":
    sys.exit(main())
