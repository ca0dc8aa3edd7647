"""Many videos at a time: the same tokens as one by one, errors as values, nothing left running."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
from ov2_kernels import CodecConfig, VideoError, tokenize_many, tokenize_video

from parity import assert_same

NAMES = ["h264_bframes", "mpeg2", "h264_open_gop", "vp9", "h264_422"]
SETTINGS = {"target_canvas": 8, "max_pixels": 20000}


@pytest.fixture
def videos(clip_path, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 1000)
    paths = [clip_path(name) for name in NAMES]
    return [*paths[:2], broken, *paths[2:], tmp_path / "missing.mp4"]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_are_those_of_one_by_one(workers, ordered, videos):
    results = list(tokenize_many(videos, workers=workers, ordered=ordered, **SETTINGS))
    order = [r.index for r in results]
    assert sorted(order) == list(range(len(videos)))
    assert order == sorted(order) or not ordered
    for result in results:
        assert result.video == videos[result.index]
        if result.index == 2:
            assert isinstance(result.error, VideoError)
        elif result.index == len(videos) - 1:
            assert isinstance(result.error, FileNotFoundError)
        else:
            expected = tokenize_video(result.video, **SETTINGS)
            assert_same(result.unwrap().canvases, expected.canvases)
            assert_same(result.unwrap().src_patch_position, expected.src_patch_position)
            continue
        assert result.tokens is None
        with pytest.raises(type(result.error)):
            result.unwrap()


def test_takes_no_more_than_it_needs(clip_path):
    """Of an endless stream, as many as are worked on and wait."""
    taken = []

    def endless():
        for k in itertools.count():
            taken.append(k)
            yield clip_path("h264_bframes")

    results = tokenize_many(endless(), workers=2, **SETTINGS)
    assert taken == []
    for _ in range(3):
        next(results)
    assert len(taken) <= 3 + 4
    results.close()
    count = len(taken)
    assert not [t for t in threading.enumerate() if t.name.startswith("tokenize")]
    time.sleep(0.05)
    assert len(taken) == count


def test_an_error_of_the_list_itself_stops_everything(clip_path):
    def listed():
        yield clip_path("h264_bframes")
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(tokenize_many(listed(), workers=2, **SETTINGS))
    assert not [t for t in threading.enumerate() if t.name.startswith("tokenize")]


def test_wrong_settings_are_told_at_once(clip_path):
    with pytest.raises(ValueError, match="workers"):
        tokenize_many([], workers=0)
    with pytest.raises(ValueError, match="patch"):
        tokenize_many([], patch=-1)
    with pytest.raises(ValueError, match="progress"):
        tokenize_many([], progress=print)
    with pytest.raises(TypeError, match="there is no setting 'nonsense'"):
        tokenize_many([], nonsense=1)
    with pytest.raises(ValueError, match=r"backend must be one of auto, .*, got 'nonsense'"):
        tokenize_many([], backend="nonsense")
    for one in ("clip.mp4", b"clip.mp4", Path("clip.mp4")):
        with pytest.raises(TypeError, match=r"videos must be several paths, .* got the one path .*clip\.mp4"):
            tokenize_many(one)
    assert list(tokenize_many([])) == []
    config = CodecConfig(threads=1, **SETTINGS)
    (result,) = tokenize_many([clip_path("h264_bframes")], config, workers=1, sampling="uniform")
    assert result.unwrap().config.threads == 1
    assert result.unwrap().config.sampling == "uniform"
