"""Threads, processes, forks and kills: whatever else goes on, results are those of a serial run."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ov2_kernels
import pytest
from ov2_kernels import CodecTokens, tokenize_video
from ov2_kernels.groups import GroupsAsRead
from ov2_kernels.integrations.cache import TokenCache
from ov2_kernels.integrations.llava_onevision2 import CodecConfig, process_codec_video

HOME = Path(ov2_kernels.__file__).parent.parent
NAMES = ("h264_bframes", "h264_variable_rate", "mpeg4_bframes", "vp9")
SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}

#: what the scripts below share; tokens are compared by this
PROLOGUE = """
import hashlib, os, sys, threading, time
from ov2_kernels import tokenize_video
from ov2_kernels.integrations import llava_onevision2 as module
SMALL = dict(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20_000)
def digest(canvases, positions):
    return hashlib.sha256(canvases.tobytes() + positions.tobytes()).hexdigest()[:16]
def of_video(video, **options):
    tokens = tokenize_video(video, **SMALL, **options)
    return digest(tokens.canvases, tokens.src_patch_position)
"""


def digest(tokens):
    return hashlib.sha256(tokens.canvases.tobytes() + tokens.src_patch_position.tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def videos(clip_path):
    return [str(clip_path(name)) for name in NAMES]


@pytest.fixture(scope="module")
def serial(videos):
    return {video: digest(tokenize_video(video, threads=1, **SMALL)) for video in videos}


def run(script, *words, **options):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROLOGUE + script, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME, **options)


def test_eight_threads_with_one_cache(videos, serial, tmp_path):
    cache = TokenCache(tmp_path / "cache")
    config = ov2_kernels.CodecConfig(**SMALL)
    work = random.Random(5).sample(videos * 6, 6 * len(videos))

    def one(place):
        video = work[place]
        if place % 2:
            return video, digest(tokenize_video(video, config.replace(threads=1 + place % 3)))
        return video, digest(cache.get(video, config, lambda: tokenize_video(video, config))[0])

    with ThreadPoolExecutor(8) as pool:
        assert all(serial[video] == found for video, found in pool.map(one, range(len(work))))
    assert len(list((tmp_path / "cache").glob("*_*"))) == len(videos)


EIGHT = """
from ov2_kernels.groups import GroupsAsRead
from ov2_kernels.integrations.cache import TokenCache
from ov2_kernels import CodecConfig
root, log, start, seed, *videos = sys.argv[1:]
config, cache = CodecConfig(**SMALL), TokenCache(root)
def make(video):
    with open(log, "a") as file:
        file.write(video + "\\n")
    return tokenize_video(video, config)
while not os.path.exists(start):
    time.sleep(0.01)
turn = int(seed) % len(videos)
for video in videos[turn:] + videos[:turn]:
    tokens, _ = cache.get(video, config, lambda: make(video))
    print(video, digest(tokens.canvases, tokens.src_patch_position))
    print(video, of_video(video, threads=2))
"""


def test_eight_processes_with_one_cache(videos, serial, tmp_path):
    root, log, start = (tmp_path / name for name in ("cache", "log", "start"))
    running = [run(EIGHT, root, log, start, seed, *videos) for seed in range(8)]
    start.touch()
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 8
    for answer in answers:
        lines = [line.rsplit(" ", 1) for line in answer.splitlines()]
        assert len(lines) == 2 * len(videos)
        assert all(serial[video] == found for video, found in lines)
    assert sorted(log.read_text().split("\n")[:-1]) == sorted(videos), "each was made once"


FORKS = """
video, expected = sys.argv[1:]
stop = False
def keep_going():
    while not stop:
        assert of_video(video, threads=2) == expected
def child():
    # All of the reader once more, here and in a child of its own.
    good = of_video(video, threads=3) == expected and of_video(video, motion_source="estimated", threads=2)
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if of_video(video, threads=2) == expected else 1)
    os._exit(0 if good and os.waitpid(grandchild, 0)[1] == 0 else 1)
def forked():
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(2)
    return pid
before = [forked()]  # before anything was used
assert of_video(video, threads=3) == expected
after = [forked()]  # after
beside = [threading.Thread(target=keep_going) for _ in range(3)]
for thread in beside:
    thread.start()
amidst = []
for _ in range(6):  # while others are at it
    time.sleep(0.02)
    amidst.append(forked())
codes = [os.waitpid(pid, 0)[1] for pid in before + after + amidst]
stop = True
for thread in beside:
    thread.join()
assert of_video(video, threads=2) == expected
print(codes)
"""


def test_forks(videos, serial):
    process = run(FORKS, videos[0], serial[videos[0]], start_new_session=True)
    try:
        answer = process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0
    assert answer.split("\n")[0] == str([0] * 8)


UNTIL_KILLED = """
root, *videos = sys.argv[1:]
config = module.CodecConfig(**SMALL, cache_root=root)
print("ready", flush=True)
for _ in range(1000):
    for video in videos:
        payload = module.process_codec_video(video, config)
        for name in os.listdir(payload["out_dir"]):
            os.unlink(os.path.join(payload["out_dir"], name))  # damaged now, so that it is made anew
"""


def test_killed_at_any_moment(videos, tmp_path):
    """Entries are whole or made anew, locks end with their process, and what was left lying about is cleared up."""
    root = tmp_path / "cache"
    config = CodecConfig(**SMALL, cache_root=root, timeout_seconds=120)
    expected = {video: digest(tokenize_video(video, profile="readiness", **SMALL)) for video in videos}
    rng = random.Random(11)
    for _ in range(12):
        process = run(UNTIL_KILLED, root, *videos)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        for video in videos:  # which a stale lock would make wait until it fails
            entry = Path(process_codec_video(video, config)["out_dir"])
            assert digest(CodecTokens.load(entry)) == expected[video]
        assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == [".locks"]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_thread_of_groups_steps_back(threads, real_clip, monkeypatch):
    """The caller's stays as it is, also where it finishes groups itself."""

    def priority():
        return os.getpriority(os.PRIO_PROCESS, 0)

    before, beside = priority(), []
    go_on = GroupsAsRead._go_on

    def note(self, ready):
        beside.append(priority())
        go_on(self, ready)

    monkeypatch.setattr(GroupsAsRead, "_go_on", note)
    tokenize_video(real_clip, threads=threads)
    assert priority() == before
    assert set(beside) == {before if threads == 1 else min(before + 5, 19)}
