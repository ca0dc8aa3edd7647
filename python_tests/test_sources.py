"""The entrance that takes every kind of source."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
from ov2_kernels import (
    CodecConfig,
    VideoError,
    tokenize,
    tokenize_frames,
    tokenize_image,
    tokenize_many,
    tokenize_video,
)
from ov2_kernels.errors import VideoTooLargeError
from ov2_kernels.limits import Limits
from PIL import Image

from clips import encode, scene
from parity import assert_same

SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "no_suffix"
    Image.fromarray(next(iter(scene(1, 84, 112)))).save(path, format="PNG")
    return path


class Stream(io.RawIOBase):
    """What a socket gives: no way back."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size=-1):
        return self._data.read(size)

    def seekable(self):
        return False


def test_videos(clip_path):
    path = clip_path("h264_bframes")
    data = path.read_bytes()
    expected = tokenize_video(path, **SMALL)
    with open(path, "rb") as opened:
        for source in (path, str(path), data, bytearray(data), memoryview(data), opened, Stream(data)):
            tokens = tokenize(source, **SMALL)
            assert tokens.evidence == "codec"
            assert_same(tokens.canvases, expected.canvases)
            assert_same(tokens.src_patch_position, expected.src_patch_position)
    whole = tokenize(data, "frames", num_frames=3, max_pixels=20_000)
    assert_same(whole.canvases, tokenize_frames(path, num_frames=3, max_pixels=20_000).canvases)


def test_the_reference_reads_bytes_too(clip_path):
    data = clip_path("h264_bframes").read_bytes()
    expected = tokenize_video(clip_path("h264_bframes"), backend="reference", **SMALL)
    assert_same(tokenize(data, backend="reference", **SMALL).canvases, expected.canvases)


def test_images(picture):
    expected = tokenize_image(picture)
    with Image.open(picture) as image:
        for source in (picture, picture.read_bytes(), image, np.asarray(image), io.BytesIO(picture.read_bytes())):
            tokens = tokenize(source)
            assert tokens.evidence == "image"
            assert_same(tokens.canvases, expected.canvases)


def test_frames():
    frames = np.stack(list(scene(3, 56, 84)))
    images = [Image.fromarray(frame) for frame in frames]
    for source in (frames, list(frames), images, tuple(images)):
        tokens = tokenize(source, fps=10.0)
        assert tokens.evidence == "frames"
        assert_same(tokens.canvases, frames)


