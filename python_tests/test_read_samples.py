"""Pixels, vectors and bytes of samples: native against PyAV, and whatever the threads and whichever samples."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ov2_kernels import VideoError, native, ops, reference
from ov2_kernels.dispatch import resolve_threads
from ov2_kernels.media import Pictures, Samples
from ov2_kernels.reference.demux import is_reference
from ov2_kernels.reference.read_samples import estimate_motion
from ov2_kernels.reference.resize import axis_weights

from clips import encode, scene
from conftest import CLIPS, frames
from parity import assert_same, bytes_read

EXACT = ("frame_ids", "motion", "packet_bytes", "pts", "pict_types", "substituted")
# Two releases of libswscale enlarge, or resize RGB: luma may round apart by one grey level, which the colour matrix can
# turn into two, and chroma likewise by one in each of two channels (2.1 of blue for one of Cb).
LUMA_BOUND = 1
RGB_BOUND = 5


def assert_same_samples(got: Samples, expected: Samples, luma_bound: int = 0, rgb_bound: int = 0) -> None:
    assert got.motion_source == expected.motion_source
    for name in EXACT:
        if name != "motion" or got.motion_source != "estimated":
            assert_same(getattr(got, name), getattr(expected, name), name)
    if got.motion_source == "estimated":  # perhaps from planes that the two resized apart: compare on the same planes
        for i in np.flatnonzero(got.motion.any(axis=(1, 2, 3))):
            assert_same(got.motion[i], estimate_motion(got.luma[i], got.prev_luma[i]), f"motion[{i}]")
    assert_same(got.luma, expected.luma, "luma", luma_bound)
    assert_same(got.prev_luma, expected.prev_luma, "prev_luma", luma_bound)
    assert_same(got.frames, expected.frames, "frames", rgb_bound)


def sizes(info):
    """Shrunk, native (to a multiple of 4) and enlarged."""
    shrunk = (info.height * 3 // 4 // 4 * 4, info.width * 3 // 4 // 4 * 4)
    return {"shrunk": shrunk, "native": (info.height, info.width), "enlarged": (info.height * 2, info.width * 2)}


@pytest.mark.parametrize("name", CLIPS)
def test_shrunk_samples_equal_the_reference(name, clip_path):
    path = clip_path(name)
    info = native.probe(path)
    wanted = np.unique(np.linspace(0, info.frames - 1, 14).astype(np.int64))
    height, width = sizes(info)["shrunk"]
    got = native.read_samples(path, wanted, height, width, info=info, threads=2)
    expected = reference.read_samples(path, wanted, height, width, info=info)
    by_libswscale = {"luma_bound": LUMA_BOUND, "rgb_bound": RGB_BOUND}
    assert_same_samples(got, expected, **(by_libswscale if name == "h264_rgb" else {}))


@pytest.mark.parametrize("name", ["h264_bframes", "h264_422", "h264_444_odd_size", "h264_ten_bit", "h264_gray"])
def test_averages_equal_the_reference_at_any_size(name, clip_path):
    """Down to a few pixels, barely smaller, and one side growing while the other shrinks."""
    path = clip_path(name)
    info = native.probe(path)
    h, w = info.height // 4 * 4, info.width // 4 * 4
    for height, width in [(4, 4), (12, w - 4), (h - 4, 20), (2 * h, 28), (28, 2 * w), (52, 76)]:
        got = native.read_samples(path, [1, 4], height, width, info=info, motion_source="none")
        expected = reference.read_samples(path, [1, 4], height, width, info=info, motion_source="none")
        assert_same_samples(got, expected)


@settings(deadline=None)
@given(
    samples=st.integers(1, 200), step=st.sampled_from([1, 2, 4]), trim=st.integers(0, 3), outputs=st.integers(1, 300)
)
def test_weights_of_an_axis(samples, step, trim, outputs):
    """They sum to one; where they average, no weight is further than rounding from the extent covered."""
    pixels = samples * step - min(trim, step - 1)
    weights = axis_weights(samples, pixels, outputs, step)
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == 256).all()
    if step * outputs <= pixels:
        edges = np.minimum(np.arange(samples + 1) * step, pixels)
        bounds = np.arange(outputs + 1)[:, None] * pixels / outputs
        covered = np.diff(np.clip(edges, bounds[:-1], bounds[1:]), axis=1) * outputs / pixels
        assert np.abs(weights / 256 - covered).max() <= 1 / 256 + 1e-9
    else:
        centres = (np.arange(outputs) + 0.5) * pixels / outputs
        own = (np.arange(samples) + 0.5) * step
        assert np.abs(weights @ own / 256 - np.clip(centres, own[0], own[-1])).max() <= step / 512 + 1e-9


@pytest.mark.parametrize("name", ["h264_bframes", "h264_422", "h264_ten_bit", "h264_rotated_90", "mpeg2", "mpeg4_avi"])
def test_native_size_planes_are_exact(name, clip_path):
    path = clip_path(name)
    info = native.probe(path)
    wanted = [0, 3, 4, 11, 23]
    got = native.read_samples(path, wanted, info.height, info.width, info=info)
    expected = reference.read_samples(path, wanted, info.height, info.width, info=info)
    assert_same_samples(got, expected, rgb_bound=RGB_BOUND)


def test_enlarged_samples_equal_the_reference(clip_path):
    path = clip_path("h264_bframes")
    info = native.probe(path)
    got = native.read_samples(path, [1, 20], info.height * 2, info.width * 2, info=info)
    expected = reference.read_samples(path, [1, 20], info.height * 2, info.width * 2, info=info)
    assert_same_samples(got, expected, luma_bound=LUMA_BOUND, rgb_bound=RGB_BOUND)


@pytest.mark.parametrize("source", ["none", "estimated"])
def test_motion_source_can_be_chosen(source, clip_path):
    path = clip_path("h264_bframes")
    got = native.read_samples(path, [1, 5, 17, 30], 84, 140, motion_source=source)
    assert_same_samples(got, reference.read_samples(path, [1, 5, 17, 30], 84, 140, motion_source=source))
    assert got.motion_source == source
    assert got.motion.any() == (source == "estimated")


@pytest.mark.parametrize(
    ("name", "source"),
    [("h264_bframes", "codec"), ("mpeg2", "codec"), ("mpeg4_avi", "codec"), ("hevc", "estimated"), ("mjpeg", "none")],
)
def test_where_vectors_come_from(name, source, clip_path):
    samples = native.read_samples(clip_path(name), [2, 6, 9], 84, 140)
    assert samples.motion_source == source
    assert samples.motion.any() == (source != "none")


@pytest.mark.parametrize("name", ["h264_bframes", "h264_deep_pyramid", "h264_open_gop", "mpeg4_bframes", "hevc", "vp9"])
@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("motion_source", ["auto", "none"])
def test_threads_change_nothing(name, threads, motion_source, clip_path):
    path = clip_path(name)
    info = native.probe(path)
    every = np.arange(info.frames)
    options = {"info": info, "motion_source": motion_source}
    one = native.read_samples(path, every, 84, 140, threads=1, **options)
    many = native.read_samples(path, every, 84, 140, threads=threads, **options)
    for field in (*EXACT, "luma", "prev_luma", "frames"):
        assert_same(getattr(many, field), getattr(one, field), field)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
@pytest.mark.parametrize(
    ("name", "threads", "converters"),
    [("mpeg2", 1, 0), ("mpeg2", 2, 1), ("mpeg2", 3, 2), ("vp9", 3, 2), ("h264_bframes", 2, 0)],
)
def test_only_converters_beside_one_decoder_step_back(name, threads, converters, clip_path):
    """In H.264 with enough keyframes each thread decodes and converts."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    lower = min(own + 5, 19)
    found = []

    def look(done):
        stats = [path.read_text() for path in Path("/proc/self/task").glob("*/stat")]
        found.append(sum(int(stat.rpartition(")")[2].split()[16]) == lower for stat in stats))

    every = np.arange(40)
    native.read_samples(clip_path(name), every, 84, 140, threads=threads, progress=look, progress_at=every)
    assert min(converters, 1) <= max(found) <= converters  # the last thread may come too late
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


