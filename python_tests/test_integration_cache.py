"""``process_codec_video``: in memory, and kept on disk for many processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels import CodecTokens, tokenize_video
from ov2_kernels.fresh_files import temporary_prefix
from ov2_kernels.integrations import llava_onevision2
from ov2_kernels.integrations.llava_onevision2 import CodecConfig, process_codec_video
from ov2_kernels.limits import Limits

from parity import assert_same

HOME = Path(ov2_kernels.__file__).parent.parent
SMALL = {"target_canvas": 8, "group_size": 8, "min_group_frames": 4, "max_pixels": 20_000}


@pytest.fixture(autouse=True)
def _no_cache_from_outside(monkeypatch):
    monkeypatch.delenv("ONLINE_CODEC_CACHE_DIR", raising=False)
    monkeypatch.delenv("ONLINE_CODEC_TIMEOUT", raising=False)


@pytest.fixture
def video(clip_path, tmp_path):
    path = tmp_path / "videos" / "clip.mp4"
    path.parent.mkdir()
    path.write_bytes(clip_path("h264_bframes").read_bytes())
    return path


@pytest.fixture
def calls(monkeypatch):
    """How often a video was really tokenized."""
    made = []

    def counted(*args, **options):
        made.append(args[0])
        return tokenize_video(*args, **options)

    monkeypatch.setattr(llava_onevision2, "tokenize_video", counted)
    return made


def assert_payload(payload, expected):
    assert_same(np.stack([np.asarray(image) for image in payload["images"]]), expected.canvases)
    assert all(image.mode == "RGB" for image in payload["images"])
    assert_same(payload["src_positions"], expected.src_patch_position)
    assert payload["fps"] == expected.fps
    assert payload["meta"]["fps"] == expected.fps
    assert payload["meta"]["hb_wb"] == list(expected.grid)


def entries(root):
    return sorted(p.name for p in root.iterdir() if p.name != ".locks")


def test_in_memory(video):
    before = {p: p.stat().st_mtime_ns for p in video.parent.parent.rglob("*")}
    payload = process_codec_video(str(video), CodecConfig(**SMALL))
    assert_payload(payload, tokenize_video(video, profile="readiness", **SMALL))
    payload = process_codec_video(str(video), CodecConfig(**SMALL, profile="default"))
    assert_payload(payload, tokenize_video(video, **SMALL))
    assert payload["out_dir"] is None
    assert {p: p.stat().st_mtime_ns for p in video.parent.parent.rglob("*")} == before, "nothing was written"


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 7200),
        ({"timeout_seconds": 60}, 60),
        ({"timeout_seconds": 60, "limits": Limits(max_wall_seconds=30)}, 30),
        ({"limits": Limits(max_wall_seconds=9000)}, 7200),
    ],
)
def test_the_time_that_work_may_take(video, monkeypatch, options, seconds):
    given = []

    def told(path, config, **others):
        given.append(config.max_wall_seconds)
        return tokenize_video(path, config, **others)

    monkeypatch.setattr(llava_onevision2, "tokenize_video", told)
    config = CodecConfig(**SMALL, **options)
    payload = process_codec_video(video, config)
    assert given == [seconds]
    assert payload["meta"]["config"]["max_wall_seconds"] == config.limits.max_wall_seconds


def test_a_wrong_timeout_is_named(monkeypatch):
    monkeypatch.setenv("ONLINE_CODEC_TIMEOUT", "2h")
    with pytest.raises(ValueError, match="ONLINE_CODEC_TIMEOUT must be a whole number of seconds, got '2h'"):
        CodecConfig()


def test_kept_and_read(video, tmp_path, calls):
    config = CodecConfig(**SMALL, cache_root=tmp_path / "cache")
    first = process_codec_video(video, config)
    again = process_codec_video(str(video), CodecConfig(**SMALL, cache_root=str(tmp_path / "cache")))
    assert calls == [video]
    expected = tokenize_video(video, profile="readiness", **SMALL)
    for payload in (first, again):
        assert_payload(payload, expected)
        assert payload["meta"]["canvas_files"] == sorted(p.name for p in Path(payload["out_dir"]).glob("canvas_*"))
    assert first["out_dir"] == again["out_dir"]
    assert_same(CodecTokens.load(first["out_dir"]).canvases, expected.canvases)


def test_the_key_covers_the_file_and_every_setting(video, tmp_path, calls):
    root = tmp_path / "cache"
    process_codec_video(video, CodecConfig(**SMALL, cache_root=root))
    changes = {"target_canvas": 4, "group_size": 4, "images_per_group": 2, "patch": 16, "max_pixels": 21_000}
    changes |= {"min_group_frames": 5, "max_group_frames": 30, "profile": "default"}
    for name, value in changes.items():
        process_codec_video(video, CodecConfig(**{**SMALL, name: value}, cache_root=root))
    assert len(calls) == 1 + len(changes)
    process_codec_video(video, CodecConfig(**SMALL, cache_root=root, timeout_seconds=5))
    assert len(calls) == 1 + len(changes), "the same work, whatever the time it may take"
    status = video.stat()
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    process_codec_video(video, CodecConfig(**SMALL, cache_root=root))
    assert len(calls) == 2 + len(changes)
    video.write_bytes(video.read_bytes() + b"\0" * 16)
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    process_codec_video(video, CodecConfig(**SMALL, cache_root=root))
    assert len(calls) == 3 + len(changes)
    link = tmp_path / "link.mp4"
    link.symlink_to(video)
    process_codec_video(link, CodecConfig(**SMALL, cache_root=root))
    assert len(calls) == 3 + len(changes), "the same file by another name"


def test_damaged_entries_are_made_anew(video, tmp_path, calls):
    root = tmp_path / "cache"
    config = CodecConfig(**SMALL, cache_root=root)
    expected = tokenize_video(video, profile="readiness", **SMALL)
    fewer = tokenize_video(video, profile="readiness", **{**SMALL, "target_canvas": 4})
    directory = Path(process_codec_video(video, config)["out_dir"])
    for count, damage in enumerate(
        [
            lambda: (directory / "meta.json").unlink(),
            lambda: (directory / "meta.json").write_text("{"),
            lambda: (directory / "canvas_003.png").unlink(),
            lambda: (directory / "canvas_003.png").write_bytes((directory / "canvas_002.png").read_bytes()[:900]),
            lambda: (directory / "src_patch_position.npy").write_bytes(b"\x93NUMPY"),
        ],
        start=2,
    ):
        damage()
        assert_payload(process_codec_video(video, config), expected)
        assert len(calls) == count
    other = Path(process_codec_video(video, CodecConfig(**{**SMALL, "target_canvas": 4}, cache_root=root))["out_dir"])
    for plant in (
        lambda: shutil.copytree(other, directory),  # whole, but made with other settings
        lambda: directory.write_bytes(b"no directory"),
        lambda: directory.symlink_to(other),
        lambda: directory.symlink_to("nowhere"),
    ):
        shutil.rmtree(directory) if directory.is_dir() and not directory.is_symlink() else directory.unlink()
        plant()
        assert_payload(process_codec_video(video, config), expected)
        assert not directory.is_symlink()
    assert len(calls) == 11
    assert_payload(process_codec_video(video, CodecConfig(**{**SMALL, "target_canvas": 4}, cache_root=root)), fewer)
    shutil.rmtree(other)
    left = directory.parent / f"{temporary_prefix(directory)}0123456789ab"  # by a process that was killed as it wrote
    left.mkdir()
    (directory / "meta.json").unlink()
    process_codec_video(video, config)
    assert entries(directory.parent) == [directory.name]


def test_names_of_any_length(video, tmp_path):
    for name in ("\U0001f3ac" * 60, "x" * 250, "a\udcff" * 60):  # 240, 250 and, undecodable, 120 bytes
        long = video.with_name(f"{name}.mp4")
        shutil.copy(video, long)
        payload = process_codec_video(long, CodecConfig(**SMALL, cache_root=tmp_path / "cache"))
        assert Path(payload["out_dir"]).is_dir()


def test_a_failure_keeps_nothing(video, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    config = CodecConfig(**SMALL, cache_root=root)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of use")
    with pytest.raises(ValueError, match=r"broken\.mp4: cannot open it"):
        process_codec_video(broken, config)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        process_codec_video("nowhere.mp4", config)
    monkeypatch.setattr("ov2_kernels.assets._write_canvas", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="No space left"):
        process_codec_video(video, config)
    assert entries(root) == []


def test_a_video_that_changes_meanwhile_is_not_kept(video, tmp_path, monkeypatch):
    def changing(path, *args, **options):
        tokens = tokenize_video(path, *args, **options)
        os.utime(path, ns=(0, 0))
        return tokens

    monkeypatch.setattr(llava_onevision2, "tokenize_video", changing)
    payload = process_codec_video(video, CodecConfig(**SMALL, cache_root=tmp_path / "cache"))
    assert payload["out_dir"] is None
    assert entries(tmp_path / "cache") == []


ONE_OF_MANY = """
import os, sys, time
from ov2_kernels.integrations import llava_onevision2 as module
video, root, log, start = sys.argv[1:]
real = module.tokenize_video
def counted(*args, **options):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.5)
    return real(*args, **options)
