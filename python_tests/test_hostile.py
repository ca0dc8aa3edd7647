"""Files that are no videos, reach for others, or claim too much: typed errors, and nothing on stderr."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels import CodecConfig, VideoError, errors, ops, tokenize, tokenize_frames, tokenize_video
from ov2_kernels.cli import main
from ov2_kernels.limits import Limits

from clips import encode, scene
from damage import damaged

HOME = Path(ov2_kernels.__file__).parent.parent
SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}
BOTH = pytest.mark.parametrize("backend", ["native", "reference"])


def refused(path, backend, **limits):
    with pytest.raises(VideoError) as caught:
        ops.probe(path, backend=backend, limits=Limits(**limits))
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value


# --- errors


@BOTH
def test_what_the_system_refuses_is_an_oserror_too(backend, tmp_path):
    missing = refused(tmp_path / "missing.mp4", backend)
    assert type(missing) is errors.VideoNotFoundError
    assert isinstance(missing, FileNotFoundError)
    assert (missing.errno, missing.filename) == (2, str(tmp_path / "missing.mp4"))
    assert str(missing).endswith("missing.mp4: cannot open it: No such file or directory")
    assert isinstance(refused(tmp_path, backend), IsADirectoryError)
    assert isinstance(refused(tmp_path / "x" / "y", backend), errors.VideoNotFoundError)


@BOTH
def test_each_kind_of_trouble_has_its_error(backend, clip_path, tmp_path):
    data = clip_path("h264_bframes").read_bytes()

    def kind(name, content):
        (tmp_path / name).write_bytes(content)
        return type(refused(tmp_path / name, backend))

    assert kind("text.mp4", b"not a video\n" * 50) is errors.NotAVideoError
    assert kind("empty.mp4", b"") is errors.NotAVideoError
    assert kind("no_index.mp4", data[: len(data) // 3]) is errors.DamagedVideoError
    assert kind("no_video.mp4", data.replace(b"vide", b"soun")) is errors.NoVideoStreamError
    assert kind("codec.mp4", data.replace(b"avc1", b"zzz9")) is errors.UnsupportedCodecError


def test_ffmpegs_own_words(clip_path, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip_path("h264_bframes").read_bytes()[:3000])
    text = str(refused(cut, "native"))
    assert "cut.mp4: cannot open it as a video: Invalid data found when processing input (mov" in text
    assert "moov atom not found" in text


def test_errors_travel_between_processes(tmp_path):
    for error in (
        errors.VideoTooLargeError("a.mp4: max_file_bytes is 1, got 2"),
        errors.VideoCancelledError("a.mp4: given up"),
        errors.file_error(2, "cannot open it: No such file or directory", "a.mp4"),
        errors.file_error(13, "cannot open it: Permission denied", "a.mp4"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))
        assert isinstance(copy, VideoError)


# --- what libav has to say


@pytest.fixture(scope="module")
def noisy(clip_path, tmp_path_factory):
    """Clips whose pictures are full of errors."""
    folder = tmp_path_factory.mktemp("noisy")
    data = clip_path("h264_transport_stream").read_bytes()
    paths = []
    for i in range(4):
        out = bytearray(data)
        for place in np.random.default_rng(i).integers(3000, len(data), 400):
            out[place] ^= 255
        paths.append(folder / f"noisy_{i}.ts")
        paths[-1].write_bytes(out)
    return paths


def read_all(path):
    info = ops.probe(path)
    return ops.read_samples(path, np.arange(info.frames), 84, 140, info=info, limits=Limits(on_error="salvage"))


def test_libavs_lines_go_to_logging_and_only_there(noisy, caplog, capfd):
    with caplog.at_level(logging.DEBUG, logger="ov2_kernels.ffmpeg"):
        read_all(noisy[0])
    lines = [r for r in caplog.records if r.name == "ov2_kernels.ffmpeg"]
    assert 3 < len(lines) <= 2 * 17, "rate-limited per call"
    assert all(r.getMessage().startswith(f"{noisy[0]}: ") for r in lines)
    assert any("more lines like these" in r.getMessage() for r in lines)
    assert any(r.levelno == logging.ERROR and "h264: " in r.getMessage() for r in lines)
    assert capfd.readouterr().err == ""


def test_lines_find_their_video_from_any_thread(noisy, caplog):
    with caplog.at_level(logging.DEBUG, logger="ov2_kernels.ffmpeg"):
        threads = [threading.Thread(target=read_all, args=(path,)) for path in noisy for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counts = {path: sum(r.getMessage().startswith(f"{path}: ") for r in caplog.records) for path in noisy}
    assert min(counts.values()) > 3
    assert sum(counts.values()) == len(caplog.records)


SILENT = """
import os, sys, threading
import numpy as np
from ov2_kernels import VideoError, ops
from ov2_kernels.limits import Limits

