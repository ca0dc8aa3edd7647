"""Whether ``bit_cost`` reads every picture to its last bit, over what an encoder can do and over streams of yours.

    python bench/bit_cost_streams.py [STREAM_OR_FOLDER...] [--every N]

x264 encodes a few pictures with every combination of entropy coder, chroma format and depth, transform, B pictures,
weighted prediction, slices, interlacing and quantiser; ``--every`` takes each N-th combination. A picture passes if its
status is ``exact`` and its macroblocks' bits sum to those of its slice data. Needs PyAV.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from ov2_kernels import VideoError, bit_cost, ops
from tqdm import tqdm

from processes import run_interruptible
from report import align

PICTURES, HEIGHT, WIDTH = 6, 104, 152
CHOICES = {
    "coder": {"cavlc": "cabac=0", "cabac": "cabac=1"},
    "scan": {
        "progressive": "",
        "tff": "interlaced=1:tff=1",
        "bff": "interlaced=1:bff=1",
    },
    "format": dict.fromkeys(("yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv444p10le"), ""),
    "qp": {str(qp): f"qp={qp}" for qp in (0, 1, 20, 51)},
    "transform": {"4x4": "8x8dct=0", "8x8": "8x8dct=1"},
    "B": {"0": "bframes=0", "3": "bframes=3:b-adapt=0:b-pyramid=normal:direct=auto"},
    "weights": {"0": "weightp=0", "2": "weightp=2"},
    "slices": {"1": "slices=1", "4": "slices=4"},
}
#: by these the results are counted
ROWS = ("coder", "scan", "qp")


def pictures(interlaced: bool) -> Iterator[np.ndarray[Any, Any]]:
    """A textured scene that moves and brightens; of an interlaced one, two fields in the right part."""
    rng = np.random.default_rng(11)
    texture = rng.integers(40, 200, (HEIGHT // 4, WIDTH // 2, 3)).repeat(4, axis=0).repeat(2, axis=1)
    moments = []
    for k in range(2 * PICTURES):
        picture = np.roll(texture, (k, 3 * k), axis=(0, 1)) + rng.integers(-6, 7, texture.shape) + 4 * k
        moments.append(np.clip(picture, 0, 255).astype(np.uint8))
    for i in range(PICTURES):
        picture = moments[2 * i].copy()
        if interlaced:
            left = WIDTH * (1 + i % 3) // 6
            picture[1::2, left:] = moments[2 * i + 1][1::2, left:]
        yield picture


def encode(path: Path, chosen: dict[str, str]) -> None:
    """One combination."""
    import av

    words = [CHOICES[name][value] for name, value in chosen.items()]
    params = ":".join(["partitions=all", "keyint=5", "scenecut=0", "ref=3", *filter(None, words)])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"x264-params": params})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, chosen["format"]
        for pts, picture in enumerate(pictures(chosen["scan"] != "progressive")):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=chosen["format"])
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def check(path: Path) -> tuple[Counter[str], float]:
    """Pictures by status, where a wrong sum is a status too, and the share of field macroblock pairs."""
    info = ops.probe(path)
    cost = bit_cost(path, np.arange(info.frames), info=info)
    sums = cost.bits.sum((1, 2), dtype=np.int64)
    found: Counter[str] = Counter()
    for status, total, payload in zip(cost.status, sums, cost.payload_bits, strict=True):
        found[status if status != "exact" or total == payload else "wrong sum"] += 1
    return found, float(cost.field_pairs.mean()) if cost.field_pairs.size else 0.0


def cross_product(every: int) -> tuple[dict[tuple[str, ...], Counter[str]], dict[tuple[str, ...], list[float]]]:
    """All combinations, counted by ``ROWS``; and how much of the interlaced ones is coded as fields."""
    combinations = [dict(zip(CHOICES, values, strict=True)) for values in itertools.product(*CHOICES.values())]
    counts: dict[tuple[str, ...], Counter[str]] = {}
    fields: dict[tuple[str, ...], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="ov2_kernels_bench_") as scratch:
        path = Path(scratch, "clip.mp4")
        for chosen in tqdm(combinations[::every], unit="clip", disable=None):
            encode(path, chosen)
            row = tuple(chosen[name] for name in ROWS)
            found, share = check(path)
            counts.setdefault(row, Counter()).update(found)
            fields.setdefault(row, []).append(share)
            if set(found) != {"exact"}:
                print(f"{chosen}: {dict(found)}", file=sys.stderr)
    return counts, fields


def compare(options: argparse.Namespace) -> int:
    """Prints both tables; 1 where a picture of ours is not exact."""
    counts, fields = cross_product(options.every)
    table = [(*ROWS, "pictures", "exact", "field pairs")]
    for row, found in counts.items():
        share = float(np.mean(fields[row]))
        table.append((*row, str(found.total()), str(found["exact"]), f"{share:.0%}"))
    everything = sum(counts.values(), Counter[str]())
    table.append(("all", "", "", str(everything.total()), str(everything["exact"]), ""))
    print("\n".join(align(table)))
    paths = [p for given in options.streams for p in (sorted(given.iterdir()) if given.is_dir() else [given])]
    table = [("stream", "", "pictures", "what became of them")]
    for path in paths:
        try:
            found, _ = check(path)
        except (VideoError, OSError) as error:
            table.append((path.name, "", "0", str(error)))
            continue
        table.append((path.name, "", str(found.total()), ", ".join(f"{n} {status}" for status, n in found.items())))
    if paths:
        print("\n" + "\n".join(align(table)))
    return int(everything["exact"] != everything.total())


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("streams", type=Path, nargs="*", metavar="STREAM_OR_FOLDER")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th combination (default: 1)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse_arguments()
    sys.exit(run_interruptible(lambda: compare(options)))
