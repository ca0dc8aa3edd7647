"""Asset directories from anywhere: every lie is one line of ``ValueError``, told before it costs anything."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, tokenize_frames, tokenize_video
from PIL import Image


@pytest.fixture(scope="module")
def tokens(clip_path):
    config = CodecConfig(target_canvas=8, group_size=8, min_group_frames=4, max_pixels=20_000)
    return tokenize_video(clip_path("h264_bframes"), config)


@pytest.fixture
def out(tokens, tmp_path):
    tokens.save(tmp_path / "out", format="png")
    return tmp_path / "out"


def change_meta(directory, change):
    meta = json.loads((directory / "meta.json").read_text())
    change(meta)
    (directory / "meta.json").write_text(json.dumps(meta))


def refused(directory, message, **options):
    with pytest.raises(ValueError, match=message) as caught:
        CodecTokens.load(directory, **options)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)
    assert len(str(caught.value)) < 700


HUGE = 10**400
NO_NAMES = (7, "", "../canvas_000.png", "/etc/passwd.png", "a\0.png", "..png", "canvas_000.gif", "canvas_000.png\n")
NO_NAMES += ("\udcff.png", "x" * 300 + ".png")
LIES = {
    "canvas_files": [None, "canvas_000.png", [], *([name] for name in NO_NAMES)],
    "processed_hw": [None, [], [112], [112, 0], [112, -28], [112.0, 168], [HUGE, HUGE], [113, 168], [True, True]],
    "orig_hw": [None, [0, 0], "96x160", [96, 160, 3], [HUGE, 1]],
    "groups": [None, {}, [], [None], [{}]],
    "total_frames": [None, 0, -1, 1, 1.5, HUGE, True],
    "timestamps": [None, [], ["0"], [0.0], [[0.0]], [HUGE] * 16],
    "fps": [None, 0, -1, "30", HUGE, float("nan"), float("inf")],
    "codec_name": [None, 3],
    "motion_source": [None, "magic"],
    "bits_source": ["magic", []],
    "evidence": ["smell", None],
    "video": [3],
    "substituted_frames": [None, [-1], [10**9], ["1"]],
    "exact_pictures": [-1, 10**6, 1.0],
    "timing_sec": [None, [], {"total": "now"}, {"total": HUGE}],
    "config": [None, [], {"nothing\nof": 1}, {"patch": 0}, {"threads": 0}, {"motion_weight": HUGE}, {"sampling": {}}],
}


@pytest.mark.parametrize("name", LIES)
def test_every_value_is_checked(name, out):
    for lie in LIES[name]:
        change_meta(out, lambda meta, lie=lie: meta.update({name: lie}))
        refused(out, r"meta\.json: |frame_ids\.npy: |src_patch_position\.npy: ")
    change_meta(out, lambda meta: meta.pop(name))
    if name in ("evidence", "video", "exact_pictures"):  # older directories lack them
        CodecTokens.load(out)
    else:
        refused(out, rf"meta\.json: lacks {name}")


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g[0].update(num_canvases=10**12),
        lambda g: g[0].update(num_canvases=-1),
        lambda g: g[0].update(num_canvases=g[0]["num_canvases"] + 1),
        lambda g: g[1].update(global_img_offset=10**6),
        lambda g: g[1].update(global_img_offset=-1),
        lambda g: g[1].update(group_start_idx=0),
        lambda g: g[0].update(group_end_idx=g[0]["group_end_idx"] + 1),
        lambda g: g[-1].update(group_end_idx=10**6),
        lambda g: g.pop(),
        lambda g: g.append(dict(g[-1])),
    ],
)
def test_groups_must_fit(change, out):
    change_meta(out, lambda meta: change(meta["groups"]))
    refused(out, r"meta\.json: ")


def test_what_is_no_json(out):
    for text in (b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"fps": ' + b"9" * 5000 + b"}"):
        (out / "meta.json").write_bytes(text)
        refused(out, r"meta\.json: ")
    with open(out / "meta.json", "r+b") as file:
        file.truncate(1 << 40)  # which takes no room on the disk, and must take none in memory
    refused(out, r"meta\.json: has 1099511627776 bytes, more than")


def npy(array, version=(1, 0)):
    data = io.BytesIO()
    np.lib.format.write_array(data, np.asarray(array), version=version, allow_pickle=True)
    return data.getvalue()


def header(text):
    text = text.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def test_arrays_are_what_they_should_be(tokens, out):
    good = tokens.frame_ids.astype(np.int32)
    for what, bad in (
        ("object", npy(np.array([{}] * len(good), dtype=object))),  # would be unpickled
        ("float", npy(good.astype(np.float64))),
        ("wide", npy(good.astype(np.int64))),
        ("swapped", npy(good.astype(">i4"))),
        ("long", npy(np.append(good, 1).astype(np.int32))),
        ("flat", npy(good[:, None])),
        ("structured", npy(np.zeros(len(good), dtype=[("a", "<i4")]))),
        ("version", npy(good, version=(2, 0))),
        ("cut", npy(good)[:-1]),
        ("more", npy(good) + b"\0"),
        ("empty", b""),
        ("magic", b"\x93NUMPY"),
        ("huge", header("{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000,), }")),
        ("huge digits", header(f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({'9' * 900},), }}")),
        ("code", header("{'descr': '<i4', 'fortran_order': False, 'shape': (__import__('os'),), }")),
        ("nested", header("(" * 5000)),
        ("out of range", npy(good + 10**6)),
        ("negative", npy(good - 100)),
        ("other frames", npy(np.roll(np.where(good == good[0], good[-1], good), 1))),
    ):
        (out / "frame_ids.npy").write_bytes(bad)
        place = "src_patch_position" if what == "other frames" else "frame_ids"
        refused(out, rf"{place}\.npy: ")
    (out / "frame_ids.npy").write_bytes(npy(good))
    CodecTokens.load(out)
    for place, value in (((0, 0), -1), ((5, 1), 10**6), ((5, 2), -3)):
        positions = tokens.src_patch_position.copy()
        positions[place] = value
        np.save(out / "src_patch_position.npy", positions)
        refused(out, r"src_patch_position\.npy: must lie in \[0, ")
    np.save(out / "src_patch_position.npy", np.asfortranarray(tokens.src_patch_position))
    loaded = CodecTokens.load(out).src_patch_position
    assert np.array_equal(loaded, tokens.src_patch_position)


def png(width, height, *, data=b"", depth=8, colour=2):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def test_pictures_are_looked_at_before_they_are_decoded(tokens, out):
    height, width = tokens.canvases.shape[1:3]
    picture = Image.fromarray(tokens.canvases[0])
    bomb = zlib.compress(bytes(50_000_000), 9)  # 50 MB in 49 kB
    for bad in (
        png(30_000, 30_000, data=bomb),
        png(12_000, 9_000, data=bomb),
        png(width, height + 1, data=bomb),
        png(width, height, depth=16, data=b"no zlib"),
        png(width, height, colour=6),
        png(width, height, data=zlib.compress(b"short")),
        png(width, height, data=b"no zlib"),
        saved(picture, "PNG")[:-200],
        saved(picture.convert("L"), "PNG"),
        saved(picture.convert("P"), "PNG"),
        saved(picture, "JPEG"),
        saved(picture, "TIFF"),
        saved(picture, "PNG") + bytes(10_000_000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 168 112\n%%EndComments\n(%pipe%touch owned) (w) file\n",
        b"",
    ):
        (out / "canvas_002.png").write_bytes(bad)
        tracemalloc.start()
        refused(out, r"canvas_002\.png: ")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
        tracemalloc.stop()
    change_meta(out, lambda meta: meta["canvas_files"].__setitem__(2, "canvas_002.jpg"))
    for bad in (saved(picture, "JPEG")[:300], saved(picture.convert("L"), "JPEG"), saved(picture, "PNG")):
        (out / "canvas_002.jpg").write_bytes(bad)
        refused(out, r"canvas_002\.jpg: ")
    change_meta(out, lambda meta: meta["canvas_files"].__setitem__(2, "canvas_002.npy"))
    np.save(out / "canvas_002.npy", tokens.canvases[2, :, :-1])
    refused(out, r"canvas_002\.npy: must hold \|u1")
    np.save(out / "canvas_002.npy", tokens.canvases[2])
    CodecTokens.load(out)


def test_only_plain_files_of_the_directory_are_read(out, tmp_path):
    secret = tmp_path / "secret.png"
    shutil.copy(out / "canvas_000.png", secret)
    victims = ("canvas_000.png", "frame_ids.npy", "src_patch_position.npy", "meta.json")
    for victim in victims:
        kept = (out / victim).read_bytes()
        (out / victim).unlink()
        (out / victim).symlink_to(secret)
        refused(out, rf"{victim}: is a symbolic link")
        (out / victim).unlink()
        os.mkfifo(out / victim)  # which nobody ever writes
        refused(out, rf"{victim}: is not a plain file")
        (out / victim).unlink()
        (out / victim).mkdir()
        refused(out, rf"{victim}: is not a plain file")
        (out / victim).rmdir()
        with pytest.raises(FileNotFoundError, match=victim):
            CodecTokens.load(out)
        (out / victim).write_bytes(kept)
    (tmp_path / "link").symlink_to(out)
    CodecTokens.load(tmp_path / "link")  # the directory is what the caller names


def test_canvases_have_a_limit(tokens, out):
    refused(out, r"tells of \d+ canvases of \d+x\d+, more than max_bytes = 1000", max_bytes=1000)
    assert np.array_equal(CodecTokens.load(out, max_bytes=tokens.canvases.nbytes).canvases, tokens.canvases)

    def claim(meta):
        meta["processed_hw"] = [28 * 10**6, 28 * 10**6]

    change_meta(out, claim)
    refused(out, r"canvases of 28000000x28000000, more than max_bytes = 2147483648")


def test_threads_of_the_directory_do_not_count(out, monkeypatch):
    change_meta(out, lambda meta: meta["config"].update(threads=1000))
    asked = []

    class Pool:
        def __init__(self, threads):
            asked.append(threads)

        def map(self, work, items):
            return [work(item) for item in items]

        def shutdown(self, **_):
            pass

    monkeypatch.setattr("ov2_kernels.load_assets.ThreadPoolExecutor", Pool)
    CodecTokens.load(out)
    assert asked[0] <= (os.cpu_count() or 1)


def test_every_kind_of_tokens_comes_back(clip_path, tmp_path):
    made = {
        "readiness": tokenize_video(clip_path("h264_bframes"), profile="readiness", max_pixels=20_000),
        "frames": tokenize_frames(clip_path("h264_variable_rate"), num_frames=5, max_pixels=20_000),
        "memory": tokenize_frames([np.full((60, 90, 3), i, np.uint8) for i in range(3)]),
        "hevc": tokenize_video(clip_path("hevc"), max_pixels=20_000, target_canvas=4),
    }
    for name, tokens in made.items():
        tokens.save(tmp_path / name, format="npy")
        loaded = CodecTokens.load(tmp_path / name)
        for field in ("canvases", "src_patch_position", "group_ids", "canvas_kinds", "frame_ids", "group_edges"):
            assert np.array_equal(getattr(loaded, field), getattr(tokens, field)), (name, field)
