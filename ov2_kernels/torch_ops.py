"""The stages as torch operators, ``torch.ops.ov2_kernels.*``: tensors in, tensors out, on the device of the first.

:mod:`ov2_kernels.ops` loads this when it is handed a tensor or asked for Triton, so that all else works without torch;
import it to have the operators before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from . import ops, stage_inputs
from .checks import check_edges
from .dispatch import is_tensor, load_backend, resolve_threads

_HOST_BACKENDS = {"rope_frequencies": "reference"}
_TENSORS = {
    "block_energies": "Tensor luma, Tensor prev_luma, Tensor motion, Tensor packet_bytes",
    "change_scores": "Tensor luma, Tensor prev_luma, Tensor group_edges",
    "fuse_scores": "Tensor residual, Tensor motion_energy, Tensor bits, Tensor group_edges",
    "select_blocks": "Tensor scores, Tensor group_edges",
    "pack_canvases": "Tensor frames, Tensor selected, Tensor frame_ids",
    "pack_pixel_values": "Tensor frames, Tensor selected, Tensor frame_ids, Tensor table",
    "rope_frequencies": "Tensor patch_positions",
}
_OPTIONS = {
    "block_energies": "int patch",
    "change_scores": "int patch",
    "fuse_scores": "int[] weights, int patch",
    "select_blocks": "int images_per_group, str selection",
    "pack_canvases": "int patch",
    "pack_pixel_values": "int patch",
    "rope_frequencies": "int head_dim, float theta",
}
_RESULTS = {
    "block_energies": "(Tensor, Tensor, Tensor)",
    "change_scores": "Tensor",
    "fuse_scores": "Tensor",
    "select_blocks": "Tensor",
    "pack_canvases": "(Tensor, Tensor)",
    "pack_pixel_values": "(Tensor, Tensor)",
    "rope_frequencies": "(Tensor, Tensor)",
}


def run(stage: str, backend: str, arrays: tuple[Any, ...], threads: int | None, options: dict[str, Any]) -> Any:
    """Runs a stage as its operator; NumPy arrays where the first of ``arrays`` is one."""
    if threads is not None:
        threads = resolve_threads(threads)
    operator = getattr(torch.ops.ov2_kernels, stage)
    result = operator(*map(_as_tensor, arrays), **options, threads=threads or 0, backend=backend)
    if is_tensor(arrays[0]):
        return result
    return tuple(map(_as_array, result)) if isinstance(result, (tuple, list)) else _as_array(result)


def _as_tensor(array: Any) -> torch.Tensor:
    if is_tensor(array):
        return array
    # A tensor can neither be read-only nor run backwards.
    good = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if good else array.copy())


def _as_array(tensor: torch.Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return tensor.view(torch.int16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def _execute(stage: str, tensors: tuple[torch.Tensor, ...], options: dict[str, Any]) -> Any:
    threads, backend = options.pop("threads"), options.pop("backend")
    home = tensors[0].device
    if backend == "auto":
        backend = "triton" if home.type == "cuda" else _HOST_BACKENDS.get(stage, "native")
    load_backend(backend)
    if backend == "triton":
        results = _on_device(stage, tensors, options)
    else:
        if stage != "rope_frequencies":
            options["threads"] = threads or None
        results = getattr(ops, stage)(*map(_as_array, tensors), **options, backend=backend)
        results = tuple(map(_as_tensor, results)) if isinstance(results, tuple) else _as_tensor(results)
        if tensors[-1].dtype == torch.bfloat16:
            results = (results[0].view(torch.bfloat16), results[1])
    return tuple(r.to(home) for r in results) if isinstance(results, tuple) else results.to(home)


def _on_device(stage: str, tensors: tuple[torch.Tensor, ...], options: dict[str, Any]) -> Any:
    module = load_backend("triton")
    getattr(stage_inputs, stage)(*tensors, **options)
    home = tensors[0].device
    device = home if home.type == "cuda" else module.default_device()
    if stage in ("change_scores", "fuse_scores", "select_blocks"):
        # The edges stay on the host, or come to it for the number of canvases.
        *tensors_, edges = tensors
        edges = edges.cpu() if stage == "select_blocks" else edges
        if edges.device.type == "cpu":
            check_edges(edges.numpy(), len(tensors[0]))
        return getattr(module, stage)(*(module.send(t, device) for t in tensors_), edges, **options)
    return getattr(module, stage)(*(module.send(t, device) for t in tensors), **options)


def _block_energies(luma: Any, *_: Any, patch: int, **__: Any) -> tuple[torch.Tensor, ...]:
    n, height, width = luma.shape
    shape = (n, height // (2 * patch), width // (2 * patch))
    return tuple(luma.new_empty(shape, dtype=dtype) for dtype in (torch.int32, torch.int32, torch.int64))


def _change_scores(luma: Any, *_: Any, patch: int, **__: Any) -> torch.Tensor:
    n, height, width = luma.shape
    scores: torch.Tensor = luma.new_empty((n, height // (2 * patch), width // (2 * patch)), dtype=torch.int32)
    return scores


def _fuse_scores(residual: Any, *_: Any, **__: Any) -> torch.Tensor:
    scores: torch.Tensor = residual.new_empty(residual.shape)
    return scores


def _select_blocks(scores: Any, *_: Any, **__: Any) -> torch.Tensor:
    canvases = torch.library.get_ctx().new_dynamic_size()
    selected: torch.Tensor = scores.new_empty((canvases, scores.shape[1] * scores.shape[2]), dtype=torch.int64)
    return selected


def _pack_canvases(frames: Any, selected: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, ...]:
    count, blocks = selected.shape
    canvases = frames.new_empty((count, *frames.shape[1:]))
    return canvases, frames.new_empty((4 * count * blocks, 3), dtype=torch.int32)


def _pack_pixel_values(
    frames: Any, selected: Any, frame_ids: Any, table: Any, *, patch: int, **_: Any
) -> tuple[torch.Tensor, ...]:
    rows = 4 * selected.shape[0] * selected.shape[1]
    values = frames.new_empty((rows, 3 * patch * patch), dtype=table.dtype)
    return values, frames.new_empty((rows, 3), dtype=torch.int64)


def _rope_frequencies(positions: Any, *, head_dim: int, **_: Any) -> tuple[torch.Tensor, ...]:
    shape = (positions.shape[0], head_dim // 2)
    return tuple(positions.new_empty(shape, dtype=torch.float32) for _ in range(2))


def _register(stage: str, fake: Callable[..., Any]) -> None:
    """Declares an operator and how its result looks; options are given by name, ``threads`` 0 is their default."""
    schema = f"({_TENSORS[stage]}, *, {_OPTIONS[stage]}, int threads=0, str backend='auto') -> {_RESULTS[stage]}"

    def operator(*tensors: torch.Tensor, **options: Any) -> Any:
        return _execute(stage, tensors, {"threads": 0, "backend": "auto", **options})

    torch.library.custom_op(f"ov2_kernels::{stage}", operator, mutates_args=(), schema=schema).register_fake(fake)


_FAKES: dict[str, Callable[..., Any]] = {
    "block_energies": _block_energies,
    "change_scores": _change_scores,
    "fuse_scores": _fuse_scores,
    "select_blocks": _select_blocks,
    "pack_canvases": _pack_canvases,
    "pack_pixel_values": _pack_pixel_values,
    "rope_frequencies": _rope_frequencies,
}
for _name, _fake in _FAKES.items():
    _register(_name, _fake)
