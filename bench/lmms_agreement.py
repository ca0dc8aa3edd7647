"""Which blocks lmms_video_utils selects, and which our module in its place selects: the share that both do.

    python bench/lmms_agreement.py clip.mp4 [more.mp4 ...]

Only blocks of P-canvases are counted, by frame and place; I-canvases show whole frames in both. The peer runs in a
virtual environment of its own, as in ``end_to_end.py``. The exit status is 1 where ``framediff`` with ``uniform``
groups shares less than 90 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ov2_kernels.integrations import lmms_video_utils as ours

from peers import PEERS, prepare
from processes import run_child

GOAL = 0.9
MODES = (("framediff", "uniform"), ("framediff", "bitcost"), ("mvwarp", "uniform"), ("mvwarp", "bitcost"))

THEIRS = """\
import sys, numpy
from lmms_video_utils import fetch_codec_video
clip, score_mode, gop_mode, target = sys.argv[1:]
out = fetch_codec_video(clip, score_mode=score_mode, gop_mode=gop_mode, backend="pyav")
numpy.savez(target, positions=out.patch_positions.numpy(), gop_ids=out.gop_ids.numpy(), shape=out.canvases.shape)
"""


def p_blocks(positions: Any, gop_ids: Any) -> set[tuple[int, int, int]]:
    """The blocks of the P-canvases, each by its frame and first patch."""
    by_canvas = positions.reshape(len(gop_ids), -1, 3)
    later = by_canvas[np.flatnonzero(np.diff(gop_ids, prepend=-1) == 0)].reshape(-1, 3)
    first = (later[:, 0] >= 0) & (later[:, 1] % 2 == 0) & (later[:, 2] % 2 == 0)
    return set(map(tuple, later[first].tolist()))


def theirs(environment: Path, clip: str, score_mode: str, gop_mode: str) -> Any:
    """What the peer gives: positions, groups and the shape of its canvases."""
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as scratch:
        target = str(Path(scratch, "out.npz"))
        python = str(environment / "bin" / "python")
        done = run_child([python, "-W", "ignore", "-c", THEIRS, clip, score_mode, gop_mode, target], 1800.0)
        if done.error:
            raise RuntimeError(f"lmms-video-utils failed on {clip}: {done.error}")
        with np.load(target) as file:
            return dict(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 where the goal is missed."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", metavar="CLIP")
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/ov2_kernels_bench"), metavar="DIR",
                        help="where the peers are installed (default: %(default)s)")  # fmt: skip
    options = parser.parse_args(arguments)
    environment = prepare(PEERS["lmms"], options.venvs.expanduser())
    missed = False
    for clip in options.clips:
        for score_mode, gop_mode in MODES:
            other = theirs(environment, clip, score_mode, gop_mode)
            own = ours.fetch_codec_video(clip, score_mode=score_mode, gop_mode=gop_mode, device="cpu")
            a = p_blocks(other["positions"], other["gop_ids"])
            b = p_blocks(own.patch_positions.numpy(), own.gop_ids.numpy())
            both = len(a & b)
            goal = (score_mode, gop_mode) == MODES[0]
            missed |= goal and both / len(a) < GOAL
            shapes = "x".join(map(str, other["shape"])), "x".join(map(str, own.canvases.shape))
            print(
                f"{Path(clip).name} {score_mode}/{gop_mode}: {both} of their {len(a)} blocks are {both / len(a):.1%}, "
                f"of our {len(b)} they are {both / len(b):.1%}; canvases {shapes[0]} and {shapes[1]}",
                flush=True,
            )
    print(f"goal, framediff/uniform >= {GOAL:.0%} of theirs on every clip: {'missed' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
