"""Pixels, motion vectors and bytes of the sampled frames (algorithm, section 4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DamagedVideoError
from ..limits import Deadline, Limits
from ..media import Array, Pictures, Samples, VideoInfo
from .demux import Video, display_matrix, is_reference, open_video, orientation
from .probe import probe
from .resize import resize

VECTOR_LIMIT = 2047
EXPORTED = {
    "h264", "mpeg4", "mpeg1video", "mpeg2video", "h263", "flv1", "msmpeg4v2", "msmpeg4v3",
    "wmv1", "wmv2",
}  # fmt: skip


def read_samples(
    path: str | os.PathLike[str],
    frame_ids: Sequence[int] | Array,
    height: int,
    width: int,
    *,
    info: VideoInfo | None = None,
    threads: int = 1,
    motion_source: str = "auto",
    progress: Callable[[int], None] | None = None,
    progress_at: Sequence[int] | Array = (),
    pictures: Pictures | None = None,
    limits: Limits | None = None,
) -> Samples:
    """Decodes a video and keeps what the sampled frames need, upright and at canvas size.

    ``frame_ids`` are rows of the packet table, strictly increasing; ``height`` and ``width`` are those of the canvas,
    in pixels, multiples of 4. ``motion_source`` is ``auto`` (the codec's vectors, estimated where it exports none),
    ``estimated`` or ``none``. ``progress`` is called with the number of samples, from the first on, whose pictures are
    written, after each, whatever ``progress_at``; ``pictures`` is memory for them. ``limits`` say what is accepted.
    Raises :class:`VideoError` where a frame cannot be decoded, unless ``limits.on_error`` is ``salvage`` and
    any can. Source: algorithm, section 4.
    """
    path = os.fspath(path)
    limits = limits or Limits()
    deadline = Deadline(path, limits)
    info = info or probe(path, limits=limits)
    source = _motion_source(info, motion_source)
    shown, references = _decode(open_video(path, deadline.left()), info, source == "codec")
    rows = [row for row, *_ in shown]
    n = len(frame_ids)
    predecessors = pictures is None or len(pictures.prev_luma) > 0
    if pictures is None or not isinstance(pictures.frames, np.ndarray):  # nothing is deferred here
        pictures = Pictures.empty(n, height, width, predecessors=predecessors)
    assert isinstance(pictures.frames, np.ndarray)
    if n and not len(pictures.prev_luma) and source != "none":
        raise ValueError("motion needs the pictures before the samples")
    out: dict[str, Any] = {
        "frame_ids": np.array(frame_ids, dtype=np.int64),
        "motion": np.zeros((n, height // 4, width // 4, 2), dtype=np.int16),
        "packet_bytes": np.zeros(n, dtype=np.int64),
        "pts": info.pts[np.asarray(frame_ids, dtype=np.int64)],
        "pict_types": np.zeros(n, dtype="S1"),
        "substituted": np.zeros(n, dtype=bool),
        "shown_ids": np.zeros(n, dtype=np.int64),
    }
    for i, wanted in enumerate(frame_ids):
        at = next((k for k, row in enumerate(rows) if row >= wanted), None)
        # Where pictures are only counted, those not decoded leave the last samples without: the last one stands in.
        deadline.check()
        lost = at is None and bool(shown) and (limits.salvage or not info.has_timestamps)
        if limits.salvage and at and wanted - rows[at - 1] < rows[at] - wanted:
            lost, at = True, at - 1  # the picture before is nearer
        elif lost:
            at = len(shown) - 1
        if at is None:
            what = f"cannot decode frame {wanted} of {info.frames}"
            raise DamagedVideoError(f"{path}: {what}: the stream ends or breaks off before it")
        row, frame, packet_size = shown[at]
        pictures.frames[i], pictures.luma[i] = resize(frame, height, width)
        still = lost or at == 0
        if len(pictures.prev_luma):
            pictures.prev_luma[i] = pictures.luma[i] if still else resize(shown[at - 1][1], height, width)[1]
        out["packet_bytes"][i] = info.size[wanted] if info.has_timestamps or lost else packet_size
        out["pict_types"][i] = b"?IPBSipb"[frame.pict_type :][:1]
        out["substituted"][i] = row != wanted
        out["shown_ids"][i] = row
        is_key = info.is_key[wanted] if info.has_timestamps else frame.key_frame
        if not out["substituted"][i] and not is_key:
            if source == "codec":
                distances = _distance(references, row, -1), _distance(references, row, 1)
                out["motion"][i] = _codec_motion(frame, height, width, distances)
            elif source == "estimated":
                out["motion"][i] = estimate_motion(pictures.luma[i], pictures.prev_luma[i])
        if progress is not None:
            progress(i + 1)
    out |= {"frames": pictures.frames, "luma": pictures.luma, "prev_luma": pictures.prev_luma}
    return Samples(motion_source=source, decoded=len(shown), skipped=0, **out)


def _motion_source(info: VideoInfo, wanted: str) -> str:
    if wanted == "none" or info.is_key.all():
        return "none"
    return "codec" if wanted == "auto" and info.codec in EXPORTED else "estimated"


def _decode(video: Video, info: VideoInfo, vectors: bool) -> tuple[list[tuple[int, Any, int]], dict[int, bool]]:
    """Every picture in display order, as its row, the frame and its packet's bytes; and which rows are references."""
    context = video.stream.codec_context
    context.thread_count = 1  # with frame threads some vectors are lost
    if vectors:
        context.flags2 |= 1 << 28  # AV_CODEC_FLAG2_EXPORT_MVS
    row_of = {int(index): row for row, index in enumerate(info.decode_index)}
    packets: list[tuple[int, bool]] = []
    shown: list[tuple[int, Any, int]] = []
    references: dict[int, bool] = {}

    def collect(packet: Any) -> None:
        for frame in video.decode(packet):
            row = row_of.get(frame.pts, -1) if info.has_timestamps else len(shown)
            if not info.has_timestamps:
                references[row] = packets[frame.pts][1]
            shown.append((row, frame, packets[frame.pts][0]))

    with video:
        for index, packet in enumerate(video.packets()):
            reference = is_reference(video.codec, context.extradata, bytes(packet))
            packets.append((packet.size, reference))
            if info.has_timestamps and index in row_of:
                references[row_of[index]] = reference
            packet.pts = index  # a picture carries its packet's pts, so the place in decode order travels there
            packet.dts = None
            collect(packet)
        collect(None)
    return shown, references


def _distance(references: dict[int, bool], row: int, step: int) -> int:
    """Frames to the nearest reference picture on one side in display order, 1 where there is none."""
    at = row + step
    while at in references:
        if references[at]:
            return abs(at - row)
        at += step
    return 1


def _codec_motion(frame: Any, height: int, width: int, distances: tuple[int, int]) -> Array:
    side = frame.side_data.get("MOTION_VECTORS")
    field = np.zeros((height // 4, width // 4, 2), dtype=np.int64)
    if side is None:
        return field
    transpose, flip_x, flip_y = orientation(display_matrix(frame))
    source_h, source_w = (frame.width, frame.height) if transpose else (frame.height, frame.width)
    # The coded pixel at the centre of each upright cell.
    x = (4 * np.arange(width // 4) + 2) * source_w // width
    y = (4 * np.arange(height // 4) + 2) * source_h // height
    x = source_w - 1 - x if flip_x else x
    y = source_h - 1 - y if flip_y else y
    vectors = side.to_ndarray()
    for past in (False, True):  # the past is written last and wins
        for mv in vectors[(vectors["source"] < 0) == past]:
            scale = int(mv["motion_scale"])
            left, top = int(mv["dst_x"]) - int(mv["w"]) // 2, int(mv["dst_y"]) - int(mv["h"]) // 2
            right, bottom = left + int(mv["w"]), top + int(mv["h"])
            dx, dy = int(mv["motion_x"]) * 4 // scale, int(mv["motion_y"]) * 4 // scale
            if transpose:
                left, top, right, bottom, dx, dy = top, left, bottom, right, dy, dx
            columns = np.flatnonzero((left <= x) & (x < right))
            rows = np.flatnonzero((top <= y) & (y < bottom))
            sign = 1 if past else -1
            dx, dy = (-dx if flip_x else dx) * sign, (-dy if flip_y else dy) * sign
            distance = distances[0] if past else distances[1]
            vector = (_rescale(dx, width, distance * source_w), _rescale(dy, height, distance * source_h))
            field[np.ix_(rows, columns)] = vector
    return field


def _rescale(value: int, canvas: int, source: int) -> int:
    """``value * canvas / source``, to nearest, halves away from zero, clamped."""
    magnitude = (2 * abs(value) * canvas + source) // (2 * source)
    return min(magnitude, VECTOR_LIMIT) * (1 if value > 0 else -1)


def estimate_motion(luma: Array, prev_luma: Array) -> Array:
    """Motion int16 ``[H/4, W/4, 2]`` of one luma plane against another, by libavfilter's mestimate."""
    import av
    from av.filter import Graph

    height, width = luma.shape
    graph = Graph()
    source = graph.add("buffer", f"video_size={width}x{height}:pix_fmt=gray:time_base=1/1:pixel_aspect=1/1")
    match = graph.add("mestimate", "method=tss:mb_size=16:search_param=16")
    sink = graph.add("buffersink")
    source.link_to(match)
    match.link_to(sink)
    graph.configure()
    for pts, plane in enumerate((prev_luma, luma, luma)):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(plane), format="gray")
        frame.pts = pts
        source.push(frame)
    field = np.zeros((height // 4, width // 4, 2), dtype=np.int16)
    out = sink.pull()
    while out.pts != 1:
        out = sink.pull()
    side: Any = out.side_data.get("MOTION_VECTORS")
    for mv in side.to_ndarray():
        if mv["source"] < 0:
            top, left = (int(mv["dst_y"]) - 8) // 4, (int(mv["dst_x"]) - 8) // 4
            # mestimate writes whole pixels, and only positions.
            field[top : top + 4, left : left + 4] = (4 * (mv["src_x"] - mv["dst_x"]), 4 * (mv["src_y"] - mv["dst_y"]))
    return np.clip(field, -VECTOR_LIMIT, VECTOR_LIMIT)
