"""Which frames are looked at."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import native, ops, reference
from ov2_kernels.media import VideoInfo

from parity import assert_same


def packet_table(size: Any, is_key: Any, pts: Any = None, decode_index: Any = None, rate: int = 25) -> VideoInfo:
    n = len(size)
    return VideoInfo(
        path="",
        size=np.array(size, dtype=np.int64),
        pts=np.arange(n, dtype=np.int64) if pts is None else np.array(pts, dtype=np.int64),
        is_key=np.array(is_key, dtype=bool),
        decode_index=np.arange(n, dtype=np.int64) if decode_index is None else np.array(decode_index, dtype=np.int64),
        codec="h264",
        container="test",
        coded_width=16,
        coded_height=16,
        rotation=0,
        mirrored=False,
        time_base=Fraction(1, rate),
        frame_rate=Fraction(rate),
        has_timestamps=True,
    )


@st.composite
def tables(draw: st.DrawFn) -> VideoInfo:
    n = draw(st.integers(1, 60))
    size = draw(st.lists(st.integers(1, draw(st.sampled_from([9, 1000]))), min_size=n, max_size=n))
    is_key = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    steps = draw(st.lists(st.integers(draw(st.sampled_from([0, 1])), 5), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    return packet_table(size, is_key, np.cumsum(steps) - 3, order, rate=draw(st.sampled_from([24, 25, 30])))


@settings(deadline=None, max_examples=300)
@given(
    info=tables(),
    max_samples=st.integers(1, 70),
    sampling=st.sampled_from(["peaks", "uniform", "near_keyframes"]),
    avoid_keyframes=st.booleans(),
    window=st.none() | st.tuples(st.floats(0, 2), st.floats(0, 2)),
    sample_fps=st.none() | st.sampled_from([0.3, 1.0, 7.5, 30.0, 1000.0]),
)
def test_native_equals_the_reference(info, max_samples, sampling, avoid_keyframes, window, sample_fps):
    options: dict[str, Any] = {
        "max_samples": max_samples,
        "sampling": sampling,
        "avoid_keyframes": avoid_keyframes,
        "start_time": window and window[0],
        "end_time": window and window[0] + window[1],
        "sample_fps": sample_fps,
    }
    try:
        expected = reference.sample_frames(info, **options)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            native.sample_frames(info, **options)
        return
    got = native.sample_frames(info, **options)
    assert_same(got[0], expected[0])
    assert got[1] == expected[1]
    assert 1 <= len(got[0]) <= max_samples
    assert (np.diff(got[0]) > 0).all()


def test_the_base_grid_spans_the_range():
    info = packet_table([1] * 100, [False] * 100)
    frames, start = ops.sample_frames(info, max_samples=7, sampling="uniform", avoid_keyframes=False)
    assert_same(frames, np.array([0, 16, 33, 49, 66, 82, 99]))
    assert start == 0
    frames, start = ops.sample_frames(info, max_samples=3, sampling="uniform", start_time=1.0, end_time=2.0)
    assert_same(frames, np.array([25, 37, 50]))
    assert start == 25


def test_a_peak_between_two_grid_frames_is_looked_at():
    size = [10] * 100
    size[58] = 900
    info = packet_table(size, [False] * 100)
    frames, _ = ops.sample_frames(info, max_samples=7)
    assert 58 in frames
    assert 58 not in ops.sample_frames(info, max_samples=7, sampling="uniform")[0]


def test_a_peak_is_one_among_its_kind():
    """P pictures are large whatever they show, and what is decoded early for others' sake is one; B pictures small."""
    order = np.argsort(np.argsort([t - 2.5 if t % 3 == 0 else t for t in range(98)]))  # I P B B P B B
    is_p = [t % 3 == 0 for t in range(98)]
    size = [1000 if p else 100 for p in is_p]
    size[50] = 400  # of a B picture this is much
    info = packet_table(size, [t == 0 for t in range(98)], decode_index=order)
    frames, _ = ops.sample_frames(info, max_samples=7)
    assert 50 in frames


