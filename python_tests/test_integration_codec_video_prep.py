"""``ov2-preinfer`` as the processors of the released checkpoints call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels import CodecConfig, CodecTokens, tokenize_video
from ov2_kernels.integrations.codec_video_prep import PreinferConfig, main, run_preinfer
from PIL import Image

from conftest import terminated_while_writing
from parity import assert_same

# Where the package that is under test lies.
HOME = Path(ov2_kernels.__file__).parent.parent

FLAGS = {
    "--group_size": "8",
    "--images_per_group": "4",
    "--patch": "14",
    "--max_pixels": "20000",
    "--readiness_sum_threshold": "0",
    "--min_group_frames": "4",
    "--max_group_frames": "64",
    "--canvas_format": "jpg",
}

OTHER_FLAGS = {
    "--block_size": "2",
    "--thread_type": "frame",
    "--thread_count": "2",
    "--disable_target_only": "",
    "--bitcost_grid": "mb",
    "--frame_sampling_mode": "pkt_peak",
    "--sample_fps": "2",
    "--readiness_sum_threshold_mode": "auto",
    "--readiness_norm_sum_threshold": "1e6",
    "--iframe_score_clip_mode": "non_i_percentile",
    "--iframe_score_clip_percentile": "90",
    "--no_avoid_keyframes": "",
    "--save_mask_video": "",
    "--parallel_decode_cv_reader": "",
    "--decode_backend": "ffmpeg_native",
    "--parallel_segments": "2",
    "--threads_per_segment": "1",
    "--segment_guard_frames": "5",
}


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    installed = Path(sys.executable).with_name("ov2-preinfer")
    if installed.exists():
        return str(installed)
    script = tmp_path_factory.mktemp("bin") / "ov2-preinfer"
    code = f"cd {HOME} && exec {sys.executable} -m ov2_kernels.integrations.codec_video_prep"
    script.write_text(f'#!/bin/sh\n{code} "$@"\n')
    script.chmod(0o755)
    return str(script)


def command(video, out_dir, samples, mode="fixed"):
    flags = [word for pair in FLAGS.items() for word in pair]
    return [
        *("--video", str(video), "--out_dir", str(out_dir), "--num_sampled_frames", str(samples)),
        *("--grouping_mode", mode, *flags, "--avoid_keyframes"),
    ]


def read_back(out_dir):
    """What the processors do with the directory."""
    meta = json.loads((out_dir / "meta.json").read_text())
    images = [Image.open(out_dir / name).convert("RGB") for name in meta["canvas_files"]]
    positions = np.load(out_dir / "src_patch_position.npy")
    assert len(positions) % len(images) == 0
    assert positions.dtype == np.int32
    per_canvas = positions[:, 0].reshape(len(images), -1)
    assert (per_canvas >= 0).all(), "no canvas is padding, not even in part"
    for image in images:
        assert image.width * image.height == per_canvas.shape[1] * 14 * 14
    return images, positions, float(meta["fps"])


@pytest.mark.parametrize("mode", ["readiness", "fixed"])
def test_a_processor_runs_it_and_reads_the_directory(clip_path, tmp_path, program, monkeypatch, mode):
    monkeypatch.setenv("CV_PREINFER_BIN", program)
    temporary = tmp_path / ".tmp_entry_x7"  # the callers make it with mkdtemp, and rename it afterwards
    temporary.mkdir(mode=0o700)
    words = [os.environ["CV_PREINFER_BIN"], *command(clip_path("h264_bframes"), temporary, 16, mode)]
    done = subprocess.run(words, text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    ignored = "ov2-preinfer: ignored, they change nothing here: --readiness_sum_threshold\n"
    assert done.stderr == ("" if mode == "readiness" else ignored)
    temporary.rename(tmp_path / "entry")
    images, positions, fps = read_back(tmp_path / "entry")
    config = CodecConfig(
        target_canvas=8,
        group_size=8,
        min_samples=1,
        min_fps=0.0,
        min_group_frames=4,
        max_pixels=20_000,
        sampling="uniform",
        partition="fixed",
        score_mode="fused",
        selection="stretches",
    )
    config = config.replace(profile="readiness" if mode == "readiness" else "default")
    expected = tokenize_video(clip_path("h264_bframes"), config)
    assert_same(positions, expected.src_patch_position)
    assert len(images) == len(expected.canvases)
    assert mode == "readiness" or len(images) == 8
    assert fps == 30.0
    printed = json.loads(done.stdout)
    assert printed["meta_path"] == str(temporary / "meta.json")
    assert printed["timings"]["total"] > 0


def test_a_failure_says_why_and_leaves_nothing(tmp_path, program, clip_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of use")
    for words in (
        command(broken, tmp_path / "out", 16),
        command(tmp_path / "nowhere.mp4", tmp_path / "out", 16),
        [*command(clip_path("h264_bframes"), tmp_path / "out", 16), "--patch", "15"],
        [*command(clip_path("h264_bframes"), tmp_path / "out", 16), "--block_size", "3"],
    ):
        done = subprocess.run([program, *words], text=True, capture_output=True, check=False)
        assert done.returncode == 1
        assert done.stdout == ""
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ov2-preinfer: ")
        assert len(last) < 2000
        assert [p.name for p in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_directory_of_cv_preinfer_is_replaced_and_no_other(clip_path, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("canvas_000.jpg", "src_patch_position.npy", "frame_ids.npy", "meta.json", "sampled_masked_sbs.mp4"):
        (out / name).touch()
    assert main(command(clip_path("h264_bframes"), out, 16)) == 0
    assert not (out / "sampled_masked_sbs.mp4").exists()
    (out / "thesis.txt").touch()
    assert main(command(clip_path("h264_bframes"), out, 16)) == 1
    assert "holds thesis.txt, so it is not an asset directory" in capsys.readouterr().err


def test_a_terminated_run_leaves_nothing(tmp_path, clip_path):
    program = terminated_while_writing("ov2_kernels.integrations.codec_video_prep")
    words = [sys.executable, "-c", program, *command(clip_path("h264_bframes"), tmp_path / "out", 16)]
    done = subprocess.run(words, capture_output=True, check=False, cwd=HOME)
    assert done.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_every_flag_of_theirs_is_taken(clip_path, tmp_path, capsys):
    flags = [word for pair in OTHER_FLAGS.items() for word in pair if word]
    assert main([*command(clip_path("h264_bframes"), tmp_path / "out", 16), *flags, "--canvas_format", "png"]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 1
    named = set(notes[0].split(": ")[2].replace("--", "").split(", "))
    assert {"thread_type", "save_mask_video", "bitcost_grid", "decode_backend", "parallel_segments"} <= named
    assert not {"thread_count", "frame_sampling_mode", "avoid_keyframes", "canvas_format", "patch"} & named
    config = CodecTokens.load(tmp_path / "out").config
    assert (config.sampling, config.avoid_keyframes, config.threads) == ("peaks", False, 2)
    assert (tmp_path / "out" / "canvas_000.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--bitcost_grid ctu", "bitcost_grid must be adaptive or mb with grouping_mode readiness, got ctu"),
        ("--readiness_sum_threshold 5e5", "readiness_sum_threshold must be 0"),
        ("--readiness_sum_threshold_mode fixed", "readiness_sum_threshold_mode must be legacy or auto"),
        ("--iframe_score_clip_mode non_i_percentile", "iframe_score_clip_mode must be none"),
        ("--frame_sampling_mode fps", "frame_sampling_mode must be uniform_count"),
    ],
)
def test_other_ways_to_be_ready_are_refused(clip_path, tmp_path, capsys, flags, message):
    words = command(clip_path("h264_bframes"), tmp_path / "out", 16, "readiness")
    assert main([*words, *flags.split()]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_same_from_python(clip_path, tmp_path):
    options = {
        "num_sampled_frames": 16,
        "group_size": 8,
        "min_group_frames": 4,
        "max_pixels": 20_000,
        "grouping_mode": "fixed",
        "canvas_format": "npy",
    }
    with pytest.warns(UserWarning, match="ignored, they change nothing here: decode_backend, parallel_segments"):
        result = run_preinfer(
            str(clip_path("h264_bframes")),
            str(tmp_path / "out"),
            **options,
            decode_backend="ffmpeg_native",
            parallel_segments=4,
        )
    tokens = CodecTokens.load(result.out_dir)
    assert result.canvas_files == [f"canvas_{i:03d}.npy" for i in range(8)]
    assert Path(result.meta_path).exists()
    assert result.timings == dict(tokens.timings)
    again = run_preinfer(video=str(clip_path("h264_bframes")), out_dir=str(tmp_path / "out"), **options)
    assert_same(CodecTokens.load(again.out_dir).canvases, tokens.canvases)
    with pytest.raises(ValueError, match="grouping_mode must be one of fixed, readiness, got 'energy'"):
        run_preinfer(video="x", out_dir="y", grouping_mode="energy")
    with pytest.raises(TypeError, match="bitcost"):
        run_preinfer(video="x", out_dir="y", bitcost=1)


@pytest.mark.parametrize(
    ("samples", "frames", "expected", "canvases"),
    [(256, 1000, 256, 32), (132, 132, 132, 20), (20, 20, 20, 4), (8, 1000, 32, 4)],
)
def test_samples_and_canvases(samples, frames, expected, canvases):
    config = PreinferConfig("v", "o", num_sampled_frames=samples, grouping_mode="fixed").codec_config()
    assert (min(config.sample_limit(1000 / 25), frames), config.target_canvas) == (expected, canvases)


def test_other_people_s_files_are_left_alone(clip_path, tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main(command(clip_path("h264_bframes"), tmp_path, 16)) == 1
    assert "is not an asset directory" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