def read(backend):
    info = ops.probe(sys.argv[1], backend=backend)
    wanted = np.arange(0, info.frames, 6)
    ops.read_samples(sys.argv[1], wanted, 84, 140, info=info, limits=Limits(on_error="salvage"), backend=backend)

read("native")
read("reference")
other = threading.Thread(target=lambda: [read("native") for _ in range(8)])
other.start()
for _ in range(4):  # a child of a process whose threads are busy with libav
    child = os.fork()
    if not child:
        read("native")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
other.join()
"""


def test_programs_without_logging_see_nothing_and_forks_work(noisy):
    command = [sys.executable, "-W", "ignore", "-c", SILENT, noisy[0]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- no way out of the file


class Opened:
    """Whether a file is opened by whoever, as Linux tells."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._libc.inotify_add_watch(self._fd, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def __call__(self) -> bool:
        try:
            return bool(os.read(self._fd, 4096))
        except BlockingIOError:
            return False


@pytest.fixture
def secret(clip_path, tmp_path):
    """A file that a video might name: itself a good video, so that nothing but refusal keeps it closed."""
    path = tmp_path / "secret.ts"
    path.write_bytes(clip_path("h264_transport_stream").read_bytes())
    return path


def boxed(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def with_reference(data: bytes, target: Path) -> bytes:
    """An MP4, its index at the end, whose samples lie in another file, by an alias record in its ``dref``."""
    name = os.fsencode(target)
    alias = bytes(10) + b"\x01" + bytes(27) + bytes(12) + b"\x01" + bytes(63) + bytes(16) + struct.pack(">HH", 1, 1)
    alias += bytes(16) + struct.pack(">HH", 2, len(name)) + name + bytes(len(name) & 1) + b"\xff\xff" + bytes(60)
    new = boxed(b"dref", bytes(4), struct.pack(">I", 1), boxed(b"alis", bytes(4), alias))
    start = data.find(b"dref") - 4
    (size,) = struct.unpack(">I", data[start : start + 4])
    out = bytearray(data[:start] + new + data[start + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = data.find(box) - 4
        assert at < start, "the index is at the end, so that no offset changes"
        out[at : at + 4] = struct.pack(">I", struct.unpack(">I", data[at : at + 4])[0] + len(new) - size)
    return bytes(out)


REACHING = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{0}\n#EXT-X-ENDLIST\n",
    "hls_file": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{0}\n#EXT-X-ENDLIST\n",
    "hls_map": '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MAP:URI="{0}"\n#EXTINF:10,\n{0}\n#EXT-X-ENDLIST\n',
    "hls_concat": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nconcat:{0}|{0}\n#EXT-X-ENDLIST\n",
    "hls_http": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:{1}/x.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{0}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="video/mp2t" bandwidth="1"><BaseURL>file://{0}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {1} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "asx": '<asx version="3.0"><entry><ref href="file://{0}"/></entry></asx>',
    "subtitles": "[Script Info]\n[Events]\nDialogue: 0,0:00:00.00,0:00:01.00,,,,,,,{0}\n",
    "passwd": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n",
}


@pytest.mark.skipif(sys.platform != "linux", reason="watches files by way of inotify")
@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ffconcat", "mpd", "avi"])
@pytest.mark.parametrize("trick", REACHING)
def test_text_that_names_other_files_opens_none(trick, suffix, secret, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        path = tmp_path / f"list.{suffix}"
        path.write_text(REACHING[trick].format(secret, server.getsockname()[1]))
        opened = Opened(secret)
        for backend in ("native", "reference"):
            assert type(refused(path, backend)) is errors.NotAVideoError
        with pytest.raises(errors.NotAVideoError):
            tokenize(path)
        assert not opened()
        with pytest.raises(BlockingIOError):
            server.accept()
        secret.read_bytes()
        assert opened(), "which the watch does see"


@pytest.mark.skipif(sys.platform != "linux", reason="watches files by way of inotify")
@pytest.mark.parametrize("on_error", ["raise", "salvage"])
@BOTH
def test_samples_in_another_file_are_not_there(backend, on_error, secret, clip_path, tmp_path):
    path = tmp_path / "reference.mp4"
    path.write_bytes(with_reference(clip_path("h264_bframes").read_bytes(), secret))
    opened = Opened(secret)
    assert type(refused(path, backend, on_error=on_error)) is errors.DamagedVideoError
    assert not opened()


@BOTH
def test_a_path_means_a_local_file(backend, secret, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        f"file:{secret}",
        f"concat:{secret}|{secret}",
        f"subfile,,start,0,end,0,,:{secret}",
        "http://127.0.0.1:9/x.mp4",
        "data:video/mp4;base64,AAAA",
        "pipe:0",
        "-",
        "img%03d.png",
    ):
        assert type(refused(name, backend)) is errors.VideoNotFoundError
    for name in ("concat:a.ts", "http:x.ts", "img%03d.ts", "-"):  # unless there is one of that name
        os.link(secret, name)
        assert ops.probe(name, backend=backend).frames == 40


@BOTH
def test_only_regular_files(backend, clip_path, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket.mp4"))
    start = time.monotonic()
    for path in (tmp_path / "pipe.mp4", tmp_path / "socket.mp4", Path("/dev/zero"), Path("/dev/tty")):
        error = refused(path, backend)
        assert isinstance(error, OSError)
        assert "it is no regular file" in str(error) or not path.exists()
        with pytest.raises(OSError, match=r"no regular file|No such"):
            tokenize(path)
        with pytest.raises(OSError, match=r"no regular file|No such"):
            tokenize(path, mode="image")
    assert time.monotonic() - start < 5


@BOTH
def test_symbolic_links(backend, clip_path, tmp_path):
    link = tmp_path / "link.mp4"
    link.symlink_to(clip_path("h264_bframes"))
    assert ops.probe(link, backend=backend).frames == 40
    error = refused(link, backend, follow_symlinks=False)
    assert isinstance(error, OSError)
    assert "it is a symbolic link, and follow_symlinks is off" in str(error)
    with pytest.raises(errors.VideoFileError, match="symbolic link"):
        tokenize_video(link, follow_symlinks=False, backend=backend, **SMALL)
    data = link.read_bytes()
    assert tokenize(data, follow_symlinks=False, backend=backend, **SMALL).total_frames == 40, "our own copy is none"
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert isinstance(refused(tmp_path / "loop.mp4", backend), errors.VideoFileError)


# --- limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_source_width", 160),
        ("max_source_height", 96),
        ("max_source_pixels", 160 * 96),
        ("max_source_frames", 40),
        ("max_source_seconds", 39 / 30),
    ],
)
@pytest.mark.parametrize("clip", ["h264_bframes", "h264_transport_stream"])
@BOTH
def test_limits_hold_and_say_so(backend, clip, name, value, clip_path):
    path = clip_path(clip)
    assert ops.probe(path, backend=backend, limits=Limits(**{name: value})).frames == 40
    below = value * 0.99 if isinstance(value, float) else value - 1
    error = refused(path, backend, **{name: below})
    assert type(error) is errors.VideoTooLargeError
    assert f"{name} is {below:.10g}, got" in str(error)
    with pytest.raises(errors.VideoTooLargeError, match=name):
        tokenize_video(path, backend=backend, **{name: below}, **SMALL)


@BOTH
def test_bytes_are_limited(backend, clip_path):
    path = clip_path("h264_bframes")
    size = path.stat().st_size
    assert ops.probe(path, backend=backend, limits=Limits(max_file_bytes=size)).frames == 40
    assert f"max_file_bytes is {size - 1}, got {size}" in str(refused(path, backend, max_file_bytes=size - 1))
    assert "max_probe_bytes is 1000, got" in str(refused(path, backend, max_probe_bytes=1000))


def test_pictures_that_grow_on_the_way(clip_path):
    """The header is that of the first, smaller ones."""
    small = clip_path("h264_size_change")
    whole = small.with_suffix(".b.264").read_bytes() + small.with_suffix(".a.264").read_bytes()
    grows = small.with_suffix(".grows.264")
    grows.write_bytes(whole)
    limits = Limits(max_source_pixels=80 * 128)
    for backend in ("native", "reference"):
        info = ops.probe(grows, backend=backend, limits=limits)
        with pytest.raises(errors.VideoTooLargeError, match=r"max_source_pixels is 10240, got 15360"):
            ops.read_samples(grows, [5, 20], 56, 84, info=info, limits=limits, backend=backend)


def exp_golomb(value: int) -> str:
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def huge_parameter_sets(width: int, height: int) -> bytes:
    """H.264's, of a stream of pictures of that size, and a slice that stands for one."""
    ue = exp_golomb
    sps = f"{66:08b}{0:08b}{51:08b}" + ue(0) + ue(0) + ue(2) + ue(1) + "0" + ue(width // 16 - 1)
    sps += ue(height // 16 - 1) + "1" + "1" + "0" + "0" + "1"
    pps = ue(0) + ue(0) + "0" + "0" + ue(0) + ue(0) + ue(0) + "0" + "00" + ue(0) + ue(0) + ue(0) + "000" + "1"
    idr = ue(0) + ue(7) + ue(0) + "0000" + ue(0) + "00" + ue(0) + "1" * 40 + "1"
    units = b""
    for header, bits in ((0x67, sps), (0x68, pps), (0x65, idr)):
        bits += "0" * (-len(bits) % 8)
        body = int(bits, 2).to_bytes(len(bits) // 8, "big")
        units += b"\x00\x00\x00\x01" + bytes([header]) + body
    return units


def lie_in_record(data: bytes) -> bytes:
    """An MP4 whose sample entry says 160x96, and whose parameter sets something else."""
    at = data.find(b"avcC") + 4 + 6
    (length,) = struct.unpack(">H", data[at : at + 2])
    sps = huge_parameter_sets(30000, 30000).split(b"\x00\x00\x00\x01")[1]
    assert len(sps) <= length
    return data[: at + 2] + sps.ljust(length, b"\x00") + data[at + 2 + length :]


HUGE = """
import resource, sys, time
from ov2_kernels import VideoError, tokenize_video
good, *paths = sys.argv[1:]
tokenize_video(good, target_canvas=4, max_pixels=20000)
for path in paths:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        tokenize_video(path, target_canvas=4, max_pixels=20000)
        kind = "tokens"
    except VideoError as error:
        kind = type(error).__name__
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(kind, grown // 1024, int(time.monotonic() - start))
"""


def test_a_header_of_huge_pictures_costs_nothing(clip_path, tmp_path):
    data = clip_path("h264_bframes").read_bytes()
    at = data.find(b"avc1", data.find(b"stsd")) + 4 + 24  # the sample entry's width and height
    (tmp_path / "entry.mp4").write_bytes(data[:at] + struct.pack(">HH", 30000, 30000) + data[at + 4 :])
    for size in (30000, 16384):
        (tmp_path / f"{size}.264").write_bytes(huge_parameter_sets(size // 16 * 16, size // 16 * 16) * 12)
    (tmp_path / "record.mp4").write_bytes(lie_in_record(data))
    paths = [tmp_path / name for name in ("entry.mp4", "30000.264", "16384.264", "record.mp4")]
    command = [sys.executable, "-c", HUGE, clip_path("h264_bframes"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        "VideoTooLargeError",
        "DamagedVideoError",
        "DamagedVideoError",
        "VideoTooLargeError",
    ]
    for row in rows:
        assert int(row[1]) < 100, "MB; such a picture takes 400 or more"
        assert int(row[2]) < 3, "s"


def with_samples(data: bytes, count: int) -> bytes:
    """An MP4, its index at the end, whose table claims so many samples of a byte each, in twenty bytes."""
    start = data.find(b"stsz") - 4
    (size,) = struct.unpack(">I", data[start : start + 4])
    table = boxed(b"stsz", bytes(4), struct.pack(">II", 1, count))
    return data[:start] + table + boxed(b"free", bytes(size - len(table) - 8)) + data[start + size :]


def with_run(data: bytes, count: int) -> bytes:
    """A fragmented MP4 whose first run claims so many samples."""
    at = data.find(b"trun") + 8
    return data[:at] + struct.pack(">I", count) + data[at + 4 :]


@pytest.mark.parametrize("count", [(1 << 22) + 1, 1 << 24, 1 << 31, (1 << 32) - 1])
def test_tables_that_claim_millions_cost_nothing(count, clip_path, tmp_path):
    for change, name in ((with_samples, "h264_bframes"), (with_run, "h264_fragmented")):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(change(clip_path(name).read_bytes(), count))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = refused(path, "native")
        assert f"max_source_frames is {1 << 22}, got {count}" in str(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "KiB; 16 million take 570,000"


def test_work_ends_in_time(tmp_path):
    path = encode(tmp_path / "long.mp4", scene(90, 360, 640), options={"preset": "ultrafast"})
    for backend in ("native", "reference"):
        start = time.monotonic()
        with pytest.raises(errors.VideoCancelledError, match=r"long\.mp4: given up.* max_wall_seconds") as caught:
            tokenize_video(path, max_wall_seconds=0.05, threads=1, backend=backend)
        assert time.monotonic() - start < 3
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(errors.VideoCancelledError):
        tokenize_frames(path, limits=Limits(max_wall_seconds=0.01))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_source_width", 0),
        ("max_source_frames", 1.5),
        ("max_file_bytes", True),
        ("max_wall_seconds", 0.0),
        ("max_source_seconds", float("nan")),
        ("follow_symlinks", 1),
        ("on_error", "ignore"),
    ],
)
def test_wrong_limits_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        CodecConfig(**{field: value})
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})


def test_the_command_line_takes_them(clip_path, tmp_path, capsys):
    clip = str(clip_path("h264_bframes"))
    assert main(["tokenize", clip, "-o", str(tmp_path / "a"), "--max-source-frames", "39"]) == 1
    assert "max_source_frames is 39, got" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(damaged(clip_path("h264_transport_stream").read_bytes(), 4))
    flags = ["--on-error", "salvage", "--target-canvas", "4", "--max-pixels", "20000"]
    assert main(["tokenize", str(cut), "-o", str(tmp_path / "b"), *flags]) == 0
