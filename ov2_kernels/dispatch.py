"""Which module runs a stage: by the backend asked for, and by where the arrays lie."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

from .errors import BackendUnavailableError

BACKENDS = ("native", "reference", "triton")


def load_backend(name: str = "auto") -> ModuleType:
    """The module that holds a backend's stages; ``auto`` is ``native``.

    Raises ``ValueError`` for an unknown name and :class:`BackendUnavailableError` where it cannot be loaded.
    """
    if name == "auto":
        name = "native"
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of auto, {', '.join(BACKENDS)}, got {name!r}")
    try:
        module = importlib.import_module(f"ov2_kernels.{name}")
    except ImportError as error:
        raise BackendUnavailableError(f"the backend {name!r} cannot be loaded: {error}") from error
    if name == "triton":
        module.default_device()  # which says why, where there is none
    return module


def host_backend(name: str) -> ModuleType:
    """The module that holds the stages up to decoding."""
    module = load_backend(name)
    return load_backend("native") if name == "triton" else module


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def run(stage: str, backend: str, arrays: tuple[Any, ...], threads: int | None, **options: Any) -> Any:
    """Runs a stage on NumPy arrays here, or on tensors as the torch operator of that name."""
    tensors = any(map(is_tensor, arrays))
    if backend == "triton" and not tensors:
        load_backend(backend)  # which says why, where it cannot
    if backend == "triton" or tensors:
        from . import torch_ops

        return torch_ops.run(stage, backend, arrays, threads, options)
    return getattr(load_backend(backend), stage)(*arrays, threads=resolve_threads(threads), **options)


def resolve_threads(threads: int | None) -> int:
    """``threads``, or the number of processors that this process may use."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads
