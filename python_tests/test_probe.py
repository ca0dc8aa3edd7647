"""The packet table: native against PyAV, and against what is known of the clips."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from ov2_kernels import VideoError, native, ops, reference
from ov2_kernels.media import VideoInfo

from conftest import CLIPS
from parity import assert_same


def assert_same_info(got: VideoInfo, expected: VideoInfo) -> None:
    for field in dataclasses.fields(VideoInfo):
        a, b = getattr(got, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray):
            assert_same(a, b, field.name)
        else:
            assert a == b, f"{field.name}: {a!r}, expected {b!r}"


@pytest.mark.parametrize("name", CLIPS)
def test_table_equals_the_reference(name, clip_path):
    path = clip_path(name)
    assert_same_info(native.probe(path), reference.probe(path))


def test_real_clip(real_clip):
    info = ops.probe(real_clip)
    assert_same_info(info, reference.probe(real_clip))
    assert (info.codec, info.width, info.height, info.frames, info.fps) == ("h264", 1280, 720, 132, 25.0)
    assert info.duration == pytest.approx(5.28)
    assert_same(info.times, np.arange(132) / 25.0)


@pytest.mark.parametrize(("degrees", "upright"), [(90, (96, 160)), (180, (160, 96)), (270, (96, 160))])
def test_rotation(degrees, upright, clip_path):
    info = ops.probe(clip_path(f"h264_rotated_{degrees}"))
    assert (info.rotation, info.mirrored, (info.width, info.height)) == (degrees, False, upright)


def test_storage_size_counts_whatever_the_shape_of_pixels(clip_path):
    info = ops.probe(clip_path("h264_wide_pixels"))
    assert (info.width, info.height) == (160, 96)


def test_display_order_and_keyframes(clip_path):
    info = ops.probe(clip_path("h264_bframes"))
    assert (np.diff(info.pts) > 0).all()
    assert not (np.diff(info.decode_index) > 0).all()  # B-frames are stored out of display order
    assert list(np.flatnonzero(info.is_key)) == [0, 16, 32]


def test_edit_list_hides_what_is_before_it(clip_path):
    info = ops.probe(clip_path("h264_edit_list"))
    assert info.frames == 30
    assert info.decode_index.min() > 0
    assert len(info.size) == len(info.pts) == len(info.is_key) == 30


def test_without_timestamps_the_order_is_that_of_decoding(clip_path):
    info = ops.probe(clip_path("h264_raw"))
    assert not info.has_timestamps
    assert_same(info.decode_index, np.arange(40))
    assert_same(info.pts, np.arange(40))
    assert info.times[1] == pytest.approx(1 / info.fps)


def test_hidden_vp8_pictures_are_not_frames_but_their_bytes_count(clip_path):
    info = ops.probe(clip_path("vp8"))
    whole = ops.probe(clip_path("vp8").with_suffix(".source.webm"))
    assert (whole.frames, info.frames) == (40, 39)
    assert 11 not in info.decode_index
    assert info.size[11] == whole.size[11] + whole.size[12]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_files_that_are_no_video(backend, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        ops.probe(tmp_path / "missing.mp4", backend=backend)
    with pytest.raises(IsADirectoryError):
        ops.probe(tmp_path, backend=backend)
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 50)
    with pytest.raises(VideoError, match=r"text\.mp4: cannot open it as a video"):
        ops.probe(text, backend=backend)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="empty"):
        ops.probe(tmp_path / "empty.mp4", backend=backend)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_opens_no_other_file(text, clip_path, tmp_path):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(text.format(clip_path("h264_transport_stream")))
    with pytest.raises(VideoError):
        native.probe(playlist)


def test_names_that_are_no_text(clip_path, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    shutil.copy(clip_path("h264_bframes"), name)
    assert native.probe(name).frames == 40
    with pytest.raises(FileNotFoundError):
        native.probe(name + "4")
    with pytest.raises(ValueError, match="null character"):
        native.probe("a\0b.mp4")


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_sound_alone_is_no_video(backend, tmp_path):
    path = sound(tmp_path / "tone.m4a")
    with pytest.raises(VideoError, match="holds no video stream"):
        ops.probe(path, backend=backend)


def sound(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
