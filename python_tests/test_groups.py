"""Groups finished while later samples are read: the canvases of a serial run, whatever happens when."""

from __future__ import annotations

import dataclasses
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from ov2_kernels import native, ops, tokenize_video
from ov2_kernels.choose import Chooser
from ov2_kernels.errors import DamagedVideoError, VideoCancelledError
from ov2_kernels.groups import GroupsAsRead

from clips import encode
from conftest import CLIPS, frames
from parity import assert_same

SMALL = {"target_canvas": 16, "group_size": 8, "min_samples": 1, "min_group_frames": 4, "max_pixels": 20_000}


@pytest.fixture(autouse=True)
def _packs_as_read(request, monkeypatch):
    """With one thread nothing is finished before all is read: what the others are compared with."""
    if "rule" not in request.node.name:
        monkeypatch.setattr(Chooser, "_packs_as_read", property(lambda self: self.threads > 1))


def assert_same_tokens(got, expected):
    for field in dataclasses.fields(got):
        a, b = getattr(got, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray):
            assert_same(a, b, field.name)
        elif field.name not in ("timings", "config"):
            assert a == b, field.name


class Replay:
    """A reader that reads for real, unseen, and then hands over the pictures as ``steps`` of their number says.

    With ``waits``, nothing more is read before all groups that can be are packed.
    """

    def __init__(self, monkeypatch, steps, waits=False):
        self._read, self._steps, self._waits = ops.read_samples, steps, waits
        #: calls of pack_canvases
        self.packed = 0
        monkeypatch.setattr(ops, "read_samples", self)
        pack = native.pack_canvases

        def count(*arguments, **options):
            result = pack(*arguments, **options)
            self.packed += 1
            return result

        monkeypatch.setattr(native, "pack_canvases", count)

    def __call__(self, *arguments, progress, progress_at, pictures, **options):
        samples = self._read(*arguments, pictures=pictures, **options)
        planes = (pictures.luma, pictures.prev_luma)
        whole = [plane.copy() for plane in planes]
        for plane in planes:
            plane[:] = 99  # what is not read yet may be anything
        before = 0
        for ready in self._steps(len(pictures.luma)):
            if ready < before:
                progress(0)  # as the reader does, which then writes where the thread may have been reading
                # Colours of what was packed are gone.
                self._read(*arguments, pictures=pictures, **options)
                before = 0
            for plane, given in zip(planes, whole, strict=True):
                plane[before:ready] = given[before:ready]
                plane[ready:] = 99
            progress(ready)
            before = ready
            if self._waits:
                groups = np.searchsorted(progress_at[:-1], ready, side="right") - 1
                wait_until(lambda groups=groups: self.packed == groups)
        return samples


def wait_until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.0005)


@pytest.mark.parametrize("name", ["h264_bframes", "mpeg2"])
def test_a_group_is_packed_before_the_next_sample_is_there(name, clip_path, monkeypatch):
    expected = tokenize_video(clip_path(name), threads=1, **SMALL)
    replay = Replay(monkeypatch, lambda count: range(count + 1), waits=True)
    got = tokenize_video(clip_path(name), threads=2, **SMALL)
    assert_same_tokens(got, expected)
    assert replay.packed == len(got.group_edges) - 1 > 2


@pytest.mark.parametrize(
    "steps",
    [
        lambda count: [count],
        lambda count: [0, count],
        lambda count: [count // 2, count],
        lambda count: [count - 1, 0, count],
        lambda count: [count, 0, count],
        lambda count: [*range(count), 0, *range(0, count, 7), count],
        lambda count: [count // 2, count // 3, count, 0, 1, count],
    ],
)
def test_whatever_is_there_at_once_or_read_again(steps, clip_path, monkeypatch):
    expected = tokenize_video(clip_path("h264_bframes"), threads=1, **SMALL)
    Replay(monkeypatch, steps)
    assert_same_tokens(tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL), expected)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("name", CLIPS)
def test_threads_change_no_token(name, threads, clip_path):
    expected = tokenize_video(clip_path(name), threads=1, **SMALL)
    assert_same_tokens(tokenize_video(clip_path(name), threads=threads, **SMALL), expected)


@pytest.mark.parametrize("name", ["h264_bframes", "vp9", "mpeg2"])
def test_one_thread_packs_between_pictures(name, clip_path, monkeypatch):
    expected = tokenize_video(clip_path(name), threads=1, **SMALL)
    monkeypatch.setattr(Chooser, "_packs_as_read", True)
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail(f"{self.name} was started"))
    replay = Replay(monkeypatch, lambda count: range(count + 1))
    got = tokenize_video(clip_path(name), threads=1, **SMALL)
    assert_same_tokens(got, expected)
    assert replay.packed == len(got.group_edges) - 1 > 2


