"""Files broken at several hundred places: a result or a typed error, in bounded time; and what is salvaged of them."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from ov2_kernels import CodecTokens, VideoError, errors, native, ops, reference, tokenize_frames, tokenize_video
from ov2_kernels.limits import Limits
from ov2_kernels.media import VideoInfo
from ov2_kernels.report import html_report

from clips import encode
from conftest import frames
from damage import WAYS, damaged
from parity import assert_same

SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000, "threads": 2}
SALVAGE = Limits(on_error="salvage")
#: by container: MP4 with its index behind or spread over it, Matroska, WebM, AVI, MPEG-TS, and without a container
CONTAINERS = (
    "h264_bframes", "h264_fragmented", "h264_variable_rate", "vp8", "h264_avi", "mpeg4_avi", "h264_transport_stream",
    "h264_raw",
)  # fmt: skip
#: places in each; OV2_DAMAGE_SEEDS asks for fewer, or more
SEEDS = range(max(50, int(os.environ.get("OV2_DAMAGE_SEEDS", "300"))))
#: files that broke the reader, most of them under a sanitizer only
FINDINGS = Path(__file__).parents[1] / "csrc" / "fuzz" / "findings"
#: seconds that a small clip may take, on a machine that has much else to do
BOUND = 20.0


@contextlib.contextmanager
def bounded():
    """Ends the process, and says where it hangs, where nothing else would."""
    faulthandler.dump_traceback_later(90, exit=True)
    start = time.monotonic()
    yield
    faulthandler.cancel_dump_traceback_later()
    assert time.monotonic() - start < BOUND + 2


def attempt(path, **options):
    """What becomes of a file: tokens, or the error."""
    with bounded():
        try:
            return tokenize_video(path, max_wall_seconds=BOUND, **options, **SMALL)
        except VideoError as raised:
            error = raised
    assert str(error).startswith(f"{path}: ")
    return error


@pytest.mark.parametrize("name", CONTAINERS)
def test_broken_anywhere(name, clip_path, tmp_path):
    data = clip_path(name).read_bytes()
    kinds = Counter()
    for seed in SEEDS:
        path = tmp_path / f"{seed}.bin"
        path.write_bytes(damaged(data, seed))
        strict, salvaged = attempt(path), attempt(path, on_error="salvage")
        assert not isinstance(strict, errors.VideoCancelledError), seed
        for tokens in (strict, salvaged):
            if isinstance(tokens, CodecTokens):
                assert tokens.canvases.shape[0] >= 1
                assert (np.diff(tokens.frame_ids) > 0).all()
                assert np.isfinite(tokens.timestamps).all()
                assert np.isin(tokens.substituted_frames, tokens.frame_ids).all()
                assert len(tokens.substitutes) == len(tokens.substituted_frames)
        if isinstance(strict, CodecTokens):
            assert isinstance(salvaged, CodecTokens), f"seed {seed}: salvage gives no less"
        kinds[type(strict).__name__, type(salvaged).__name__] += 1
    assert kinds["CodecTokens", "CodecTokens"] > 5, "some are read"
    assert len(kinds) > 1 or name in ("h264_transport_stream", "h264_raw"), "and some are not"


@pytest.mark.parametrize("finding", sorted(FINDINGS.iterdir()), ids=lambda path: path.stem)
def test_what_fuzzing_found(finding, tmp_path):
    path = tmp_path / "found.bin"
    path.write_bytes(finding.read_bytes()[:-1])  # the last byte tells the target what to ask for
    for on_error in ("raise", "salvage"):
        attempt(path, on_error=on_error)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("on_error", ["raise", "salvage"])
def test_the_reference_answers_alike(name, on_error, clip_path, tmp_path):
    """The two read with different releases of FFmpeg, which need not give up at the same place, but mostly do."""
    data = clip_path(name).read_bytes()
    same = 0
    for seed in range(len(WAYS)):
        path = tmp_path / f"{seed}.bin"
        path.write_bytes(damaged(data, seed))
        kinds = []
        for backend in ("native", "reference"):
            with bounded():
                try:
                    info = ops.probe(path, backend=backend, limits=Limits(on_error=on_error, max_wall_seconds=BOUND))
                    kinds.append(VideoInfo)
                    assert info.frames >= 1
                except VideoError as error:
                    kinds.append(type(error))
        same += kinds[0] is kinds[1]
    assert same >= len(WAYS) - 2


# --- what exactly is lost


def without_pictures(path, rows, target):
    """A copy in which the payload of some pictures, by row, is zero."""
    info = native.probe(path)
    data = bytearray(path.read_bytes())
    wanted = {int(info.decode_index[row]) for row in rows}
    with av.open(str(path)) as container:
        for index, packet in enumerate(p for p in container.demux(video=0) if p.size):
            if index in wanted:
                data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    target.write_bytes(data)
    return target


@pytest.fixture(scope="module")
def all_key(tmp_path_factory):
    """Every picture stands by itself, so that the loss of one is its own."""
    path = tmp_path_factory.mktemp("all_key") / "all_key.mp4"
    return encode(path, frames(24), options={"g": "1", "preset": "ultrafast"})


@pytest.mark.parametrize("threads", [1, 3])
def test_lost_samples_get_the_nearest_picture(threads, all_key, tmp_path):
    lost = [0, 1, 7, 8, 9, 10, 22, 23]
    path = without_pictures(all_key, lost, tmp_path / "holes.mp4")
    info = native.probe(path)
    wanted = np.arange(24)
    with pytest.raises(errors.DamagedVideoError, match=r"holes\.mp4: cannot decode frame 22 of 24"):
        native.read_samples(path, wanted, 84, 140, info=info, threads=threads)
    whole = native.read_samples(all_key, wanted, 84, 140, threads=threads)
    nearest = wanted.copy()
    nearest[lost] = [2, 2, 6, 6, 11, 11, 21, 21]
    for backend in (native, reference):
        got = backend.read_samples(path, wanted, 84, 140, info=info, threads=threads, limits=SALVAGE)
        assert_same(got.shown_ids, nearest)
        assert_same(np.flatnonzero(got.substituted), np.array(lost))
        assert_same(got.frames, whole.frames[nearest])
        assert_same(got.luma, whole.luma[nearest])
        assert not got.motion.any()
    few = native.read_samples(path, [1, 8, 23], 84, 140, info=info, threads=threads, limits=SALVAGE)
    assert_same(few.shown_ids, np.array([2, 6, 21]))


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_file_without_any_picture_is_an_error_even_so(backend, all_key, tmp_path):
    path = without_pictures(all_key, range(24), tmp_path / "nothing.mp4")
    with pytest.raises(errors.DamagedVideoError, match="cannot decode frame 0 of 24"):
        ops.read_samples(path, [0, 5], 84, 140, backend=backend, limits=SALVAGE)


@pytest.fixture(scope="module")
def index_first(tmp_path_factory):
    path = tmp_path_factory.mktemp("index_first") / "first.mp4"
    options = {"g": "8", "preset": "ultrafast"}
    return encode(path, frames(40), options=options, container_options={"movflags": "+faststart"})


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_an_index_that_lists_more_than_there_is(backend, index_first, tmp_path):
    data = index_first.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(errors.DamagedVideoError, match=r"the file lacks \d+ of the pictures that its index lists"):
        ops.probe(cut, backend=backend)
    info = ops.probe(cut, backend=backend, limits=SALVAGE)
    assert info.frames + info.missing_frames == 40
    assert 5 < info.missing_frames < 35
    tokens = tokenize_video(cut, backend=backend, on_error="salvage", **SMALL)
    assert (tokens.total_frames, tokens.missing_frames) == (info.frames, info.missing_frames)


def test_what_lies_behind_a_hole_is_found(index_first, tmp_path):
    """One offset of the index, which has many since two streams lie interleaved, leads out of the file."""
    with av.open(str(index_first)) as given, av.open(str(tmp_path / "two.mp4"), "w") as out:
        streams = [out.add_stream_from_template(given.streams.video[0]) for _ in range(2)]
        for packet in given.demux(video=0):
            for stream in streams if packet.size else ():
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                out.mux(copy)
    data = (tmp_path / "two.mp4").read_bytes()
    at = data.find(b"stco") + 12 + 4 * 4
    assert int.from_bytes(data[at - 20 : at - 16], "big") > 6, "chunks"
    hole = tmp_path / "hole.mp4"
    hole.write_bytes(data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :])
    for backend in ("native", "reference"):
        with pytest.raises(errors.DamagedVideoError):
            ops.probe(hole, backend=backend)
        info = ops.probe(hole, backend=backend, limits=SALVAGE)
        assert 0 < info.missing_frames < 20
        assert info.frames == 40 - info.missing_frames
    assert tokenize_video(hole, on_error="salvage", **SMALL).missing_frames == info.missing_frames


def test_the_record_is_kept_and_shown(index_first, tmp_path):
    data = bytearray(index_first.read_bytes())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 4 // 5])
    tokens = tokenize_video(cut, on_error="salvage", **SMALL)
    assert tokens.missing_frames > 0
    assert len(tokens.substituted_frames) > 0, "the last picture is there in part"
    tokens.save(tmp_path / "assets")
    meta = json.loads((tmp_path / "assets" / "meta.json").read_text())
    assert meta["missing_frames"] == tokens.missing_frames
    assert meta["substitutes"] == tokens.substitutes.tolist()
    loaded = CodecTokens.load(tmp_path / "assets")
    assert loaded.missing_frames == tokens.missing_frames
    assert_same(loaded.substitutes, tokens.substitutes)
    assert loaded.config.on_error == "salvage"
    assert f"it lacks {tokens.missing_frames} of the pictures that it lists" in html_report(tokens)
    whole = tokenize_frames(cut, num_frames=4, limits=SALVAGE)
    assert whole.missing_frames == tokens.missing_frames


# --- times


def with_times(source, target, times):
    """A Matroska file of the same pictures at other times, in milliseconds, which its muxer would not write."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [(p.pos, round(1000 * p.pts * p.time_base)) for p in container.demux(video=0) if p.size]
    for (position, _), time_ in zip(packets, times, strict=True):
        # Before the payload of a simple block: track (1 byte), time from the cluster's (2 bytes, signed), flags.
        data[position + 1 : position + 3] = int(time_).to_bytes(2, "big", signed=True)
    target.write_bytes(data)
    return target


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("times") / "plain.mkv"
    return encode(path, frames(24), options={"g": "8", "preset": "ultrafast"})


