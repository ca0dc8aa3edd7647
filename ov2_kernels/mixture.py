"""Several datasets as one stream, by shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

try:
    from torch.utils.data import IterableDataset
except ImportError as error:
    raise ImportError(f"ov2_kernels.mixture needs torch: pip install 'ov2_kernels[torch]' ({error})") from error

from .dataset import TokenDataset, this_worker


class Mixture(IterableDataset):  # type: ignore[misc]
    """Items of several datasets by shares, without end.

    ``datasets`` and ``shares`` have the same names; ``{"codec": 0.5, "frames": 0.375, "image": 0.125}`` are those of
    the LLaVA-OneVision-2 report. Which dataset comes next follows from the shares alone (R. Tijdeman, "The chairman
    assignment problem", 1980). After any number of items each is less than one from its share, in each DataLoader
    worker by itself, and exactly there whenever the shares allow. A dataset that is through begins its next epoch.
    Items tell their dataset as ``source``. States are those of :class:`TokenDataset`, :meth:`consumed` included;
    continued with another number of workers, each counts its shares anew.
    """

    def __init__(self, datasets: Mapping[str, TokenDataset], shares: Mapping[str, float]) -> None:
        super().__init__()
        if set(datasets) != set(shares) or not datasets:
            raise ValueError(f"shares must name the datasets {sorted(datasets)}, got {sorted(shares)}")
        exact = {name: Fraction(shares[name]).limit_denominator(1_000_000) for name in datasets}
        if min(exact.values()) <= 0:
            raise ValueError(f"shares must be above 0, got {dict(shares)}")
        total = sum(exact.values(), Fraction(0))
        self.datasets = dict(datasets)
        self.shares = {name: share / total for name, share in exact.items()}
        # For each worker how many items of each dataset it has drawn.
        self._drawn: list[dict[str, int]] = []

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to continue here; JSON can hold it."""
        states = {name: dataset.state_dict() for name, dataset in self.datasets.items()}
        shares = {name: str(share) for name, share in self.shares.items()}
        return {"drawn": [dict(drawn) for drawn in self._drawn], "datasets": states, "shares": shares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues where a mixture of the same datasets and shares stood; ``ValueError`` for any other."""
        datasets, shares = (state.get(name) for name in ("datasets", "shares"))
        if not isinstance(datasets, Mapping) or not isinstance(shares, Mapping):
            raise ValueError("a state must be what state_dict of a mixture gave")
        if set(datasets) != set(self.datasets):
            raise ValueError(f"the state is of the datasets {sorted(datasets)}, not {sorted(self.datasets)}")
        for name, share in self.shares.items():
            if shares.get(name) != str(share):
                raise ValueError(f"the state is of other shares: {name} has {shares.get(name)} there, {share} here")
        try:
            drawn = [{name: int(counts[name]) for name in self.datasets} for counts in state["drawn"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"drawn must be what state_dict of a mixture gave, got {state.get('drawn')!r}") from error
        # All is checked before anything changes.
        progress = {name: dataset._checked(datasets[name]) for name, dataset in self.datasets.items()}
        for name, dataset in self.datasets.items():
            dataset._apply(progress[name])
        self._drawn = drawn

    def consumed(self, batch: Mapping[str, Any]) -> None:
        """Notes that an item, or a batch that :func:`ov2_kernels.dataset.collate` made, was used."""
        sources, cursors = batch["source"], batch["cursor"]
        if not isinstance(sources, list):
            sources, cursors = [sources], [cursors]
        for source, cursor in zip(sources, cursors, strict=True):
            self.datasets[source].consumed({"cursor": cursor})
            self._enter(cursor["workers"])
            self._drawn[cursor["worker"]] = dict(cursor["drawn"])

    def _enter(self, workers: int) -> None:
        if len(self._drawn) != workers:
            self._drawn = [dict.fromkeys(self.datasets, 0) for _ in range(workers)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = this_worker()
        self._enter(workers)
        drawn = dict(self._drawn[worker])
        streams = {name: _endless(name, dataset) for name, dataset in self.datasets.items()}
        while True:
            name = self._next(drawn)
            item = next(streams[name])
            drawn[name] += 1
            self._drawn[worker] = dict(drawn)  # consumed may have set it back since
            yield {**item, "source": name, "cursor": {**item["cursor"], "drawn": dict(drawn)}}

    def _next(self, drawn: Mapping[str, int]) -> str:
        """Of the datasets far enough behind their shares, the one that must be drawn soonest; the first of equals."""
        step = sum(drawn.values()) + 1
        least = Fraction(1, max(2 * len(drawn) - 2, 1))
        behind = {name: share * step - drawn[name] for name, share in self.shares.items()}
        return min(
            (name for name in behind if behind[name] >= least),
            key=lambda name: (1 - least - behind[name]) / self.shares[name],
        )


def _endless(name: str, dataset: TokenDataset) -> Iterator[dict[str, Any]]:
    """Epoch after epoch of a dataset; ``RuntimeError`` where a whole one yields nothing."""
    empty = 0
    while empty < 2:  # what was left of the epoch that it stands in may be nothing
        empty += 1
        for item in dataset:
            empty = 0
            yield item
    worker, workers = this_worker()
    raise RuntimeError(
        f"the dataset {name!r} has nothing for worker {worker} of {workers}: it has fewer entries, or all were skipped"
    )