module.tokenize_video = counted
config = module.CodecConfig(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20_000, cache_root=root)
while not os.path.exists(start):
    time.sleep(0.01)
payload = module.process_codec_video(video, config)
print(len(payload["images"]), payload["src_positions"].sum(), payload["out_dir"])
"""


def test_many_processes_and_one_does_the_work(video, tmp_path):
    words = [video, tmp_path / "cache", tmp_path / "log", tmp_path / "start"]
    command = [sys.executable, "-c", ONE_OF_MANY, *map(str, words)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME) for _ in range(4)]
    time.sleep(0.5)
    (tmp_path / "start").touch()
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert len(set(answers)) == 1
    assert len((tmp_path / "log").read_text().split()) == 1
    assert len(entries(tmp_path / "cache")) == 1


def test_time_limits(video, tmp_path, monkeypatch):
    with pytest.raises(TimeoutError, match=r"clip\.mp4: not done after 1e-09 seconds"):
        process_codec_video(video, CodecConfig(**SMALL, timeout_seconds=1e-9))
    from filelock import FileLock
    from ov2_kernels.integrations.cache import TokenCache

    config = CodecConfig(**SMALL, cache_root=tmp_path / "cache", timeout_seconds=0.2)
    entry = TokenCache(config.cache_root).entry(video, config.tokenizer_config())
    (tmp_path / "cache" / ".locks").mkdir(parents=True)
    lock = FileLock(tmp_path / "cache" / ".locks" / entry.name)
    with lock, pytest.raises(TimeoutError, match=r"another process has not made it in 0\.2 seconds"):
        process_codec_video(video, config)
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ImportError, match=r"pip install 'ov2_kernels\[cache\]'"):
        process_codec_video(video, config)


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    assert CodecConfig().cache_root is None
    assert CodecConfig().timeout_seconds == 7200
    monkeypatch.setenv("ONLINE_CODEC_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("ONLINE_CODEC_TIMEOUT", "60")
    assert CodecConfig().cache_root == tmp_path
    assert CodecConfig().timeout_seconds == 60
    assert CodecConfig().num_sampled_frames() == 256
    assert CodecConfig(target_canvas=8).num_sampled_frames() == 64
    assert CodecConfig(target_canvas=8, profile="default").num_sampled_frames() == 800


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_canvas": 0}, "target_canvas must be at least 1, an integer"),
        ({"target_canvas": 30}, "images_per_group must divide target_canvas"),
        ({"group_size": 30}, "images_per_group must divide group_size"),
        ({"spatial_mask_mode": "on"}, "spatial_mask_mode must be off, got 'on'"),
        ({"engine": "dcvc-rt"}, "engine must be one of hevc, cv-preinfer, got 'dcvc-rt'"),
        ({"timeout_seconds": 0}, "timeout_seconds must be above 0, a number, got 0"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CodecConfig(**options).validate()
    with pytest.raises(ValueError, match=message):
        process_codec_video("x.mp4", CodecConfig(**options))


def test_meta_is_that_of_the_directory(video, tmp_path):
    kept = process_codec_video(video, CodecConfig(**SMALL, cache_root=tmp_path / "cache"))
    written = json.loads((Path(kept["out_dir"]) / "meta.json").read_text())
    assert kept["meta"] == written
    in_memory = process_codec_video(video, CodecConfig(**SMALL))["meta"]
    assert {**in_memory, "timing_sec": None} == {**written, "timing_sec": None}
