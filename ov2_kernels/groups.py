"""Groups that are finished while later samples are still being read: scored, selected and packed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from . import native
from .config import CodecConfig
from .geometry import canvases_per_group
from .media import Array, Pictures


class GroupsAsRead:
    """A context in which a thread makes the canvases of each group but the last as soon as its samples are there.

    Where there is but one thread, that is the caller's, between one picture and the next.

    Everything about a group depends on its own samples alone, so the canvases are the same whenever they are made.
    ``edges`` are those of the groups, int64 ``[groups + 1]``; ``lap`` is called with the name of a stage when it ends.
    Only for ``score_mode="change"``, which looks at nothing but luma: vectors are known when all is read. Only for the
    native reader, since one in Python would leave nothing to run beside. The thread ends with the context.
    """

    def __init__(
        self,
        config: CodecConfig,
        frame_ids: Array,
        edges: Array,
        size: tuple[int, int],
        threads: int,
        lap: Callable[[str], None],
    ) -> None:
        self._config, self._frame_ids, self._edges, self._threads, self._lap = config, frame_ids, edges, threads, lap
        memory = Pictures.empty(len(frame_ids), *size, frames=False)
        self._frames = native.deferred_frames(memory.luma)
        #: what the samples are to be read into
        self.pictures = Pictures(self._frames, memory.luma, memory.prev_luma)
        self._canvas_edges = np.append(0, np.cumsum(canvases_per_group(edges, config.images_per_group)))
        self._packed = native.empty_canvases(int(self._canvas_edges[-1]), *size, config.patch)
        self._news = threading.Condition()
        #: under its lock: groups whose samples are there; that are finished; whether one is being; nothing more wanted
        self._there, self._finished, self._busy, self._ended = 0, 0, False, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="ov2_kernels-groups")

    def __enter__(self) -> GroupsAsRead:
        with contextlib.suppress(RuntimeError):  # without a thread, all groups are left for the end
            if self._threads > 1:
                self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def progress(self, ready: int) -> None:
        """To be told how many samples are there, from the first on; fewer than before where reading starts anew."""
        with self._news:
            self._there = int(np.searchsorted(self._edges[:-1], ready, side="right")) - 1
            if self._there < self._finished + self._busy:
                # Samples are about to be written again that the thread may be reading.
                self._news.wait_for(lambda: not self._busy)
                self._finished = min(self._finished, self._there)
            self._news.notify_all()
        while self._threads == 1 and self._finished < self._there:
            self._finish(self._finished, self._finished + 1, 1, lambda stage: None)
            self._finished += 1

    def result(self) -> tuple[Array, Array]:
        """Canvases and positions, when all samples are read: finishes what is left; raises what the thread raised."""
        self._end()
        if self._error is not None:
            raise self._error
        self._finish(self._finished, len(self._edges) - 1, self._threads, self._lap)
        return self._packed

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            while self._take():
                # One thread, for the others decode; the last group, at least, is left for all at the end.
                self._finish(self._finished, self._finished + 1, 1, lambda stage: None)
                self._put(1)
        except BaseException as error:
            self._error = error
            self._put(0)

    def _take(self) -> bool:
        """Waits for a group whose samples are there; False where nothing more is wanted."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._finished < self._there)
            self._busy = not self._ended
            return self._busy

    def _put(self, finished: int) -> None:
        with self._news:
            self._finished += finished
            self._busy = False
            self._news.notify_all()

    def _finish(self, first: int, end: int, threads: int, lap: Callable[[str], None]) -> None:
        """Scores, selects and packs the groups from ``first`` up to ``end``."""
        config, edges, canvas_edges = self._config, self._edges, self._canvas_edges
        how: dict[str, Any] = {"patch": config.patch, "threads": threads}
        own, own_edges = slice(edges[first], edges[end]), edges[first : end + 1] - edges[first]
        scores = native.change_scores(self.pictures.luma[own], self.pictures.prev_luma[own], own_edges, **how)
        lap("score")
        selected = native.select_blocks(
            scores,
            own_edges,
            images_per_group=config.images_per_group,
            selection=config.selection,
            threads=threads,
        )
        blocks = selected.shape[1]
        selected += edges[first] * blocks
        lap("select")
        canvases, positions = self._packed
        out = (
            canvases[canvas_edges[first] : canvas_edges[end]],
            positions[4 * blocks * canvas_edges[first] : 4 * blocks * canvas_edges[end]],
        )
        native.pack_canvases(self._frames, selected, self._frame_ids, out=out, **how)
        # So that memory is as much as a few groups take, however many samples there are.
        self._frames.colors.release(int(edges[first]), int(edges[end]))
        lap("pack")
