"""What was kept of a clip, measured against what happened in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Of an event the encoder must have left this share, in the frame that shows most of it.
LEFT = 0.5


@dataclass(frozen=True)
class Kept:
    """Blocks of a ``rows`` x ``columns`` grid over the picture that became tokens: the frame and index of each."""

    frames: Array
    blocks: Array
    rows: int
    columns: int
    canvases: int
    #: the frames that were looked at; None where a contestant does not tell
    samples: Array | None = None

    @classmethod
    def of_positions(cls, positions: Array, grid: tuple[int, int], samples: Array | None = None) -> Kept:
        """From ``(t, h, w)`` per patch, ``[C * hp * wp, 3]`` row by row; patches of padding are negative."""
        hp, wp = grid
        corners = positions.reshape(-1, hp // 2, 2, wp // 2, 2, 3)[:, :, 0, :, 0].reshape(-1, 3)
        corners = corners[(corners >= 0).all(axis=1)]
        blocks = corners[:, 1] // 2 * (wp // 2) + corners[:, 2] // 2
        return cls(corners[:, 0], blocks, hp // 2, wp // 2, len(positions) // (hp * wp), samples)


def measure(kept: Kept, truth: dict[str, Any]) -> dict[str, Any]:
    """Recall, seconds to the nearest evidence, and shares; see the module that calls this for what recall is.

    Events of which the encoder left less than half in their best frame are ``erased``: they are in the clip no more,
    and count nowhere but in ``recall_with_erased``.

    ``distance`` is the median over events of the seconds to the nearest kept block at the event's place, 0 inside it;
    ``spent`` the share of tokens inside an event and at its place; ``sampled`` the share of events with any sampled
    frame inside; ``shots`` the share of shots of a second or longer with a whole frame, or blocks covering half of it,
    and ``shots_with_room`` the same where half of every such shot and a block of every event would fit.
    """
    order = np.argsort(kept.frames, kind="stable")
    frames, blocks = kept.frames[order], kept.blocks[order]
    row, column = np.divmod(blocks, kept.columns)
    edges = np.stack([column, row, column + 1, row + 1], axis=1) / (kept.columns, kept.rows, kept.columns, kept.rows)
    spent = np.zeros(len(frames), dtype=bool)
    hits, erased_hits, distances, sampled = [], [], [], []
    for event in truth["events"]:
        begin, end, boxes = event["begin"], event["end"], np.array(event["boxes"])
        # Before and after the event, its place is where it begins and where it ends.
        place = boxes[np.clip(frames - begin, 0, end - begin - 1)]
        there = (np.maximum(edges[:, :2], place[:, :2]) < np.minimum(edges[:, 2:], place[:, 2:])).all(axis=1)
        inside = there & (frames >= begin) & (frames < end)
        if event["left"] < LEFT:
            erased_hits.append(bool(inside.any()))
            continue
        spent |= inside
        hits.append(bool(inside.any()))
        away = np.maximum(np.maximum(begin - frames[there], frames[there] - (end - 1)), 0)
        distances.append(away.min() / truth["fps"] if len(away) else truth["frames"] / truth["fps"])
        if kept.samples is not None:
            sampled.append(bool(((kept.samples >= begin) & (kept.samples < end)).any()))
    shots = [_is_shown(frames, blocks, kept, *shot) for shot in truth["shots"] if shot[1] - shot[0] >= truth["fps"]]
    half = (kept.rows * kept.columns + 1) // 2
    room = len(shots) * half + len(hits) <= len(frames)
    return {
        "recall": float(np.mean(hits)) if hits else None,
        "recall_with_erased": float(np.mean(hits + erased_hits)) if truth["events"] else None,
        "distance": float(np.median(distances)) if distances else None,
        "spent": float(spent.mean()) if len(spent) else 0.0,
        "sampled": float(np.mean(sampled)) if sampled else None,
        "shots": float(np.mean(shots)) if shots else None,
        "shots_with_room": float(np.mean(shots)) if shots and room else None,
        "events": len(hits),
        "erased": len(erased_hits),
        "canvases": kept.canvases,
        "tokens": len(frames),
    }


def _is_shown(frames: Array, blocks: Array, kept: Kept, begin: int, end: int) -> bool:
    inside = (frames >= begin) & (frames < end)
    return 2 * len(np.unique(blocks[inside])) >= kept.rows * kept.columns
