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
    #: the frames that I-canvases show, in order, each the first of its group; None where a contestant does not tell
    group_starts: Array | None = None

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
    frame inside. ``shots`` counts, in clips with cuts, the shots of a second or longer that have a whole frame, or
    blocks covering half of it, and all of them; ``shots_with_room`` the same of those whose group has room (see
    ``_have_room``), and ``shots_that_fit`` of clips in all of whose tokens half of every shot and a block of every
    event would fit.
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
    cuts = truth["shots"] if len(truth["shots"]) > 1 else []
    shots = np.array([shot for shot in cuts if shot[1] - shot[0] >= truth["fps"]], dtype=np.int64).reshape(-1, 2)
    shown = np.array([_is_shown(frames, blocks, kept, *shot) for shot in shots], dtype=bool)
    half = (kept.rows * kept.columns + 1) // 2
    fit = np.full(len(shots), len(shots) * half + len(hits) <= len(frames))
    return {
        "recall": float(np.mean(hits)) if hits else None,
        "recall_with_erased": float(np.mean(hits + erased_hits)) if truth["events"] else None,
        "distance": float(np.median(distances)) if distances else None,
        "spent": float(spent.mean()) if len(spent) else 0.0,
        "sampled": float(np.mean(sampled)) if sampled else None,
        "shots": [int(shown.sum()), len(shots)],
        "shots_with_room": None if kept.group_starts is None else _counted(shown, _have_room(kept, frames, shots)),
        "shots_that_fit": _counted(shown, fit),
        "events": len(hits),
        "erased": len(erased_hits),
        "canvases": kept.canvases,
        "tokens": len(frames),
    }


def _counted(shown: Array, which: Array) -> list[int]:
    """How many of these shots are shown, and how many there are."""
    return [int(shown[which].sum()), int(which.sum())]


def _have_room(kept: Kept, frames: Array, shots: Array) -> Array:
    """Which shots have room in their group, which is the one they begin in.

    That is where half of each shot that begins there, and of which no I-canvas shows a frame, would leave a quarter of
    the group's P-canvases for what else happens.
    """
    starts = kept.group_starts
    assert starts is not None
    begin, end = shots.T
    whole = np.searchsorted(starts, begin) < np.searchsorted(starts, end)
    group = np.maximum(np.searchsorted(starts, begin, side="right") - 1, 0)
    canvas = kept.rows * kept.columns
    room = np.bincount(np.searchsorted(starts, frames, side="right") - 1, minlength=len(starts)) - canvas
    needed = np.bincount(group[~whole], minlength=len(starts)) * ((canvas + 1) // 2)
    return np.asarray(whole | (4 * needed <= 3 * room)[group])


def _is_shown(frames: Array, blocks: Array, kept: Kept, begin: int, end: int) -> bool:
    inside = (frames >= begin) & (frames < end)
    return 2 * len(np.unique(blocks[inside])) >= kept.rows * kept.columns
