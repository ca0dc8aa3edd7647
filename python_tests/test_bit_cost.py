"""Bits of macroblocks: the stream itself proves them, and slices of one macroblock each tell them independently."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from ov2_kernels import VideoError, bit_cost, ops
from ov2_kernels.media import BIT_STATUS

from clips import encode, scene, splice
from h264_by_hand import behind, exp_golomb, fields_of, in_mp4, sps_of, unit_of, units_of
from parity import bytes_read

#: every combination of what changes the syntax, a few frames each
ENTROPY = {"cavlc": "cabac=0", "cabac": "cabac=1"}
TOOLS = {
    "plain": "bframes=0:weightp=0:8x8dct=0:slices=1",
    "all": "bframes=2:b-adapt=0:weightp=2:8x8dct=1:slices=4:ref=4:direct=auto",
    "mbaff": "bframes=2:b-adapt=0:interlaced=1:tff=1:8x8dct=1:ref=2",
}
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "gray", "yuv422p10le", "yuv444p10le")


def woven(count, height, width):
    """Frames that are whole pictures on the left and two fields, taken at different times, on the right."""
    pictures = list(scene(2 * count, height, width, pan=5.0, noise=2.0))
    for i in range(count):
        frame = pictures[2 * i]
        frame[1::2, width * (2 + i % 3) // 6 :] = pictures[2 * i + 1][1::2, width * (2 + i % 3) // 6 :]
        yield frame


def clip(folder, params, *, count=6, height=104, width=152, pix_fmt="yuv420p", suffix="mp4"):
    options = {"preset": "medium", "x264-params": f"partitions=all:keyint=5:scenecut=0:{params}"}
    frames = (woven if "interlaced" in params else scene)(count, height, width)
    return encode(folder / f"clip.{suffix}", frames, options=options, pix_fmt=pix_fmt)


def assert_exact(cost, info):
    assert set(cost.status) == {"exact"}
    assert (cost.bits >= 0).all()
    np.testing.assert_array_equal(cost.bits.sum((1, 2)), cost.payload_bits)
    # What is no slice data is the headers of units and slices, and, in the first packet, the encoder's name.
    rest = 8 * info.size[cost.frame_ids] - cost.payload_bits
    assert (rest > 0).all()
    assert (rest[1:] < 8 * 200).all()


@pytest.mark.parametrize(("entropy", "tools", "qp"), list(itertools.product(ENTROPY, TOOLS, (0, 1, 20, 51))))
def test_every_slice_ends_where_its_data_end(tmp_path, entropy, tools, qp):
    path = clip(tmp_path, f"{ENTROPY[entropy]}:{TOOLS[tools]}:qp={qp}")
    info = ops.probe(path)
    cost = bit_cost(path, np.arange(info.frames), threads=2)
    assert cost.bits.shape == (6, 8 if tools == "mbaff" else 7, 10)
    assert_exact(cost, info)
    assert set("".join(cost.slice_types)) == ({"P", "I"} if tools == "plain" or qp == 0 else {"P", "B", "I"})
    assert (0.1 < cost.field_pairs.mean() < 0.9) == (tools == "mbaff")


@pytest.mark.parametrize(("entropy", "pix_fmt", "tools"), list(itertools.product(ENTROPY, FORMATS, ("all", "mbaff"))))
def test_every_chroma_format_and_depth(tmp_path, entropy, pix_fmt, tools):
    path = clip(tmp_path, f"{ENTROPY[entropy]}:{TOOLS[tools]}:qp=14", count=4, pix_fmt=pix_fmt)
    info = ops.probe(path)
    assert_exact(bit_cost(path, np.arange(info.frames)), info)


@pytest.mark.parametrize("entropy", ENTROPY)
def test_slices_of_one_macroblock_weigh_what_their_units_weigh(tmp_path, entropy):
    path = clip(
        tmp_path, f"{ENTROPY[entropy]}:bframes=0:qp=18:slice-max-mbs=1", count=3, height=64, width=96, suffix="264"
    )
    data = path.read_bytes()
    units = [unit for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit and unit[0] & 31 in (1, 5)]
    weights = np.array([8 * len(unit.replace(b"\x00\x00\x03", b"\x00\x00")) for unit in units]).reshape(3, 4, 6)
    bits = bit_cost(path, [0, 1, 2]).bits
    # A slice header, the unit's first byte and the last bits: some bytes, about the same everywhere.
    header = weights - bits
    assert bits.max() > 8 * header.max()
    assert header.min() >= 24
    assert header.max() < 100


def test_bits_lie_where_the_picture_changes(tmp_path):
    still = np.full((96, 160, 3), 90, np.uint8)
    frames = [still.copy() for _ in range(6)]
    rng = np.random.default_rng(5)
    for frame in frames[1:]:
        frame[32:64, 80:112] = rng.integers(0, 256, (32, 32, 3))
    path = encode(tmp_path / "clip.mp4", frames, options={"x264-params": "bframes=0:keyint=50:scenecut=0"})
    bits = bit_cost(path, [2, 3, 4]).bits
    inside = bits[:, 2:4, 5:7]
    assert inside.min() > 100
    assert bits.sum() - inside.sum() < inside.sum() / 20


def test_samples_cost_the_same_alone_as_among_all(clip_path):
    path = clip_path("h264_bframes")
    info = ops.probe(path)
    whole = bit_cost(path, np.arange(info.frames), info=info)
    some = bit_cost(path, [3, 4, 17, 39], info=info, threads=3)
    np.testing.assert_array_equal(some.bits, whole.bits[[3, 4, 17, 39]])
    assert some.slice_types == tuple(whole.slice_types[i] for i in (3, 4, 17, 39))


@pytest.mark.parametrize(
    "name",
    [
        "h264_deep_pyramid",  # Matroska
        "h264_open_gop",
        "h264_baseline",
        "h264_ten_bit",
        "h264_444_odd_size",
        "h264_gray",
        "h264_rgb",
        "h264_transport_stream",
        "h264_raw",
        "h264_fragmented",
        "h264_edit_list",
        "h264_switching_parameters",
        "h264_joined",
        "h264_avi",
        "h264_size_change",
    ],
)
def test_every_container(clip_path, name):
    path = clip_path(name)
    info = ops.probe(path)
    cost = bit_cost(path, np.arange(info.frames))
    changed = name == "h264_size_change"
    assert set(cost.status) == ({"exact", "another size"} if changed else {"exact"})
    np.testing.assert_array_equal(cost.bits.sum((1, 2)), cost.payload_bits)
    if not changed:
        assert cost.crop == (0, 0, info.coded_width, info.coded_height)


@pytest.mark.parametrize(
    ("suffix", "container"), [("mp4", "mp4"), ("frag.mp4", "mp4"), ("mkv", "matroska"), ("ts", "mpegts")]
)
def test_far_pictures_are_gone_to(tmp_path, suffix, container):
    options = {"x264-params": "bframes=2:b-pyramid=normal:keyint=8:scenecut=0:qp=1", "preset": "ultrafast"}
    fragmented = {"movflags": "frag_keyframe+empty_moov"} if suffix == "frag.mp4" else {}
    path = tmp_path / f"clip.{suffix}"
    encode(path, scene(96, 288, 352, noise=40.0), options=options, container=container, container_options=fragmented)
    info = ops.probe(path)
    assert info.size.sum() > 10_000_000
    whole = bit_cost(path, np.arange(96), info=info)
    assert_exact(whole, info)
    before = bytes_read()
    some = bit_cost(path, [40, 41, 86], info=info, threads=2)
    # Reading on would take nine tenths; a transport stream's headers and times are looked for here and there.
    assert bytes_read() - before < info.size.sum() * (0.75 if suffix == "ts" else 0.5)
    np.testing.assert_array_equal(some.bits, whole.bits[[40, 41, 86]])


def test_parameter_sets_passed_over_are_gone_back_for(tmp_path):
    # Of the splice's second half only the first packet carries parameter sets; noise makes its pictures big.
    options = {"preset": "ultrafast", "x264-params": "keyint=4:scenecut=0:qp=1"}
    parts = [
        encode(tmp_path / f"{profile}.mp4", scene(24, 144, 176, noise=40.0), options={**options, "profile": profile})
        for profile in ("baseline", "high")
    ]
    path = splice(parts, tmp_path / "joined.mkv")
    info = ops.probe(path)
    assert set(bit_cost(path, np.arange(48), info=info).status) == {"exact"}
    assert set(bit_cost(path, [1, 46], info=info).status) == {"exact"}


def test_parameter_sets_that_came_before_are_known(clip_path):
    path = clip_path("h264_switching_parameters")
    assert set(bit_cost(path, [2, 45]).status) == {"exact"}


def test_a_damaged_picture_is_told_from_whole_ones(tmp_path):
    path = clip(tmp_path, "bframes=0:qp=20", suffix="264")
    whole = bit_cost(path, np.arange(6))
    data = bytearray(path.read_bytes())
    third = [match.start() for match in re.finditer(rb"\x00\x00\x01[\x41\x61\x01]", data)][2]
    data[third + 40 : third + 80] = bytes(range(100, 140))
    path.write_bytes(data)
    damaged = bit_cost(path, np.arange(6))
    assert [status == "exact" for status in damaged.status] == [True, True, True, False, True, True]
    assert not damaged.bits[3].any()
    np.testing.assert_array_equal(damaged.bits[damaged.exact], whole.bits[damaged.exact])


@pytest.mark.parametrize("entropy", ENTROPY)
def test_no_bytes_do_harm(tmp_path, entropy):
    whole = clip(tmp_path, f"{ENTROPY[entropy]}:{TOOLS['mbaff']}:qp=26", suffix="264").read_bytes()
    rng = np.random.default_rng(11)
    seen = set()
    for attempt in range(60):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(30, len(data), rng.integers(1, 30))
        data[places] = rng.integers(0, 256, len(places))
        path = tmp_path / f"{attempt}.264"
        path.write_bytes(data[: rng.integers(len(data) // 2, len(data))].tobytes())
        try:
            info = ops.probe(path)
        except VideoError:
            continue
        cost = bit_cost(path, np.arange(info.frames), info=info)
        np.testing.assert_array_equal(cost.bits.sum((1, 2)), cost.payload_bits)
        seen |= set(cost.status)
    assert {"exact", "broken slice"} <= seen <= set(BIT_STATUS)


def test_other_codecs_are_said_to_be_unknown(clip_path):
    cost = bit_cost(clip_path("mpeg4_bframes"), [0, 5])
    assert cost.status == ("codec", "codec")
    assert cost.bits.shape == (2, 0, 0)
    assert not cost.exact.any()


def test_nothing_asked_for(clip_path):
    cost = bit_cost(clip_path("h264_bframes"), [])
    assert cost.bits.shape == (0, 0, 0)
    assert cost.status == ()


@pytest.mark.parametrize("rows", [[3, 3], [5, 4], [-1], [40]])
def test_rows_must_rise_and_exist(clip_path, rows):
    with pytest.raises(ValueError, match="frame_indices must be strictly increasing and within the packet table"):
        bit_cost(clip_path("h264_bframes"), rows)


def test_progress_counts_and_may_stop_the_work(clip_path):
    seen = []
    bit_cost(clip_path("h264_bframes"), np.arange(40), progress=seen.append)
    assert seen[-1] == 40

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bit_cost(clip_path("h264_bframes"), np.arange(40), progress=stop)


def test_separate_colour_planes(tmp_path):
    """Three grey streams become the planes of one: each of their slices says which."""
    grey, streams = [], []
    for plane in range(3):
        frames = scene(4, 112, 160, seed=plane + 1)
        options = {"preset": "medium", "x264-params": "cabac=0:bframes=0:8x8dct=0:weightp=0:qp=22:ref=1:keyint=50"}
        path = encode(tmp_path / f"{plane}.264", frames, options=options, pix_fmt="gray", container="h264")
        grey.append(bit_cost(path, np.arange(4)))
        streams.append([unit for unit in units_of(path.read_bytes()) if unit[0] & 31 in (1, 5)])
        pps = [unit_of(first, bits) for first, bits, _ in units_of(path.read_bytes()) if first & 31 == 8]
    pictures = [
        [unit_of(first, f"{bits[:at]}{plane:02b}{bits[at:]}") for plane, (first, bits, at) in enumerate(slices)]
        for slices in zip(*streams, strict=True)
    ]
    separate = exp_golomb(3) + "1" + exp_golomb(0) * 2 + "00"
    pictures[0] = [sps_of(244, 10, 7, format_and_depth=separate), *pps[:1], *pictures[0]]
    template = encode(tmp_path / "template.mp4", scene(4, 112, 160), options={"preset": "ultrafast"})
    cost = bit_cost(in_mp4(template, pictures, tmp_path / "planes.mp4"), np.arange(4))
    assert set(cost.status) == {"exact"}
    np.testing.assert_array_equal(cost.bits, sum(plane.bits for plane in grey))
    # A plane that is missing is noticed.
    cost = bit_cost(in_mp4(template, [p[:-1] for p in pictures], tmp_path / "two.mp4"), np.arange(4))
    assert set(cost.status) == {"macroblocks missing"}


@pytest.mark.parametrize("entropy", ENTROPY)
def test_fourteen_bits(tmp_path, entropy):
    """Nothing that x264 writes of ten bits reads otherwise at fourteen; the sequence parameter set says so."""
    params = f"{ENTROPY[entropy]}:bframes=0:8x8dct=0:qp=24:ref=1:keyint=50"
    path = clip(tmp_path, params, count=4, height=112, width=160, pix_fmt="yuv420p10le", suffix="264")
    ten = bit_cost(path, np.arange(4))
    pictures = [[]]
    for first, bits, _ in units_of(path.read_bytes()):
        if first & 31 in (1, 5, 8):
            pictures[-1].append(unit_of(first, bits))
        if first & 31 in (1, 5):
            pictures.append([])
    depths = exp_golomb(1) + exp_golomb(6) * 2 + "00"
    pictures[0].insert(0, sps_of(244, 10, 7, format_and_depth=depths))
    template = encode(tmp_path / "template.mp4", scene(4, 112, 160), options={"preset": "ultrafast"})
    cost = bit_cost(in_mp4(template, pictures[:-1], tmp_path / "deep.mp4"), np.arange(4))
    assert set(cost.status) == {"exact"}
    np.testing.assert_array_equal(cost.bits, ten.bits)


def test_redundant_slices_count_for_nothing(tmp_path):
    """Behind the slices of each picture they come again, marked as a redundant one."""
    options = {"preset": "medium", "profile": "baseline", "x264-params": "qp=24:ref=1:keyint=50:slices=2"}
    path = encode(tmp_path / "clip.264", scene(4, 112, 160), options=options, container="h264")
    sets, slices = [], []
    for first, bits, at in units_of(path.read_bytes()):
        kind = first & 31
        if kind == 7:
            assert bits[behind(bits, 1, 24) : behind(bits, 3, 24)] == "1" + exp_golomb(2), "frame_num has four bits"
        if kind in (7, 8):
            sets.append(unit_of(first, bits if kind == 7 else bits[:-1] + "1"))  # redundant_pic_cnt_present_flag
        if kind in (1, 5):
            at = behind(bits, kind == 5, at + 4)  # frame_num, idr_pic_id
            slices.append([unit_of(first, bits[:at] + exp_golomb(count) + bits[at:]) for count in (0, 1)])
    pairs = zip(slices[0::2], slices[1::2], strict=True)
    pictures = [[top, bottom, top_again, bottom_again] for (top, top_again), (bottom, bottom_again) in pairs]
    pictures[0] = sets + pictures[0]
    template = encode(tmp_path / "template.mp4", scene(4, 112, 160), options={"preset": "ultrafast"})
    cost = bit_cost(in_mp4(template, pictures, tmp_path / "redundant.mp4"), np.arange(4))
    assert set(cost.status) == {"exact"}
    np.testing.assert_array_equal(cost.bits, bit_cost(path, np.arange(4)).bits)


def test_pictures_of_two_fields(tmp_path):
    path = clip(tmp_path, "cabac=0:bframes=0:8x8dct=0:qp=24:ref=1:keyint=50", count=8, suffix="264")
    frames = bit_cost(path, np.arange(8)).bits
    fields = tmp_path / "fields.264"
    fields.write_bytes(fields_of(path.read_bytes(), 10, 7))
    cost = bit_cost(fields, np.arange(ops.probe(fields).frames))
    assert set(cost.status) == {"exact"}
    assert cost.field_pairs.all()
    if len(cost.bits) == 8:  # libavformat hands out the fields one by one
        assert not cost.bits[0::2, 1::2].any()
        assert not cost.bits[1::2, 0::2].any()
        both = cost.bits[0::2] + cost.bits[1::2]
    else:
        both = cost.bits
    assert both.shape == (4, 14, 10)
    np.testing.assert_array_equal(both[:, 0::2], frames[0::2])
    np.testing.assert_array_equal(both[:, 1::2], frames[1::2])


def test_both_fields_in_a_packet(tmp_path):
    """The same, the fields of a frame in one sample of an MP4 file."""
    path = clip(tmp_path, "cabac=0:bframes=0:8x8dct=0:qp=24:ref=1:keyint=50", count=8, suffix="264")
    frames = bit_cost(path, np.arange(8)).bits
    fields = tmp_path / "fields.264"
    fields.write_bytes(fields_of(path.read_bytes(), 10, 7))
    joined = tmp_path / "fields.mp4"
    with av.open(str(fields)) as given, av.open(str(joined), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        packets = [bytes(packet) for packet in given.demux(given.streams.video[0]) if packet.size]
        if len(packets) == 8:
            packets = [a + b for a, b in zip(packets[0::2], packets[1::2], strict=True)]
        for i, data in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = i
            packet.duration = 1
            packet.time_base = Fraction(1, 25)
            packet.is_keyframe = i == 0
            packet.stream = stream
            out.mux(packet)
    cost = bit_cost(joined, np.arange(4))
    assert cost.status == ("exact",) * 4
    np.testing.assert_array_equal(cost.bits[:, 0::2], frames[0::2])
    np.testing.assert_array_equal(cost.bits[:, 1::2], frames[1::2])


def test_empty_samples_of_an_mp4_are_no_pictures(tmp_path):
    """Each picture alone gets its own bits, though the table lists an empty sample before it."""
    source = clip(tmp_path, "bframes=0:keyint=1")
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    longest = max(map(len, packets)) + 16
    pictures = []
    for number, packet in enumerate(packets):
        units = []
        while packet:
            size = 4 + int.from_bytes(packet[:4], "big")
            units.append(b"\0\0\0\1" + packet[4:size])
            packet = packet[size:]
        # All but the first are of one length, by filler data.
        filler = b"\xff" * (longest - sum(map(len, units)) - 6 + 8 * (number == 0))
        pictures.append([*units, b"\0\0\0\1\x0c" + filler + b"\x80"])
    path = in_mp4(source, [pictures[0], pictures[1], *pictures[1:]], tmp_path / "empty.mp4")
    data = bytearray(path.read_bytes())
    sizes, media = data.index(b"stsz") + 16, data.index(b"mdat") + 4
    assert data[sizes + 4 : sizes + 8] == longest.to_bytes(4, "big")
    data[sizes + 4 : sizes + 8] = bytes(4)
    second = media + longest + 8
    end = media - 8 + int.from_bytes(data[media - 8 : media - 4], "big")
    data[second:end] = data[second + longest : end] + bytes(longest)
    path.write_bytes(data)
    info = ops.probe(path)
    assert info.frames == len(pictures)
    for i in range(info.frames):
        alone, expected = bit_cost(path, [i]), bit_cost(source, [i])
        assert alone.status == ("exact",)
        np.testing.assert_array_equal(alone.bits, expected.bits)
