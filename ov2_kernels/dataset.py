"""Training data: the videos of a manifest as a stream of model inputs, and batches of them."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as error:
    raise ImportError(f"ov2_kernels.dataset needs torch: pip install 'ov2_kernels[torch]' ({error})") from error

from .checks import check_choice, check_integer, check_number
from .config import CodecConfig
from .dispatch import BACKENDS, resolve_threads
from .frames import tokenize_frames
from .image import tokenize_image
from .limits import Limits
from .media import Array
from .prompt import vision_prompt
from .sources import MODES, evidence_of, tokenize
from .tokens import CodecTokens
from .video import device_module

logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")


def this_worker() -> tuple[int, int]:
    """Number of this DataLoader worker, and how many there are; 0 of 1 outside of one."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def check_options(mode: str, dtype: Any, options: Mapping[str, Any]) -> None:
    """Raises for settings that no entry could be tokenized with: ``ValueError``, or ``TypeError`` for unknown ones."""
    check_choice("mode", mode, MODES)
    if mode in ("frames", "image"):
        inspect.signature(tokenize_frames if mode == "frames" else tokenize_image).bind("", **options)
    check_choice("backend", options.get("backend", "auto"), ("auto", *BACKENDS))
    if options.get("device") is not None:
        device_module().check_device(options["device"])
    rest = {name: value for name, value in options.items() if name not in ("backend", "device", "progress")}
    picture = np.zeros((28, 28, 3), dtype=np.uint8)
    tokenize_image(picture, threads=1).model_inputs(dtype, as_torch=True, threads=1)
    if mode in ("auto", "codec"):
        config = (rest.pop("config", None) or CodecConfig()).replace(**rest)
        if config.profile == "readiness" and options.get("device") is not None:
            raise ValueError("profile readiness is for the CPU: device must be None")
        return
    if rest.get("limits") is not None:
        Limits.checked(rest["limits"])
    CodecConfig(**{name: rest.pop(name) for name in ("start_time", "end_time", "threads") if name in rest})
    # What is left is tried on a picture.
    tokenize(picture if mode == "image" else [picture], mode, threads=1, **rest)


class Manifest:
    """The lines of a JSONL file, read when asked for; only their places are held.

    A line is an object with ``video`` (a path; relative ones start at the manifest's folder) and, if wanted, ``start``
    and ``end`` in seconds; anything else is kept. Blank lines do not count. Every line is checked at once:
    ``ValueError`` names the first that is wrong.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        places, lines = [], []
        with open(self.path, "rb") as file:
            place = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    self._parse(line, number)
                    places.append(place)
                    lines.append(number)
                place += len(line)
        if not places:
            raise ValueError(f"{self.path}: the manifest has no entries")
        self._places, self._lines = np.array(places), np.array(lines)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """An entry as it stands in the file."""
        with open(self.path, "rb") as file:
            file.seek(int(self._places[index]))
            return self._parse(file.readline(), int(self._lines[index]))

    def video(self, entry: Mapping[str, Any]) -> str:
        """The path of an entry's video."""
        return str(self.path.parent / entry["video"])

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{self.path}, line {number}: not JSON: {error}") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("video"), str):
            raise ValueError(f"{self.path}, line {number}: an entry is an object with a path as video")
        try:
            lowest = 0.0
            for name in ("start", "end"):
                if entry.get(name) is not None:
                    check_number(name, entry[name], lowest)
                    lowest = entry[name]
        except ValueError as error:
            raise ValueError(f"{self.path}, line {number}: {error}") from error
        return entry


