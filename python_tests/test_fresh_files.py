"""What is written: all of it or nothing, and an ``OSError`` that names it, where there is no room or no leave."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ov2_kernels import CodecConfig, tokenize_video
from ov2_kernels.cli import main
from ov2_kernels.demo import run_demo
from ov2_kernels.fresh_files import check_directory, fresh_directory, fresh_file
from ov2_kernels.integrations.cache import TokenCache
from ov2_kernels.integrations.codec_video_prep import main as preinfer
from ov2_kernels.view import view_video

SMALL = CodecConfig(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20_000)


def save(format: str) -> Callable[[Path, Path], object]:
    return lambda clip, folder: tokenize_video(clip, SMALL).save(folder / "new" / "tokens", format=format)


def keep(clip: Path, folder: Path) -> object:
    return TokenCache(folder / "new").get(clip, SMALL, lambda: tokenize_video(clip, SMALL))


#: what writes below ``folder / "new"``
WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "jpg": save("jpg"),
    "png": save("png"),
    "npy": save("npy"),
    "demo": lambda clip, folder: run_demo(folder / "new" / "demo", video=clip, config=SMALL),
    "page": lambda clip, folder: view_video(clip, SMALL, page=folder / "new" / "page.html"),
    "sheet": lambda clip, folder: view_video(clip, SMALL, png=folder / "new" / "sheet.png"),
    "mask video": lambda clip, folder: view_video(clip, SMALL, mask_video=folder / "new" / "mask.mp4"),
    "cache": keep,
}


def complaint(write: Callable[[Path, Path], object], clip: Path, folder: Path) -> OSError:
    with pytest.raises(OSError, match="new") as caught:
        write(clip, folder)
    return caught.value


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Every write beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(folder: Path) -> list[str]:
    """All files and directories; locks, which are empty, stay for the next who wants them."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if ".locks" not in p.parts)


@pytest.mark.parametrize("writer", WRITERS)
def test_no_room_for_all_of_it(writer, clip_path, tmp_path):
    clip = clip_path("h264_bframes")
    with files_of_at_most(300):
        error = complaint(WRITERS[writer], clip, tmp_path)
    assert error.errno == errno.EFBIG
    assert str(tmp_path / "new") in str(error.filename)
    assert "/." not in str(error)
    assert tree(tmp_path) == (["new"] if writer == "cache" else [])


def test_no_room_for_the_rest_of_a_mask_video(clip_path, tmp_path):
    clip = clip_path("h264_bframes")
    whole = tmp_path / "whole.mp4"
    view_video(clip, SMALL, mask_video=whole)
    size = whole.stat().st_size
    for room in (0, 100, 1000, size // 2, size - 1):
        with files_of_at_most(room):
            error = complaint(WRITERS["mask video"], clip, tmp_path)
        assert (error.errno, error.filename) == (errno.EFBIG, str(tmp_path / "new" / "mask.mp4"))
        assert tree(tmp_path) == ["whole.mp4"]


def test_what_was_there_stays(clip_path, tmp_path):
    tokens = tokenize_video(clip_path("h264_bframes"), SMALL)
    tokens.save(tmp_path / "tokens")
    page = tmp_path / "page.html"
    page.write_text("old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with files_of_at_most(300):
        for write in (
            lambda: tokens.save(tmp_path / "tokens", overwrite=True),
            lambda: view_video(clip_path("h264_bframes"), SMALL, page=page, overwrite=True),
        ):
            with pytest.raises(OSError, match="File too large"):
                write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


#: what overwriting leaves alone, and how a test makes it
OTHERS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to(path.with_name("real")),
}


@pytest.mark.parametrize(
    ("fresh", "make"),
    [
        *((fresh_file, make) for make in (*OTHERS.values(), Path.mkdir)),
        *((fresh_directory, make) for make in (*OTHERS.values(), Path.touch)),
    ],
)
def test_only_like_is_replaced_by_like(fresh, make, tmp_path):
    target = tmp_path / "out"
    make(target)
    before = target.lstat()
    with pytest.raises(FileExistsError, match="not replaced"), fresh(target):
        pytest.fail("this is told before any work")
    assert target.lstat() == before
    assert tree(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("output", ["page", "png", "mask_video"])
def test_views_replace_regular_files_alone(output, kind, clip_path, tmp_path, monkeypatch):
    monkeypatch.setattr("ov2_kernels.view.tokenize_video", None)
    OTHERS[kind](tmp_path / "out.png")
    with pytest.raises(FileExistsError, match="not replaced"):
        view_video(clip_path("h264_bframes"), SMALL, **{output: tmp_path / "out.png"}, overwrite=True)


def test_a_link_to_an_asset_directory_stays(clip_path, tmp_path):
    tokens = tokenize_video(clip_path("h264_bframes"), SMALL)
    tokens.save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match=r"link: is a symbolic link, .*; name what it leads to"):
        tokens.save(tmp_path / "link", overwrite=True)
    assert tree(tmp_path) == before


def test_what_cannot_be_brought_back_is_kept(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    rename = Path.rename

    def broken(self, target):
        if Path(target).name == "out":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="Input/output error"), fresh_directory(tmp_path / "out"):
        pass
    (kept,) = tmp_path.iterdir()
    assert tree(kept) == ["old"]


@pytest.mark.parametrize("name", ["o" * 255, "v1." + "o" * 252, "o" * 250 + ".html"])
def test_names_may_be_as_long_as_names_may_be(name, tmp_path):
    for _ in range(2):
        with fresh_directory(tmp_path / "a" / name) as fresh:
            (fresh / "new").touch()
        with fresh_file(tmp_path / "b" / name) as fresh:
            fresh.touch()
    assert tree(tmp_path) == ["a", f"a/{name}", f"a/{name}/new", "b", f"b/{name}"]


def test_errors_tell_of_the_target_alone(tmp_path, monkeypatch):
    def broken(self, target):
        raise OSError(errno.EIO, "Input/output error", str(self), None, str(target))

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match=r"Input/output error: '[^']*/out'$"), fresh_directory(tmp_path / "out"):
        pass


