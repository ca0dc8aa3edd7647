"""Groups that are finished while later samples are still being read: scored, selected and packed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np

from . import native
from .config import CodecConfig
from .geometry import canvases_per_group
from .media import Array, Pictures

#: samples from one look at what is there to the next
STEP = 64
#: samples that are read at most before earlier ones are measured; then reading waits
MOST_AHEAD = 192


class GroupsAsRead:
    """A context in which a thread measures samples as they come, and makes the canvases of each group but the last.

    Where there is but one thread, that is the caller's, between one picture and the next.

    Everything about a group depends on its own samples alone, so the canvases are the same whenever they are made.
    ``edges`` are those of the groups, int64 ``[groups + 1]``; ``lap`` is called with the name of a stage when it ends.
    Only for ``score_mode="change"``, which looks at nothing but luma: vectors are known when all is read. Only for the
    native reader, since one in Python would leave nothing to run beside. The thread ends with the context. Pictures are
    given back when they are not needed any more, so that memory is as much as a few groups take, however many samples
    there are; what is left in ``pictures`` says nothing.
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
        #: when :meth:`progress` is to be called
        self.progress_at = sorted({*edges.tolist(), *range(0, len(frame_ids), STEP)})
        self._changes = native.changes(len(frame_ids), *size, config.patch, edges)
        self._canvas_edges = np.append(0, np.cumsum(canvases_per_group(edges, config.images_per_group)))
        self._packed = native.empty_canvases(int(self._canvas_edges[-1]), *size, config.patch)
        self._news = threading.Condition()
        #: under its lock: samples that are there; that are measured; whether any are being; nothing more wanted
        self._there, self._measured, self._busy, self._ended = 0, 0, False, False
        #: groups that are packed
        self._finished = 0
        self._error: BaseException | None = None
        # Ctrl-C may come between entering the context and its body: then nobody leaves it, and Python must still end.
        self._thread = threading.Thread(target=self._work, name="ov2_kernels-groups", daemon=True)

    def __enter__(self) -> GroupsAsRead:
        try:
            with contextlib.suppress(RuntimeError):  # without a thread, all is left for the end
                if self._threads > 1:
                    self._thread.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def progress(self, ready: int) -> None:
        """To be told how many samples are there, from the first on; fewer than before where reading starts anew.

        Returns once the thread is not too far behind, so that pictures do not pile up before it. Raises what the thread
        raised, as soon as it is known.
        """
        with self._news:
            if self._error is not None:
                raise self._error
            if ready < self._there:
                # Samples are about to be written again that the thread may be reading.
                self._there = 0
                self._news.wait_for(lambda: not self._busy)
                self._measured = self._finished = 0
            self._there = ready
            self._news.notify_all()
            if self._thread.is_alive() and ready < len(self._frame_ids):
                self._news.wait_for(lambda: self._error or self._ended or ready - self._measured <= MOST_AHEAD)
        if self._threads == 1 and self._measured < ready:
            self._go_on(ready)

    def result(self) -> tuple[Array, Array]:
        """Canvases and positions, when all samples are read: finishes what is left; raises what the thread raised."""
        self._end()
        if self._error is not None:
            raise self._error
        self._measure(len(self._frame_ids), self._threads)
        self._finish(len(self._edges) - 1, self._threads, self._lap)
        return self._packed

    def _end(self) -> None:
        with self._news:
            self._ended = True
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            native.lower_thread_priority()
            while (ready := self._take()) is not None:
                self._go_on(ready)
                self._put()
        except BaseException as error:
            self._error = error
            self._put()

    def _take(self) -> int | None:
        """Waits for samples, and says how many are there; None where nothing more is wanted."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._measured < self._there)
            self._busy = not self._ended
            return self._there if self._busy else None

    def _put(self) -> None:
        with self._news:
            self._busy = False
            self._news.notify_all()

    def _go_on(self, ready: int) -> None:
        """One thread, for the others decode; the last group, at least, is left for all at the end."""
        self._measure(ready, 1)
        self._finish(int(np.searchsorted(self._edges[:-1], ready, side="right")) - 1, 1, lambda stage: None)

    def _measure(self, end: int, threads: int) -> None:
        """Measures the samples up to ``end``, of which the pictures before are then needed no more."""
        luma, prev_luma = self.pictures.luma, self.pictures.prev_luma
        self._changes.measure(luma, prev_luma, self._measured, end, threads)
        native.release_pictures(prev_luma, self._measured, end)
        self._measured = end

    def _finish(self, end: int, threads: int, lap: Callable[[str], None]) -> None:
        """Scores, selects and packs the groups up to ``end``, whose samples are measured."""
        if self._finished >= end:
            return
        config, edges, canvas_edges, first = self._config, self._edges, self._canvas_edges, self._finished
        scores = self._changes.scores(first, end, threads)
        lap("score")
        selected = native.select_blocks(
            scores,
            edges[first : end + 1] - edges[first],
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
        native.pack_canvases(self._frames, selected, self._frame_ids, patch=config.patch, threads=threads, out=out)
        self._frames.colors.release(int(edges[first]), int(edges[end]))
        native.release_pictures(self.pictures.luma, int(edges[first]), int(edges[end]))
        self._finished = end
        lap("pack")