STRANGE = {
    "repeated": [0] * 24,
    "in pairs": [66 * (i // 2) for i in range(24)],
    "backwards": [33 * (23 - i) for i in range(24)],
    "one back": [33 * i if i != 11 else 5 for i in range(24)],
    "negative": [33 * i - 400 for i in range(24)],
    "far apart": [-32768 if i < 12 else 32767 for i in range(24)],
}


@pytest.mark.parametrize("times", STRANGE)
def test_strange_times(times, plain, tmp_path):
    path = with_times(plain, tmp_path / "strange.mkv", STRANGE[times])
    infos = [ops.probe(path, backend=backend) for backend in ("native", "reference")]
    for info in infos:
        assert info.frames == 24
        assert (np.diff(info.times) >= 0).all()
        assert_same(info.decode_index, infos[0].decode_index)
    for on_error in ("raise", "salvage"):
        tokens = attempt(path, on_error=on_error)
        assert isinstance(tokens, CodecTokens)
        assert tokens.total_frames == 24


@pytest.mark.parametrize("step", [0, 1, 0x10000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_strange_steps_of_an_mp4(step, index_first, tmp_path):
    data = index_first.read_bytes().replace(b"edts", b"free")  # else that would end the video
    at = data.find(b"stts") + 16
    path = tmp_path / "steps.mp4"
    path.write_bytes(data[:at] + step.to_bytes(4, "big") + data[at + 4 :])
    strict, salvaged = attempt(path), attempt(path, on_error="salvage")
    if step in (0x10000000, 0x7FFFFFFF):
        assert isinstance(strict, errors.VideoTooLargeError)
        assert "max_source_seconds is 86400, got" in str(strict)
        with pytest.raises(errors.VideoTooLargeError, match="max_source_seconds"):
            reference.probe(path)
    assert isinstance(salvaged, CodecTokens)
    assert salvaged.total_frames == 40
    assert np.isfinite(salvaged.timestamps).all()
    assert salvaged.timestamps[-1] <= 86_400