@pytest.mark.parametrize("name", sorted(set(CLIPS) - {"h264_size_change"}))
@pytest.mark.parametrize("wanted", [[7], [0, 9], [2, 3, 11], [1, 10]])
def test_a_few_samples_equal_those_of_a_full_read(name, wanted, clip_path):
    path = clip_path(name)
    info = native.probe(path)
    every = native.read_samples(path, np.arange(info.frames), 84, 140, info=info)
    few = native.read_samples(path, wanted, 84, 140, info=info)
    for field in ("motion", "packet_bytes", "pts", "pict_types", "substituted", "luma", "prev_luma", "frames"):
        assert_same(getattr(few, field), getattr(every, field)[wanted], field)


@pytest.mark.parametrize("threads", [2, 16])
def test_vectors_of_the_last_pictures_are_whole(threads, clip_path):
    """A decoder that is drained may hand out pictures that other threads are still at: libavcodec 61 and later do."""
    path, every = clip_path("h264_bframes"), np.arange(40)
    expected = native.read_samples(path, every, 56, 84, threads=1).motion
    for _ in range(100):
        assert_same(native.read_samples(path, every, 56, 84, threads=threads).motion, expected)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_damaged_picture_costs_itself_alone(threads, clip_path, tmp_path):
    """The payload of one picture is zeroed; what the decoder makes of it, the others are as they were."""
    path = clip_path("h264_bframes")
    info = native.probe(path)
    whole = native.read_samples(path, np.arange(info.frames), 84, 140, info=info)
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
        victim = next(p for p in container.demux(video=0) if not is_reference("h264", extradata, bytes(p)))
        row = int(np.searchsorted(info.pts, victim.pts))
        position, size = victim.pos, victim.size
    data = bytearray(path.read_bytes())
    data[position + 4 : position + size] = bytes(size - 4)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    got = native.read_samples(damaged, np.arange(info.frames), 84, 140, info=info, threads=threads)
    rest = np.delete(np.arange(info.frames), [row, row + 1])  # the next one shows it as its predecessor
    assert_same(got.frames[rest], whole.frames[rest])
    assert_same(got.luma[rest], whole.luma[rest])
    assert got.substituted.sum() <= 1


