"""One score from what changed since the sample and since the frame before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import native, ops, reference
from ov2_kernels.reference.change_scores import camera_shift

from parity import assert_same
from strategies import change_inputs, non_contiguous


@settings(deadline=None, max_examples=150)
@given(inputs=change_inputs(), threads=st.sampled_from([1, 3]))
def test_native_equals_the_reference(inputs, threads):
    (luma, prev, edges), options = inputs
    got = native.change_scores(luma, prev, edges, **options, threads=threads)
    assert_same(got, reference.change_scores(luma, prev, edges, **options))
    apart = (non_contiguous(luma), non_contiguous(prev))
    assert_same(native.change_scores(*apart, edges, **options, threads=threads), got)
    assert not got[edges[:-1]].any(), "the first sample of a group is no candidate"


@settings(deadline=None, max_examples=100)
@given(inputs=change_inputs(), threads=st.sampled_from([1, 3]), data=st.data())
def test_by_and_by_is_the_same(inputs, threads, data):
    """However many samples are measured at a time, and though pictures before those that are have gone."""
    (luma, prev, edges), options = inputs
    expected = reference.change_scores(luma, prev, edges, **options)
    changes = native.changes(*luma.shape, options["patch"], edges)
    prev = prev.copy()
    first = 0
    for k, end_of_group in enumerate(edges[1:]):
        while first < end_of_group:
            end = data.draw(st.integers(first + 1, len(luma)))
            changes.measure(luma, prev, first, end, threads)
            prev[first:end] = 7
            first = end
        assert_same(changes.scores(k, k + 1, threads), expected[edges[k] : end_of_group])
    assert_same(changes.scores(0, len(edges) - 1, threads), expected)


def test_no_samples_and_groups_but_those_there_are():
    luma = calm(4)
    changes = native.changes(*luma.shape, 14, np.array([0, 2, 4]))
    with pytest.raises(ValueError, match="no such samples"):
        changes.measure(luma, luma, 3, 5, 1)
    with pytest.raises(ValueError, match="no such groups"):
        changes.scores(1, 3, 1)
    with pytest.raises(ValueError, match="luma must have the shape"):
        changes.measure(luma[:3], luma, 0, 1, 1)
    with pytest.raises(ValueError, match="height and width must be multiples"):
        native.changes(4, 30, 28, 14, np.array([0, 4]))


@pytest.mark.parametrize("patch", [146, 256])
def test_blocks_too_high_for_one_sum_of_16_bits(patch):
    luma = np.zeros((3, 2 * patch, 4 * patch), np.uint8)
    luma[1, :, : 2 * patch] = 255
    prev = np.zeros_like(luma)
    prev[2] = 255
    got = native.change_scores(luma, prev, np.array([0, 3]), patch=patch)
    assert_same(got, reference.change_scores(luma, prev, np.array([0, 3]), patch=patch))
    assert got[1, 0, 0] > 8000


def calm(n, rows=3, columns=5):
    return np.full((n, 28 * rows, 28 * columns), 100, np.uint8)


def score(luma, prev=None):
    return ops.change_scores(luma, luma if prev is None else prev, np.array([0, len(luma)]))


def test_a_change_counts_when_it_comes_and_when_it_goes():
    luma = calm(25)
    luma[4:6, 30:50, 60:80] += 40
    expected = np.zeros((25, 3, 5), bool)
    expected[[4, 6], 1, 2] = True
    np.testing.assert_array_equal(score(luma) >= 65535, expected)
    assert not score(luma)[~expected].any()


def test_noise_and_what_the_whole_picture_does_count_nothing():
    luma = calm(9) + np.random.default_rng(1).integers(0, 3, (9, 84, 140), dtype=np.uint8)
    assert score(luma).max() < 300, "by chance the means of a patch differ by a quarter of a grey level"
    luma = calm(9)
    luma[5] += 60  # a flash
    assert not score(luma).any()


def test_what_is_faint_but_even_counts_more_than_noise():
    """One grey level up in three of a block's patches, and down in the fourth."""
    luma = calm(25) + np.random.default_rng(1).integers(0, 3, (25, 84, 140), dtype=np.uint8)
    luma[12:, 28:56, 56:84] += 1
    luma[12:, 42:56, 70:84] -= 2
    scores = score(luma)
    assert scores[12, 1, 2] > 2 * 8191
    scores[12, 1, 2] = 0
    assert scores.max() < 300


def test_what_moved_since_the_frame_before_counts_though_the_samples_look_alike():
    """Something that hops and is looked at whenever it is down."""
    luma = calm(25)
    prev = calm(25)
    prev[4, 30:50, 60:80] += 40
    expected = np.zeros((25, 3, 5), bool)
    expected[4, 1, 2] = True
    np.testing.assert_array_equal(score(luma, prev) >= 65535, expected)
    assert not score(luma, prev)[~expected].any()


def test_a_camera_is_followed():
    """Over a textured picture, by up to so many pixels from sample to sample; what happens in it counts."""
    world = np.random.default_rng(3).integers(0, 256, (200, 300), dtype=np.uint8)
    places = [(30 + 11 * (i % 2), 40 - 7 * (i % 3)) for i in range(25)]
    luma = np.stack([world[y : y + 140, x : x + 224] for y, x in places])
    for i in range(1, 25):
        moved = (places[i][0] - places[i - 1][0], places[i][1] - places[i - 1][1])
        assert camera_shift(luma[i], luma[i - 1]) == moved
    assert camera_shift(world[60:200, 40:180], world[30:170, 40:180])[0] == 0, "too far"
    luma[12, 40:50, 65:75] ^= 128
    assert np.flatnonzero(score(luma)[:, 1, 2]).tolist() == [12, 13]


