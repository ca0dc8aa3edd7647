"""How commands end when they are told to."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def ends_at_sigterm() -> Iterator[None]:
    """Ends the block with ``SystemExit(143)`` at SIGTERM, so that what is half done is cleared up.

    After the block SIGTERM does what it did before, whether or not one came.
    Outside of the main thread, which alone may say what a signal does, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) in (_terminate, signal.SIG_IGN):
            signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break off what the first has cleared up
    sys.exit(143)
