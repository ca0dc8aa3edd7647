"""``bench/soak.py`` in short: nothing grows, and where something does it is told."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from soak import growth, make_work, soak

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")


def test_nothing_grows(tmp_path):
    work, seen = make_work(tmp_path, seed=3)
    samples = soak(work, 80)
    assert seen["tokens"] > 15, seen
    assert seen["_StoppedError"] >= 1, seen
    assert sum(count for name, count in seen.items() if name.endswith("Error")) > 10, seen
    assert growth(samples) == [], "\n".join(map(str, samples))


def test_what_grows_is_told():
    kept = []
    assert growth(soak(lambda run: kept.append(b"x" * (1 << 20)), 80))[0].startswith("memory grew")
    kept.clear()
    assert growth(soak(lambda run: kept.append(os.open("/dev/null", os.O_RDONLY)), 40))[0].startswith("descriptors")
    for descriptor in kept:
        os.close(descriptor)
    end = threading.Event()
    kept = []

    def start(run):
        kept.append(threading.Thread(target=end.wait))
        kept[-1].start()

    found = growth(soak(start, 40))
    end.set()
    for thread in kept:
        thread.join()
    assert any(line.startswith("threads") for line in found)
