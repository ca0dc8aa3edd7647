"""Where groups of samples end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import native, ops, reference

from parity import assert_same
from test_sample_frames import packet_table


@settings(deadline=None, max_examples=300)
@given(
    data=st.data(),
    samples=st.integers(1, 80),
    partition=st.sampled_from(["energy", "uniform", "fixed"]),
    max_groups=st.integers(1, 12),
    group_size=st.integers(1, 20),
    shortest=st.integers(1, 10),
    longer=st.integers(0, 15),
    scale=st.sampled_from([0, 3, 1000, 10**9]),
)
def test_native_equals_the_reference(data, samples, partition, max_groups, group_size, shortest, longer, scale):
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=samples, max_size=samples))
    frame_ids = np.cumsum(gaps).astype(np.int64)
    frames = int(frame_ids[-1]) + 2
    size = data.draw(st.lists(st.integers(0, scale), min_size=frames, max_size=frames))
    is_key = data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames))
    info = packet_table(size, is_key)
    start = data.draw(st.integers(0, int(frame_ids[0])))
    options = {
        "partition": partition,
        "max_groups": max_groups,
        "group_size": group_size,
        "min_group_frames": shortest,
        "max_group_frames": shortest + longer,
    }
    got = native.partition_groups(info, frame_ids, start, **options)
    assert_same(got, reference.partition_groups(info, frame_ids, start, **options))
    assert got[0] == 0
    assert got[-1] == samples
    assert (np.diff(got) > 0).all()
    assert len(got) - 1 <= max_groups
    if partition != "fixed" and len(got) - 1 < max_groups:
        assert np.diff(got).max() < 2 * shortest, "there is room for another group"


def groups_of(size, **options):
    info = packet_table(size, [False] * len(size))
    return ops.partition_groups(info, np.arange(len(size), dtype=np.int64), **options)


def test_busy_stretches_get_short_groups():
    size = [1] * 100 + [200] * 28
    edges = groups_of(size, max_groups=6, min_group_frames=4, max_group_frames=120)
    lengths = np.diff(edges)
    assert len(lengths) == 6
    assert lengths[0] > 90
    assert lengths[1:].max() <= 8


def test_groups_differ_in_length_however_many_samples_there_are():
    size = [1] * 400 + [200] * 112
    lengths = np.diff(groups_of(size, max_groups=8, max_group_frames=64))
    assert len(lengths) == 8
    assert lengths[0] == 128, "twice the average"
    assert lengths[-4:].max() < 32


def test_a_cut_moves_to_the_valley():
    size = [10] * 40
    even = groups_of(size, max_groups=2, min_group_frames=8, max_group_frames=40)
    size[even[1] + 2] = 1
    edges = groups_of(size, max_groups=2, min_group_frames=8, max_group_frames=40)
    assert_same(edges, np.array([0, even[1] + 3, 40]))


def test_no_energy_means_even_groups():
    assert_same(groups_of([0] * 64, max_groups=4), np.array([0, 16, 32, 48, 64]))
    assert_same(groups_of([5] * 64, max_groups=4, partition="uniform"), np.array([0, 16, 32, 48, 64]))
    assert_same(groups_of([5] * 70, max_groups=4, partition="fixed", group_size=30), np.array([0, 30, 60, 70]))


def test_few_samples_are_one_group():
    assert_same(groups_of([5] * 7, max_groups=4), np.array([0, 7]))


def test_wrong_frames_are_refused():
    info = packet_table([1] * 10, [False] * 10)
    with pytest.raises(ValueError, match="strictly increasing and within the packet table"):
        ops.partition_groups(info, np.array([3, 3]), max_groups=2)
    with pytest.raises(ValueError, match="partition must be one of energy, uniform, fixed, got 'gop'"):
        ops.partition_groups(info, np.array([3]), max_groups=2, partition="gop")
    with pytest.raises(ValueError, match="frame_ids must be int64, got float64"):
        ops.partition_groups(info, np.array([3.0]), max_groups=2)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_groups": 0}, "max_groups must be at least 1"),
        ({"max_groups": 2, "group_size": 0}, "group_size must be at least 1"),
        ({"max_groups": 2, "min_group_frames": 0}, "min_group_frames must be at least 1"),
        ({"max_groups": 2, "min_group_frames": 9, "max_group_frames": 8}, "max_group_frames must be at least 9"),
        ({"max_groups": 2, "frame_ids": np.empty(0, dtype=np.int64)}, "frame_ids must hold a frame at least"),
    ],
)
def test_wrong_numbers_are_named(options, message, backend):
    with pytest.raises(ValueError, match=message):
        ops.partition_groups(
            packet_table([1] * 10, [False] * 10), **{"frame_ids": np.arange(4), **options}, backend=backend
        )