def test_without_a_peak_the_grid_stays():
    """As a peak counts what is more than half as large again as is usual."""
    size = [100 + t % 3 * 10 for t in range(100)]
    grid = [0, 16, 33, 49, 66, 82, 99]
    for largest, moved in ((165, 49), (166, 52)):
        size[52] = largest
        frames, _ = ops.sample_frames(packet_table(size, [False] * 100), max_samples=7)
        assert frames.tolist() == [moved if t == 49 else t for t in grid]


def test_keyframes_are_avoided_the_later_neighbour_first():
    info = packet_table([9] * 11, [t in (0, 5, 10) for t in range(11)])
    frames, _ = ops.sample_frames(info, max_samples=3, sampling="uniform")
    assert_same(frames, np.array([1, 6, 9]))


def test_a_stream_of_keyframes_keeps_its_samples():
    info = packet_table([9] * 11, [True] * 11)
    assert_same(ops.sample_frames(info, max_samples=3)[0], np.array([0, 5, 10]))


def test_near_keyframes_takes_what_is_cheap_to_decode():
    info = packet_table([9] * 40, [t % 10 == 0 for t in range(40)])
    frames, _ = ops.sample_frames(info, max_samples=4, sampling="near_keyframes")
    assert_same(frames, np.array([1, 11, 21, 33]))


def test_samples_by_rate_follow_the_clock():
    """Half a second of pictures, a pause of two, another half."""
    pts = [*range(13), *range(63, 76)]
    info = packet_table([1] * 26, [False] * 26, pts=pts)
    frames, _ = ops.sample_frames(info, max_samples=100, sampling="uniform", sample_fps=4.0)
    assert_same(info.pts[frames], np.array([0, 6, 12, 63, 69, 75]))


def test_an_empty_range_is_an_error():
    with pytest.raises(ValueError, match="no frame lies between start_time and end_time"):
        ops.sample_frames(packet_table([1, 1], [True, False]), max_samples=2, start_time=9.0)
    with pytest.raises(ValueError, match="sampling must be one of peaks, uniform, near_keyframes, got 'often'"):
        ops.sample_frames(packet_table([1, 1], [True, False]), max_samples=2, sampling="often")
    with pytest.raises(ValueError, match="sample_fps must be above 0, a number, got 0"):
        ops.sample_frames(packet_table([1, 1], [True, False]), max_samples=2, sample_fps=0)
    with pytest.raises(ValueError, match="max_samples must be at least 1, an integer, got 0"):
        ops.sample_frames(packet_table([1, 1], [True, False]), max_samples=0)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_of_frames_shown_at_once_the_first_is_taken(backend):
    info = packet_table([1] * 5, [False] * 5, pts=[0, 8, 8, 8, 20], rate=10)
    frames, _ = ops.sample_frames(info, max_samples=9, sampling="uniform", sample_fps=1.0, backend=backend)
    assert_same(info.pts[frames], np.array([0, 8, 20]))
    assert_same(frames, np.array([0, 1, 4]))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", ["start_time", "end_time", "sample_fps"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_numbers_must_be_finite(name, value, backend):
    with pytest.raises(ValueError, match=f"{name} must be"):
        ops.sample_frames(packet_table([1] * 5, [False] * 5), max_samples=2, **{name: value}, backend=backend)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_by_rate_the_first_of_frames_shown_last_at_once(backend):
    """Though the last instant is a rounding error behind them."""
    info = packet_table([1] * 4, [False] * 4, [0, 46, 49, 49], rate=30)
    assert 46 / 30 + 3 / 30 > 49 / 30
    options = {"max_samples": 9, "sampling": "uniform", "start_time": 1.5, "sample_fps": 30.0}
    assert ops.sample_frames(info, **options, backend=backend)[0].tolist() == [1, 2]
