"""Training data: manifests, order, resuming, broken videos, mixtures and batches."""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import pytest

if os.environ.get("OV2_REQUIRE_TORCH") != "1":
    pytest.importorskip("torch")
    pytest.importorskip("torchdata")

import torch
from ov2_kernels import CodecConfig, VideoError, tokenize_frames, tokenize_video, vision_prompt
from ov2_kernels import dataset as dataset_module
from ov2_kernels.dataset import Manifest, TokenDataset, collate
from ov2_kernels.limits import Limits
from ov2_kernels.mixture import Mixture
from PIL import Image
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata asks torch for every name
]

SMALL = {"target_canvas": 4, "group_size": 8, "max_pixels": 4_000}
REPORT = {"codec": 0.5, "frames": 0.375, "image": 0.125}


def write(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.fixture
def manifest(clip_path, tmp_path):
    """Nine entries of one clip."""
    entries = [{"video": str(clip_path("h264_bframes")), "caption": f"number {i}"} for i in range(9)]
    return write(tmp_path / "manifest.jsonl", entries)


@pytest.fixture
def quick(clip_path, monkeypatch):
    """Nothing is decoded, and paths that say so are broken: for tests of order."""
    tokens = tokenize_frames(clip_path("h264_bframes"), num_frames=1, max_pixels=4_000)

    def fake(video, mode, **options):
        if "broken" in video:
            raise VideoError(f"{video}: cannot open it as a video")
        return tokens

    monkeypatch.setattr(dataset_module, "tokenize", fake)


def indices(items):
    return [item["index"] for item in items]


def test_items_are_model_inputs(clip_path, tmp_path):
    clip = clip_path("h264_bframes")
    os.symlink(clip, tmp_path / "clip.mp4")
    entries = [{"video": "clip.mp4", "start": 0.2, "end": 1.0, "answer": ["a", 1]}, {"video": str(clip)}]
    manifest = write(tmp_path / "manifest.jsonl", entries)
    items = list(TokenDataset(manifest, dtype="bfloat16", **SMALL))
    tokens = tokenize_video(clip, start_time=0.2, end_time=1.0, **SMALL)
    for name, expected in tokens.model_inputs("bfloat16").items():
        assert torch.equal(items[0][name], expected), name
        assert items[0][name].dtype == expected.dtype
    assert items[0]["entry"] == entries[0]
    assert items[0]["vision_prompt"] == vision_prompt(tokens)
    assert indices(items) == [0, 1]
    frames = next(iter(TokenDataset(manifest, mode="frames", num_frames=2, max_pixels=4_000)))
    expected = tokenize_frames(clip, num_frames=2, start_time=0.2, end_time=1.0, max_pixels=4_000).model_inputs()
    assert torch.equal(frames["pixel_values"], expected["pixel_values"])


def test_manifests_are_checked_at_once(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"video": "a.mp4"}\n\n  \n{"video": "b\\u00e4.mp4", "x": 1}')
    manifest = Manifest(path)
    assert len(manifest) == 2
    assert manifest[1] == {"video": "bä.mp4", "x": 1}
    assert manifest.video(manifest[1]) == str(tmp_path / "bä.mp4")
    assert manifest.video({"video": "/far/away.mp4"}) == "/far/away.mp4"
    for text, message in [
        ('{"video": "a.mp4"}\n\n{"video"', r"m\.jsonl, line 3: not JSON"),
        ('["a.mp4"]', "line 1: an entry is an object with a path as video"),
        ('{"image": "a.png"}', "line 1: an entry is an object with a path as video"),
        ('{"video": "a.mp4", "start": "1:00"}', "line 1: start must be at least 0, a number, got '1:00'"),
        ('{"video": "a.mp4", "end": true}', "line 1: end must be at least 0, a number, got True"),
        ('{"video": "a.mp4", "start": NaN}', "line 1: start must be at least 0, a number, got nan"),
        ('{"video": "a.mp4", "end": Infinity}', "line 1: end must be at least 0, a number, got inf"),
        ('\n{"video": "a.mp4", "start": -0.5}', "line 2: start must be at least 0, a number, got -0.5"),
        ('{"video": "a.mp4", "start": 2, "end": 1.5}', "line 1: end must be at least 2, a number, got 1.5"),
        ("\n", "the manifest has no entries"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            TokenDataset(path)


def test_order(manifest, quick):
    assert indices(TokenDataset(manifest)) == list(range(9))
    one, two = (TokenDataset(manifest, shuffle=True, seed=5) for _ in range(2))
    epochs = [indices(one) for _ in range(3)]
    assert epochs == [indices(two) for _ in range(3)], "reproducible; who iterates to the end is in the next epoch"
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    one.set_epoch(1)
    assert indices(one) == epochs[1]
    assert indices(TokenDataset(manifest, shuffle=True, seed=6)) != epochs[0]
    ranks = [indices(TokenDataset(manifest, shuffle=True, seed=5, rank=r, world_size=2)) for r in range(2)]
    assert sorted(ranks[0] + ranks[1]) == list(range(9))
    assert ranks[0] == epochs[0][::2]


def test_resuming_in_one_process(manifest, quick):
    whole = list(itertools.chain.from_iterable(indices(d) for d in [TokenDataset(manifest, shuffle=True)] * 2))
    for stop in range(1, 12):
        first = TokenDataset(manifest, shuffle=True)
        seen = []
        while len(seen) < stop:
            for item in first:
                seen.append(item["index"])
                if len(seen) == stop:
                    break
        state = json.loads(json.dumps(first.state_dict()))
        second = TokenDataset(manifest, shuffle=True)
        second.load_state_dict(state)
        while len(seen) < len(whole):
            seen += indices(second)
        assert seen == whole


def test_a_state_of_another_order_is_refused(manifest, quick, tmp_path):
    state = TokenDataset(manifest).state_dict()
    with pytest.raises(ValueError, match="of another order: seed is 0 there, 1 here"):
        TokenDataset(manifest, seed=1).load_state_dict(state)
    shorter = write(tmp_path / "shorter.jsonl", [{"video": "a.mp4"}])
    with pytest.raises(ValueError, match="entries is 9 there, 1 here"):
        TokenDataset(shorter).load_state_dict(state)


@pytest.mark.parametrize("stages", [[("fork", 3), ("fork", 2), (None, 0)], [("spawn", 1), (None, 0)]])
def test_workers(manifest, stages):
    """An epoch, a batch of it from each number of workers and all that is left from the last."""
    dataset = TokenDataset(manifest, shuffle=True, seed=2, **SMALL)
    seen = []
    for context, workers in stages:
        state = json.loads(json.dumps(dataset.state_dict()))
        dataset = TokenDataset(manifest, shuffle=True, seed=2, **SMALL)
        dataset.load_state_dict(state)
        loader = DataLoader(
            dataset, batch_size=2, num_workers=workers, collate_fn=collate, multiprocessing_context=context
        )
        for place, batch in enumerate(loader):
            # What is not consumed is fetched all the same: a spawned worker that torch ends while it still sends aborts
            # now and then, whatever the dataset.
            if place == 0 or not workers:
                seen += batch["index"]
                dataset.consumed(batch)
    assert sorted(seen) == list(range(9)), "each once"
    expected = tokenize_video(json.loads(manifest.read_text().splitlines()[0])["video"], **SMALL).model_inputs()
    rows = len(expected["pixel_values"])
    assert torch.equal(batch["pixel_values"][:rows], expected["pixel_values"])


def test_workers_that_persist_go_on(manifest):
    dataset = TokenDataset(manifest, shuffle=True, **SMALL)
    options = {"batch_size": None, "num_workers": 2, "persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(dataset, **options)
    epochs = [indices(loader) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(9))] * 2
    assert epochs[0] != epochs[1]
    for item in loader:
        dataset.consumed(item)
    assert dataset.epoch == 2


def test_loaders_that_keep_the_state_of_each_worker(manifest):
    def make():
        dataset = TokenDataset(manifest, shuffle=True, **SMALL)
        options = {"batch_size": 1, "num_workers": 2, "collate_fn": collate, "multiprocessing_context": "fork"}
        return StatefulDataLoader(dataset, **options)

    whole = [batch["index"] for batch in make()]
    loader = make()
    seen = [batch["index"] for batch in itertools.islice(loader, 5)]
    state = loader.state_dict()
    loader = make()
    loader.load_state_dict(state)
    assert seen + [batch["index"] for batch in loader] == whole


def test_broken_videos(clip_path, tmp_path, caplog):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of use")
    good = str(clip_path("h264_bframes"))
    videos = [good, "broken.mp4", good, "nowhere.mp4", good, good]
    manifest = write(tmp_path / "manifest.jsonl", [{"video": video} for video in videos])
    with pytest.raises(VideoError, match=r"broken\.mp4: cannot open it"):
        list(TokenDataset(manifest, **SMALL))
    dataset = TokenDataset(manifest, on_error="skip", record=tmp_path / "skipped.jsonl", **SMALL)
    assert indices(dataset) == [0, 2, 4, 5]
    assert [row["index"] for row in dataset.skipped] == [1, 3]
    assert dataset.skipped[0]["video"] == str(broken)
    assert "cannot open it as a video" in dataset.skipped[0]["error"]
    assert "skipped" in caplog.text
    lines = (tmp_path / "skipped.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == dataset.skipped
    dataset.set_epoch(0)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert sorted(indices(loader)) == [0, 2, 4, 5]
    added = [json.loads(line)["index"] for line in (tmp_path / "skipped.jsonl").read_text().splitlines()[2:]]
    assert sorted(added) == [1, 3], "by the workers"


def test_a_wrong_setting_is_no_broken_video(manifest):
    for mode in ("auto", "codec", "frames", "image"):
        with pytest.raises(TypeError, match="colour"):
            TokenDataset(manifest, mode=mode, on_error="skip", colour=True)
    for mode in ("frames", "image"):
        with pytest.raises(TypeError, match="target_canvas"):
            TokenDataset(manifest, mode=mode, on_error="skip", target_canvas=4)
    for options, message in [
        ({"target_canvas": 30}, "images_per_group must divide target_canvas, got 4 for 30"),
        ({"mode": "auto", "score_mode": "best"}, "score_mode must be one of"),
        ({"config": CodecConfig(), "patch": 15}, "patch must be even"),
        ({"mode": "frames", "num_frames": 0}, "num_frames must be at least 1, an integer, got 0"),
        ({"mode": "frames", "end_time": -1.0}, "end_time must be at least 0"),
        ({"mode": "frames", "limits": 3}, "limits must be Limits, got 3"),
        ({"mode": "frames", "threads": 0}, "threads must be at least 1"),
        ({"mode": "image", "max_pixels": 10}, "max_pixels must be at least"),
        ({"backend": "fast"}, "backend must be one of auto, native, reference, triton, got 'fast'"),
        ({"device": "moon"}, "device must be one that torch knows, got 'moon'"),
        ({"dtype": "int8"}, "dtype must be float32, float16 or bfloat16, got 'int8'"),
        ({"seed": -1}, "seed must be at least 0, an integer, got -1"),
        ({"mode": "video"}, "mode must be one of auto, codec, frames, image, got 'video'"),
        ({"on_error": "ignore"}, "on_error must be one of raise, skip, got 'ignore'"),
        ({"rank": 2, "world_size": 2}, r"rank must be in 0 \.\. world_size - 1 = 1, got 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            TokenDataset(manifest, **{"on_error": "skip", **options})
    TokenDataset(manifest, mode="frames", start_time=1, end_time=2, target_fps=1, patch=16, threads=2, limits=Limits())
    TokenDataset(manifest, dtype=torch.bfloat16, config=CodecConfig(), target_canvas=8, start_time=2.0)


def test_images_that_are_treated_as_videos_are_broken(manifest, clip_path, tmp_path):
    Image.new("RGB", (56, 56), "red").save(tmp_path / "red.png")
    images = write(tmp_path / "images.jsonl", [{"video": "red.png"}, {"video": "red.png", "start": 1.0}])
    with pytest.raises(ValueError, match=r"red\.png: it is an image, for which there is no start_time"):
        list(TokenDataset(images, mode="image"))
    for mode in ("auto", "image"):
        dataset = TokenDataset(images, mode=mode, on_error="skip")
        assert indices(dataset) == [0]
        assert [row["index"] for row in dataset.skipped] == [1]
    mixed = write(tmp_path / "mixed.jsonl", [{"video": "red.png"}, {"video": str(clip_path("h264_bframes"))}])
    dataset = TokenDataset(mixed, mode="auto", on_error="skip", **SMALL)
    assert indices(dataset) == [1]
    assert "red.png: it is an image, for which there is no target_canvas, group_size" in dataset.skipped[0]["error"]


def mixture(manifest, **options):
    return Mixture({name: TokenDataset(manifest, shuffle=True, **options) for name in REPORT}, REPORT)


def test_shares_are_exact(manifest, quick):
    sources = [item["source"] for item in itertools.islice(mixture(manifest), 400)]
    for count in range(1, 401):
        for name, share in REPORT.items():
            assert abs(sources[:count].count(name) - share * count) < 1
            assert count % 8 or sources[:count].count(name) == share * count
    assert sources == [item["source"] for item in itertools.islice(mixture(manifest), 400)]
    thirds = Mixture({n: TokenDataset(manifest) for n in "abc"}, dict.fromkeys("abc", 1))
    assert [item["source"] for item in itertools.islice(thirds, 6)] == list("abcabc")


def test_a_mixture_resumes(manifest, quick):
    def drawn(items):
        return [(item["source"], item["index"]) for item in items]

    whole = drawn(itertools.islice(mixture(manifest), 60))
    for stop in (1, 7, 8, 31):
        first = mixture(manifest)
        seen = drawn(itertools.islice(first, stop))
        second = mixture(manifest)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert seen + drawn(itertools.islice(second, 60 - stop)) == whole


def test_a_mixture_of_evidence_in_workers(manifest, clip_path, tmp_path):
    Image.new("RGB", (56, 56), "red").save(tmp_path / "red.png")
    images = write(tmp_path / "images.jsonl", [{"video": "red.png"}] * 2)

    def make():
        datasets = {
            "codec": TokenDataset(manifest, shuffle=True, **SMALL),
            "frames": TokenDataset(manifest, mode="frames", num_frames=1, max_pixels=4_000, shuffle=True),
            "image": TokenDataset(images, mode="image"),
        }
        return Mixture(datasets, REPORT)

    def drawn(made, count):
        options = {"batch_size": 4, "num_workers": 2, "collate_fn": collate, "multiprocessing_context": "fork"}
        for batch in itertools.islice(DataLoader(made, **options), count):
            made.consumed(batch)
            yield list(zip(batch["source"], batch["index"], strict=True))

    whole = list(drawn(make(), 8))
    flat = [source for batch in whole for source, _ in batch]
    assert {name: flat.count(name) / len(flat) for name in REPORT} == REPORT
    first = make()
    seen = list(drawn(first, 4))
    second = make()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert seen + list(drawn(second, 4)) == whole


def test_wrong_mixtures(manifest, quick, tmp_path):
    dataset = TokenDataset(manifest)
    with pytest.raises(ValueError, match=r"shares must name the datasets \['a'\], got \['b'\]"):
        Mixture({"a": dataset}, {"b": 1.0})
    with pytest.raises(ValueError, match="shares must be above 0"):
        Mixture({"a": dataset}, {"a": 0.0})
    with pytest.raises(ValueError, match=r"the state is of the datasets \['a'\], not \['b'\]"):
        Mixture({"b": dataset}, {"b": 1.0}).load_state_dict(Mixture({"a": dataset}, {"a": 1.0}).state_dict())
    broken = write(tmp_path / "broken.jsonl", [{"video": "broken.mp4"}] * 3)
    with pytest.raises(RuntimeError, match="the dataset 'a' has nothing for worker 0 of 1"):
        next(iter(Mixture({"a": TokenDataset(broken, on_error="skip")}, {"a": 1.0})))


def test_batches(manifest):
    items = list(itertools.islice(TokenDataset(manifest, **SMALL), 2))
    batch = collate(items)
    rows = [len(item["pixel_values"]) for item in items]
    for name in ("pixel_values", "image_grid_thw", "patch_positions"):
        assert torch.equal(batch[name], torch.cat([items[0][name], items[1][name]]))
    expected = np.append(items[0]["cu_seqlens"], items[1]["cu_seqlens"][1:] + rows[0])
    assert batch["cu_seqlens"].tolist() == expected.tolist()
    assert batch["cu_seqlens"].dtype == torch.int32
    assert int(batch["cu_seqlens"][-1]) == sum(rows) == int(batch["image_grid_thw"].prod(dim=1).sum())
    assert batch["num_canvases"] == [4, 4]
    assert [entry["caption"] for entry in batch["entry"]] == ["number 0", "number 1"]
    with pytest.raises(ValueError, match="must share the type and the patch size"):
        collate([items[0], {**items[1], "pixel_values": items[1]["pixel_values"].half()}])
