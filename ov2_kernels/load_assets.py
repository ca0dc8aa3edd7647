"""Asset directories read back. Nothing in one is trusted: it may come from anywhere."""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .asset_files import one_line, read_bytes, read_npy, read_picture
from .config import CodecConfig
from .dispatch import resolve_threads
from .media import MOTION_SOURCES, Array
from .tokens import CodecTokens

#: bytes of ``meta.json`` at most: some 500,000 samples
MOST_META_BYTES = 1 << 24
#: bytes of all canvases at most, unless the caller says otherwise
MOST_BYTES = 1 << 31

_CANVAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.(?:jpg|png|npy)")
_EVIDENCE = ("codec", "frames", "image")
_BITS_SOURCES = ("exact", "estimated", "mixed", "none")
_COUNT = (0, 2**31 - 1)


def load_assets(directory: str | os.PathLike[str], *, max_bytes: int = MOST_BYTES) -> CodecTokens:
    """Reads an asset directory that :func:`ov2_kernels.assets.save_assets` wrote.

    JPEG canvases come back as JPEG left them; ``png`` and ``npy`` bit for bit. Only plain files of the directory itself
    are read, nothing is unpickled, and no array or picture is begun before its size is known to be right. Raises
    ``OSError`` where a file is missing or cannot be read, and ``ValueError``, in one line that names the file, where
    anything in it is not as it was written, or the canvases have more than ``max_bytes`` in all.
    """
    root = Path(directory)
    meta = _Meta(root)
    config = meta.config()
    height, width = meta.size("processed_hw")
    if height % (2 * config.patch) or width % (2 * config.patch):
        raise meta.error("processed_hw", f"multiples of 2 * patch = {2 * config.patch}")
    names = meta.sequence("canvas_files", lambda name: isinstance(name, str) and _CANVAS.fullmatch(name))
    if not names:
        raise ValueError(f"{meta.path}: names no canvas")
    if len(names) * height * width * 3 > max_bytes:
        raise ValueError(
            f"{meta.path}: tells of {len(names)} canvases of {width}x{height}, more than max_bytes = {max_bytes}"
        )
    total_frames = meta.integer("total_frames", 1)
    timestamps = meta.numbers("timestamps")
    group_ids, kinds, sample_edges = _groups(meta, len(names), len(timestamps))

    frame_ids = read_npy(root / "frame_ids.npy", np.int32, (len(timestamps),)).astype(np.int64)
    _check_range(root / "frame_ids.npy", frame_ids, total_frames)
    hp, wp = height // config.patch, width // config.patch
    positions = read_npy(root / "src_patch_position.npy", np.int32, (len(names) * hp * wp, 3))
    for axis, limit in enumerate((total_frames, hp, wp)):
        _check_range(root / "src_patch_position.npy", positions[:, axis], limit)
    if not np.isin(positions[:, 0], frame_ids).all():
        raise ValueError(f"{root / 'src_patch_position.npy'}: names frames that frame_ids.npy does not hold")

    substituted = meta.integers("substituted_frames", total_frames)
    substitutes = meta.integers("substitutes", total_frames) if "substitutes" in meta.values else []
    if substitutes and len(substitutes) != len(substituted):
        raise meta.error("substitutes", "one for each of substituted_frames")

    tokens = CodecTokens(
        canvases=_canvases([root / name for name in names], height, width, config),
        src_patch_position=positions,
        group_ids=group_ids,
        canvas_kinds=kinds,
        frame_ids=frame_ids,
        timestamps=np.array(timestamps, dtype=np.float64),
        fps=meta.number("fps", above=0.0),
        total_frames=total_frames,
        source_height=meta.size("orig_hw")[0],
        source_width=meta.size("orig_hw")[1],
        codec=meta.text("codec_name"),
        config=config,
        motion_source=meta.text("motion_source", MOTION_SOURCES),
        bits_source=meta.text("bits_source", _BITS_SOURCES),
        substituted_frames=np.array(substituted, dtype=np.int64),
        substitutes=np.array(substitutes, dtype=np.int64),
        missing_frames=meta.integer("missing_frames", 0, default=0),
        timings=meta.timings(),
        evidence=meta.text("evidence", _EVIDENCE, default="codec"),
        video=meta.text("video", default=""),
        exact_pictures=meta.integer("exact_pictures", 0, len(frame_ids), default=0),
        sample_edges=sample_edges,
    )
    return tokens


