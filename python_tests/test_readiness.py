"""The readiness profile: each step against a plain one, and the whole."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, bit_cost, native, ops, readiness, reference, tokenize_video

from clips import encode, scene
from parity import assert_same

RULES = readiness.ReadinessRules()


def info_of(clip_path, keys, total):
    info = ops.probe(clip_path("h264_bframes"))
    is_key = np.zeros(total, dtype=bool)
    is_key[list(keys)] = True
    return dataclasses.replace(info, size=np.ones(total, np.int64), is_key=is_key)


@pytest.mark.parametrize(
    ("keys", "total", "count", "expected"),
    [
        ((), 10, 4, [0, 3, 6, 9]),
        ((3,), 10, 4, [0, 4, 6, 9]),
        ((9,), 10, 4, [0, 3, 6, 8]),
        ((0, 1, 2, 3, 4, 5), 12, 2, [0, 11]),  # no other frame within four
        ((0, 3), 4, 4, [0, 1, 2, 3]),  # all are wanted, so keyframes come back
        ((4,), 9, 5, [0, 2, 5, 6, 8]),
        ((2, 3), 8, 4, [0, 1, 4, 7]),  # two moved to one place: the nearest unused frame fills in
    ],
)
def test_samples(clip_path, keys, total, count, expected):
    got = readiness.readiness_samples(info_of(clip_path, keys, total), count)
    assert got.tolist() == expected
    assert got.dtype == np.int64


def test_samples_may_stay_on_keyframes(clip_path):
    info = info_of(clip_path, (0, 3), 10)
    assert readiness.readiness_samples(info, 4, avoid_keyframes=False).tolist() == [0, 3, 6, 9]


def test_scores_are_sums_over_the_pixels_of_a_block():
    rng = np.random.default_rng(2)
    maps = (rng.integers(0, 4000, (3, 9, 12)) * (rng.random((3, 9, 12)) < 0.6)).astype(np.float32)
    scores = readiness.readiness_scores(maps, 140, 168)
    for one, got in zip(maps, scores, strict=True):
        values = np.log1p(one)
        values = np.clip(values / max(np.percentile(values, 99), 1e-6), 0, 1)
        rows = [int(y * 9 / 140) for y in range(140)]
        columns = [int(x * 12 / 168) for x in range(168)]
        pixels = values[rows][:, columns]
        np.testing.assert_allclose(got, pixels.reshape(5, 28, 6, 28).sum((1, 3)), rtol=1e-5, atol=1e-4)
    assert scores.dtype == np.float32


def test_an_empty_map_scores_nothing():
    assert not readiness.readiness_scores(np.zeros((2, 4, 5), np.float32), 56, 56).any()


def plain_groups(scores, images, size, least, most):
    """The rule as it is told, from scratch for every length."""

    def measure(start, end):
        flat = scores[start + 1 : end].reshape(-1)
        at = np.argsort(-flat, kind="stable")[: (images - 1) * scores[0].size]
        edges = np.linspace(1, max(2, end - start), 4).astype(int)
        sample = at // scores[0].size + 1
        bins = {next((b for b in range(3) if edges[b] <= t < max(edges[b + 1], edges[b] + 1)), None) for t in sample}
        return float(flat[at].sum(dtype=np.float64)), len(bins - {None})

    fixed = [measure(s, min(len(scores), s + size))[0] for s in range(0, len(scores), size) if len(scores) - s >= 4]
    threshold = np.mean(fixed)
    edges = [0]
    while len(scores) - edges[-1] >= least:
        start, chosen, before = edges[-1], None, None
        for end in range(start + least, min(len(scores), start + most) + 1):
            now, bins = measure(start, end)
            if now >= threshold and bins >= min(3, images - 1):
                chosen = end
                if before is not None and (now - before) / max(before, 1e-6) < 0.05:
                    break
            before = now
        edges.append(chosen or min(len(scores), start + most))
    return edges


@pytest.mark.parametrize("seed", range(8))
def test_groups_end_when_they_are_ready(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 90))
    scores = (rng.random((n, 3, 4)) ** 3 * rng.random((n, 1, 1))).astype(np.float32)
    images = int(rng.integers(2, 5))
    got = readiness.readiness_groups(scores, images_per_group=images, group_size=16, max_group_frames=24)
    assert got.tolist() == plain_groups(scores, images, 16, 8, 24)
    assert len(got) > 2


def test_few_samples_are_one_group():
    assert readiness.readiness_groups(np.ones((5, 2, 2), np.float32)).tolist() == [0, 5]


def test_bad_samples_give_no_blocks():
    scores = np.arange(40, dtype=np.float32).reshape(10, 2, 2)
    bad = np.zeros(10, dtype=bool)
    bad[[0, 1, 9]] = True
    selected, groups, first = readiness.readiness_blocks(scores, bad, np.array([0, 8, 10]), images_per_group=3)
    assert selected.tolist() == [[8, 9, 10, 11], [24, 25, 26, 27], [28, 29, 30, 31], [32, 33, 34, 35]]
    assert groups.tolist() == [0, 0, 0, 1]
    assert first.tolist() == [True, False, False, True]


def bad_pictures():
    rng = np.random.default_rng(8)
    noise = rng.integers(0, 256, (56, 84, 3), dtype=np.uint8)
    black = rng.integers(0, 12, (56, 84, 3), dtype=np.uint8)
    flat = rng.integers(100, 106, (56, 84, 3), dtype=np.uint8)
    green = noise.copy()
    green[:20] = (40, 200, 50)
    cast = np.full((56, 84, 3), (20, 140, 30), np.uint8) + rng.integers(0, 30, (56, 84, 3), dtype=np.uint8)
    part = noise.copy()
    part[:15] = (40, 200, 50)
    return [(noise, False), (black, True), (flat, True), (green, True), (cast, True), (part, False)]


def test_bad_frames():
    pictures, expected = zip(*bad_pictures(), strict=True)
    frames = np.stack(pictures)
    assert ops.bad_frames(frames).tolist() == list(expected)
    assert_same(native.bad_frames(frames, threads=3), reference.bad_frames(frames))


@pytest.mark.parametrize("seed", range(20))
def test_bad_frames_native_equals_the_reference(seed):
    rng = np.random.default_rng(seed)
    base, spread = rng.integers(0, 240, 3), rng.integers(1, 20)
    frames = (base + rng.integers(0, spread, (4, 28, 56, 3))).clip(0, 255).astype(np.uint8)
    assert_same(native.bad_frames(frames), reference.bad_frames(frames))


def test_bad_frames_refuses_what_is_no_picture():
    with pytest.raises(ValueError, match="frames must have from 1 to"):
        ops.bad_frames(np.zeros((2, 0, 4, 3), np.uint8))


def test_the_whole(clip_path, tmp_path):
    path = clip_path("h264_bframes")
    options = {"target_canvas": 8, "max_pixels": 20_000, "group_size": 12, "max_group_frames": 16}
    tokens = tokenize_video(path, profile="readiness", **options)
    info = ops.probe(path)
    ids = readiness.readiness_samples(info, 24)
    assert_same(tokens.frame_ids, ids)
    cost = bit_cost(path, ids, whole_bytes=True, run_to_first_skipped=True, terminate_to_nobody=True)
    height, width = tokens.canvases.shape[1:3]
    scores = readiness.readiness_scores(readiness.readiness_maps(cost, info, RULES), height, width)
    edges = readiness.readiness_groups(scores, group_size=12, max_group_frames=16)
    assert_same(tokens.group_edges, edges)
    assert (tokens.bits_source, tokens.exact_pictures, tokens.motion_source) == ("exact", 24, "none")
    # The blocks of a group are its best ones.
    hp, wp = tokens.grid
    places = tokens.src_patch_position.reshape(len(tokens.canvases), hp, wp, 3)[:, ::2, ::2]
    for group, (start, end) in enumerate(itertools.pairwise(edges)):
        kept = places[(tokens.group_ids == group) & (tokens.canvas_kinds == "P")].reshape(-1, 3)
        mask = np.zeros(scores.shape, dtype=bool)
        mask[np.searchsorted(ids, kept[:, 0]), kept[:, 1] // 2, kept[:, 2] // 2] = True
        assert mask.sum() == 3 * scores[0].size
        assert (
            scores[start + 1 : end][mask[start + 1 : end]].min()
            >= scores[start + 1 : end][~mask[start + 1 : end]].max()
        )
    tokens.save(tmp_path / "tokens", format="npy")
    assert_same(CodecTokens.load(tmp_path / "tokens").group_edges, edges)


def test_a_codec_that_is_not_parsed_is_estimated(clip_path):
    tokens = tokenize_video(clip_path("mpeg4_bframes"), profile="readiness", target_canvas=8, max_pixels=20_000)
    assert (tokens.bits_source, tokens.exact_pictures) == ("estimated", 0)
    assert len(tokens.canvases) >= 4


def test_a_black_start_is_passed_over(tmp_path):
    pictures = list(scene(20, 96, 160))
    for picture in pictures[:3]:
        picture[:] = 0
    path = encode(tmp_path / "clip.mp4", pictures, options={"g": "40"})
    tokens = tokenize_video(path, profile="readiness", target_canvas=4, max_pixels=20_000, avoid_keyframes=False)
    assert tokens.src_patch_position[:, 0].min() == 3


def test_what_the_profile_does_not_take():
    with pytest.raises(ValueError, match="profile readiness takes no sample_fps"):
        CodecConfig(profile="readiness", sample_fps=2.0)
    with pytest.raises(ValueError, match="profile must be one of default, readiness"):
        CodecConfig(profile="ready")
    with pytest.raises(ValueError, match="profile readiness is for the CPU"):
        tokenize_video(__file__, profile="readiness", device="cpu")
