"""The one place where kernels are declared and launched, so that no launch escapes the list of forms compiled ahead."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import triton

from ..errors import BackendUnavailableError
from ..media import Array

#: Whether Triton interprets kernels on the CPU; settled by ``TRITON_INTERPRET`` before the kernels are imported.
INTERPRETED = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "y", "yes")

_POINTERS = {torch.uint8: "*u8", torch.int16: "*i16", torch.int32: "*i32", torch.int64: "*i64", torch.float32: "*fp32"}
_POINTERS |= {torch.float64: "*fp64"}


@dataclass(frozen=True, eq=False)
class Kernel:
    """A Triton function and every form of it that may be launched.

    ``types`` holds the Triton type of each runtime parameter, in order; ``variants`` the values of the ``constexpr``
    parameters, and of the types that differ between forms. A launch in any other form raises ``TypeError``, so what is
    compiled ahead of time is all that can run. Contraction of ``a * b + c`` is off in every form: it would round once
    where the reference rounds twice. ``threads`` is the size of a program, whatever the width of the device's warps.
    """

    function: Any
    types: Mapping[str, str]
    variants: tuple[Mapping[str, Any], ...] = ({},)
    threads: int = 128
    #: pointers that the launcher allocates, hence aligned to 16 bytes
    aligned: tuple[str, ...] = ()
    #: whether its last parameter, ``PTX``, is to tell if it is compiled for NVIDIA's devices
    knows_ptx: bool = False
    _forms: set[tuple[Any, ...]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        for variant in self.variants:
            types = self.signature(variant)
            self._forms.add((*types.values(), *sorted(self.constants(variant).items())))

    @property
    def name(self) -> str:
        """Name of the Triton function."""
        return str(self.function.__name__)

    def signature(self, variant: Mapping[str, Any]) -> dict[str, str]:
        """Type of each runtime parameter in a form."""
        return {name: variant.get(name, type_) for name, type_ in self.types.items()}

    def constants(self, variant: Mapping[str, Any]) -> dict[str, Any]:
        """``constexpr`` parameters of a form."""
        return {name: value for name, value in variant.items() if name not in self.types}

    def about(self, backend: str) -> dict[str, bool]:
        """What a kernel is told of the devices, ``cuda`` or ``hip``, that it is compiled for, or of the interpreter."""
        return {"PTX": backend == "cuda"} if self.knows_ptx else {}

    def options(self, warp_size: int) -> dict[str, Any]:
        """What the compiler is told, for a device whose warps are ``warp_size`` wide."""
        return {"num_warps": max(1, self.threads // warp_size), "enable_fp_fusion": False}

    def __call__(self, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        """Launches ``grid`` programs on the device of the tensors among the arguments; none where the grid is empty."""
        types = tuple(map(_type_of, arguments, self.types.values()))
        if (*types, *sorted(constants.items())) not in self._forms:
            raise TypeError(f"{self.name} has no form for {', '.join(types)} with {constants}")
        if not all(grid):
            return
        device = next(a.device for a in arguments if isinstance(a, torch.Tensor))
        require_device(device)
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            backend, warp_size = _target()
            self.function[grid](*arguments, **constants, **self.about(backend), **self.options(warp_size))


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Declares a kernel; the options are the fields of :class:`Kernel`.

    Integers are not specialised by value, nor pointers by alignment but for those the launcher allocates: each form is
    then one binary.
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        types, aligned = options["types"], options.get("aligned", ())
        jit = triton.jit(
            do_not_specialize=[name for name, type_ in types.items() if not type_.startswith("*")],
            do_not_specialize_on_alignment=[name for name in types if name not in aligned],
        )
        return Kernel(jit(function), **options)

    return declare


def require_device(device: torch.device) -> None:
    """Raises :class:`BackendUnavailableError` where kernels cannot run on tensors of a device."""
    if device.type == "cuda" and INTERPRETED:
        raise BackendUnavailableError("TRITON_INTERPRET=1 keeps the Triton kernels on the CPU, away from CUDA tensors")
    if device.type != "cuda" and not INTERPRETED:
        raise BackendUnavailableError(
            f"Triton kernels need a CUDA or ROCm device, got tensors on {device.type}; TRITON_INTERPRET=1, set before "
            "the first import, interprets them on the CPU"
        )


def default_device() -> torch.device:
    """Where kernels run on behalf of tensors on the host; :class:`BackendUnavailableError` where they cannot."""
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BackendUnavailableError(
            "Triton kernels need a CUDA or ROCm device, and torch sees none; TRITON_INTERPRET=1, set before the first "
            "import, interprets them on the CPU"
        )
    return torch.device("cuda", torch.cuda.current_device())


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def send_edges(group_edges: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Group edges on a device, contiguous; stages that follow one another on a stream share one copy of the host's."""
    if device.type != "cuda" or group_edges.device.type != "cpu":
        return group_edges.to(device).contiguous()
    return _sent(group_edges.numpy().tobytes(), device, stream_of(device))


@lru_cache(maxsize=8)
def _sent(edges: bytes, device: torch.device, stream: int) -> torch.Tensor:
    return send(np.frombuffer(edges, dtype=np.int64), device)


def send(values: torch.Tensor | Array, device: torch.device) -> torch.Tensor:
    """A tensor on a device, as work of its current stream. From the host through pinned memory: others may wait."""
    tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
    pageable = device.type == "cuda" and tensor.device.type == "cpu"
    return (tensor.pin_memory() if pageable else tensor).to(device, non_blocking=True)


def stream_of(device: torch.device) -> int:
    """A device's current stream: what is sent on it is kept for it alone, as for others it might not be there yet."""
    return int(torch.cuda.current_stream(device).cuda_stream) if device.type == "cuda" else 0


def words(plane: torch.Tensor) -> torch.Tensor:
    """The same bytes as a row of 32-bit words; copied where they are not contiguous or do not start at a word."""
    plane = plane.contiguous().view(-1)
    if plane.data_ptr() % 4 or plane.storage_offset() * plane.element_size() % 4:
        plane = plane.clone()
    return plane.view(torch.int32)


def _type_of(argument: Any, declared: str) -> str:
    if isinstance(argument, torch.Tensor):
        return _POINTERS[argument.dtype]
    if declared == "i32" and not -(2**31) <= argument < 2**31:
        raise OverflowError(f"a kernel's 32-bit parameter cannot hold {argument}")
    return declared


def _target() -> tuple[str, int]:
    """What kernels are compiled for, and the width of its warps."""
    if INTERPRETED:
        return "interpreter", 32
    target = triton.runtime.driver.active.get_current_target()
    return str(target.backend), int(target.warp_size)
