"""Where training data stand: after items that are never consumed, and for other numbers of workers."""

from __future__ import annotations

import itertools
import json
import os

import pytest

if os.environ.get("OV2_REQUIRE_TORCH") != "1":
    pytest.importorskip("torch")

from ov2_kernels import VideoError, tokenize_frames
from ov2_kernels import dataset as dataset_module
from ov2_kernels.dataset import TokenDataset, collate
from ov2_kernels.mixture import Mixture
from torch.utils.data import DataLoader

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.fixture
def make(clip_path, tmp_path, monkeypatch):
    """Makes datasets of so many entries, some broken, of which nothing is decoded."""
    tokens = tokenize_frames(clip_path("h264_bframes"), num_frames=1, max_pixels=4_000)

    def fake(video, mode, **options):
        if video.endswith("broken"):
            raise VideoError(f"{video}: cannot open it as a video")
        return tokens

    def dataset(count, broken=(), **options):
        path = tmp_path / "manifest.jsonl"
        path.write_text("".join(f'{{"video": "{"broken" if i in broken else "good"}"}}\n' for i in range(count)))
        return TokenDataset(path, on_error="skip" if broken else "raise", **options)

    monkeypatch.setattr(dataset_module, "tokenize", fake)
    return dataset


def batches(dataset, workers, count=None, **options):
    """The indices of the batches of an epoch, or of the first of them, each consumed."""
    context = "fork" if workers else None
    loader = DataLoader(
        dataset,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=context,
        prefetch_factor=None,
        **options,
    )
    for batch in itertools.islice(loader, count):
        dataset.consumed(batch)
        yield batch["index"]


def seen(dataset, workers, count=None, **options):
    return list(itertools.chain.from_iterable(batches(dataset, workers, count, **options)))


def moved(dataset, again):
    again.load_state_dict(json.loads(json.dumps(dataset.state_dict())))
    return again


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("broken", [(5,), (4, 5), (2, 5), (0, 3), (1, 4, 5)])
def test_trailing_broken_entries_make_no_empty_epochs(make, workers, broken):
    dataset = make(6, broken)
    for epoch in range(3):
        assert sorted(seen(dataset, workers, batch_size=1)) == [i for i in range(6) if i not in broken]
        assert dataset.epoch in (epoch, epoch + 1)
        dataset = moved(dataset, make(6, broken))


def test_nothing_but_broken_entries_ends(make):
    dataset = make(3, (0, 1, 2))
    assert [list(dataset) for _ in range(2)] == [[], []]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("broken", [(), (1, 3, 5, 7)])
def test_what_is_dropped_comes_first_in_the_next_epoch(make, workers, broken):
    dataset = make(9, broken)
    good = [i for i in range(9) if i not in broken]
    drawn = []
    for _ in range(6):
        drawn.append(seen(dataset, workers, batch_size=2, drop_last=True))
        dataset = moved(dataset, make(9, broken))
    assert all(drawn), "no epoch is empty"
    counts = [sum(part.count(i) for part in drawn) for i in good]
    assert max(counts) - min(counts) <= 1, "none is lost"
    if workers == 1 and not broken:
        assert drawn[:2] == [list(range(8)), [8, *range(9)]]


def test_a_rest_of_a_batch_is_an_iteration_of_its_own(make):
    dataset = make(9)
    assert seen(dataset, 2, 2, batch_size=2) == [0, 2, 1, 3]
    assert seen(moved(dataset, make(9)), 2, batch_size=2) == [4, 6, 5, 7, 8]


@pytest.mark.parametrize("numbers", [(2, 3), (3, 2), (2, 0), (4, 1, 3)])
@pytest.mark.parametrize("stop", range(1, 8))
def test_other_numbers_of_workers_at_any_time(make, numbers, stop):
    """Also where they stand in different epochs, as at the start of one."""
    dataset = make(5)
    drawn = seen(dataset, numbers[0], batch_size=1) if stop % 2 else []
    for workers in numbers:
        drawn += seen(dataset, workers, stop, batch_size=1)
        dataset = moved(dataset, make(5))
    while dataset.epoch < 5:
        drawn += seen(dataset, 0, batch_size=1)
    counts = [drawn.count(i) for i in range(5)]
    assert max(counts) == min(counts), "each once an epoch"