def test_nothing_is_followed_that_moves_in_a_picture_at_rest():
    luma = calm(2)
    luma[0, 30:50, 60:80] += 40
    luma[1, 33:53, 64:84] += 40
    assert camera_shift(luma[1], luma[0]) == (-3, -4), "before an empty wall that is all there is to go by"
    luma += np.random.default_rng(3).integers(0, 90, (84, 140), dtype=np.uint8)
    assert camera_shift(luma[1], luma[0]) == (0, 0)


def test_what_a_place_always_does_counts_less_than_what_it_seldom_does():
    luma = calm(30).astype(int)
    luma[::2, 28:56, 56:84] += 80  # flickers all the time
    luma[10, 60:70, 100:110] += 20  # once, and faintly
    scores = score(luma.astype(np.uint8))
    assert scores[10, 2, 3] >= 65535
    assert 0 < scores[1:, 1, 2].max() <= 8191


def shots(*levels):
    """Samples of so many grey levels, under a texture."""
    texture = np.random.default_rng(4).integers(0, 40, (84, 140), dtype=np.uint8)
    return np.stack([texture + np.uint8(level) for level in levels])


EVERY_OTHER = 40955 * np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 1, 0, 1]])


def test_a_new_shot_shows_every_other_block_once_it_has_settled():
    luma = shots(10, 10, 90, 90, 90, 60, 40, 20, 20, 20)  # a cut, then a fade
    expected = np.zeros((10, 3, 5), np.int32)
    expected[[2, 7]] = EVERY_OTHER
    assert_same(score(luma), expected)


def test_a_picture_that_pauses_for_a_sample_has_not_settled():
    luma = shots(10, 10, 40, 40, 70, 70, 100, 100, 100)
    expected = np.zeros((9, 3, 5), np.int32)
    expected[6] = EVERY_OTHER
    assert_same(score(luma), expected)


def test_a_fade_through_black_has_not_settled_there():
    luma = shots(90, 90, 90, 70, 50, 44, 38, 44, 50, 70, 110, 110, 110)  # in the dark, light changes little
    luma[7:] = luma[7:, ::-1]
    expected = np.zeros((13, 3, 5), np.int32)
    expected[10] = EVERY_OTHER
    assert_same(score(luma), expected)


def test_a_shot_in_which_light_changes_is_not_waited_for_long():
    luma = shots(10, 10, 10, *range(60, 120, 5))
    expected = np.zeros((15, 3, 5), np.int32)
    expected[9] = EVERY_OTHER
    assert_same(score(luma), expected)


def test_what_begins_within_the_last_two_samples_is_left_to_the_next_group():
    assert not score(shots(10, 10, 10, 90, 90)).any()
    assert score(shots(10, 10, 10, 90, 90, 90))[3].any()


@pytest.mark.parametrize("flash", [[90], [90, 90], [90, 250], [90, 90, 250], [90, 250, 250]])
def test_behind_any_flash_the_shot_goes_on(flash):
    assert not score(shots(10, 10, 10, *flash, 10, 10, 10)).any()


def test_what_lasts_for_three_samples_is_a_shot():
    scores = score(shots(10, 10, 200, 200, 200, 10, 10, 10))
    assert [i for i in range(8) if scores[i].any()] == [2, 5]


def test_groups_know_nothing_of_each_other_s_shots():
    luma = shots(10, 10, 90, 90, 90, 10, 10, 10)
    scores = ops.change_scores(luma, luma, np.array([0, 2, 5, 8]))
    assert not scores.any(), "each begins with its shot"
    scores = ops.change_scores(luma, luma, np.array([0, 5, 8]))
    assert [i for i in range(8) if scores[i].any()] == [2]
    scores = ops.change_scores(luma, luma, np.array([0, 4, 8]))
    assert [i for i in range(8) if scores[i].any()] == [5]
    apart = [ops.change_scores(part, part, np.array([0, len(part)])) for part in (luma[:4], luma[4:])]
    assert_same(scores, np.concatenate(apart))


def test_what_happens_right_behind_a_cut_does_not_lower_its_place():
    """Were the cut a change, what is usual there would be a multiple."""
    luma = shots(*[10] * 12, *[90] * 12)
    luma[6, 5:25, 5:25] += 8
    assert score(luma)[6, 0, 0] >= 65535


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="luma must be uint8"):
        ops.change_scores(calm(3).astype(int), calm(3), np.array([0, 3]))
    with pytest.raises(ValueError, match="prev_luma must have the shape"):
        ops.change_scores(calm(3), calm(2), np.array([0, 3]))
    with pytest.raises(ValueError, match=r"multiples of 2 \* patch"):
        ops.change_scores(calm(3)[:, :-1], calm(3)[:, :-1], np.array([0, 3]))
    with pytest.raises(ValueError, match="group_edges must rise"):
        ops.change_scores(calm(3), calm(3), np.array([0, 2]))