@pytest.mark.parametrize("options", [{"selection": "global"}, {"images_per_group": 1}, {"partition": "fixed"}])
def test_settings_of_groups(options, clip_path):
    expected = tokenize_video(clip_path("h264_bframes"), threads=1, **{**SMALL, **options})
    assert_same_tokens(tokenize_video(clip_path("h264_bframes"), threads=2, **{**SMALL, **options}), expected)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_group(count, tmp_path):
    path = encode(tmp_path / "short.mp4", frames(count))
    expected = tokenize_video(path, threads=1, max_pixels=20_000)
    assert_same_tokens(tokenize_video(path, threads=2, max_pixels=20_000), expected)


def test_a_real_clip_is_packed_while_it_is_read(real_clip, monkeypatch):
    """The memory of the last sample is overwritten when the first group is packed: its picture comes later."""
    expected = tokenize_video(real_clip, threads=1)
    pack, lumas, ready, first = native.pack_canvases, [], [], threading.Event()

    def spy(frames, *arguments, **options):
        if not lumas:
            frames.luma[-1] = 99
        lumas.append(frames.luma[-1].copy())
        packed = pack(frames, *arguments, **options)
        first.set()
        return packed

    def progress(stage, done, total):
        assert threading.current_thread() is threading.main_thread()
        ready.append(done)
        if len(expected.group_edges) > 2 and done >= expected.group_edges[1]:
            assert first.wait(60), "a group is packed although the reader stands still"

    monkeypatch.setattr(native, "pack_canvases", spy)
    got = tokenize_video(real_clip, threads=2, progress=progress)
    assert_same_tokens(got, expected)
    last = ops.read_samples(real_clip, got.frame_ids[-1:], *got.canvases.shape[1:3], motion_source="none")
    assert_same(lumas[-1], last.luma[0])
    assert ready == sorted(ready)


def test_pictures_are_given_back_as_soon_as_they_may_be(clip_path, monkeypatch):
    planes, given_back = [], []
    init, release = GroupsAsRead.__init__, native.release_pictures

    def keep(self, *arguments):
        init(self, *arguments)
        planes.extend((self.pictures.luma, self.pictures.prev_luma))

    def note(plane, begin, end):
        given_back.append((plane is planes[0], int(begin), int(end)))
        release(plane, begin, end)

    monkeypatch.setattr(GroupsAsRead, "__init__", keep)
    monkeypatch.setattr(native, "release_pictures", note)
    Replay(monkeypatch, lambda count: range(count + 1), waits=True)
    edges = tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL).group_edges
    assert [span for is_luma, *span in given_back if is_luma] == [list(pair) for pair in pairwise(edges)]
    measured = [span for is_luma, *span in given_back if not is_luma]
    assert [begin for begin, _ in measured] == [0, *(end for _, end in measured[:-1])]
    assert measured[-1][1] == edges[-1]


def test_reading_waits_for_groups_that_are_far_behind(clip_path, monkeypatch):
    expected = tokenize_video(clip_path("h264_bframes"), threads=1, **SMALL)
    monkeypatch.setattr("ov2_kernels.groups.MOST_AHEAD", 6)
    progress, measure, ahead = GroupsAsRead.progress, GroupsAsRead._measure, []

    def note(self, ready):
        progress(self, ready)
        ahead.append(ready - self._measured)

    def late(self, *arguments):
        time.sleep(0.02)
        measure(self, *arguments)

    monkeypatch.setattr(GroupsAsRead, "progress", note)
    monkeypatch.setattr(GroupsAsRead, "_measure", late)
    Replay(monkeypatch, lambda count: range(count + 1))
    assert_same_tokens(tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL), expected)
    assert 3 < max(ahead[:-1]) <= 6  # at the end there is no reason to wait


def test_reading_anew_waits_for_the_group_that_is_being_packed(clip_path, monkeypatch):
    expected = tokenize_video(clip_path("h264_bframes"), threads=1, **SMALL)
    entered, left = threading.Event(), threading.Event()
    pack = native.pack_canvases

    def slow(*arguments, **options):
        if not entered.is_set():
            entered.set()
            time.sleep(0.1)
            left.set()
        return pack(*arguments, **options)

    def steps(count):
        yield count - 1
        assert entered.wait(60)
        yield 0
        assert left.is_set()
        yield count

    monkeypatch.setattr(native, "pack_canvases", slow)
    Replay(monkeypatch, steps)
    assert_same_tokens(tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL), expected)


