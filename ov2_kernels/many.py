"""Many videos, several at a time."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .config import CodecConfig
from .dispatch import load_backend, resolve_threads
from .tokens import CodecTokens
from .video import device_module, tokenize_video

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, eq=False)
class Tokenized:
    """A video and what became of it: tokens, or the error that stopped them."""

    #: its place among the videos given, and its path as it was given
    index: int
    video: str | os.PathLike[str]
    tokens: CodecTokens | None
    error: Exception | None

    def unwrap(self) -> CodecTokens:
        """The tokens; raises the error where there is one."""
        if self.tokens is None:
            raise self.error or RuntimeError("neither tokens nor an error")
        return self.tokens


def tokenize_many(
    videos: Iterable[str | os.PathLike[str]],
    config: CodecConfig | None = None,
    *,
    workers: int | None = None,
    ordered: bool = True,
    **options: Any,
) -> Iterator[Tokenized]:
    """Tokenizes videos side by side and yields each result as soon as it is there.

    ``videos`` may be endless: one is taken only when a worker will soon need it. ``workers`` videos are worked on at a
    time (default: one a processor, at most 8) by threads, with ``config.threads`` threads each (default: the
    processors' share); besides these, at most as many results wait for the caller. ``ordered`` yields in the order
    given, else as they are done. ``options`` are further ones of :func:`tokenize_video`; what it raises for a video
    comes as that result's ``error``. Ctrl-C, an error of ``videos`` itself and closing the iterator stop all work
    within a fraction of a second. Raises ``ValueError`` and ``TypeError`` at once for a wrong setting, and
    :class:`BackendUnavailableError` for a backend that cannot be loaded.
    """
    if isinstance(videos, (str, bytes, os.PathLike)):
        raise TypeError(f"videos must be several paths, in a list for example, got the one path {videos!r}")
    processors = resolve_threads(None)
    workers = min(processors, 8) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if "progress" in options:
        raise ValueError("progress is per video; here every result tells that a video is done")
    how: dict[str, Any] = {name: options.pop(name) for name in ("backend", "device") if name in options}
    config = (config or CodecConfig()).replace(**options)
    load_backend(how.get("backend", "auto"))
    if how.get("device") is not None:
        device_module().check_device(how["device"])
    if config.threads is None:
        config = config.replace(threads=max(1, processors // workers))
    return _run(videos, config, workers, ordered, how)


class _StoppedError(Exception):
    """Ends a read that nobody waits for any more."""


def _run(
    videos: Iterable[str | os.PathLike[str]],
    config: CodecConfig,
    workers: int,
    ordered: bool,
    options: dict[str, Any],
) -> Iterator[Tokenized]:
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()

    def progress(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise _StoppedError

    def work(index: int, video: str | os.PathLike[str]) -> Tokenized:
        try:
            if stop.is_set():
                raise _StoppedError
            return Tokenized(index, video, tokenize_video(video, config, progress=progress, **options), None)
        except Exception as error:
            return Tokenized(index, video, None, error)

    source = enumerate(videos)
    pending: deque[Future[Tokenized]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="tokenize")
    try:
        for index, video in source:
            pending.append(pool.submit(work, index, video))
            if len(pending) >= 2 * workers:
                yield _next(pending, ordered)
        while pending:
            yield _next(pending, ordered)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _next(pending: deque[Future[Tokenized]], ordered: bool) -> Tokenized:
    """Takes a finished result away, waiting for one where there is none."""
    from concurrent.futures import FIRST_COMPLETED, wait

    if ordered:
        wait([pending[0]])
        return pending.popleft().result()
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    first = next(future for future in pending if future in done)
    pending.remove(first)
    return first.result()
