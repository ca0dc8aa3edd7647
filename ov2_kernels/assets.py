"""Tokens on disk: the asset directory that readers of ``cv-preinfer`` take."""

from __future__ import annotations

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .dispatch import resolve_threads
from .fresh_files import check_directory, fresh_directory, write_npy, write_picture
from .media import Array

if TYPE_CHECKING:
    from .tokens import CodecTokens

FORMATS = ("jpg", "png", "npy")

#: what is in an asset directory; the videos are in those that ``cv-preinfer`` wrote
FILES = (
    r"canvas_[0-9]{3,}\.(?:jpg|png|npy)|src_patch_position\.npy|frame_ids\.npy|meta\.json|"
    r"sampled_masked_(?:sbs|only)\.mp4"
)


def save_assets(
    tokens: CodecTokens, directory: str | os.PathLike[str], *, format: str = "jpg", overwrite: bool = False
) -> dict[str, Any]:
    """Writes ``canvas_000.jpg`` ..., ``src_patch_position.npy``, ``frame_ids.npy`` and ``meta.json``; returns the last.

    They are written to a temporary directory beside the target, which then takes the target's name, so that no reader
    ever sees half of them. Raises ``ValueError`` for an unknown ``format``, ``OSError`` that names
    the target where it cannot be written, and what :func:`check_assets_target` raises.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    target = Path(directory)

    def check() -> None:
        check_assets_target(target, overwrite=overwrite, source=tokens.video)

    check()
    with fresh_directory(target, check) as temporary:
        names = canvas_names(tokens, format)
        # Pillow gives up the GIL while it compresses.
        pool = ThreadPoolExecutor(resolve_threads(tokens.config.threads))
        try:
            list(pool.map(_write_canvas, [temporary / name for name in names], tokens.canvases))
        finally:
            pool.shutdown(cancel_futures=True)
        write_npy(temporary / "src_patch_position.npy", tokens.src_patch_position)
        write_npy(temporary / "frame_ids.npy", tokens.frame_ids.astype(np.int32))
        meta = describe(tokens, names)
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1))
    return meta


def check_assets_target(target: Path, *, overwrite: bool, source: str | os.PathLike[str] = "") -> None:
    """Raises ``TargetError``, a ``FileExistsError``, where no asset directory may take the place of ``target``.

    ``overwrite`` replaces an empty directory, and an asset directory that holds nothing else and not ``source``.
    """
    check_directory(target, "an asset directory", "meta.json", FILES, overwrite=overwrite, source=source)


def _write_canvas(path: Path, canvas: Array) -> None:
    if path.suffix == ".npy":
        write_npy(path, canvas)
        return
    from PIL import Image

    # A PNG at level 1 takes a third of the time of the default, and 6 % more bytes.
    if path.suffix == ".jpg":
        write_picture(path, Image.fromarray(canvas), "JPEG", quality=95)
    else:
        write_picture(path, Image.fromarray(canvas), "PNG", compress_level=1)


def canvas_names(tokens: CodecTokens, format: str) -> list[str]:
    """File names of the canvases, in order."""
    return [f"canvas_{c:03d}.{format}" for c in range(len(tokens.canvases))]


def describe(tokens: CodecTokens, names: list[str]) -> dict[str, Any]:
    """What ``meta.json`` holds; ``names`` are the files of the canvases."""
    hp, wp = tokens.grid
    anchors = np.flatnonzero(tokens.canvas_kinds == "I")
    canvas_edges = [*anchors.tolist(), len(names)]
    sample_edges = tokens.group_edges.tolist()
    groups = [
        {
            "group_idx": k,
            "group_start_idx": sample_edges[k],
            "group_end_idx": sample_edges[k + 1],
            "group_frame_count": sample_edges[k + 1] - sample_edges[k],
            "frame_ids": tokens.frame_ids[sample_edges[k] : sample_edges[k + 1]].tolist(),
            "global_img_offset": canvas_edges[k],
            "num_canvases": canvas_edges[k + 1] - canvas_edges[k],
        }
        for k in range(len(anchors))
    ]
    return {
        "fps": tokens.fps,
        "canvas_files": names,
        "total_frames": tokens.total_frames,
        "orig_hw": [tokens.source_height, tokens.source_width],
        "processed_hw": list(tokens.canvases.shape[1:3]),
        "patch": tokens.config.patch,
        "hb_wb": [hp, wp],
        "S_full": hp * wp,
        "num_groups": len(groups),
        "total_images": len(names),
        "sampled_frames": len(tokens.frame_ids),
        "images_per_group": tokens.config.images_per_group,
        "group_size": tokens.config.group_size,
        "codec_name": tokens.codec,
        "groups": groups,
        "timing_sec": dict(tokens.timings),
        "timestamps": [float(t) for t in tokens.timestamps],
        "substituted_frames": [int(t) for t in tokens.substituted_frames],
        "substitutes": [int(t) for t in tokens.substitutes],
        "missing_frames": tokens.missing_frames,
        "motion_source": tokens.motion_source,
        "bits_source": tokens.bits_source,
        "exact_pictures": tokens.exact_pictures,
        "evidence": tokens.evidence,
        "video": tokens.video,
        "config": dataclasses.asdict(tokens.config),
    }
