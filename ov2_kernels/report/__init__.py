"""A page that shows a result: the timeline, the canvases, where each block comes from and why it was kept."""

from __future__ import annotations

import base64
import dataclasses
import html
import itertools
import json
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..config import CodecConfig
from ..media import Array, VideoInfo
from ..tokens import CodecTokens
from ..trace import Trace, trace_tokens
from .pictures import jpegs_within

_PARTS = Path(__file__).parent
#: Bars of the timeline at most: longer videos get one for several packets.
_MOST_BARS = 20_000


def html_report(
    tokens: CodecTokens,
    video: str | os.PathLike[str] | None = None,
    *,
    max_bytes: int = 9_500_000,
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
) -> str:
    """The page as a string of HTML that needs nothing else, neither files nor a network.

    ``video`` is where the video of ``tokens`` lies, by default where they found it; its samples are read again. Of more
    than 1024 samples those are shown of which something was kept. Pictures are compressed until the page has no more
    than ``max_bytes``; where the numbers alone would fill that, ``ValueError``.
    """
    tokens = tokens.numpy()
    trace = trace_tokens(tokens, video, progress=progress, backend=backend)
    data = {**_facts(tokens, trace), **_arrays(tokens, trace)}
    page = _page(data, tokens.video)
    # base64 takes four characters for three bytes, and each picture a prefix, quotes and a comma.
    room = (max_bytes - len(page)) * 3 // 4 - 30 * (len(tokens.canvases) + len(trace.shown))
    canvases = jpegs_within(tokens.canvases, room * 2 // 5)
    frames = jpegs_within(trace.pictures, room - sum(map(len, canvases)))
    data["canvases"] = [_data_uri(picture) for picture in canvases]
    data["pictures"] = [_data_uri(picture) for picture in frames]
    return _page(data, tokens.video)


def _page(data: dict[str, Any], video: str) -> str:
    parts = {
        # A file's name need not be UTF-8.
        "title": html.escape(Path(video).name.encode(errors="replace").decode() or "tokens"),
        "version": __version__,
        "style": (_PARTS / "page.css").read_text(encoding="utf-8"),
        "script": "".join((_PARTS / name).read_text(encoding="utf-8") for name in ("timeline.js", "page.js")),
        # A tag inside a name must not end the script.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = (_PARTS / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def _facts(tokens: CodecTokens, trace: Trace) -> dict[str, Any]:
    info = trace.info
    hp, wp = tokens.grid
    blocks = hp * wp // 4
    return {
        "name": Path(tokens.video).name or "tokens",
        "grid": [hp // 2, wp // 2],
        "block": 2 * tokens.config.patch,
        "duration": info.duration,
        "canvasGroup": tokens.group_ids.tolist(),
        "canvasKind": "".join(tokens.canvas_kinds.tolist()),
        "groupEdges": np.searchsorted(trace.shown, tokens.group_edges).tolist(),
        "groups": [
            f"{tokens.timestamps[first]:.1f} to {tokens.timestamps[end - 1]:.1f} s, {end - first} samples"
            for first, end in itertools.pairwise(tokens.group_edges.tolist())
        ],
        "allShown": len(trace.shown) == len(tokens.frame_ids),
        "summary": _summary(tokens, info, blocks, len(trace.shown)),
        "tables": _tables(tokens, trace),
        "warnings": _warnings(tokens, info),
    }


def _summary(tokens: CodecTokens, info: VideoInfo, blocks: int, shown: int) -> list[tuple[str, str, str]]:
    dense = info.frames * blocks
    whole = int((tokens.canvas_kinds == "I").sum())
    first, last = tokens.timestamps[[0, -1]]
    samples = len(tokens.frame_ids)
    apart = f"every {(last - first) / (samples - 1):.2f} s" if samples > 1 else f"at {first:.2f} s"
    return [
        ("tokens", f"{tokens.num_tokens:,}", f"{100 * tokens.num_tokens / dense:.1f} % of every frame whole"),
        ("every frame whole", f"{dense:,}", f"{info.frames:,} frames of {blocks} tokens"),
        (
            "canvases",
            f"{len(tokens.canvases)}",
            f"{whole} whole frames, {len(tokens.canvases) - whole} collages",
        ),
        ("samples", f"{samples:,}", apart if shown == samples else f"{apart}; {shown:,} gave tokens and are shown"),
        ("video", _bytes(int(info.size.sum())), f"{_clock(info.duration)} of {info.codec}"),
        ("time", f"{tokens.timings.get('total', 0.0):.2f} s", "to tokenize"),
    ]


def _tables(tokens: CodecTokens, trace: Trace) -> dict[str, list[tuple[str, str]]]:
    info = trace.info
    height, width = tokens.canvases.shape[1:3]
    default = CodecConfig()
    changed = [
        (field.name, f"{getattr(tokens.config, field.name)}")
        for field in dataclasses.fields(CodecConfig)
        if getattr(tokens.config, field.name) != getattr(default, field.name)
    ]
    sampled = int(trace.packet_bytes.sum())
    return {
        "Video": [
            ("file", tokens.video),
            ("codec, container", f"{info.codec}, {info.container}"),
            (
                "picture",
                f"{info.width} x {info.height}" + (f", turned by {info.rotation} degrees" if info.rotation else ""),
            ),
            ("length", f"{_clock(info.duration)}, {info.frames:,} frames, {info.fps:.3f} per second on average"),
            ("packets", f"{_bytes(int(info.size.sum()))} in all, {_bytes(sampled)} of them of samples"),
            ("keyframes", f"{int(info.is_key.sum())}"),
            ("canvas", f"{width} x {height}"),
            ("motion vectors", f"{tokens.motion_source}"),
            ("bits", f"{tokens.bits_source}, exact for {tokens.exact_pictures} of {len(tokens.frame_ids)} samples"),
        ],
        "Seconds per stage": [
            (name, f"{seconds:.4f}") for name, seconds in sorted(tokens.timings.items(), key=lambda t: t[0] == "total")
        ],
        "Settings other than the defaults": changed or [("none", "")],
    }


def _warnings(tokens: CodecTokens, info: VideoInfo) -> list[str]:
    warnings = []
    if len(tokens.substituted_frames):
        times = ", ".join(f"{info.times[t]:.2f}" for t in tokens.substituted_frames[:8])
        more = ", ..." if len(tokens.substituted_frames) > 8 else ""
        warnings.append(
            f"{len(tokens.substituted_frames)} samples could not be decoded; for each stands a picture near it "
            f"(at {times}{more} s)."
        )
    if tokens.missing_frames:
        warnings.append(f"The file is cut or damaged: it lacks {tokens.missing_frames} of the pictures that it lists.")
    if not info.has_timestamps:
        warnings.append("The stream tells no times: they are counted from its frame rate.")
    if tokens.motion_source == "estimated":
        warnings.append(f"The motion vectors are estimated: none are exported for {info.codec}.")
    if tokens.motion_source == "none" and tokens.config.motion_wanted != "none":
        warnings.append("There are no motion vectors: every picture is a keyframe.")
    if len(tokens.canvases) < tokens.config.target_canvas:
        warnings.append(
            f"The video gave material for {len(tokens.canvases)} of {tokens.config.target_canvas} canvases."
        )
    return warnings


def _arrays(tokens: CodecTokens, trace: Trace) -> dict[str, Any]:
    """Everything that comes in numbers, as little-endian integers, compressed, in base64."""
    info, shown = trace.info, trace.shown
    block = 2 * tokens.config.patch
    blocks = trace.selected.shape[1]
    full = 65535 if tokens.config.score_mode == "change" else 65535 * sum(tokens.config.weights)
    bars, types, per_bar = _timeline(info)
    selected = np.searchsorted(shown, trace.selected // blocks) * blocks + trace.selected % blocks
    return {
        "bars": _base64(bars, "<u4"),
        # From each bar's first frame to the next one's, in ten-thousandths of a second.
        "barTimes": _base64(np.diff(np.rint(10_000 * info.times[::per_bar]), prepend=0), "<u4"),
        "barTypes": types,
        "framesPerBar": per_bar,
        "sampleFrames": tokens.frame_ids[shown].tolist(),
        "sampleTimes": np.round(tokens.timestamps[shown], 4).tolist(),
        "sampleTypes": b"".join(trace.pict_types[shown].tolist()).decode(),
        "sampleBytes": trace.packet_bytes[shown].tolist(),
        "selected": _base64(selected, "<u4"),
        # In sixteenths: grey levels per pixel, and quarter pixels per frame and cell.
        "residual": _base64(16 * trace.residual[shown].astype(np.int64) // block**2, "<u2"),
        "motion": _base64(trace.motion[shown] // (block // 4) ** 2, "<u2"),
        "bits": _base64(trace.bits[shown] // 256, "<u4"),
        "scores": _base64(trace.scores[shown].astype(np.int64) * 65535 // full, "<u2"),
    }


def picture_kinds(info: VideoInfo) -> Array:
    """What the packet table tells of each picture, ``U1`` ``[frames]``; no packet is opened for it.

    ``I`` is a keyframe, ``B`` a picture shown before one that is decoded earlier, ``P`` any other.
    """
    later = np.minimum.accumulate(info.decode_index[::-1])[::-1]
    waits = np.append(later[1:] < info.decode_index[:-1], False)
    kinds = np.where(waits, "B", "P")
    kinds[info.is_key] = "I"
    return kinds


def _timeline(info: VideoInfo) -> tuple[Array, str, int]:
    """The largest packet of each of at most ``_MOST_BARS`` equal runs of frames, their kinds, and a run's length."""
    run = -(-info.frames // _MOST_BARS)
    count = -(-info.frames // run)
    sizes = np.zeros(count * run, dtype=np.int64)
    sizes[: info.frames] = info.size
    largest = sizes.reshape(count, run).argmax(axis=1) + run * np.arange(count)
    return sizes[largest], "".join(picture_kinds(info)[largest].tolist()), run


def _base64(values: Array, dtype: str) -> str:
    limit = np.iinfo(np.dtype(dtype)).max
    return base64.b64encode(zlib.compress(np.minimum(values, limit).astype(dtype).tobytes(), 9)).decode()


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _bytes(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000 or unit == "MB":
            break
        count /= 1000  # type: ignore[assignment]
    return f"{count:,} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