def _canvases(paths: list[Path], height: int, width: int, config: CodecConfig) -> Array:
    canvases = np.empty((len(paths), height, width, 3), dtype=np.uint8)

    def read(row: int) -> None:
        canvases[row] = read_picture(paths[row], height, width)

    # However many threads the directory asks for.
    pool = ThreadPoolExecutor(min(resolve_threads(config.threads), resolve_threads(None)))
    try:
        for _ in pool.map(read, range(len(paths))):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    return canvases


def _check_range(path: Path, values: Array, limit: int) -> None:
    if values.size and (values.min() < 0 or values.max() >= limit):
        raise ValueError(f"{path}: must lie in [0, {limit}), holds {values.min()} to {values.max()}")


def _groups(meta: _Meta, canvases: int, samples: int) -> tuple[Array, Array, Array | None]:
    """Group and kind of each canvas, and the edges of the groups' samples, which some directories do not tell."""
    groups = meta.sequence("groups", lambda group: isinstance(group, dict))
    counts = [_field(meta, group, "num_canvases", 1, canvases) for group in groups]
    offsets = [_field(meta, group, "global_img_offset", 0, canvases) for group in groups]
    if sum(counts) != canvases or offsets != [0, *np.cumsum(counts[:-1], dtype=np.int64).tolist()][: len(counts)]:
        raise ValueError(f"{meta.path}: its groups do not fit its {canvases} canvases")
    kinds = np.full(canvases, "P")
    kinds[offsets] = "I"
    group_ids = np.repeat(np.arange(len(groups), dtype=np.int32), counts)
    if not all("group_start_idx" in group and "group_end_idx" in group for group in groups):
        return group_ids, kinds, None
    starts = [_field(meta, group, "group_start_idx", 0, samples) for group in groups]
    ends = [_field(meta, group, "group_end_idx", 0, samples) for group in groups]
    edges = [*starts, ends[-1]]
    if edges[0] != 0 or starts[1:] != ends[:-1] or (np.diff(edges) <= 0).any():
        raise ValueError(f"{meta.path}: its groups do not cut up its {samples} samples")
    return group_ids, kinds, np.array(edges, dtype=np.int64)


def _field(meta: _Meta, group: dict[str, Any], name: str, low: int, high: int) -> int:
    value = group.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{meta.path}: {name} must be an integer from {low} to {high}, got {reprlib.repr(value)}")
    return value


class _Meta:
    """``meta.json``, of which every value is checked as it is taken."""

    def __init__(self, root: Path) -> None:
        self.path = root / "meta.json"
        text = read_bytes(self.path, MOST_META_BYTES)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.path}: is not JSON: {one_line(error)}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{self.path}: must hold an object, holds a {type(values).__name__}")
        self.values: dict[str, Any] = values

    def error(self, name: str, wanted: str) -> ValueError:
        if name not in self.values:
            return ValueError(f"{self.path}: lacks {name}")
        return ValueError(f"{self.path}: {name} must be {wanted}, got {reprlib.repr(self.values[name])}")

    def config(self) -> CodecConfig:
        given = self.values.get("config")
        if not isinstance(given, dict):
            raise self.error("config", "an object")
        try:
            return CodecConfig(**given)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{self.path}: its config is not one of ov2_kernels: {one_line(error)}") from error

    def integer(self, name: str, low: int, high: int = _COUNT[1], default: int | None = None) -> int:
        value = self.values.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self.error(name, f"an integer from {low} to {high}")
        return value

    def number(self, name: str, above: float) -> float:
        value: Any = self.values.get(name)
        if not _is_number(value) or not value > above:
            raise self.error(name, f"a number above {above:g}")
        return float(value)

    def text(self, name: str, choices: Sequence[str] = (), default: str | None = None) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self.error(name, f"one of {', '.join(choices)}" if choices else "a string")
        return value

    def sequence(self, name: str, good: Callable[[Any], Any]) -> list[Any]:
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.error(name, "a list")
        for i, item in enumerate(value):
            if not good(item):
                raise ValueError(f"{self.path}: {name}[{i}] cannot be {reprlib.repr(item)}")
        return value

    def numbers(self, name: str) -> list[float]:
        return self.sequence(name, _is_number)

    def integers(self, name: str, limit: int) -> list[int]:
        return self.sequence(name, lambda value: type(value) is int and 0 <= value < limit)

    def size(self, name: str) -> tuple[int, int]:
        value = self.sequence(name, lambda side: type(side) is int and 0 < side < _COUNT[1])
        if len(value) != 2:
            raise self.error(name, "height and width")
        return value[0], value[1]

    def timings(self) -> dict[str, float]:
        value = self.values.get("timing_sec")
        if not isinstance(value, dict) or not all(map(_is_number, value.values())):
            raise self.error("timing_sec", "numbers by name")
        return value


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)
