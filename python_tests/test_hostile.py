"""Files that are no videos, reach for others, or claim too much: typed errors, and nothing on stderr."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
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
from ov2_kernels import VideoError, errors, ops, tokenize, tokenize_video
from ov2_kernels.limits import Limits

from damage import boxed, refused

HOME = Path(ov2_kernels.__file__).parent.parent
SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}
BOTH = pytest.mark.parametrize("backend", ["native", "reference"])


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