def test_moving_pictures_are_videos(tmp_path):
    frames = [Image.fromarray(frame).quantize(64) for frame in scene(12, 56, 84)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    assert tokenize(tmp_path / "moving.gif", **SMALL).evidence == "codec"
    frames[0].save(tmp_path / "still.gif")
    assert tokenize(tmp_path / "still.gif").evidence == "image"
    views = [Image.fromarray(frame) for frame in scene(2, 56, 84)]
    for name in ("pages.tiff", "photo.mpo"):
        views[0].save(tmp_path / name, save_all=True, append_images=views[1:])
        assert tokenize(tmp_path / name).evidence == "image"
    encode(tmp_path / "raw.m1v", list(scene(12, 96, 160)), codec="mpeg1video", container="mpeg1video")
    assert tokenize(tmp_path / "raw.m1v", **SMALL).codec == "mpeg1video", "which Pillow would open"


def test_errors_name_the_source(clip_path, tmp_path):
    with pytest.raises(VideoError, match=r"^<bytes>: cannot open it as a video"):
        tokenize(b"nothing of use", mode="codec")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of use")
    with open(broken, "rb") as file, pytest.raises(VideoError, match=r"broken\.mp4: cannot open it"):
        tokenize(file)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mp4"):
        tokenize("nowhere.mp4")
    with pytest.raises(ValueError, match="mode must be one of auto, codec, frames, image, got 'video'"):
        tokenize(broken, mode="video")
    with pytest.raises(ValueError, match=r"source must be a path, bytes, a binary file, .* got int"):
        tokenize(5)
    with pytest.raises(ValueError, match="binary file of a video, got ndarray"):
        tokenize(np.zeros((28, 28, 3), np.uint8), mode="codec")


def test_tokens_tell_the_path_that_was_given(clip_path, picture, tmp_path):
    clip = clip_path("h264_bframes")
    for source, mode, options in ((clip, "codec", SMALL), (clip, "frames", {"num_frames": 2}), (picture, "image", {})):
        for path in (source, str(source)):
            tokens = tokenize(path, mode, **options)
            assert tokens.video == str(source)
        tokens.save(tmp_path / mode)
        assert json.loads((tmp_path / mode / "meta.json").read_text())["video"] == str(source)
        assert tokenize(source.read_bytes(), mode, **options).video == ""
    assert tokenize_frames(np.stack(list(scene(2, 56, 84)))).video == ""


class Zeros(io.RawIOBase):
    """A file of 4 MiB."""

    name = "zeros.mp4"

    def __init__(self, seekable):
        self._seekable, self.taken = seekable, 0

    def seekable(self):
        return self._seekable

    def tell(self):
        return 0

    def seek(self, *_):
        return 0

    def read(self, size=-1):
        size = min(size % (1 << 23), (1 << 22) - self.taken)
        self.taken += size
        return bytes(size)


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("codec", {"max_file_bytes": 1000}),
        ("codec", {"config": CodecConfig(max_file_bytes=1000)}),
        ("frames", {"limits": Limits(max_file_bytes=1000)}),
    ],
)
def test_no_more_is_read_than_a_file_may_have(mode, options, seekable):
    source = Zeros(seekable)
    with pytest.raises(VideoTooLargeError, match=r"^zeros\.mp4: max_file_bytes is 1000, got more$"):
        tokenize(source, mode, **options)
    assert source.taken == 1001


def test_as_much_as_a_file_may_have_is_read(clip_path):
    data = clip_path("h264_bframes").read_bytes()
    for source in (data, Stream(data)):
        assert tokenize(source, max_file_bytes=len(data), **SMALL).evidence == "codec"
    for source in (data, Stream(data)):
        with pytest.raises(VideoTooLargeError, match="max_file_bytes"):
            tokenize(source, max_file_bytes=len(data) - 1, **SMALL)
    with pytest.raises(ValueError, match="max_file_bytes must be at least 1, an integer, got 'many'"):
        tokenize(data, max_file_bytes="many")


@pytest.mark.parametrize("mode", ["auto", "codec", "frames", "image"])
def test_files_must_be_binary(mode, clip_path, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_path("h264_bframes").read_bytes())
    with open(path) as file, pytest.raises(ValueError, match=r"clip\.mp4: is opened as text; it must be binary"):
        tokenize(file, mode)
    with pytest.raises(ValueError, match=r"^<file>: is opened as text"):
        tokenize(io.StringIO("x"), mode)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by way of /proc")
def test_nothing_stays_open(clip_path):
    data = clip_path("h264_bframes").read_bytes()
    tokenize(data, **SMALL)
    before = len(os.listdir("/proc/self/fd"))
    tokenize(data, **SMALL)
    with pytest.raises(VideoError):
        tokenize(b"nothing of use")
    assert len(os.listdir("/proc/self/fd")) == before


def test_devices_that_torch_does_not_know_are_named(clip_path, picture):
    pytest.importorskip("torch")
    clip = clip_path("h264_bframes")
    for job, source in [(tokenize_video, clip), (tokenize_frames, clip), (tokenize_image, picture)]:
        with pytest.raises(ValueError, match=r"^device must be one that torch knows, got 'foo': .*foo"):
            job(source, device="foo")
    with pytest.raises(ValueError, match=r"^device must be one that torch knows, got 'foo'"):
        tokenize_many([clip], device="foo")
    with pytest.raises(ValueError, match=r"^device must be one that torch knows, got 1\.5"):
        tokenize_video(clip, device=1.5)