def lost_picture(clip_path, tmp_path):
    """A clip in which some pictures of the last third cannot be decoded, which is noticed when the rest is there."""
    path = clip_path("h264_bframes")
    info = ops.probe(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4 + int(info.size.sum()) * 2 // 3
    data[at : at + 900] = bytes(900)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    return broken


def test_salvage_reads_anew(clip_path, tmp_path, monkeypatch):
    path = lost_picture(clip_path, tmp_path)
    options = {**SMALL, "on_error": "salvage", "threads": 2}
    for _ in range(20):  # what is read before anything is told is not told to begin anew
        ready = []
        got = tokenize_video(path, progress=lambda stage, done, total, ready=ready: ready.append(done), **options)
        if any(later < earlier for earlier, later in pairwise(ready)):
            break
    else:
        pytest.fail("it never began anew")
    assert len(got.substituted_frames)
    monkeypatch.setattr(Chooser, "_packs_as_read", False)
    assert_same_tokens(got, tokenize_video(path, **options))


def fail(*_, **__):
    raise MemoryError("no room for canvases")


@pytest.fixture
def no_thread_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("both", [False, True])
def test_an_error_of_the_reader(both, clip_path, tmp_path, monkeypatch, no_thread_left):
    whole = clip_path("h264_transport_stream").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole)
    info = ops.probe(cut)
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    monkeypatch.setattr(ops, "probe", lambda *_, **__: info)
    if both:
        monkeypatch.setattr(native, "pack_canvases", fail)
    # Whichever is known first ends the work.
    with pytest.raises((DamagedVideoError, MemoryError) if both else DamagedVideoError, match=r"cannot decode|no room"):
        tokenize_video(cut, threads=2, **SMALL)


@pytest.mark.parametrize("most_ahead", [1, 192])
@pytest.mark.parametrize("steps", [lambda n: [n], lambda n: [n - 1, 0, n], lambda n: range(n + 1)])
def test_an_error_of_the_groups(steps, most_ahead, clip_path, monkeypatch, no_thread_left):
    monkeypatch.setattr("ov2_kernels.groups.MOST_AHEAD", most_ahead)
    Replay(monkeypatch, steps)
    monkeypatch.setattr(native, "pack_canvases", fail)
    with pytest.raises(MemoryError, match="no room"):
        tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL)


def test_an_error_of_the_groups_ends_the_reading(clip_path, monkeypatch, no_thread_left):
    told = []

    def step_by_step(n):
        for ready in range(n + 1):
            told.append(ready)
            yield ready
            time.sleep(0.01)

    Replay(monkeypatch, step_by_step)
    monkeypatch.setattr(native, "pack_canvases", fail)
    with pytest.raises(MemoryError, match="no room"):
        tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL)
    assert len(told) < 40


def test_ctrl_c_while_the_thread_starts(clip_path, monkeypatch, no_thread_left):
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tokenize_video(clip_path("h264_bframes"), threads=2, **SMALL)


@pytest.mark.parametrize("after", [-1, 30])
def test_a_callback_that_raises(after, real_clip, no_thread_left):
    def stop(stage, done, total):
        if done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenize_video(real_clip, threads=2, progress=stop)


def test_without_threads(real_clip, monkeypatch):
    expected = tokenize_video(real_clip, threads=1)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert_same_tokens(tokenize_video(real_clip, threads=2), expected)


def test_time_that_runs_out_amid_the_groups(real_clip, monkeypatch, no_thread_left):
    select = native.select_blocks

    def late(*arguments, **options):
        monkeypatch.setattr("time.monotonic", lambda: float("inf"))
        return select(*arguments, **options)

    monkeypatch.setattr(native, "select_blocks", late)
    with pytest.raises(VideoCancelledError, match="longer than max_wall_seconds"):
        tokenize_video(real_clip, threads=2)


@pytest.mark.parametrize(
    ("name", "options", "beside"),
    [
        ("h264_bframes", {}, True),
        ("h264_bframes", {"threads": 1}, False),
        ("h264_bframes", {"score_mode": "fused"}, False),
        ("h264_bframes", {"backend": "reference"}, False),
        ("mpeg2", {}, True),
        ("h264_raw", {}, True),
    ],
)
def test_the_rule(name, options, beside, clip_path, monkeypatch):
    started = []
    start = threading.Thread.start

    def note(self):
        started.append(self.name)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", note)
    tokenize_video(clip_path(name), **{**SMALL, "threads": 2, **options})
    assert ("ov2_kernels-groups" in started) == beside


@pytest.mark.parametrize("threads", [1, 2])
def test_the_rule_with_any_number_of_threads(threads, clip_path, monkeypatch):
    path, finished = clip_path("mpeg2"), []
    expected = tokenize_video(path, backend="reference", **SMALL)
    finish = GroupsAsRead._finish
    monkeypatch.setattr(GroupsAsRead, "_finish", lambda self, *a: (finished.append(a[0]), finish(self, *a))[1])
    assert_same_tokens(tokenize_video(path, threads=threads, **SMALL), expected)
    assert finished[-1] == len(expected.group_edges) - 1