@pytest.mark.parametrize("name", [".", "..", "sub/.."])
def test_a_directory_is_replaced_by_its_name_alone(name, tmp_path, monkeypatch):
    (tmp_path / "here" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "sub" if name == "." else tmp_path / "here")
    before = tree(tmp_path)
    message = r"is not replaced by that name; name a directory inside it, such as .*tokens"
    for enter in (
        lambda: fresh_directory(Path(name)).__enter__(),
        lambda: check_directory(Path(name), "one of ours", "mark", "mark", overwrite=True),
    ):
        with pytest.raises(FileExistsError, match=message):
            enter()
    assert tree(tmp_path) == before


def test_mount_points_are_refused_before_the_work(clip_path, tmp_path, monkeypatch, capsys):
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "volume")
    monkeypatch.setattr("ov2_kernels.video.tokenize_video", None)
    monkeypatch.setattr("ov2_kernels.demo.tokenize_video", None)
    clip = str(clip_path("h264_bframes"))
    for words in (["tokenize", clip, "-o"], ["demo", clip, "-o"]):
        assert main([*words, str(tmp_path / "volume"), "--overwrite"]) == 1
        said = capsys.readouterr().err
        assert "volume: is a mount point, which cannot be replaced; name a directory inside it" in said
    assert tree(tmp_path) == ["volume"]


def test_many_may_replace_one_directory_at_once(tmp_path):
    target = tmp_path / "out"
    errors = []

    def check():
        check_directory(target, "one of ours", "mark", "mark|sub/|sub/file", overwrite=True)

    def write():
        try:
            for _ in range(60):
                check()
                with fresh_directory(target, check) as fresh:
                    (fresh / "sub").mkdir()
                    (fresh / "sub" / "file").touch()
                    (fresh / "mark").touch()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert tree(tmp_path) == ["out", "out/mark", "out/sub", "out/sub/file"]


def test_who_comes_second_checks_again(tmp_path, monkeypatch):
    target = tmp_path / "out"
    rename = Path.rename

    def taken(self, to):
        """Another takes the name just before."""
        if to == target and not target.exists():
            target.mkdir()
            (target / "mark").touch()
        return rename(self, to)

    def check():
        check_directory(target, "one of ours", "mark", "mark", overwrite=False)

    monkeypatch.setattr(Path, "rename", taken)
    with pytest.raises(FileExistsError, match="exists already"), fresh_directory(target, check):
        pass
    assert tree(tmp_path) == ["out", "out/mark"]


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a directory that not even root may write")
@pytest.mark.parametrize("writer", WRITERS)
def test_directories_that_may_not_be_written(writer, clip_path):
    error = complaint(WRITERS[writer], clip_path("h264_bframes"), Path("/sys"))
    assert error.errno in (errno.EPERM, errno.EACCES, errno.EROFS)
    assert str(error.filename).startswith("/sys/new")


def test_the_commands_say_it_in_a_line(clip_path, tmp_path, capsys):
    clip = str(clip_path("h264_bframes"))
    target = tmp_path / "out" / "tokens"
    with files_of_at_most(300):
        assert main(["tokenize", clip, "-o", str(target), "--target-canvas", "8"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ov2-kernels: ")
    assert str(target) in line
    assert "File too large" in line
    with files_of_at_most(300):
        assert preinfer(["--video", clip, "--out_dir", str(target), "--num_sampled_frames", "32"]) == 1
    assert str(target) in capsys.readouterr().err.splitlines()[-1]
    assert tree(tmp_path) == []


FULL = """\
import json, sys
from pathlib import Path
from test_fresh_files import WRITERS, tree
said = {}
clip, folder = Path(sys.argv[1]), Path(sys.argv[2])
Path(folder, "ballast").write_bytes(bytes(int(sys.argv[3])))
for name, write in WRITERS.items():
    try:
        write(clip, folder)
    except OSError as error:
        said[name] = [error.errno, str(error.filename), tree(folder)]
print(json.dumps(said))
"""


def test_a_disk_that_is_full(clip_path, tmp_path):
    """A file system of its own, of sixteen pages, where this user may make one."""
    script = f"mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -c '{FULL}' \"$@\""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", tmp_path]).returncode:
        pytest.skip("this user may not mount anything; test_no_room_for_all_of_it takes the same ways")
    command = [*unshare, "sh", "-c", script, "sh", clip_path("h264_bframes"), tmp_path, str(60 << 10)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert set(said) == set(WRITERS)
    for name, (code, filename, left) in said.items():
        assert code == errno.ENOSPC, name
        assert filename.startswith(f"{tmp_path}/new"), name
        assert left == ["ballast", *(["new"] if name == "cache" else [])], name
