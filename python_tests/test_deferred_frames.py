"""Colour that is converted where it is wanted: the same bits as converted while reading."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ov2_kernels import native, ops
from ov2_kernels.media import DeferredFrames, Pictures

from conftest import CLIPS
from parity import assert_same

PATCH = 14


def both(path, height, width, ids, backend="native"):
    """Samples read with their frames, and without memory for them."""
    pictures = Pictures.empty(len(ids), height, width, frames=False)
    how = {"backend": backend, "threads": 2}
    return ops.read_samples(path, ids, height, width, **how), ops.read_samples(
        path, ids, height, width, pictures=pictures, **how
    )


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("height", "width"), [(84, 112), (28, 28), (252, 336)], ids=["shrunk", "tiny", "enlarged"])
def test_deferred_frames_equal_frames(name, height, width, clip_path):
    path = clip_path(name)
    ids = np.array([0, 1, 4, 9])
    eager, lazy = both(path, height, width, ids)
    assert isinstance(lazy.frames, DeferredFrames)
    assert (lazy.frames.shape, len(lazy.frames)) == (eager.frames.shape, 4)
    assert_same(np.asarray(lazy.frames), eager.frames, "frames")
    assert_same(lazy.luma, eager.luma, "luma")
    blocks = height * width // (2 * PATCH) ** 2
    selected = np.random.default_rng(len(name)).integers(0, len(ids) * blocks, (3, blocks))
    expected = ops.pack_canvases(eager.frames, selected, ids, patch=PATCH, backend="reference")
    for backend in ("native", "auto", "reference"):
        got = ops.pack_canvases(lazy.frames, selected, ids, patch=PATCH, threads=2, backend=backend)
        assert_same(got, expected, f"canvases of {backend}")
    got = ops.pack_pixel_values(lazy.frames, selected, ids, patch=PATCH, backend="native")
    assert_same(got, ops.pack_pixel_values(eager.frames, selected, ids, patch=PATCH, backend="native"), "values")


def test_the_reference_defers_nothing(clip_path):
    eager, lazy = both(clip_path("h264_bframes"), 84, 112, np.array([1, 5]), backend="reference")
    assert isinstance(lazy.frames, np.ndarray)
    assert_same(lazy.frames, eager.frames, "frames")


def test_arrays_of_deferred_frames(clip_path):
    eager, lazy = both(clip_path("h264_bframes"), 84, 112, np.array([1, 5]))
    assert_same(np.asarray(lazy.frames, dtype=np.int32), eager.frames.astype(np.int32), "frames")
    with pytest.raises(ValueError, match="without conversion"):
        lazy.frames.__array__(copy=False)
    with pytest.raises(ValueError, match="selected must lie in"):
        ops.pack_canvases(lazy.frames, np.full((1, 12), 24), np.array([1, 5]), patch=PATCH)
    with pytest.raises(ValueError, match="frames must be multiples of 2"):
        ops.pack_canvases(lazy.frames, np.zeros((1, 12), dtype=np.int64), np.array([1, 5]), patch=16)


def test_colours_that_are_wanted_no_more(clip_path):
    """Released samples are grey, and no other is; they may be read anew."""
    ids = np.arange(40)
    eager, lazy = both(clip_path("h264_bframes"), 84, 112, ids)
    lazy.frames.colors.release(2, 4)
    after = np.asarray(lazy.frames)
    grey = (after == after[..., :1]).all(axis=(1, 2, 3))
    assert np.flatnonzero(grey).tolist() == [2, 3]
    assert_same(after[~grey], eager.frames[~grey])
    for begin, end in ((-1, 1), (2, 1), (0, 41)):
        with pytest.raises(ValueError, match="no such samples"):
            lazy.frames.colors.release(begin, end)
    lazy.frames.colors.release(0, 40)
    again = ops.read_samples(
        clip_path("h264_bframes"), ids, 84, 112, pictures=Pictures(lazy.frames, lazy.luma, lazy.prev_luma)
    )
    assert_same(np.asarray(again.frames), eager.frames, "frames")


def test_memory_that_is_given_back_may_be_written_again():
    large = 2 << 20
    planes = np.full((12, 1000, 1000), 7, np.uint8)
    start = planes.ctypes.data
    for begin, end in ((0, 5), (5, 6), (6, 9), (9, 12)):
        native.release_pictures(planes, begin, end)
        assert (planes[end:] == 7).all()
        if sys.platform == "linux":
            # Whole large pages, with what they hold of those before; at the end all whole pages.
            gone = (start + planes[:end].size) // large * large - start if end < 12 else planes.size - 4096
            assert not planes.reshape(-1)[4096:gone].any(), "the system has taken them"
    planes[2:4] = 9
    assert (planes[2:4] == 9).all()
    with pytest.raises(ValueError, match="no such pictures"):
        native.release_pictures(planes, 2, 13)
