"""``bench/event_measures.py``: what counts as kept, as erased and as shown, on clips small enough to count by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from event_measures import Kept, measure

WHOLE = range(4)


def kept(frames, **more):
    """Blocks by frame, of a grid of two by two."""
    pairs = [(frame, block) for frame, blocks in frames.items() for block in blocks]
    frame, block = np.array(pairs).T
    return Kept(frame, block, 2, 2, len(pairs) // 4, **more)


def clip(events=(), shots=((0, 100),)):
    return {"frames": 100, "fps": 10, "events": list(events), "shots": list(shots)}


def event(begin, end, box=(0.0, 0.0, 0.5, 0.5), left=1.0):
    return {"begin": begin, "end": end, "boxes": [box] * (end - begin), "left": left}


@pytest.mark.parametrize(
    ("frame", "block", "hit", "seconds"),
    [
        (20, 0, 1.0, 0.0),
        (29, 0, 1.0, 0.0),
        (30, 0, 0.0, 0.1),
        (10, 0, 0.0, 1.0),
        (20, 1, 0.0, 10.0),
        (20, 3, 0.0, 10.0),
    ],
)
def test_an_event_is_kept_by_a_block_at_its_place_while_it_lasts(frame, block, hit, seconds):
    measured = measure(kept({frame: [block]}), clip([event(20, 30)]))
    assert (measured["recall"], measured["distance"], measured["spent"]) == (hit, seconds, hit)


def test_what_moves_is_kept_where_it_is_by_then():
    moving = event(0, 2) | {"boxes": [(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)]}
    assert measure(kept({1: [3]}), clip([moving]))["recall"] == 1
    assert measure(kept({1: [0]}), clip([moving]))["recall"] == 0


def test_what_the_encoder_erased_counts_apart():
    measured = measure(kept({5: [0]}), clip([event(0, 10), event(50, 60, left=0.49)]))
    assert (measured["recall"], measured["recall_with_erased"]) == (1.0, 0.5)
    assert (measured["events"], measured["erased"]) == (1, 1)


def test_samples_bound_what_can_be_kept():
    events = [event(0, 10), event(50, 60)]
    assert measure(kept({5: [0]}, samples=np.array([5, 60])), clip(events))["sampled"] == 0.5


SHOTS = ((0, 20), (20, 40), (40, 45), (45, 70), (70, 100))


def test_a_shot_is_shown_by_half_of_its_blocks_wherever_they_are_from():
    frames = {0: WHOLE, 20: [0], 30: [3], 45: [1], 50: [1], 70: WHOLE}
    assert measure(kept(frames), clip(shots=SHOTS))["shots"] == [3, 4], (
        "the third lasts half a second, the fourth lacks"
    )
    assert measure(kept(frames), clip())["shots"] == [0, 0], "without cuts there is nothing to show"


def test_shots_have_room_where_their_halves_leave_a_quarter_of_the_p_canvases():
    starts = np.array([0, 70])

    def with_room(frames):
        measured = measure(kept(frames, group_starts=starts), clip(shots=SHOTS))
        return measured["shots_with_room"]

    # Of those that begin in the first group, two are without an I-canvas, and need two blocks each.
    few = {0: WHOLE, 20: [0, 1], 30: [2], 45: [0], 60: [1], 70: WHOLE}
    assert with_room(few) == [2, 2], "four of five blocks: only what I-canvases show has room"
    enough = few | {31: [3], 61: [1]}
    assert with_room(enough) == [4, 4], "four of seven"
    assert with_room(enough | {45: [1]}) == [3, 4], "but one of them is not shown"
    assert measure(kept(few), clip(shots=SHOTS))["shots_with_room"] is None


def test_shots_fit_by_the_tokens_there_are():
    frames = {0: WHOLE, 20: [0, 1], 70: WHOLE}
    assert measure(kept(frames), clip(shots=SHOTS))["shots_that_fit"] == [3, 4], "four halves, ten tokens"
    assert measure(kept(frames), clip([event(0, 9)] * 3, shots=SHOTS))["shots_that_fit"] == [0, 0]
