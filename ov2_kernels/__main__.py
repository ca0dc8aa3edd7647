"""What the console commands start: ``ov2-kernels``, which is also ``python -m ov2_kernels``, and ``ov2-preinfer``."""

from __future__ import annotations

import gc
import importlib
import os
import sys


def tokenizer() -> int:
    """Runs ``ov2-kernels``; returns its exit status."""
    return _command("ov2_kernels.cli")


def preinfer() -> int:
    """Runs ``ov2-preinfer``; returns its exit status."""
    return _command("ov2_kernels.integrations.codec_video_prep")


def _command(module: str) -> int:
    """The ``main`` of a module, in a process that does nothing else."""
    # Nothing here does linear algebra, and NumPy's library for it would start threads that spin for a while.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What is imported stays, so to look for garbage among it every 700 objects is a tenth of the start.
    gc.set_threshold(50_000)
    return int(importlib.import_module(module).main())


if __name__ == "__main__":
    sys.exit(tokenizer())