def test_pictures_that_no_sample_needs_are_not_decoded(clip_path):
    path = clip_path("h264_bframes")
    info = native.probe(path)
    assert native.read_samples(path, np.arange(info.frames), 84, 140, info=info).skipped == 0
    late = native.read_samples(path, [info.frames - 3], 84, 140, info=info)
    assert late.decoded <= 10, "the two groups of pictures before the last hold nothing wanted"
    assert late.skipped >= 30


@pytest.mark.parametrize("name", ["h264_bframes", "h264_open_gop", "mpeg2", "vp9", "h264_raw"])
@pytest.mark.parametrize("threads", [1, 2])
def test_without_predecessors(name, threads, clip_path):
    path = clip_path(name)
    info = native.probe(path)
    wanted = [0, 5, 6, 19, 30]
    whole = native.read_samples(path, wanted, 84, 140, info=info, motion_source="none")
    for backend in (native, reference):
        pictures = Pictures.empty(len(wanted), 84, 140, predecessors=False)
        options = {"info": info, "motion_source": "none", "pictures": pictures, "threads": threads}
        got = backend.read_samples(path, wanted, 84, 140, **options)
        assert got.prev_luma.shape == (0, 84, 140)
        for field in ("frames", "luma", "packet_bytes", "pts", "pict_types", "substituted"):
            assert_same(getattr(got, field), getattr(whole, field), field)
        with pytest.raises(ValueError, match="motion needs"):
            backend.read_samples(path, wanted, 84, 140, **{**options, "motion_source": "auto"})


