"""A video of what was kept: the sampled frames, and beside them the same with all else dimmed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from . import ops
from .contact_sheet import dim_unkept
from .fresh_files import fresh_file
from .limits import Deadline
from .media import Array, Pictures, VideoInfo
from .tokens import CodecTokens
from .trace import further, kept_mask, traceable

#: Times are told in milliseconds.
_TICK = Fraction(1, 1000)
#: Samples that are in memory at the same time.
_AT_ONCE = 512
#: x264 without its macroblock tree, whose vector code does not write the same bytes every time.
_ENCODERS = (("libx264", {"crf": "20", "preset": "veryfast", "mbtree": "0"}), ("mpeg4", {"qscale": "3"}))


def write_mask_video(
    path: str | os.PathLike[str],
    tokens: CodecTokens,
    video: str | os.PathLike[str],
    *,
    progress: Callable[[int], None] | None = None,
    backend: str = "auto",
) -> None:
    """Writes a video: the sampled frames on the left, their kept blocks on the right, each shown at its own time.

    ``video`` is that of ``tokens``; its samples are read again, a few hundred at a time. The suffix of ``path`` names
    the container. Needs PyAV (``ImportError`` without); ``ValueError`` for a suffix that no container has, or one whose
    container takes no such video, and as :func:`ov2_kernels.trace.trace_tokens`. Nothing is left behind where it fails.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("a mask video needs PyAV: pip install 'ov2_kernels[reference]'") from error
    target = Path(path)
    if not target.suffix:
        raise ValueError(f"{target}: the name must end in .mp4 or another suffix that names a container")
    tokens, source, info = traceable(tokens, video, backend)
    block = 2 * tokens.config.patch
    height, width = tokens.canvases.shape[1:3]
    # Through a file of Python's, whose errors are the system's.
    with fresh_file(target) as fresh, open(fresh, "wb") as file:
        try:
            container = av.open(file, "w")
        except ValueError as error:
            raise ValueError(f"{target}: no container for the suffix {target.suffix!r}") from error
        try:
            with container as out:
                stream = _stream(out, target, tokens.fps, height, 2 * width)
                last = -1
                times = tokens.timestamps - tokens.timestamps[0]
                pictures = _pictures(tokens, source, info, progress, backend)
                for picture, mask, seconds in zip(pictures, kept_mask(tokens), times, strict=True):
                    both = np.concatenate([picture, dim_unkept(picture, mask, block)], axis=1)
                    frame = av.VideoFrame.from_ndarray(both, format="rgb24")
                    last = max(last + 1, round(1000 * float(seconds)))
                    frame.pts, frame.time_base = last, _TICK
                    out.mux(stream.encode(frame))
                out.mux(stream.encode(None))
        except av.error.PyAVCallbackError as error:
            # Closing tells again that writing failed, and not why.
            raise error.__context__ or error from None


def _stream(container: Any, target: Path, fps: float, height: int, width: int) -> Any:
    """What encodes the pictures; ``ValueError`` where the container takes no such video."""
    import av

    encoder, options = next(e for e in _ENCODERS if e[0] in av.codecs_available)
    try:
        stream = container.add_stream(encoder, rate=max(1, round(fps)), options=options)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TICK
        container.start_encoding()
    except ValueError as error:
        why = f"the container of the suffix {target.suffix!r} takes no {encoder}; .mp4 and .mkv do"
        raise ValueError(f"{target}: {why}") from error
    return stream


def _pictures(
    tokens: CodecTokens, video: str, info: VideoInfo, progress: Callable[[int], None] | None, backend: str
) -> Iterator[Array]:
    """The samples, RGB, of which few are in memory at the same time."""
    height, width = tokens.canvases.shape[1:3]
    deadline = Deadline(video, tokens.config)
    for first in range(0, len(tokens.frame_ids), _AT_ONCE):
        frame_ids = tokens.frame_ids[first : first + _AT_ONCE]
        yield from ops.read_samples(
            video,
            frame_ids,
            height,
            width,
            info=info,
            pictures=Pictures.empty(len(frame_ids), height, width, predecessors=False),
            threads=tokens.config.threads,
            motion_source="none",
            progress=further(progress, first),
            limits=deadline.left(),
            backend=backend,
        ).frames
