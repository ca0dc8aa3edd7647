"""The page, the contact sheet and the video that show what was kept."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import re
import sys
import zlib

import av
import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, cli, ops, tokenize, tokenize_video
from ov2_kernels.mask_video import write_mask_video
from ov2_kernels.report import html_report, picture_kinds
from ov2_kernels.report.pictures import jpegs_within
from ov2_kernels.trace import kept_mask, runs, trace_tokens
from ov2_kernels.view import view_video
from PIL import Image

SMALL = {"target_canvas": 8, "group_size": 16, "min_samples": 1, "min_group_frames": 4, "max_pixels": 20000}
FLAGS = [
    part
    for name, value in {**SMALL, "score_mode": "fused"}.items()
    for part in (f"--{name.replace('_', '-')}", str(value))
]


@pytest.fixture(scope="module")
def tokens(clip_path):
    return tokenize_video(clip_path("h264_bframes"), **SMALL, score_mode="fused")


def page_data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def unpack(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=dtype)


def test_trace_is_what_the_tokens_were_chosen_by(tokens):
    trace = trace_tokens(tokens)
    config = tokens.config
    again = ops.select_blocks(trace.scores, tokens.group_edges, images_per_group=config.images_per_group)
    np.testing.assert_array_equal(trace.selected, again)
    canvases, positions = ops.pack_canvases(trace.pictures, trace.selected, tokens.frame_ids)
    np.testing.assert_array_equal(canvases, tokens.canvases)
    np.testing.assert_array_equal(positions, tokens.src_patch_position)
    assert kept_mask(tokens).sum() == tokens.num_tokens, "no block is kept twice"


def test_a_trace_of_tokens_scored_by_change(clip_path):
    tokens = tokenize_video(clip_path("vp9"), **SMALL, score_mode="change")
    trace = trace_tokens(tokens)
    np.testing.assert_array_equal(trace.selected, ops.select_blocks(trace.scores, tokens.group_edges))
    data = page_data(tokens.to_html())
    np.testing.assert_array_equal(unpack(data["scores"], "<u2"), np.minimum(trace.scores.ravel(), 65535))
    assert not any("vectors" in text for text in data["warnings"]), "none were looked for"
    assert tokens.motion_source == "none"
    assert trace.motion.any(), "the page shows vectors all the same"


def test_trace_of_another_video_is_refused(tokens, clip_path):
    with pytest.raises(ValueError, match="is not the video of these tokens"):
        trace_tokens(tokens, clip_path("h264_rotated_90"))
    with pytest.raises(ValueError, match="video must be given"):
        trace_tokens(dataclasses.replace(tokens, video=""))
    with pytest.raises(ValueError, match="kept whole"):
        tokenize(clip_path("h264_bframes"), "frames", num_frames=4).to_html()
    with pytest.raises(ValueError, match="video must be given"):
        tokenize(clip_path("h264_bframes").read_bytes(), **SMALL).to_html()


def test_a_page_holds_the_numbers_and_the_pictures(tokens):
    page = tokens.to_html()
    data = page_data(page)
    trace = trace_tokens(tokens)
    np.testing.assert_array_equal(unpack(data["selected"], "<u4"), trace.selected.ravel())
    np.testing.assert_array_equal(unpack(data["residual"], "<u2"), 16 * trace.residual.ravel() // 28**2)
    np.testing.assert_array_equal(unpack(data["motion"], "<u2"), trace.motion.ravel() // 49)
    np.testing.assert_array_equal(unpack(data["bits"], "<u4"), trace.bits.ravel() // 256)
    assert unpack(data["scores"], "<u2").max() == trace.scores.max() // 3 // 256
    np.testing.assert_array_equal(unpack(data["bars"], "<u4"), trace.info.size)
    times = unpack(data["barTimes"], "<u4").cumsum() / 10_000
    np.testing.assert_allclose(times, trace.info.times, rtol=0, atol=0.0001)
    assert len(data["canvases"]) == len(tokens.canvases)
    assert len(data["pictures"]) == len(tokens.frame_ids)
    for picture, canvas in zip(data["canvases"], tokens.canvases, strict=True):
        jpeg = Image.open(io.BytesIO(base64.b64decode(picture.removeprefix("data:image/jpeg;base64,"))))
        assert np.abs(np.asarray(jpeg).astype(int) - canvas).mean() < 8
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import""", page.split('id="data"')[0]), "no other file"


def test_a_page_from_tokens_on_disk(tokens, tmp_path):
    tokens.save(tmp_path / "tokens", format="png")
    loaded = CodecTokens.load(tmp_path / "tokens")
    assert loaded.to_html() == tokens.to_html()


