"""Tokens on disk and as model inputs."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, tokenize_video
from ov2_kernels.tables import normalization_table

from parity import assert_same


@pytest.fixture(scope="module")
def tokens(clip_path):
    config = CodecConfig(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20_000)
    return tokenize_video(clip_path("h264_bframes"), config)


@pytest.mark.parametrize("format", ["png", "npy", "jpg"])
def test_saved_tokens_come_back(tokens, format, tmp_path):
    tokens.save(tmp_path / "out", format=format)
    loaded = CodecTokens.load(tmp_path / "out")
    if format == "jpg":
        difference = np.abs(loaded.canvases.astype(int) - tokens.canvases)
        assert 0 < difference.mean() < 6, "quality 95"
    else:
        assert_same(loaded.canvases, tokens.canvases)
    for name in ("src_patch_position", "group_ids", "canvas_kinds", "frame_ids", "timestamps", "substituted_frames"):
        assert_same(getattr(loaded, name), getattr(tokens, name), name)
    for name in ("fps", "config", "motion_source", "bits_source", "timings", "codec", "total_frames", "source_height"):
        assert getattr(loaded, name) == getattr(tokens, name), name


def test_printed_tokens_are_one_line(tokens):
    groups = len(tokens.group_edges) - 1
    expected = f"CodecTokens(canvases=8, groups={groups}, samples={len(tokens.frame_ids)}, tokens={tokens.num_tokens}, "
    assert repr(tokens) == f"{expected}evidence='codec', video={tokens.video!r})"
    torch = pytest.importorskip("torch")
    canvases, positions = torch.tensor(tokens.canvases), torch.tensor(tokens.src_patch_position)
    there = dataclasses.replace(tokens, canvases=canvases, src_patch_position=positions)
    assert repr(there) == repr(tokens)


def test_the_directory_is_what_readers_expect(tokens, tmp_path):
    tokens.save(tmp_path / "out")
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    count = len(tokens.canvases)
    assert meta["canvas_files"] == [f"canvas_{i:03d}.jpg" for i in range(count)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [*meta["canvas_files"], "frame_ids.npy", "meta.json", "src_patch_position.npy"]
    )
    positions = np.load(tmp_path / "out" / "src_patch_position.npy")
    assert positions.dtype == np.int32
    assert len(positions) % count == 0
    assert np.load(tmp_path / "out" / "frame_ids.npy").dtype == np.int32
    assert isinstance(meta["fps"], float)
    assert meta["hb_wb"] == list(tokens.grid)
    assert meta["num_groups"] == len(meta["groups"]) > 1
    assert [t for group in meta["groups"] for t in group["frame_ids"]] == tokens.frame_ids.tolist()
    assert sum(group["num_canvases"] for group in meta["groups"]) == count
    for name in [
        "total_frames",
        "orig_hw",
        "processed_hw",
        "patch",
        "S_full",
        "total_images",
        "sampled_frames",
        "images_per_group",
        "group_size",
        "codec_name",
        "timing_sec",
    ]:
        assert name in meta


def test_an_existing_target_is_refused(tokens, tmp_path):
    target = tmp_path / "out"
    tokens.save(target, format="npy")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        tokens.save(target)
    tokens.save(target, overwrite=True)
    assert (target / "canvas_000.jpg").exists()
    assert not (target / "canvas_000.npy").exists()
    home = tmp_path / "precious"
    home.mkdir()
    (home / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="not an asset directory"):
        tokens.save(home, overwrite=True)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_failed_save_leaves_nothing(tokens, tmp_path, monkeypatch):
    tokens.save(tmp_path / "out", format="npy")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ov2_kernels.assets._write_canvas", full)
    with pytest.raises(OSError, match="No space left"):
        tokens.save(tmp_path / "out", overwrite=True)
    with pytest.raises(OSError, match="No space left"):
        tokens.save(tmp_path / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert_same(CodecTokens.load(tmp_path / "out").canvases, tokens.canvases)


def test_a_failed_exchange_brings_the_old_one_back(tokens, tmp_path, monkeypatch):
    tokens.save(tmp_path / "out", format="npy")
    rename = Path.rename

    def fail_into_place(self, target):
        if Path(target) == tmp_path / "out" and not self.name.endswith(".replaced"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_into_place)
    with pytest.raises(OSError, match="Input/output error"):
        tokens.save(tmp_path / "out", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert_same(CodecTokens.load(tmp_path / "out").canvases, tokens.canvases)


def test_saving_leaves_the_umask_alone(tokens, tmp_path):
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: tokens.save(tmp_path / str(i)), range(12)))
        assert os.umask(0o027) == 0o027
        assert (tmp_path / "0").stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(before)


def test_unknown_formats_are_named(tokens, tmp_path):
    with pytest.raises(ValueError, match="format must be one of jpg, png, npy, got 'gif'"):
        tokens.save(tmp_path / "out", format="gif")


def test_a_damaged_directory_is_an_error(tokens, tmp_path):
    tokens.save(tmp_path / "whole", format="npy")

    def damaged(change):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "out")
        meta = json.loads((tmp_path / "out" / "meta.json").read_text())
        change(meta)
        (tmp_path / "out" / "meta.json").write_text(json.dumps(meta))
        return tmp_path / "out"

    with pytest.raises(ValueError, match=r"out/meta\.json: lacks fps"):
        CodecTokens.load(damaged(lambda meta: meta.pop("fps")))
    with pytest.raises(ValueError, match=r"canvas_files\[8\] cannot be '../../secret.png'"):
        CodecTokens.load(damaged(lambda meta: meta["canvas_files"].append("../../secret.png")))
    with pytest.raises(ValueError, match="do not fit its 7 canvases"):
        CodecTokens.load(damaged(lambda meta: meta["canvas_files"].pop()))
    with pytest.raises(ValueError, match=r"meta\.json: names no canvas"):
        CodecTokens.load(damaged(lambda meta: meta["canvas_files"].clear()))
    with pytest.raises(FileNotFoundError):
        CodecTokens.load(tmp_path / "nowhere")
    (tmp_path / "out" / "meta.json").write_text("{")
    with pytest.raises(ValueError, match=r"out/meta\.json: is not JSON"):
        CodecTokens.load(tmp_path / "out")


def test_model_inputs(tokens):
    inputs = tokens.model_inputs(as_torch=False)
    count, (hp, wp) = len(tokens.canvases), tokens.grid
    assert_same(inputs["image_grid_thw"], np.array([[1, hp, wp]] * count))
    groups = int(tokens.group_ids[-1]) + 1
    assert_same(inputs["cu_seqlens"][[0, -1]], np.array([0, count * hp * wp], dtype=np.int32))
    assert len(inputs["cu_seqlens"]) == groups + 1
    # Block order, by transposes: canvas, block row, block column, row and column inside the block.
    positions = tokens.src_patch_position.reshape(count, hp // 2, 2, wp // 2, 2, 3).transpose(0, 1, 3, 2, 4, 5)
    assert_same(inputs["patch_positions"], positions.reshape(-1, 3).astype(np.int64))
    p = tokens.config.patch
    pixels = tokens.canvases.reshape(count, hp // 2, 2, p, wp // 2, 2, p, 3).transpose(0, 1, 4, 2, 5, 7, 3, 6)
    channel = np.arange(3)[:, None, None]
    expected = normalization_table()[channel, pixels.reshape(-1, 3, p, p)]
    assert_same(inputs["pixel_values"], expected.reshape(-1, 3 * p * p))
    half = tokens.model_inputs("float16", as_torch=False)["pixel_values"]
    assert_same(half, inputs["pixel_values"].astype(np.float16))
    assert_same(tokens.model_inputs(np.float16, as_torch=False)["pixel_values"], half)


def test_model_inputs_in_torch(tokens):
    torch = pytest.importorskip("torch")
    inputs = tokens.model_inputs(torch.bfloat16)
    plain = tokens.model_inputs()
    assert plain["pixel_values"].dtype == torch.float32
    assert torch.equal(inputs["pixel_values"], plain["pixel_values"].to(torch.bfloat16))
    assert inputs["patch_positions"].dtype == torch.int64
    assert inputs["cu_seqlens"].dtype == torch.int32


def test_wrong_types_are_named(tokens, monkeypatch):
    with pytest.raises(ValueError, match="dtype must be float32, float16 or bfloat16, got 'int8'"):
        tokens.model_inputs("int8")
    with pytest.raises(ValueError, match="NumPy has none"):
        tokens.model_inputs("bfloat16", as_torch=False)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'ov2_kernels\[torch\]'"):
        tokens.model_inputs("bfloat16")
    assert isinstance(tokens.model_inputs()["pixel_values"], np.ndarray)
