"""How the tests run Triton: on a GPU where there is one, else interpreted on the CPU.

Importing this skips the importing module where torch or triton is missing; ``OV2_REQUIRE_TORCH=1`` makes that an error.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

if os.environ.get("OV2_REQUIRE_TORCH") != "1":
    for name in ("torch", "triton"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed", allow_module_level=True)

import torch

HAS_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_GPU else "cpu")
assert HAS_GPU or os.environ["TRITON_INTERPRET"] == "1", "conftest.py sets it"

kernels = importlib.import_module("ov2_kernels.triton")
torch_ops = importlib.import_module("ov2_kernels.torch_ops")
device_module = importlib.import_module("ov2_kernels.device")
launch = importlib.import_module("ov2_kernels.triton.launch")
stages = importlib.import_module("ov2_kernels.triton.ahead_of_time").KERNELS
triton = importlib.import_module("triton")
fake_tensor = importlib.import_module("torch._subclasses.fake_tensor")
python_dispatch = importlib.import_module("torch.utils._python_dispatch")
interpreter = importlib.import_module("triton.runtime.interpreter")

#: every kernel of the package, by name
KERNELS = {kernel.name: kernel for stage in stages.values() for kernel in stage}

needs_gpu = pytest.mark.skipif(
    not HAS_GPU and os.environ.get("OV2_REQUIRE_GPU") != "1", reason="there is no CUDA or ROCm device"
)
needs_interpreter = pytest.mark.skipif(HAS_GPU, reason="this looks into the interpreter")


def look_at_the_language_once() -> None:
    """Spares the interpreter a third of its time: it patches Triton's language for each function that a kernel calls.

    All but the first time in a launch that finds nothing to do.
    """
    patch, language = interpreter._patch_lang, triton.language

    @functools.cache
    def modules(function: Any) -> list[Any]:
        return [m for m in (language, language.core) if any(m is value for value in function.__globals__.values())]

    def patch_once(function: Any) -> Any:
        if any(language.core.is_builtin(module.load) for module in modules(function)):
            return patch(function)
        return interpreter._LangPatchScope()

    interpreter._patch_lang = patch_once


look_at_the_language_once()


def sanitize(on: bool) -> None:
    """Whether the interpreter checks 32-bit arithmetic for overflow, which takes more than half of its time."""
    interpreter.interpreter_builder.options = dataclasses.replace(
        interpreter.interpreter_builder.options, sanitize_overflow=on
    )


sanitize(False)


@contextmanager
def sanitized() -> Iterator[None]:
    """Overflow of a 32-bit integer inside raises."""
    sanitize(True)
    try:
        yield
    finally:
        sanitize(False)


def to_device(*arrays: Any) -> list[torch.Tensor]:
    """Tensors of the arrays' values and strides on the device that runs the kernels."""
    return [
        _reversed(a) if min(a.strides, default=1) < 0 else torch.from_numpy(_writable(a)).to(DEVICE) for a in arrays
    ]


def _writable(array: Any) -> Any:
    return array if array.flags.writeable else array.copy()


def _reversed(array: Any) -> torch.Tensor:
    """torch has no negative strides: the same values as every other element of a tensor twice as wide."""
    doubled = np.repeat(array, 2, axis=-1)
    return torch.from_numpy(doubled).to(DEVICE)[..., ::2]


def to_numpy(value: Any) -> Any:
    """Arrays of tensors, and of tuples of them."""
    return tuple(map(to_numpy, value)) if isinstance(value, tuple) else value.cpu().numpy()


@contextmanager
def only_last_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A launcher that interprets nothing but the last program of a grid, on memory that stays where it is."""
    builder = interpreter.interpreter_builder

    def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        x, y, z = (*grid, 1, 1)[:3]
        with monkeypatch.context() as patch:
            patch.setattr(builder, "set_grid_idx", lambda *_: setattr(builder, "grid_idx", (x - 1, y - 1, z - 1)))
            patch.setattr(interpreter.GridExecutor, "_restore_args_dev", lambda *_: None)
            kernel((1,), *arguments, **constants)

    yield launch


def run_apart(code: str, *arguments: str) -> str:
    """Runs a program in a fresh interpreter, which does not interpret Triton; what it prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    clean["TRITON_CACHE_DIR"] = os.environ["OV2_TRITON_CACHE"]
    clean["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    # Not in a checkout, which has no extension: where the package that is under test lies.
    home = os.path.dirname(os.path.dirname(kernels.__path__[0]))
    done = subprocess.run(command, env=clean, check=False, capture_output=True, text=True, cwd=home)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