def test_a_disposable_predecessor_is_not_decoded(clip_path):
    path = clip_path("h264_bframes")
    info = native.probe(path)
    with_it = native.read_samples(path, [2], 84, 140, info=info, motion_source="none")
    pictures = Pictures.empty(1, 84, 140, predecessors=False)
    without = native.read_samples(path, [2], 84, 140, info=info, motion_source="none", pictures=pictures)
    assert without.decoded < with_it.decoded


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("gop", ["bframes=3:b-pyramid=normal:keyint=8", "bframes=3:open-gop=1:keyint=8", "keyint=5"])
def test_far_samples_are_gone_to(gop, threads, tmp_path):
    options = {"preset": "veryfast", "x264-params": f"{gop}:b-adapt=0:scenecut=0:qp=1"}
    path = encode(tmp_path / "clip.mp4", scene(64, 144, 176, pan=1.0, noise=40.0), options=options)
    info = native.probe(path)
    assert info.size.sum() > 1_500_000
    wanted = [2, 33, 50, 51]
    before = bytes_read()
    got = native.read_samples(path, wanted, 84, 140, info=info, threads=threads)
    if "open-gop" not in gop:
        assert bytes_read() - before < info.size.sum() * 0.7
        assert got.decoded + got.skipped <= 60
    assert_same_samples(got, reference.read_samples(path, wanted, 84, 140, info=info))


def test_rotated_picture_stands_upright(tmp_path):
    """A picture that is bright on the left, shown turned clockwise, is bright at the top."""
    picture = np.full((96, 160, 3), 40, dtype=np.uint8)
    picture[:, :80] = 210
    for degrees, bright in ((90, np.s_[:60]), (180, np.s_[:, 60:]), (270, np.s_[60:])):
        path = encode(tmp_path / f"{degrees}.mp4", [picture] * 3, rotation=degrees)
        info = native.probe(path)
        frame = native.read_samples(path, [1], info.height, info.width, info=info).frames[0]
        mean = frame.mean()
        assert frame[bright].mean() > mean + 20, degrees


def test_vectors_point_back_to_where_things_were(tmp_path):
    """The camera pans right by two pixels per frame, so the content was two pixels further right before."""
    path = encode(tmp_path / "pan.mp4", scene(20, 96, 160, pan=2.0, noise=0.0), options={"x264-params": "bframes=2"})
    samples = native.read_samples(path, np.arange(4, 19), 96, 160)
    dx = samples.motion[..., 0]
    assert np.median(dx[dx != 0]) == 8  # quarter pixels
    half = native.read_samples(path, np.arange(4, 19), 48, 80).motion[..., 0]
    assert np.median(half[half != 0]) == 4


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("wanted", [[30, 44], [1, 12, 26, 34, 45], list(range(48))])
def test_parameter_sets_in_the_stream_are_never_passed_over(threads, wanted, clip_path):
    path = clip_path("h264_switching_parameters")
    got = native.read_samples(path, wanted, 84, 140, threads=threads)
    assert_same_samples(got, reference.read_samples(path, wanted, 84, 140))
    assert not got.substituted.any()


def test_of_keyframes_only_those_wanted_are_decoded(clip_path):
    samples = native.read_samples(clip_path("prores"), [2, 9], 84, 140)
    assert samples.decoded <= 4
    assert samples.skipped >= 6


def test_pictures_that_are_only_counted_leave_the_last_ones_without(clip_path):
    path = clip_path("h264_raw_cut")
    info = native.probe(path)
    got = native.read_samples(path, np.arange(info.frames), 84, 140, info=info)
    assert 0 < got.substituted.sum() < info.frames
    assert got.substituted.tolist() == sorted(got.substituted.tolist()), "the last ones"


