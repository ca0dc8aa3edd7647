"""Images as evidence."""

from __future__ import annotations

import errno
import io

import numpy as np
import pytest
from ov2_kernels import VideoError, errors, tokenize, tokenize_frames, tokenize_image
from PIL import Image

from parity import assert_same

RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 256, (90, 130, 3), dtype=np.uint8)


def test_an_image_keeps_its_resolution(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    tokens = tokenize_image(tmp_path / "picture.png")
    assert tokens.canvases.shape == (1, 84, 140, 3), "the nearest multiples of 28"
    expected = Image.fromarray(PIXELS).resize((140, 84), Image.Resampling.BICUBIC)
    assert_same(tokens.canvases[0], np.asarray(expected))
    assert (tokens.source_height, tokens.source_width) == (90, 130)
    assert (tokens.evidence, tokens.codec, tokens.total_frames) == ("image", "png", 1)
    assert tokens.src_patch_position[:, 0].max() == 0
    assert tokens.src_patch_position[-1].tolist() == [0, 5, 9]
    assert tokens.model_inputs(as_torch=False)["image_grid_thw"].tolist() == [[1, 6, 10]]


def test_the_right_size_is_left_alone():
    pixels = np.ascontiguousarray(PIXELS[:64, :96])
    assert_same(tokenize_image(pixels, patch=16).canvases[0], pixels)
    assert_same(tokenize_image(Image.fromarray(pixels), patch=16).canvases[0], pixels)
    assert tokenize_image(pixels, patch=16, max_pixels=2048).canvases.shape == (1, 32, 32, 3)


def test_every_kind_of_pixel_becomes_rgb(tmp_path):
    gray = np.ascontiguousarray(PIXELS[:56, :56, 0])
    expected = np.repeat(gray[..., None], 3, axis=2)
    assert_same(tokenize_image(gray).canvases[0], expected)
    assert_same(tokenize_image(gray[..., None]).canvases[0], expected)
    assert_same(tokenize_image(Image.fromarray(gray)).canvases[0], expected)
    alpha = np.dstack([expected, np.full((56, 56), 255, np.uint8)])
    assert_same(tokenize_image(alpha).canvases[0], expected)
    with open(tmp_path / "a.png", "w+b") as file:
        Image.fromarray(alpha).save(file)
        file.seek(0)
        assert_same(tokenize_image(file).canvases[0], expected)


def test_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    Image.fromarray(PIXELS[:56, :84]).save(tmp_path / "turned.png", exif=exif)
    assert_same(tokenize_image(tmp_path / "turned.png").canvases[0], np.rot90(PIXELS[:56, :84], -1))


def test_what_is_no_image_is_an_error(tmp_path):
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(OSError, match=r"x\.jpg: cannot open it as an image"):
        tokenize_image(tmp_path / "x.jpg")
    for source in (b"x.jpg", 5, None):
        with pytest.raises(ValueError, match=f"source must be a path, .* got {type(source).__name__}"):
            tokenize_image(source)
    with pytest.raises(FileNotFoundError):
        tokenize_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ValueError, match=r"got uint8 \[3, 28, 28\]"):
        tokenize_image(np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(ValueError, match=r"got uint8 \[0, 28, 3\]"):
        tokenize_image(np.zeros((0, 28, 3), np.uint8))


def test_files_that_cannot_be_used_raise_errors_of_this_package(clip_path, tmp_path):
    with pytest.raises(errors.NotAnImageError, match=r"h264_bframes\.mp4: cannot open it as an image"):
        tokenize_image(clip_path("h264_bframes"))
    with pytest.raises(errors.NotAnImageError, match=r"^<bytes>: cannot open it as an image"):
        tokenize_image(io.BytesIO(b"no picture"))
    Image.fromarray(PIXELS).save(tmp_path / "whole.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:2000])
    for job in (tokenize_image, tokenize):
        with pytest.raises(errors.DamagedImageError, match=r"cut\.jpg: cannot read the image: .*truncated"):
            job(cut)
    with Image.open(cut) as image, pytest.raises(errors.DamagedImageError, match=r"cut\.jpg: cannot read the image"):
        tokenize_frames([image])
    for error in (errors.NotAnImageError, errors.DamagedImageError):
        for base in (OSError, VideoError):
            assert issubclass(error, base), "callers may expect either"


def test_images_with_too_many_pixels_are_refused(tmp_path, monkeypatch):
    Image.new("1", (300, 300)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300 * 300 // 2 - 1)
    for job in (tokenize_image, tokenize):
        with pytest.raises(errors.VideoTooLargeError, match=r"large\.png: cannot open it as an image: .*90000 pixels"):
            job(tmp_path / "large.png")


def test_what_the_system_refuses_keeps_its_number():
    class Disk(io.BytesIO):
        name = "far/away.png"

        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(errors.VideoFileError, match=r"^far/away\.png: cannot read it: Input/output error") as error:
        tokenize_image(Disk())
    assert error.value.errno == errno.EIO