def test_a_page_stays_within_its_limit(tokens):
    small = tokens.to_html(max_bytes=150_000)
    assert len(small) <= 150_000
    with pytest.raises(ValueError, match="max_bytes leaves too little room"):
        tokens.to_html(max_bytes=30_000)


def test_names_cannot_break_out_of_the_page(tokens):
    name = "</script><script>alert(1)</script>{{data}}.mp4"
    page = html_report(dataclasses.replace(tokens, video=name), tokens.video)
    assert "<script>alert" not in page
    assert page_data(page)["name"].endswith("{{data}}.mp4")


def test_pictures_get_smaller_until_they_fit():
    noise = np.random.default_rng(1).integers(0, 256, (20, 56, 84, 3), dtype=np.uint8)
    roomy = jpegs_within(noise, 10**6)
    tight = jpegs_within(noise, 20_000)
    assert sum(map(len, tight)) <= 20_000 < sum(map(len, roomy))
    assert Image.open(io.BytesIO(roomy[0])).size == (84, 56)


@pytest.mark.parametrize("name", ["h264_bframes", "h264_deep_pyramid", "mpeg4_bframes", "mpeg2", "h264_baseline"])
def test_picture_kinds_without_opening_packets(name, clip_path):
    info = ops.probe(clip_path(name))
    told = ops.read_samples(
        clip_path(name), np.arange(info.frames), 84, 140, info=info, motion_source="none"
    ).pict_types
    kinds = picture_kinds(info)
    np.testing.assert_array_equal(np.char.decode(told)[~info.is_key], kinds[~info.is_key])
    assert (kinds[info.is_key] == "I").all()


def test_warnings_and_facts(clip_path):
    data = page_data(tokenize_video(clip_path("vp9"), **SMALL, score_mode="fused").to_html())
    assert any("estimated" in text for text in data["warnings"])
    assert ["target_canvas", "8"] in data["tables"]["Settings other than the defaults"]
    data = page_data(tokenize_video(clip_path("mjpeg"), **{**SMALL, "target_canvas": 32}, score_mode="fused").to_html())
    assert any("every picture is a keyframe" in text for text in data["warnings"])
    assert any("material for" in text for text in data["warnings"])
    data = page_data(tokenize_video(clip_path("h264_raw_cut"), **SMALL).to_html())
    assert any("for each stands a picture near it" in text for text in data["warnings"])


def test_samples_of_a_part_are_as_far_apart_as_they_are(clip_path):
    clip = clip_path("h264_bframes")
    for bounds, samples in [({"start_time": 0.2, "end_time": 0.6}, None), ({"end_time": 0.0}, 1)]:
        tokens = tokenize_video(clip, **SMALL, **bounds)
        expected = f"every {np.diff(tokens.timestamps).mean():.2f} s" if samples is None else "at 0.00 s"
        told = next(line for line in page_data(tokens.to_html())["summary"] if line[0] == "samples")
        assert told == ["samples", f"{len(tokens.frame_ids)}", expected]


def test_bars_of_a_long_video_begin_at_the_times_of_their_first_frames(clip_path, monkeypatch):
    monkeypatch.setattr("ov2_kernels.report._MOST_BARS", 8)
    tokens = tokenize_video(clip_path("h264_variable_rate"), **SMALL)
    data = page_data(tokens.to_html())
    assert data["framesPerBar"] == 4
    times = unpack(data["barTimes"], "<u4").cumsum() / 10_000
    np.testing.assert_allclose(times, ops.probe(tokens.video).times[::4], rtol=0, atol=0.0001)


def test_view_writes_a_page_a_sheet_and_a_video(tokens, clip_path, tmp_path, capsys):
    outputs = [tmp_path / name for name in ("deep/page.html", "sheet.png", "kept.mp4")]
    command = ["view", str(clip_path("h264_bframes")), *FLAGS, "-o", str(outputs[0])]
    command += ["--png", str(outputs[1]), "--mask-video", str(outputs[2])]
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert [line.split("  ")[0] for line in printed.out.splitlines()] == [str(path) for path in outputs]
    assert printed.err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "kept.mp4", "sheet.png"]
    data = page_data(outputs[0].read_text())
    assert data["sampleFrames"] == tokens.frame_ids.tolist()
    with Image.open(outputs[1]) as sheet:
        assert sheet.width > 1000
    assert cli.main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite"]) == 0


