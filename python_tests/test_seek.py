"""Samples of streams that are hard to seek in: those of a full read, and of PyAV."""

from __future__ import annotations

import av
import numpy as np
import pytest
from ov2_kernels import native, reference

from clips import encode, scene
from parity import assert_same

FIELDS = ("motion", "packet_bytes", "pts", "pict_types", "substituted", "luma", "prev_luma", "frames")
WANTED = [2, 33, 50, 51]


def without_keyframes(path):
    """The same pictures in MP4, which calls the first alone a keyframe."""
    with av.open(str(path)) as given, av.open(str(path.with_suffix(".mp4")), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for index, packet in enumerate(p for p in given.demux(video=0) if p.size):
            packet.is_keyframe = index == 0
            packet.stream = stream
            out.mux(packet)
    return path.with_suffix(".mp4")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("params", "muxer", "keyframes"),
    [
        ("intra-refresh=1:keyint=16", {}, 9),  # by name alone: they are points of recovery
        ("intra-refresh=1:keyint=16", {}, 1),  # which the container does not tell
        ("keyint=8:scenecut=0", {"live": "1"}, 8),  # without an index
    ],
)
def test_a_few_samples_equal_those_of_a_full_read(params, muxer, keyframes, threads, tmp_path):
    options = {"preset": "veryfast", "x264-params": f"{params}:qp=1"}
    pictures = scene(64, 144, 176, pan=1.0, noise=40.0)
    path = encode(tmp_path / "clip.mkv", pictures, options=options, container_options=muxer)
    if keyframes == 1:
        path = without_keyframes(path)
    has_cues = b"\x1c\x53\xbb\x6b" in path.read_bytes()
    assert has_cues == (path.suffix == ".mkv" and not muxer)
    info = native.probe(path)
    assert info.is_key.sum() == keyframes
    every = native.read_samples(path, np.arange(64), 84, 140, info=info, threads=threads)
    got = native.read_samples(path, WANTED, 84, 140, info=info, threads=threads)
    by_reference = reference.read_samples(path, WANTED, 84, 140, info=info)
    for field in FIELDS:
        assert_same(getattr(got, field), getattr(every, field)[WANTED], field)
        assert_same(getattr(got, field), getattr(by_reference, field), field)
