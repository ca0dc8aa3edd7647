"""Work done on a thread of its own, beside the caller's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _GivenUpError(Exception):
    """Nobody waits for the result any more."""


class Beside(Generic[T]):
    """A context that starts the work when it is entered, and that never leaves it running.

    ``work`` gets a callable of one argument, to be called now and then, which raises where the context was left early.
    Where no thread can be had, the work is done before the context is entered.
    """

    def __init__(self, work: Callable[[Callable[[Any], None]], T]) -> None:
        self._work = work
        self._left = False
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ov2_kernels-beside")

    def __enter__(self) -> Beside[T]:
        try:
            self._thread.start()
        except RuntimeError:  # the system gives no more threads
            self._run()
        except BaseException:  # Ctrl-C: nobody will leave the context
            self._left = True
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._left = True
        self._wait()

    def result(self) -> T:
        """What the work returned; raises what it raised."""
        self._wait()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _wait(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def _check(self, _: Any) -> None:
        if self._left:
            raise _GivenUpError

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._check))
        except BaseException as error:
            self._error = error