def test_neither_the_video_nor_another_output_is_replaced(clip_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ov2_kernels.view.tokenize_video", None)
    clip = tmp_path / "clip.png"
    clip.write_bytes(clip_path("h264_bframes").read_bytes())
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(clip)
    for flag in ("-o", "--png", "--mask-video"):
        for path in (clip, tmp_path / "link" / "clip.png", tmp_path / "link.png"):
            assert cli.main(["view", str(clip), *FLAGS, flag, str(path), "--overwrite"]) == 1
            assert "is the input" in capsys.readouterr().err
    same = ["-o", str(tmp_path / "x.png"), "--png", str(tmp_path / "link" / "x.png")]
    assert cli.main(["view", str(clip), *FLAGS, *same]) == 1
    assert "page and png must be different files" in capsys.readouterr().err
    assert clip.read_bytes() == clip_path("h264_bframes").read_bytes()


def test_a_sheet_is_a_png(clip_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ov2_kernels.view.tokenize_video", None)
    assert cli.main(["view", str(clip_path("h264_bframes")), "--png", str(tmp_path / "v.jpg")]) == 1
    assert "its name must end in .png" in capsys.readouterr().err


def test_an_existing_page_is_said_in_words_of_the_command(clip_path, tmp_path, capsys):
    page = tmp_path / "page.html"
    page.touch()
    assert cli.main(["view", str(clip_path("h264_bframes")), "-o", str(page)]) == 1
    assert capsys.readouterr().err == f"ov2-kernels: {page}: exists already; --overwrite replaces it\n"


def test_only_the_page_needs_the_trace(clip_path, tmp_path, monkeypatch):
    clip = clip_path("h264_bframes")
    view_video(clip, CodecConfig(**SMALL), png=tmp_path / "both.png", page=tmp_path / "page.html")
    monkeypatch.setattr("ov2_kernels.report.trace_tokens", None)
    view_video(clip, CodecConfig(**SMALL), png=tmp_path / "alone.png", mask_video=tmp_path / "kept.mp4")
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "both.png").read_bytes()


def test_of_many_samples_those_are_shown_that_gave_a_block(clip_path, monkeypatch):
    few_canvases = {**SMALL, "target_canvas": 4, "images_per_group": 2, "group_size": 20}
    tokens = tokenize_video(clip_path("h264_bframes"), **few_canvases)
    whole, page = trace_tokens(tokens), page_data(html_report(tokens))
    monkeypatch.setattr("ov2_kernels.trace.MOST_PICTURES", len(tokens.frame_ids) - 1)
    trace = trace_tokens(tokens)
    gave = np.flatnonzero(kept_mask(tokens).any(axis=(1, 2)))
    assert 0 < len(gave) < len(tokens.frame_ids), "else this tells nothing"
    np.testing.assert_array_equal(trace.shown, gave)
    np.testing.assert_array_equal(trace.pictures, whole.pictures[gave])
    np.testing.assert_array_equal(trace.scores, whole.scores)
    few = page_data(html_report(tokens))
    assert few["sampleFrames"] == tokens.frame_ids[gave].tolist()
    assert len(few["pictures"]) == len(gave)
    assert f"{len(gave)} gave tokens and are shown" in {row[0]: row[2] for row in few["summary"]}["samples"]
    ids, blocks = np.array(page["sampleFrames"]), whole.selected.shape[1]
    sources = [np.divmod(unpack(p["selected"], "<u4"), blocks) for p in (page, few)]
    np.testing.assert_array_equal(sources[0][1], sources[1][1])
    np.testing.assert_array_equal(ids[sources[0][0]], np.array(few["sampleFrames"])[sources[1][0]])
    starts = [np.array(p["sampleFrames"])[p["groupEdges"][:-1]] for p in (page, few)]
    np.testing.assert_array_equal(*starts)
    assert few["groups"] == page["groups"], "samples and times of a group are those of all its samples"
    assert sum(int(text.split()[-2]) for text in few["groups"]) == len(tokens.frame_ids)
    assert (page["allShown"], few["allShown"]) == (True, False)


@pytest.mark.parametrize("options", [{}, {"score_mode": "fused"}])
def test_a_trace_read_by_groups_is_the_same(clip_path, monkeypatch, options):
    tokens = tokenize_video(clip_path("h264_bframes"), CodecConfig(**SMALL, **options))
    whole = trace_tokens(tokens)
    monkeypatch.setattr("ov2_kernels.trace._AT_ONCE", 1)
    told = []
    parts = trace_tokens(tokens, progress=told.append)
    assert len(tokens.group_edges) > 2
    for name in ("shown", "pictures", "packet_bytes", "pict_types", "residual", "motion", "bits", "scores", "selected"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name), err_msg=name, strict=True)
    assert told == sorted(told)
    assert told[-1] == len(tokens.frame_ids)