def test_a_size_change_is_rescaled(clip_path):
    path = clip_path("h264_size_change")
    samples = native.read_samples(path, [5, 18], 84, 140)
    assert samples.frames.std(axis=(1, 2, 3)).min() > 5


def test_threads_follow_the_affinity_of_the_process(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3}, raising=False)
    assert resolve_threads(None) == 1
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        resolve_threads(0)


def test_a_file_that_breaks_off_is_an_error(clip_path, tmp_path):
    whole = clip_path("h264_transport_stream").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole)
    info = native.probe(cut)
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"cut\.ts: cannot decode frame 39 of 40"):
        native.read_samples(cut, [0, 39], 84, 140, info=info)


def test_pictures_before_the_first_keyframe_are_replaced_and_reported(clip_path, tmp_path):
    """A broadcast cut out in the middle of a group of pictures."""
    data = clip_path("mpeg2").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[len(data) // 3 // 188 * 188 :])
    info = native.probe(cut)
    got = native.read_samples(cut, np.arange(info.frames), 84, 140, info=info)
    assert_same_samples(got, reference.read_samples(cut, np.arange(info.frames), 84, 140, info=info))
    assert not got.substituted[-1]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("motion_source", ["none", "auto"])
def test_a_single_picture_that_was_cut_off_is_replaced(threads, motion_source, clip_path, tmp_path):
    """What is decoded for it alone shows nothing: more must be."""
    data = clip_path("h264_transport_stream").read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[len(data) // 4 // 188 * 188 :])
    info = native.probe(cut)
    how = {"info": info, "motion_source": motion_source}
    for wanted in ([0], [0, 1], [info.frames - 1]):
        got = native.read_samples(cut, wanted, 84, 140, threads=threads, **how)
        assert_same_samples(got, reference.read_samples(cut, wanted, 84, 140, **how))
    assert native.read_samples(cut, [0], 84, 140, threads=threads, **how).substituted.all()


@pytest.mark.parametrize("wanted", [[3, 3], [5, 4], [-1, 2], [0, 40]])
def test_wrong_frames_are_refused(wanted, clip_path):
    with pytest.raises(ValueError, match="frame_indices must be strictly increasing and within the packet table"):
        native.read_samples(clip_path("h264_bframes"), wanted, 84, 140)


def test_wrong_sizes_are_refused(clip_path):
    with pytest.raises(ValueError, match="positive multiples of 4"):
        native.read_samples(clip_path("h264_bframes"), [1], 83, 140)
    with pytest.raises(ValueError, match="motion_source must be one of"):
        ops.read_samples(clip_path("h264_bframes"), [1], 84, 140, motion_source="guess")


def test_no_samples_are_no_work(clip_path):
    samples = native.read_samples(clip_path("h264_bframes"), [], 84, 140)
    assert samples.frames.shape == (0, 84, 140, 3)
    assert samples.decoded == 0


def test_progress_and_its_exceptions(tmp_path):
    path = encode(tmp_path / "long.mp4", frames(300, 360, 640), options={"preset": "ultrafast"})
    info = native.probe(path)
    short: list[int] = []
    native.read_samples(path, [3, 5], 336, 616, info=info, progress=short.append)
    assert short[-1] == 2, "the end is always told"
    seen: list[int] = []
    native.read_samples(path, np.arange(info.frames), 336, 616, info=info, progress=seen.append, threads=1)
    assert seen
    assert seen == sorted(seen)
    assert seen[-1] <= info.frames

    class StopReadingError(Exception):
        pass

    def stop(done: int) -> None:
        raise StopReadingError(f"after {done}")

    with pytest.raises(StopReadingError, match="after"):
        native.read_samples(path, np.arange(info.frames), 336, 616, info=info, progress=stop)
