"""Many tokenizations of good and broken clips in one process: does anything grow?

``python bench/soak.py`` prints memory, file descriptors and threads over 2,000 runs and fails where one of them grows.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ov2_kernels import CodecConfig, CodecTokens, bit_cost, tokenize_frames, tokenize_video
from ov2_kernels.integrations.cache import TokenCache

sys.path.insert(0, str(Path(__file__).parents[1] / "python_tests"))
from clips import encode, scene

SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 40_000}
#: growth that the allocator's habits explain: pages it keeps, arenas of threads
MOST_GROWTH = 16 << 20


@dataclass
class Sample:
    """What the process holds after so many runs."""

    runs: int
    #: resident memory in bytes
    memory: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls, runs: int) -> Sample:
        gc.collect()
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return cls(runs, memory, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))

    def __str__(self) -> str:
        return f"{self.runs:6d} runs {self.memory / 2**20:8.1f} MiB {self.descriptors:4d} fds {self.threads:3d} threads"


def make_clips(folder: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """Good clips, and broken ones: cut, with bytes flipped and zeroed, of no sense, empty, and not there."""
    x264 = {"g": "12", "preset": "veryfast", "threads": "1"}
    kinds: dict[str, dict[str, Any]] = {
        "a.mp4": {"options": x264},
        "b.mkv": {"options": {**x264, "x264-params": "bframes=3"}},
        "c.ts": {"options": x264, "container": "mpegts"},
        "d.mp4": {"codec": "mpeg4", "options": {"g": "12"}},
        "e.webm": {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8"}},
        "f.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True},
    }
    good = [encode(folder / name, scene(36, 120, 160, seed=seed), **options) for name, options in kinds.items()]
    rng = random.Random(seed)
    broken = [folder / "nowhere.mp4", folder]
    for clip in good:
        data = clip.read_bytes()
        flipped = bytearray(data)
        for _ in range(20):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        at = rng.randrange(len(data))
        versions = [data[: rng.randrange(len(data))], bytes(flipped), data[:at] + bytes(2000) + data[at + 2000 :]]
        for i, version in enumerate([*versions, rng.randbytes(3000), b""]):
            broken.append(folder / f"{clip.stem}_{i}{clip.suffix}")
            broken[-1].write_bytes(version)
    return good, broken


class _StoppedError(Exception):
    """Breaks a read off."""


def make_work(folder: Path, seed: int) -> tuple[Callable[[int], None], Counter[str]]:
    """One run by its number, and what became of the runs so far."""
    good, broken = make_clips(folder, seed)
    cache = TokenCache(folder / "cache")
    seen: Counter[str] = Counter()

    def stop(stage: str, done: int, total: int) -> None:
        if done > total // 2:
            raise _StoppedError

    def one(rng: random.Random) -> str:
        clip = rng.choice(good if rng.random() < 0.6 else broken)
        config = CodecConfig(**SMALL, threads=rng.choice([1, 2, 4]))
        kind = rng.randrange(8)
        if kind == 0:
            tokenize_frames(clip, num_frames=6, max_pixels=40_000)
            return "frames"
        if kind == 1:
            tokenize_video(clip, config, progress=stop)
            return "tokens"
        if kind == 2:
            bit_cost(clip, [0, 1])
            return "bits"
        if kind == 3:
            shutil.rmtree(cache.root, ignore_errors=True)
            cache.get(clip, config, lambda: tokenize_video(clip, config))
            cache.get(clip, config, lambda: tokenize_video(clip, config))
            return "cache"
        tokens = tokenize_video(clip, config, motion_source=rng.choice(["auto", "estimated"]))
        tokens.model_inputs(as_torch=False)
        if kind == 4:
            tokens.save(folder / "out", format=rng.choice(["jpg", "png", "npy"]), overwrite=True)
            assert np.array_equal(CodecTokens.load(folder / "out").frame_ids, tokens.frame_ids)
        return "tokens"

    def work(run: int) -> None:
        try:
            seen[one(random.Random(seed * 1_000_003 + run))] += 1
        except (ValueError, OSError, _StoppedError) as error:
            seen[type(error).__name__] += 1

    return work, seen


def soak(work: Callable[[int], None], runs: int, tell: Callable[[Sample], None] = lambda _: None) -> list[Sample]:
    """Runs ``work`` so often and looks at the process twenty times, evenly spread."""
    samples = []
    for run in range(runs):
        work(run)
        if (run + 1) * 20 // runs > run * 20 // runs:
            samples.append(Sample.now(run + 1))
            tell(samples[-1])
    return samples


def growth(samples: list[Sample]) -> list[str]:
    """What grew from the second quarter to the last; before, libraries are loaded and pools filled."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for name, allowed in (("memory", MOST_GROWTH), ("descriptors", 0), ("threads", 0)):
        before, after = (statistics.median(getattr(s, name) for s in part) for part in (early, late))
        if after - before > allowed:
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return found


def main() -> int:
    """Runs the soak; the exit status is 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.runs < 20:
        parser.error("--runs must be at least 20")
    with tempfile.TemporaryDirectory() as folder:
        work, seen = make_work(Path(folder), options.seed)
        samples = soak(work, options.runs, lambda sample: print(sample, flush=True))
    print(", ".join(f"{count} {name}" for name, count in sorted(seen.items())))
    found = growth(samples)
    print("; ".join(found) or "nothing grew")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