def test_workers_in_different_epochs(make):
    dataset = make(6)
    dataset.load_state_dict({**dataset.state_dict(), "workers": [(2, 1), (0, 1), (1, 0)]})
    assert dataset.epoch == 0
    dataset = moved(dataset, dataset)
    rest = [[item["index"] for item in dataset] for _ in range(4)]
    assert [sorted(epoch) for epoch in rest] == [[4], [1, 2, 4, 5], [1, 2, 3, 4, 5], list(range(6))]


def mixture(make, shares):
    return Mixture({name: make(7) for name in shares}, shares)


@pytest.mark.parametrize("shares", [(3, 1, 1, 3, 3, 38, 30, 1, 3, 1, 2), (1,), (0.7, 0.3), (97, 1, 1, 1), (0.3,) * 7])
def test_each_dataset_is_less_than_one_from_its_share(make, shares):
    mixed = mixture(make, dict(zip("abcdefghijk", shares, strict=False)))
    drawn = dict.fromkeys(mixed.shares, 0)
    for count, item in enumerate(itertools.islice(mixed, 500), start=1):
        drawn[item["source"]] += 1
        assert max(abs(share * count - drawn[name]) for name, share in mixed.shares.items()) < 1


def test_a_mixture_in_one_process_counts_on_after_consumed(make):
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    whole = [(item["source"], item["index"]) for item in itertools.islice(mixture(make, shares), 20)]
    mixed = mixture(make, shares)
    stream = iter(mixed)
    items = [next(stream) for _ in range(3)]
    mixed.consumed(items[0])
    items += [next(stream) for _ in range(4)]
    state = mixed.state_dict()
    assert {name: sum(item["source"] == name for item in items) for name in shares} == state["drawn"][0]
    rest = itertools.islice(moved(mixed, mixture(make, shares)), 13)
    assert [(item["source"], item["index"]) for item in [*items, *rest]] == whole


def test_wrong_states_change_nothing(make):
    shares = {"a": 2, "b": 1}
    mixed, other = mixture(make, shares), mixture(make, shares)
    list(itertools.islice(mixed, 4))
    list(itertools.islice(other, 7))
    before, good = json.dumps(mixed.state_dict()), other.state_dict()
    b = good["datasets"]["b"]
    for wrong, message in [
        ({"datasets": {**good["datasets"], "b": {**b, "seed": 5}}}, "another order: seed is 5 there, 0 here"),
        ({"datasets": {**good["datasets"], "b": {**b, "workers": [[0]]}}}, "a state must be what state_dict gave"),
        ({"datasets": {**good["datasets"], "b": None}}, "a state must be what state_dict gave, got None"),
        ({"datasets": None}, "a state must be what state_dict of a mixture gave"),
        ({"shares": {"a": "1/2", "b": "1/2"}}, "the state is of other shares: a has 1/2 there, 2/3 here"),
        ({"drawn": [{"a": 1}]}, "drawn must be what state_dict of a mixture gave"),
    ]:
        with pytest.raises(ValueError, match=message):
            mixed.load_state_dict({**good, **wrong})
        assert json.dumps(mixed.state_dict()) == before
    dataset = mixed.datasets["a"]
    with pytest.raises(ValueError, match="a state must be what state_dict gave: KeyError: 'workers'"):
        dataset.load_state_dict({name: value for name, value in good["datasets"]["a"].items() if name != "workers"})
    assert json.dumps(mixed.state_dict()) == before


@pytest.mark.parametrize("numbers", [(2, 3, 1), (3, 2, 0), (1, 4, 2)])
def test_a_mixture_repeats_nothing_with_other_numbers_of_workers(make, numbers):
    mixed = mixture(make, {"a": 0.7, "b": 0.3})
    drawn = []
    for workers in numbers:
        context = "fork" if workers else None
        loader = DataLoader(
            mixed, batch_size=1, num_workers=workers, collate_fn=collate, multiprocessing_context=context
        )
        for batch in itertools.islice(loader, 17):
            mixed.consumed(batch)
            drawn.append((batch["source"][0], batch["cursor"][0]["epoch"], batch["index"][0]))
        mixed = moved(mixed, mixture(make, {"a": 0.7, "b": 0.3}))
    assert len(set(drawn)) == len(drawn) == 51
    for name, dataset in mixed.datasets.items():
        wanted = set(itertools.product([name], range(dataset.epoch), range(7)))
        assert wanted <= set(drawn), "what is over is complete"
