"""The command line."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, __version__, cli
from PIL import Image

from conftest import terminated_while_writing

SMALL = ["--target-canvas", "8", "--group-size", "8", "--min-group-frames", "4", "--max-pixels", "20000"]


def test_one_video(clip_path, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["tokenize", str(clip_path("h264_bframes")), "-o", str(out), "--format", "npy", *SMALL]) == 0
    tokens = CodecTokens.load(out)
    assert tokens.config == CodecConfig(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20000)
    printed = capsys.readouterr()
    assert f"{len(tokens.canvases)} canvases" in printed.out
    assert printed.err == "", "no bar where there is no terminal"


def test_several_videos_one_of_them_broken(clip_path, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    twin = tmp_path / "a" / "h264_bframes.mp4"
    twin.write_bytes(clip_path("h264_bframes").read_bytes())
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of use")
    videos = [str(clip_path("h264_bframes")), str(broken), str(twin)]
    status = cli.main(["tokenize", *videos, "-o", str(tmp_path / "out"), "--json", *SMALL])
    assert status == 1
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["video"] for row in rows] == videos
    assert "cannot open it as a video" in rows[1]["error"]
    assert len(printed.err.splitlines()) == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["h264_bframes", "h264_bframes-2"]
    assert rows[0]["canvases"] == rows[2]["canvases"] > 0


def test_names_that_collide_are_told_apart():
    directories = cli.output_directories(["a/x.mp4", "b/x.mkv", "x-2.mp4", "c/x.avi"], "o")
    assert [d.name for d in directories] == ["x", "x-2", "x-2-2", "x-3"]
    assert cli.output_directories(["a/x.mp4"], "o")[0].name == "o"


def test_an_existing_directory_needs_overwrite(clip_path, tmp_path, capsys):
    command = ["tokenize", str(clip_path("h264_bframes")), "-o", str(tmp_path / "out"), *SMALL]
    assert cli.main(command) == 0
    assert cli.main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite"]) == 0


def test_what_is_no_asset_directory_is_said_at_once(clip_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ov2_kernels.video.tokenize_video", None)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip.mp4").touch()
    for flags in ([], ["--overwrite"]):
        assert cli.main(["tokenize", str(clip_path("h264_bframes")), "-o", str(tmp_path / "videos"), *flags]) == 1
        said = capsys.readouterr().err
        assert "videos: holds clip.mp4, so it is not an asset directory and not replaced" in said
        assert "overwrite" not in said
        assert "Errno" not in said


def test_what_holds_other_files_is_not_replaced(clip_path, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["tokenize", str(clip_path("h264_bframes")), "-o", str(out), *SMALL]) == 0
    clip = out / "clip.mp4"
    clip.write_bytes(clip_path("h264_bframes").read_bytes())
    assert cli.main(["tokenize", str(clip), "-o", str(out), *SMALL, "--overwrite"]) == 1
    assert "out: holds clip.mp4, so" in capsys.readouterr().err
    assert clip.exists()
    clip = clip.rename(out / "canvas_000.png")
    assert cli.main(["tokenize", str(clip), "-o", str(out), *SMALL, "--overwrite"]) == 1
    assert "out: holds the input" in capsys.readouterr().err
    assert clip.exists()


def test_a_demo_with_other_files_inside_is_not_replaced(clip_path, tmp_path, capsys):
    out = tmp_path / "demo"
    assert cli.main(["demo", str(clip_path("mjpeg")), "-o", str(out)]) == 0
    (out / "tokens" / "thesis.txt").touch()
    assert cli.main(["demo", str(clip_path("mjpeg")), "-o", str(out), "--overwrite"]) == 1
    assert "holds tokens/thesis.txt, so it is not a demo's output" in capsys.readouterr().err
    (out / "tokens" / "thesis.txt").unlink()
    assert cli.main(["demo", str(clip_path("mjpeg")), "-o", str(out)]) == 1
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err


def test_overwriting_needs_names_that_differ(clip_path, tmp_path, capsys):
    twins = [tmp_path / name / "x.mp4" for name in "ab"]
    for twin in twins:
        twin.parent.mkdir()
        twin.write_bytes(clip_path("h264_bframes").read_bytes())
    command = ["tokenize", *map(str, twins), "-o", str(tmp_path / "out"), *SMALL]
    assert cli.main(command) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x", "x-2"]
    assert cli.main([*command, "--overwrite"]) == 2
    assert f"{twins[0]} and {twins[1]} have the same name" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["tokenize", "--help"])
    assert "DIR/<name>-2" in capsys.readouterr().out


def test_names_that_are_not_utf8(clip_path, tmp_path):
    clip = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    clip.write_bytes(clip_path("h264_bframes").read_bytes())
    command = [sys.executable, "-m", "ov2_kernels"]
    how = {"capture_output": True, "cwd": tmp_path, "env": {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}}
    for words in (["tokenize", clip, "-o", "out", *SMALL], ["probe", clip], ["view", clip, "-o", "out.html", *SMALL]):
        done = subprocess.run([*command, *words], **how)
        assert (done.returncode, done.stderr) == (0, b"")
    assert "<title>caf?.mp4" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_an_image_is_sent_elsewhere(tmp_path, capsys):
    path = tmp_path / "p.png"
    Image.new("RGB", (64, 48)).save(path)
    for backend in ("native", "reference"):
        assert cli.main(["tokenize", str(path), "-o", str(tmp_path / "out"), "--backend", backend]) == 1
        said = capsys.readouterr().err
        assert said == f"ov2-kernels: {path}: is an image, not a video: ov2_kernels.tokenize_image takes it\n"


def test_every_setting_is_a_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["tokenize", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(CodecConfig):
        assert f"--{field.name.replace('_', '-')}" in text
    flags = ["--preset", "dense", "--no-avoid-keyframes", "--sampling", "uniform", "--start-time", "1.5"]
    args = cli._parser().parse_args(["tokenize", "v", "-o", "d", *flags, "--threads", "3"])
    own = {"avoid_keyframes": False, "sampling": "uniform", "start_time": 1.5, "threads": 3}
    expected = CodecConfig(group_size=64, min_samples=512, max_samples=7200, min_fps=12.0, **own)
    assert cli._config(args) == expected


def test_wrong_usage_is_status_2(capsys):
    assert cli.main(["tokenize", "x.mp4", "-o", "d", "--target-canvas", "30"]) == 2
    assert capsys.readouterr().err == "ov2-kernels: images_per_group must divide target_canvas, got 4 for 30\n"
    with pytest.raises(SystemExit) as stop:
        cli.main(["tokenize", "x.mp4", "-o", "d", "--sampling", "random"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2


def test_probe(clip_path, capsys):
    assert cli.main(["probe", str(clip_path("h264_rotated_90"))]) == 0
    text = capsys.readouterr().out
    assert re.search(r"rotation +90", text)
    assert cli.main(["probe", str(clip_path("h264_rotated_90")), "--packets", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["frames"]) == (96, 160, 24)
    assert len(facts["packets"]) == 24
    assert facts["packets"][0]["keyframe"]
    assert cli.main(["probe", str(clip_path("h264_rotated_90")), "--packets"]) == 0
    assert capsys.readouterr().out.count("key\n") == facts["keyframes"]
    assert cli.main(["probe", "nowhere.mp4"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_demo(tmp_path, capsys):
    out = tmp_path / "demo"
    assert cli.main(["demo", "-o", str(out)]) == 0
    assert str(out / "contact_sheet.png") in capsys.readouterr().out
    tokens = CodecTokens.load(out / "tokens")
    assert len(tokens.canvases) == 32
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.width > 3000
        assert np.asarray(sheet).std() > 20
    # The lamp of the clip is lit from 5.7 to 6.0 s, in block rows 0 to 1, right; its blocks are kept.
    lit = tokens.src_patch_position[(tokens.src_patch_position[:, 0] >= 171) & (tokens.src_patch_position[:, 0] < 180)]
    assert ((lit[:, 1] < 5) & (lit[:, 2] >= 28) & (lit[:, 2] < 34)).any()
    assert cli.main(["demo", "-o", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["demo", "-o", str(out), "--overwrite"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]


def test_demo_of_a_clip_of_yours(clip_path, tmp_path, capsys):
    assert cli.main(["demo", str(clip_path("mjpeg")), "-o", str(tmp_path / "demo")]) == 0
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").touch()
    assert cli.main(["demo", "-o", str(tmp_path / "taken"), "--overwrite"]) == 1
    assert "is not a demo's output" in capsys.readouterr().err


def test_doctor(capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "libavcodec" in text
    assert cli.main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["backends"]["native"] == "available"
    assert report["versions"]["ov2_kernels"] == __version__


def test_doctor_says_why_a_backend_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ov2_kernels.native", None)
    assert cli.main(["doctor"]) == 1
    assert "the backend 'native' cannot be loaded" in capsys.readouterr().out


def test_ctrl_c_is_status_130(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ov2_kernels.video.tokenize_video", interrupted)
    assert cli.main(["tokenize", "x.mp4", "-o", "d"]) == 130
    assert capsys.readouterr().err == "ov2-kernels: interrupted\n"


def test_a_terminated_run_leaves_nothing(clip_path, tmp_path):
    words = ["tokenize", str(clip_path("h264_bframes")), "-o", "out", *SMALL]
    done = subprocess.run(
        [sys.executable, "-c", terminated_while_writing("ov2_kernels.cli"), *words], cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stdout) == (143, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_command_leaves_signals_as_they_were(clip_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["probe", str(clip_path("h264_bframes"))]) == 0
    assert signal.getsignal(signal.SIGTERM) is before

    def terminated(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # a second one is not heard before the end

    monkeypatch.setattr("ov2_kernels.video.tokenize_video", terminated)
    with pytest.raises(SystemExit, match="143"):
        cli.main(["tokenize", "x.mp4", "-o", "d"])
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=cli.main, args=(["probe", str(clip_path("h264_bframes"))],))
    thread.start()
    thread.join()


def test_a_bar_on_a_terminal(real_clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert cli.main(["tokenize", str(real_clip), "-o", str(tmp_path / "out")]) == 0
    assert "bigbuckbunny.mp4:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ov2-kernels", "ov2-preinfer"])
def test_console_commands(name, tmp_path):
    how = {"capture_output": True, "text": True, "cwd": tmp_path}  # away from the checkout
    code = """
        import sys
        from importlib.metadata import entry_points
        (command,) = entry_points(group="console_scripts", name=sys.argv[0])
        sys.exit(command.load()())
    """
    run = f"import sys; sys.argv[0] = {name!r}; exec({textwrap.dedent(code)!r})"
    done = subprocess.run([sys.executable, "-c", run, "--help"], **how)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name}")


def test_the_package_is_a_command(tmp_path):
    how = {"capture_output": True, "text": True, "cwd": tmp_path}
    done = subprocess.run([sys.executable, "-m", "ov2_kernels", "--version"], **how)
    assert (done.returncode, done.stdout) == (0, f"ov2-kernels {__version__}\n")
    done = subprocess.run([sys.executable, "-m", "ov2_kernels", "probe", __file__], **how)
    assert done.returncode == 1
    assert __file__ in done.stderr