class TokenDataset(IterableDataset):  # type: ignore[misc]
    """Model inputs of the videos, or images, of a manifest.

    Yields dictionaries: what :meth:`CodecTokens.model_inputs` gives, ``vision_prompt``, ``entry`` (the manifest's
    object), ``index`` (its place in the manifest) and ``cursor``, which :meth:`consumed` reads. ``mode`` and
    ``options`` are those of :func:`ov2_kernels.tokenize`; an entry's ``start`` and ``end`` become ``start_time`` and
    ``end_time``. ``dtype`` is that of ``pixel_values``. Wrong settings raise at once, whatever ``on_error`` is.
    DataLoader workers share the processors unless ``threads`` is given.

    **Order.** That of the manifest or, with ``shuffle``, one that ``seed`` and the epoch decide. ``rank`` of
    ``world_size`` processes takes every ``world_size``-th entry, and so do DataLoader workers of these. Who iterates
    to the end is in the next epoch then, and so are workers that persist. Other workers begin where the dataset itself
    stands: tell :meth:`consumed`, or call :meth:`set_epoch` before each epoch. Workers that persist hear of neither.

    **Resuming.** :meth:`state_dict` continues behind the item that was yielded here last. A DataLoader with workers
    fetches ahead, in other processes: tell :meth:`consumed` of each batch that you used, and it continues behind the
    last of these, whatever the number of workers then. Where fewer good entries than such a batch are left for each
    worker, the next epoch follows at once: what ``drop_last=True`` dropped is not lost, but comes first there. Loaders
    that ask the dataset in each worker for its state (torchdata's ``StatefulDataLoader``) need not be told.

    **Broken videos.** ``on_error="raise"``, or ``"skip"``: then they go to ``skipped`` (``index``, ``video``,
    ``error``) of the process that met them, to the log as a warning, and, if ``record`` names a file, to that file as
    lines of JSON. So do images with ``start``, ``end`` or settings that images do not have.
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str],
        *,
        mode: str = "codec",
        shuffle: bool = False,
        seed: int = 0,
        on_error: str = "raise",
        record: str | os.PathLike[str] | None = None,
        rank: int = 0,
        world_size: int = 1,
        dtype: str = "float32",
        **options: Any,
    ) -> None:
        super().__init__()
        check_choice("on_error", on_error, ON_ERROR)
        check_integer("seed", seed, 0, 2**63 - 1)
        check_options(mode, dtype, options)
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be in 0 .. world_size - 1 = {world_size - 1}, got {rank}")
        self.manifest = Manifest(manifest)
        self.mode = mode
        self.shuffle = shuffle
        self.seed = int(seed)
        self.on_error = on_error
        self.record = None if record is None else Path(record).absolute()
        self.rank, self.world_size = rank, world_size
        self.dtype = dtype
        self.options = options
        self.skipped: list[dict[str, Any]] = []
        # The first epoch that is not over, and what is done since: of epochs, by so many workers each after the other,
        # and by those of now, each with its own epoch and number of entries, since they need not be in step.
        self._epoch = 0
        self._past: list[tuple[int, list[int]]] = []
        self._workers: list[tuple[int, int]] = []
        # How many items were consumed at a time.
        self._batch = 1

    @property
    def epoch(self) -> int:
        """The epoch that iteration is in, or would begin."""
        return min((epoch for epoch, _ in self._workers), default=self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch, from its first entry; workers that persist have their own dataset and do not hear of it."""
        self._epoch, self._past, self._workers = int(epoch), [], []

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs to continue here; JSON can hold it."""
        past = [[epoch, list(done)] for epoch, done in self._past]
        progress = {"past": past, "workers": [list(pair) for pair in self._workers], "batch": self._batch}
        return {"epoch": self._epoch, **progress, **self._order_facts()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues where a dataset of the same manifest, seed and ranks stood; ``ValueError`` for any other."""
        self._apply(self._checked(state))

    def _checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What a state says of progress; ``ValueError`` where it is of another order, or no state."""
        if not isinstance(state, Mapping):
            raise ValueError(f"a state must be what state_dict gave, got {state!r}")
        for name, value in self._order_facts().items():
            if state.get(name) != value:
                raise ValueError(f"the state is of another order: {name} is {state.get(name)!r} there, {value!r} here")
        try:
            return {
                "_epoch": int(state["epoch"]),
                "_past": [(int(epoch), [int(n) for n in done]) for epoch, done in state["past"]],
                "_workers": [(int(epoch), int(done)) for epoch, done in state["workers"]],
                "_batch": int(state["batch"]),
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a state must be what state_dict gave: {type(error).__name__}: {error}") from error

    def _apply(self, progress: Mapping[str, Any]) -> None:
        for name, value in progress.items():
            setattr(self, name, value)

    def _order_facts(self) -> dict[str, Any]:
        names = ("shuffle", "seed", "rank", "world_size")
        return {"entries": len(self.manifest), **{name: getattr(self, name) for name in names}}

    def consumed(self, batch: Mapping[str, Any]) -> None:
        """Notes that an item, or a batch that :func:`collate` made, was used."""
        cursors = batch["cursor"] if isinstance(batch["cursor"], list) else [batch["cursor"]]
        for cursor in cursors:
            self._enter(cursor["workers"])
            for worker in cursor["through"]:
                self._workers[worker] = max(self._workers[worker], (cursor["epoch"], 0))
            self._workers[cursor["worker"]] = (cursor["epoch"], cursor["done"])
        self._batch = max(1, len(cursors))

    def _enter(self, workers: int) -> None:
        """Shares what is left among so many workers, if there were not as many already."""
        if len(self._workers) == workers:
            return
        if self._workers:
            self._epoch = self.epoch
            self._past = [(epoch, done) for epoch, done in self._past if epoch >= self._epoch]
            for epoch in range(self._epoch, max(self._workers)[0] + 1):
                self._past.append((epoch, self._done(epoch)))
        self._workers = [(self._epoch, 0)] * workers

    def _done(self, epoch: int) -> list[int]:
        """How many entries of its share each worker has done of an epoch; all of them, where it is beyond."""
        beyond = len(self.manifest)
        return [beyond if e > epoch else done if e == epoch else 0 for e, done in self._workers]

    def order(self, epoch: int) -> Array:
        """The entries of this rank in the order of an epoch, int64."""
        count = len(self.manifest)
        if not self.shuffle:
            return np.arange(count)[self.rank :: self.world_size]
        return np.random.default_rng([self.seed, epoch]).permutation(count)[self.rank :: self.world_size]

    def _left(self, epoch: int) -> list[Array]:
        """What is left of an epoch for each worker."""
        order = self.order(epoch)
        for done in [done for e, done in self._past if e == epoch]:
            place = np.arange(len(order))
            order = order[place // len(done) >= np.array(done)[place % len(done)]]
        workers = len(self._workers)
        return [order[worker::workers][done:] for worker, done in enumerate(self._done(epoch))]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = this_worker()
        self._enter(workers)
        batch, through = self._batch, list[int]()
        while True:
            epoch, start = self._workers[worker]
            left = self._left(epoch)
            whole = sum(map(len, left)) == len(self.order(epoch))
            good = 0
            for done, index in enumerate(left[worker].tolist(), start=start + 1):
                item = self._item(index)
                self._workers[worker] = (epoch, done)
                if item is not None:
                    good += 1
                    place = {"epoch": epoch, "worker": worker, "workers": workers, "done": done}
                    yield {**item, "cursor": {**place, "through": through}}
            self._workers[worker] = (epoch + 1, 0)
            if whole or good >= batch:
                return
            # Less than a batch was left here. If so everywhere, which each worker finds out by itself, all go on: else
            # what is never consumed, because it is broken or dropped, would be all that there is from now on.
            others = {w: self._good(rest, batch) for w, rest in enumerate(left) if w != worker}
            if max(others.values(), default=0) >= batch:
                return
            through = [w for w, count in others.items() if not count and self._workers[w][0] == epoch]
            for w in through:
                self._workers[w] = (epoch + 1, 0)

    def _good(self, indices: Array, enough: int) -> int:
        """How many of the entries are not broken, counted up to ``enough``."""
        if self.on_error == "raise":
            return min(len(indices), enough)
        good = 0
        for index in indices.tolist():
            with contextlib.suppress(OSError, ValueError):
                self._tokens(self.manifest[index])
                good += 1
            if good == enough:
                break
        return good

    def _tokens(self, entry: Mapping[str, Any]) -> CodecTokens:
        """The tokens of an entry; workers share the processors."""
        threads = max(1, resolve_threads(None) // this_worker()[1])
        times = {f"{name}_time": entry[name] for name in ("start", "end") if entry.get(name) is not None}
        options = {**self.options, **times}
        video = self.manifest.video(entry)
        mode = evidence_of(video) if self.mode == "auto" else self.mode
        foreign = [name for name in options if name not in inspect.signature(tokenize_image).parameters]
        if mode == "image" and foreign:
            raise ValueError(f"{video}: it is an image, for which there is no {', '.join(foreign)}")
        return tokenize(video, mode, **{"threads": threads, **options})

    def _item(self, index: int) -> dict[str, Any] | None:
        """The model inputs of an entry, or nothing if it is broken and to be skipped."""
        entry = self.manifest[index]
        try:
            tokens = self._tokens(entry)
        except (OSError, ValueError) as error:
            if self.on_error == "raise":
                raise
            self._skip({"index": index, "video": self.manifest.video(entry), "error": str(error)})
            return None
        inputs = tokens.model_inputs(self.dtype, as_torch=True)
        return {**inputs, "vision_prompt": vision_prompt(tokens), "entry": entry, "index": index}

    def _skip(self, row: dict[str, Any]) -> None:
        self.skipped.append(row)
        logger.warning("skipped %s: %s", row["video"], row["error"])
        if self.record is not None:
            # One write of one line to a file opened for appending: lines of several workers do not mix.
            with open(self.record, "ab", buffering=0) as file:
                file.write(json.dumps(row).encode() + b"\n")


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Puts items behind one another, as the model expects a batch.

    ``pixel_values``, ``patch_positions`` and ``image_grid_thw`` are concatenated, ``cu_seqlens`` continued; everything
    else becomes a list with a value for each item, and ``num_canvases`` tells how many rows of ``image_grid_thw``
    belong to each. Raises ``ValueError`` where the items' ``pixel_values`` do not go together.
    """
    kinds = {(item["pixel_values"].dtype, item["pixel_values"].shape[1]) for item in items}
    if len(kinds) != 1:
        raise ValueError(f"items must share the type and the patch size of pixel_values, got {sorted(map(str, kinds))}")
    batch: dict[str, Any] = {
        name: torch.cat([item[name] for item in items])
        for name in ("pixel_values", "image_grid_thw", "patch_positions")
    }
    lengths = torch.cat([item["cu_seqlens"].diff() for item in items])
    batch["cu_seqlens"] = torch.cat([lengths.new_zeros(1), lengths.cumsum(0, dtype=torch.int32)])
    batch["num_canvases"] = [len(item["image_grid_thw"]) for item in items]
    for name in items[0]:
        if name not in batch:
            batch[name] = [item[name] for item in items]
    return batch
