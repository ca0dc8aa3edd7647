"""Bits off the bitstream against codec-video-prep: the map of every macroblock, what is selected, and speed.

python bench/bit_cost.py --peer ENVIRONMENT CLIP... where the environment has codec-video-prep 0.2.5 installed; without
--peer only the proof inside the streams and the speed are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import av
import numpy as np
from ov2_kernels import bit_cost, ops, tokenize_video

from peers import PEERS

#: prints nothing and saves the maps of all pictures, in display order
DUMP = """\
import sys, numpy as np
from codec_video_prep import cv_reader_fast
frames = cv_reader_fast.read_video_fast(sys.argv[1], export_bitcost=1, thread_type="slice", thread_count=1)
np.save(sys.argv[2], np.stack([frame["bitcost"]["mb_bit_cost"] for frame in frames]))
"""


def decode_seconds(clip: str, threads: int) -> float:
    """Seconds for libav to decode all pictures."""
    start = time.perf_counter()
    with av.open(clip) as container:
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.thread_count = threads
        for _ in container.decode(container.streams.video[0]):
            pass
    return time.perf_counter() - start


def proof_and_speed(clip: str, threads: int, rounds: int) -> None:
    info = ops.probe(clip)
    rows = np.arange(info.frames)
    cost = bit_cost(clip, rows, info=info, threads=threads)
    whole = bool((cost.bits.sum((1, 2)) == cost.payload_bits).all())
    print(f"{Path(clip).name}: {dict(Counter(cost.status))}, sums equal slice data: {whole}")
    ours, theirs = [], []
    for _ in range(rounds):  # interleaved, for other load to meet both
        start = time.perf_counter()
        bit_cost(clip, rows, info=info, threads=threads)
        ours.append(time.perf_counter() - start)
        theirs.append(decode_seconds(clip, threads))
    ratio = median(theirs) / median(ours)
    print(f"  {median(theirs):.3f} s to decode / {median(ours):.3f} s to parse = {ratio:.2f} ({threads} threads)")


def maps_against_peer(clip: str, environment: Path, folder: Path) -> None:
    target = folder / "maps.npy"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(environment / "bin" / "python"), "-c", DUMP, clip, str(target)]
    subprocess.run(command, check=True, env=clean, stderr=subprocess.DEVNULL)
    theirs = np.load(target)
    rules = {"whole_bytes": True, "run_to_first_skipped": True, "terminate_to_nobody": True}
    ours = bit_cost(clip, np.arange(ops.probe(clip).frames), **rules)
    n, (height, width) = min(len(theirs), len(ours.bits)), ours.bits.shape[1:]
    same = (theirs[:n, :height, :width] == ours.bits[:n])[ours.exact[:n]]
    print(f"  maps: {same.mean():.6%} of {same.size} macroblocks equal, {len(theirs)} and {len(ours.bits)} pictures")


def selection_against_peer(clip: str, environment: Path, folder: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    target = folder / "assets"
    command = PEERS["cv-preinfer"].command(environment, clip, str(target))
    subprocess.run(command, check=True, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tokens = tokenize_video(clip, profile="readiness")
    frames = np.array_equal(np.load(target / "frame_ids.npy"), tokens.frame_ids)
    places = [
        {tuple(p) for p in positions.tolist() if p[0] >= 0}
        for positions in (np.load(target / "src_patch_position.npy"), tokens.src_patch_position)
    ]
    starts = [group["group_start_idx"] for group in json.loads((target / "meta.json").read_text())["groups"]]
    groups = starts == tokens.group_edges[:-1].tolist()
    share = len(places[0] & places[1]) / max(map(len, places))
    print(
        f"  readiness: same frames {frames}, same {len(starts)} groups {groups}, "
        f"{share:.2%} of {max(map(len, places))} selected patches the same"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--peer", type=Path, help="virtual environment with codec-video-prep")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for clip in arguments.clips:
        proof_and_speed(clip, arguments.threads, arguments.rounds)
        if arguments.peer is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            maps_against_peer(clip, arguments.peer, Path(folder))
            selection_against_peer(clip, arguments.peer, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
