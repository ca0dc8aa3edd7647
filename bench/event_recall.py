"""Do the decisive moments survive? Clips with known events, and what each contestant keeps of them at a budget.

    python bench/event_recall.py --cache DIR [--quick] [--peers none|cv-preinfer|lmms|all] [--plot recall.png]

An event counts as kept if at least one kept block comes from a frame inside its interval and overlaps its place in that
frame. Events of which the encoder left less than half are not counted: they are in the clip no more. The clips are
made once, into DIR. Five seeds in a row show every scenario in each length and encoding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from event_clips import SCENARIOS, Clip, planned
from event_contestants import OURS, Footage, uniform_frames
from event_measures import measure
from event_peers import peer_blocks
from event_report import plot, report
from peers import PEERS, prepare
from processes import run_interruptible

BUDGETS = (8, 16, 32, 64)
QUICK_BUDGETS = (4, 8)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="where the clips are, or are put")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103, 104], metavar="N",
                        help="default: 100 to 104, on which nothing was tuned")  # fmt: skip
    parser.add_argument("--scenarios", nargs="+", choices=tuple(SCENARIOS), default=tuple(SCENARIOS), metavar="NAME")
    parser.add_argument("--contestants", nargs="+", choices=("frames", *OURS), default=("frames", *OURS), metavar="C",
                        help="default: all")  # fmt: skip
    parser.add_argument(
        "--budgets", type=int, nargs="+", default=BUDGETS, metavar="C", help="canvases; default: 8 16 32 64"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, clips of eight seconds, budgets of 4 and 8")
    parser.add_argument("--peers", choices=("none", *PEERS, "all"), default="none", help="default: none")
    parser.add_argument("--peers-up-to", type=int, default=10**6, metavar="S",
                        help="run peers on clips of at most so many seconds")  # fmt: skip
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/ov2_kernels_bench"), metavar="DIR",
                        help="where the peers are installed, or are put (default: %(default)s)")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=1200.0, metavar="S", help="seconds for one run of a peer")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw recall over budget (needs matplotlib)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every row here")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.budgets = options.seeds[:1], QUICK_BUDGETS
    if any(budget < 4 or budget % 4 for budget in options.budgets):
        parser.error("--budgets must be multiples of 4")
    return options


def clips(options: argparse.Namespace) -> list[Clip]:
    """The clips to be looked at, one seed after the other."""
    if options.quick:
        return [Clip(name, options.seeds[0], 8, "x264-25", 112, 196) for name in options.scenarios]
    return [planned(name, seed) for seed in options.seeds for name in options.scenarios]


def rows_of(clip: Clip, options: argparse.Namespace, environments: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """A row for each contestant and budget, of one clip."""
    path, truth = clip.make(options.cache)
    footage = Footage(path, options.threads)
    facts = {"scenario": clip.scenario, "seed": clip.seed, "seconds": clip.seconds, "encoding": clip.encoding}
    for budget in options.budgets:
        for name in options.contestants:
            kept = uniform_frames(footage, budget) if name == "frames" else footage.kept(OURS[name], budget)
            yield {**facts, "contestant": name, "budget": budget, **measure(kept, truth)}
        for name, environment in environments.items():
            if clip.seconds <= options.peers_up_to:
                kept = peer_blocks(name, environment, path, budget, footage, options.timeout)
                yield {**facts, "contestant": name, "budget": budget, **measure(kept, truth)}
    if options.quick:
        footage.assert_like_tokenize_video(options.budgets[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    return run_interruptible(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Runs every contestant on every clip and prints the tables."""
    options.cache.mkdir(parents=True, exist_ok=True)
    names = {"none": [], "all": list(PEERS)}.get(options.peers, [options.peers])
    rows: list[dict[str, Any]] = []
    environments = {name: prepare(PEERS[name], options.venvs.expanduser()) for name in names}
    for clip in tqdm(clips(options), unit="clip", disable=None):
        rows += rows_of(clip, options, environments)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(report(rows))
    if options.plot:
        plot(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
