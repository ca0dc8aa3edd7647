"""The tokenizer's result, and the model inputs made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from . import ops
from .config import CodecConfig
from .dispatch import is_tensor
from .media import Array
from .tables import normalization_table


@dataclass(frozen=True, eq=False, repr=False)
class CodecTokens:
    """Canvases of a video or an image, and where and when every patch of them comes from.

    ``C`` canvases of ``H`` x ``W`` pixels, ``hp`` x ``wp`` patches each; groups follow one another, each an I-canvas
    and then its P-canvases. No canvas is padded. Where the work was done on a torch device, ``canvases`` and
    ``src_patch_position`` are tensors there, and :meth:`numpy` fetches them.
    """

    #: RGB, uint8 ``[C, H, W, 3]``
    canvases: Array
    #: ``(t, h, w)`` of each patch, ``t`` a frame of the source video, int32 ``[C * hp * wp, 3]``, row-major per canvas
    src_patch_position: Array
    #: group of each canvas, int32 ``[C]``
    group_ids: Array
    #: ``I`` or ``P`` for each canvas, ``U1`` ``[C]``
    canvas_kinds: Array
    #: the sampled frames, int64 ``[N]``, and their times in seconds from the first frame, float64 ``[N]``
    frame_ids: Array
    timestamps: Array
    #: average frame rate of the video, frames in it, and the size of its upright picture
    fps: float
    total_frames: int
    source_height: int
    source_width: int
    codec: str
    config: CodecConfig
    #: ``codec``, ``estimated`` or ``none``
    motion_source: str
    #: ``exact`` (read off the bitstream), ``estimated``, ``mixed``, or ``none`` where no bits were looked at
    bits_source: str
    #: samples that the decoder could not give, and the frames whose pictures stand in for them, int64
    substituted_frames: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    substitutes: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    #: pictures that the container lists and the file does not hold, with ``on_error="salvage"``
    missing_frames: int = 0
    #: seconds per stage, as :func:`ov2_kernels.tokenize_video` counts them
    timings: Mapping[str, float] = field(default_factory=dict)
    #: what the canvases are: ``codec`` (selected blocks), whole ``frames`` or an ``image``
    evidence: str = "codec"
    #: the path of the video or image, as it was given; empty where it came otherwise
    video: str = ""
    #: samples whose bits are exact; those of the others are estimated
    exact_pictures: int = 0
    #: first sample of each group and the end of the last, where canvases do not tell: int64 ``[groups + 1]``
    sample_edges: Array | None = None

    def __repr__(self) -> str:
        counts = f"canvases={len(self.canvases)}, groups={len(set(self.group_ids.tolist()))}"
        counts += f", samples={len(self.frame_ids)}, tokens={self.num_tokens}"
        return f"CodecTokens({counts}, evidence={self.evidence!r}, video={self.video!r})"

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a canvas, ``(hp, wp)``."""
        return self.canvases.shape[1] // self.config.patch, self.canvases.shape[2] // self.config.patch

    @property
    def num_tokens(self) -> int:
        """Visual tokens after the encoder's 2x2 merge."""
        return len(self.src_patch_position) // 4

    @property
    def group_edges(self) -> Array:
        """First sample of each group, and the end of the last, int64 ``[groups + 1]``."""
        if self.sample_edges is not None:
            return self.sample_edges
        hp, wp = self.grid
        # A group's samples run from the frame of its I-canvas up to that of the next.
        first_frames = self.src_patch_position[np.flatnonzero(self.canvas_kinds == "I") * hp * wp, 0]
        first_frames = first_frames.cpu().numpy() if is_tensor(first_frames) else first_frames
        return np.append(np.searchsorted(self.frame_ids, first_frames), len(self.frame_ids)).astype(np.int64)

    def model_inputs(
        self,
        dtype: Any = "float32",
        *,
        as_torch: bool | None = None,
        threads: int | None = None,
        backend: str = "auto",
    ) -> dict[str, Any]:
        """What the vision encoder eats (algorithm, section 9).

        ``dtype`` is ``float32``, ``float16`` or ``bfloat16``, by name or as a NumPy or torch type; ``bfloat16`` needs
        torch. Returns ``pixel_values`` ``[C * hp * wp, 3 * patch**2]``, ``image_grid_thw`` int64 ``[C, 3]``,
        ``patch_positions`` int64 ``[C * hp * wp, 3]`` in block order and ``cu_seqlens`` int32 ``[groups + 1]``: torch
        tensors where torch is installed, NumPy arrays else or with ``as_torch=False``; where the canvases are.
        """
        name = _dtype_name(dtype)
        if as_torch is False and is_tensor(self.canvases):
            return self.numpy().model_inputs(dtype, as_torch=False, threads=threads, backend=backend)
        torch = _import_torch(required=as_torch is True or name == "bfloat16") if as_torch is not False else None
        if name == "bfloat16" and torch is None:
            raise ValueError("dtype bfloat16 is a torch type; NumPy has none, so as_torch must not be False")
        hp, wp = self.grid
        small: dict[str, Any] = {
            "image_grid_thw": np.tile(np.array([1, hp, wp], dtype=np.int64), (len(self.canvases), 1)),
            "cu_seqlens": np.append(0, np.cumsum(np.bincount(self.group_ids) * hp * wp)).astype(np.int32),
        }
        if is_tensor(self.canvases):
            from .device import model_inputs

            return model_inputs(self.canvases, self.src_patch_position, name, self.config.patch, backend, **small)
        values, positions = self._pixel_values(name, torch, threads, backend)
        inputs: dict[str, Any] = {"pixel_values": values, "patch_positions": positions, **small}
        if torch is not None:
            inputs = {key: torch.as_tensor(value) for key, value in inputs.items()}
            if name == "bfloat16":
                inputs["pixel_values"] = inputs["pixel_values"].view(torch.bfloat16)
        return inputs

    def numpy(self) -> CodecTokens:
        """The same with all arrays on the host; itself where they are there already."""
        if not is_tensor(self.canvases):
            return self
        fetched = {name: getattr(self, name).cpu().numpy() for name in ("canvases", "src_patch_position")}
        return replace(self, **fetched)

    def _pixel_values(self, name: str, torch: Any, threads: int | None, backend: str) -> tuple[Any, Any]:
        """Each canvas is its own source, block by block, and its positions are those of its patches."""
        table = _table(name, torch)
        hp, wp = self.grid
        blocks = hp * wp // 4
        count = len(self.canvases)
        values, places = ops.pack_pixel_values(
            self.canvases,
            np.arange(count * blocks, dtype=np.int64).reshape(count, blocks),
            np.arange(count, dtype=np.int64),
            table,
            patch=self.config.patch,
            threads=threads,
            backend=backend,
        )
        row = (places[:, 0] * hp + places[:, 1]) * wp + places[:, 2]
        return values, self.src_patch_position[row].astype(np.int64)

    def save(self, directory: str | os.PathLike[str], *, format: str = "jpg", overwrite: bool = False) -> None:
        """Writes the asset directory that the readers of ``cv-preinfer`` take; whole or not at all.

        ``format`` is ``jpg`` (quality 95), ``png`` or ``npy``. An existing target raises ``FileExistsError`` unless
        ``overwrite`` is set.
        """
        from .assets import save_assets

        save_assets(self.numpy(), directory, format=format, overwrite=overwrite)

    def to_html(self, video: str | os.PathLike[str] | None = None, *, max_bytes: int = 9_500_000) -> str:
        """A page, complete in itself, that shows what was kept and why.

        It is for a browser, and may be put into a notebook's output or a file. The video is read again, from where the
        tokens found it or from ``video``; ``ValueError`` where it is another one. Pictures are compressed until the
        page has no more than ``max_bytes``.
        """
        from .report import html_report

        return html_report(self, video, max_bytes=max_bytes)

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, max_bytes: int = 1 << 31) -> CodecTokens:
        """Reads a directory that :meth:`save` wrote, whoever has had it since.

        Raises ``OSError`` where a file is missing or cannot be read, and ``ValueError`` where anything is not as it was
        written, or the canvases would take more than ``max_bytes``, before that memory is taken.
        """
        from .load_assets import load_assets

        return load_assets(directory, max_bytes=max_bytes)


def _dtype_name(dtype: Any) -> str:
    name = str(dtype).removeprefix("torch.") if not isinstance(dtype, type) else np.dtype(dtype).name
    if name not in ("float32", "float16", "bfloat16"):
        raise ValueError(f"dtype must be float32, float16 or bfloat16, got {dtype!r}")
    return name


def _import_torch(required: bool) -> Any:
    try:
        import torch
    except ImportError as error:
        if required:
            raise ImportError("this needs torch: pip install 'ov2_kernels[torch]'") from error
        return None
    return torch


def _table(name: str, torch: Any) -> Array:
    """The normalisation table in the type wanted, each value rounded once; bfloat16 as its bits."""
    table = normalization_table()
    if name == "bfloat16":
        bits: Array = torch.tensor(table).to(torch.bfloat16).view(torch.int16).numpy()
        return bits
    return table.astype(name)