def test_runs_of_groups_are_whole_and_no_longer_than_they_need_be():
    edges = np.array([0, 5, 9, 30, 33, 34, 50])
    assert runs(edges, 10) == [(0, 9), (9, 30), (30, 34), (34, 50)]
    assert runs(edges, 1) == list(itertools.pairwise(edges.tolist()))
    assert runs(edges, 99) == [(0, 50)]


def test_a_page_of_a_video_whose_name_is_not_utf8(tokens):
    page = html_report(dataclasses.replace(tokens, video="caf\udce9.mp4"), tokens.video)
    assert "<title>caf?.mp4" in page.encode().decode()


def test_a_mask_video_shows_frames_at_their_times_and_dims_what_is_not_kept(tokens, clip_path, tmp_path):
    path = tmp_path / "kept.mkv"
    assert cli.main(["view", str(clip_path("h264_bframes")), *FLAGS, "--mask-video", str(path)]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["kept.mkv"], "no page where only the video is asked for"
    trace = trace_tokens(tokens)
    with av.open(str(path)) as container:
        shown = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert [t for t, _ in shown] == pytest.approx((tokens.timestamps - tokens.timestamps[0]).tolist(), abs=0.001)
    for (_, both), frame, mask in zip(shown, trace.pictures, kept_mask(tokens), strict=True):
        left, right = np.hsplit(both.astype(int), 2)
        bright = mask.repeat(28, axis=0).repeat(28, axis=1)
        assert np.abs(left - frame).mean() < 8
        assert np.abs(right - left)[bright].mean() < 8
        if not mask.all():
            assert (left - right)[~bright].mean() > 40


def test_a_mask_video_is_of_the_tokens_own_video(tokens, clip_path, tmp_path):
    path = tmp_path / "kept.mp4"
    with pytest.raises(ValueError, match="is not the video of these tokens"):
        write_mask_video(path, tokens, clip_path("h264_rotated_90"))
    ready = tokenize_video(tokens.video, target_canvas=4, group_size=16, profile="readiness", max_pixels=20000)
    with pytest.raises(ValueError, match="tokens of the profile readiness cannot be traced"):
        write_mask_video(path, ready, tokens.video)
    assert not path.exists()


def test_a_mask_video_read_by_and_by_is_the_same(tokens, tmp_path, monkeypatch):
    told = []
    write_mask_video(tmp_path / "whole.mkv", tokens, tokens.video, progress=told.append)
    assert (told, told[-1]) == (sorted(told), len(tokens.frame_ids))
    monkeypatch.setattr("ov2_kernels.mask_video._AT_ONCE", 5)
    write_mask_video(tmp_path / "parts.mkv", tokens, tokens.video, progress=told.append)
    shown = []
    for name in ("whole.mkv", "parts.mkv"):
        with av.open(str(tmp_path / name)) as container:
            shown.append(np.array([frame.to_ndarray() for frame in container.decode(video=0)]))
    np.testing.assert_array_equal(*shown)


def test_what_goes_wrong_is_said_and_leaves_nothing(clip_path, tmp_path, monkeypatch, capsys):
    video = str(clip_path("h264_bframes"))
    assert cli.main(["view", video, *FLAGS, "--mask-video", str(tmp_path / "kept.nonsense")]) == 1
    assert "no container for the suffix '.nonsense'" in capsys.readouterr().err
    for suffix in (".webm", ".gif", ".ogg", ".y4m"):
        path = tmp_path / f"kept{suffix}"
        assert cli.main(["view", video, *FLAGS, "--mask-video", str(path)]) == 1
        said = f"{path}: the container of the suffix '{suffix}' takes no libx264; .mp4 and .mkv do"
        assert capsys.readouterr().err.splitlines()[-1] == f"ov2-kernels: {said}"
    assert cli.main(["view", video, *FLAGS, "--mask-video", str(tmp_path / "kept")]) == 1
    assert "must end in .mp4" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "av", None)
    assert cli.main(["view", video, *FLAGS, "--mask-video", str(tmp_path / "kept.mp4")]) == 1
    assert "pip install 'ov2_kernels[reference]'" in capsys.readouterr().err
    assert cli.main(["view", video, "--target-canvas", "30", "-o", str(tmp_path / "page.html")]) == 2
    assert cli.main(["view", video, *FLAGS, "-o", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []
