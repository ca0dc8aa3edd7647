"""Where the tokens went: for real clips, how many each contestant spent on each second.

python bench/token_seconds.py CLIP... [--canvases 32] [--peers none|cv-preinfer|lmms|all]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from event_contestants import OURS, Footage, uniform_frames
from event_peers import peer_blocks
from peers import PEERS, prepare
from report import align

SHOWN = ("default", "dense", "fused", "uniform sampling", "bits")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--canvases", type=int, default=32, metavar="C", help="default: 32")
    parser.add_argument("--peers", choices=("none", *PEERS, "all"), default="none", help="default: none")
    parser.add_argument("--venvs", type=Path, default=Path("~/.cache/ov2_kernels_bench"), metavar="DIR",
                        help="where the peers are installed, or are put (default: %(default)s)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    options = parser.parse_args(arguments)
    names = {"none": [], "all": list(PEERS)}.get(options.peers, [options.peers])
    environments = {name: prepare(PEERS[name], options.venvs.expanduser()) for name in names}
    for clip in options.clips:
        footage = Footage(clip, options.threads)
        kept = {"frames": uniform_frames(footage, options.canvases)}
        kept |= {name: footage.kept(OURS[name], options.canvases) for name in SHOWN}
        for name, environment in environments.items():
            kept[name] = peer_blocks(name, environment, clip, options.canvases, footage, 1200.0)
        seconds = footage.info.times.astype(int)
        table = [("second", "", "kB", *kept)]
        spent = {name: np.bincount(seconds[k.frames], minlength=seconds[-1] + 1) for name, k in kept.items()}
        bytes_ = np.bincount(seconds, weights=footage.info.size)
        for second in range(seconds[-1] + 1):
            row = (str(count[second]) for count in spent.values())
            table.append((str(second), "", f"{bytes_[second] / 1000:.1f}", *row))
        table.append(("all", "", f"{bytes_.sum() / 1000:.1f}", *(str(c.sum()) for c in spent.values())))
        print(f"\n{clip.name}: tokens spent on each second, at {options.canvases} canvases")
        print("\n".join(align(table)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
