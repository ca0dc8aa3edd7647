"""How long work tells that it goes on."""

from __future__ import annotations

import sys
from typing import Any


class ProgressBar:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, name: str, unit: str = "frame") -> None:
        self._name = name
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Shows how much of a stage is done and how much there is."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=self._name, unit=self._unit, leave=False)
        self._bar.update(done - self._bar.n)
