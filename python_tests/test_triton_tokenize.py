"""From a file to tokens and model inputs on a torch device."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ov2_kernels import CodecConfig, CodecTokens, choose, native, tokenize_video

from parity import assert_same
from test_triton_launches import Counter
from triton_support import DEVICE, HAS_GPU, device_module, run_apart, torch, torch_ops

CONFIG = CodecConfig(
    target_canvas=4,
    images_per_group=2,
    group_size=6,
    min_samples=1,
    min_group_frames=3,
    max_pixels=8000,
    sampling="uniform",
    score_mode="fused",
)


def test_change_is_scored_on_the_device(clip_path):
    config = CONFIG.replace(score_mode="change")
    got = tokenize_video(clip_path("h264_bframes"), config, device=DEVICE, backend="triton").numpy()
    expected = tokenize_video(clip_path("h264_bframes"), config)
    assert_same(got.src_patch_position, expected.src_patch_position)
    assert_same(got.canvases, expected.canvases)


@pytest.mark.parametrize("chunk", [1, 5, 32])
def test_samples_arrive(clip_path, chunk, monkeypatch):
    monkeypatch.setattr(device_module, "CHUNK", chunk)
    expected = native.read_samples(clip_path("h264_bframes"), np.arange(1, 24, 2), 56, 84)
    got = device_module.upload_samples(expected, DEVICE)
    for field in dataclasses.fields(expected):
        value = getattr(got, field.name)
        if field.name in ("frames", "luma", "prev_luma", "motion", "packet_bytes", "frame_ids"):
            assert value.device.type == DEVICE.type
            assert_same(value.cpu().numpy(), getattr(expected, field.name), field.name)
        else:
            assert value is getattr(expected, field.name)


@pytest.mark.parametrize("name", ["h264_bframes", "h264_edit_list", "hevc"])
@pytest.mark.parametrize("reports", [[], [4, 5, 20], [7, 0, 12], [20]])
def test_pictures_arrive_while_others_are_decoded(clip_path, name, reports, monkeypatch):
    """Whatever the reader says is ready is sent, once it is a chunk; and again where reading starts anew."""
    monkeypatch.setattr(device_module, "CHUNK", 4)
    sent: list[int] = []
    copy = device_module._Upload.copy

    def note(self, target, source):
        sent.append(len(source))
        copy(self, target, source)

    def read(path, frame_ids, height, width, *, pictures, progress, **options):
        samples = native.read_samples(path, frame_ids, height, width, pictures=pictures, **options)
        kept = {field.name: getattr(pictures, field.name).copy() for field in dataclasses.fields(pictures)}
        for array in (pictures.frames, pictures.luma, pictures.prev_luma):
            array[:] = 77
        for ready in reports:
            if ready == 12:  # what was sent before reading started anew was wrong
                for key, array in kept.items():
                    getattr(pictures, key)[:] = array
            elif 7 not in reports:
                for key, array in kept.items():
                    getattr(pictures, key)[:ready] = array[:ready]
            progress(ready)
        for key, array in kept.items():
            getattr(pictures, key)[:] = array
        return samples

    monkeypatch.setattr(device_module._Upload, "copy", note)
    monkeypatch.setattr(device_module.ops, "read_samples", read)
    wanted, heard = np.arange(20), []
    path = clip_path(name)
    got = device_module.read_to_device(path, wanted, 56, 84, DEVICE, progress=heard.append)
    expected = native.read_samples(path, wanted, 56, 84)
    for field in ("frames", "luma", "prev_luma", "motion", "packet_bytes", "frame_ids"):
        assert_same(getattr(got, field).cpu().numpy(), getattr(expected, field), field)
    assert heard == reports
    first = {(): [20], (4, 5, 20): [4, 16], (7, 0, 12): [7, 12, 8], (20,): [20]}[tuple(reports)]
    assert sent == [size for chunk in first for size in [chunk] * 3] + [20] * 3


@pytest.fixture(scope="module")
def pair(clip_path) -> tuple[CodecTokens, CodecTokens]:
    """Tokens made by the native backend, and by Triton on its device."""
    path = clip_path("h264_bframes")
    return tokenize_video(path, CONFIG), tokenize_video(path, CONFIG, backend="triton", device=DEVICE)


def test_tokens_are_the_same(pair):
    expected, got = pair
    assert got.canvases.device.type == DEVICE.type
    fetched = got.numpy()
    assert fetched.numpy() is fetched
    for field in dataclasses.fields(CodecTokens):
        if isinstance(getattr(expected, field.name), np.ndarray):
            assert_same(getattr(fetched, field.name), getattr(expected, field.name), field.name)
        elif field.name != "timings":
            assert getattr(got, field.name) == getattr(expected, field.name)
    assert (got.grid, got.num_tokens) == (expected.grid, expected.num_tokens)
    assert got.timings.keys() == expected.timings.keys()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_model_inputs_stay_on_the_device(pair, dtype):
    expected, got = pair[0].model_inputs(dtype), pair[1].model_inputs(dtype, backend="triton")
    for name, value in got.items():
        assert value.device.type == DEVICE.type, name
        assert value.dtype == expected[name].dtype, name
        assert torch.equal(value.cpu(), expected[name]), name
    if dtype != "bfloat16":
        assert_same(pair[1].model_inputs(dtype, as_torch=False)["pixel_values"], expected["pixel_values"].numpy())


def test_tokens_of_a_device_can_be_saved(pair, tmp_path):
    pair[1].save(tmp_path / "out", format="npy")
    assert_same(CodecTokens.load(tmp_path / "out").canvases, pair[0].canvases)


@pytest.fixture(scope="module")
def tables(pair) -> None:
    """What is uploaded once for all videos is there."""
    pair[1].model_inputs(backend="triton")


FUSED = ["motion_medians", "energies", "share_bits", "group_scales", "weigh"]
CHANGE = ["sum_profiles", "find_shifts", "measure_changes", "lift_by_median", "find_new_shots", "relate_to_place"]


@pytest.mark.parametrize(
    ("settings", "unknown", "scoring", "merging"),
    [
        ({}, [], FUSED, []),
        ({}, [1, 7], FUSED, ["where"]),
        ({"bits_source": "estimated", "target_canvas": 2}, [], FUSED, []),
        ({"score_mode": "change"}, [], CHANGE, []),
        ({"score_mode": "framediff"}, [], FUSED, ["clone"]),  # of the one vector that was uploaded
    ],
)
def test_twelve_launches_at_most_and_no_wait_behind_the_last_picture(
    clip_path, tables, monkeypatch, settings, unknown, scoring, merging
):
    """All of ``tokenize_video`` from when pictures are read, and the model inputs: kernels, torch's own, uploads."""
    counter, uploads, fetched = Counter(), [], []
    counter.count_launches(monkeypatch)
    execute, together = torch_ops._execute, device_module.upload_together
    read, exact_bits, cpu = device_module.read_to_device, choose.bits.exact_bits, torch.Tensor.cpu

    def count_inside(*args):
        with counter:  # an operator is called with the mode off
            return execute(*args)

    def read_and_start(*args, **options):
        samples = read(*args, **options)
        uploads.append("read")
        counter.clear()
        return samples

    def hide(*args, **options):
        bits, known = exact_bits(*args, **options)
        known[unknown] = False
        return bits, known

    def send(device, **arrays):
        uploads.append(sorted(arrays))
        return together(device, **arrays)

    monkeypatch.setattr(torch_ops, "_execute", count_inside)
    monkeypatch.setattr(device_module, "read_to_device", read_and_start)
    monkeypatch.setattr(device_module, "upload_together", send)
    monkeypatch.setattr(choose.bits, "exact_bits", hide)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: fetched.append(tuple(self.shape)) or cpu(self))
    with counter:
        tokens = tokenize_video(clip_path("h264_bframes"), CONFIG, backend="triton", device=DEVICE, **settings)
        tokens.model_inputs(backend="triton")
    assert counter.triton == [*scoring, "attenuate", "select", "copy_blocks", "gather_patches"]
    assert uploads[uploads.index("read") + 1 :] == [["cu_seqlens", "image_grid_thw", "index", "table"]]
    of_torch = [*merging, *(["_to_copy"] if HAS_GPU else []), "_to_copy"]  # the upload, the positions in order
    assert counter.torch == of_torch
    assert len(counter.triton) + len(merging) + 2 <= 12
    assert set(fetched) == {tokens.group_edges.shape}, "the edges, which are on the host"
    if unknown:
        assert tokens.bits_source == "mixed"


def test_copies_end_before_their_memory_is_given_away(monkeypatch):
    """Also where reading fails: the current stream waits for the one that copies. Streams in name only."""
    waits: list[tuple[str, str]] = []

    class Stream:
        def __init__(self, name):
            self.name = name

        def wait_stream(self, other):
            waits.append((self.name, other.name))

    current = Stream("current")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(f"copies to {device}"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: current)
    upload = device_module._Upload("cuda")
    assert upload.device == torch.device("cuda", 1)
    upload.device = torch.device("cpu")
    upload.device_memory((3,), torch.uint8)
    with pytest.raises(OSError, match="gone"), upload:
        raise OSError("gone")
    assert waits == [("copies to cuda:1", "current"), ("current", "copies to cuda:1")]


def test_native_backend_on_tensors(clip_path, pair):
    got = tokenize_video(clip_path("h264_bframes"), CONFIG, backend="native", device="cpu")
    assert isinstance(got.canvases, torch.Tensor)
    assert_same(got.numpy().canvases, pair[0].canvases)


@pytest.mark.skipif(HAS_GPU, reason="there is a device")
def test_a_missing_device_is_said_at_once(clip_path):
    code = f"""
from ov2_kernels import BackendUnavailableError, tokenize_video
try:
    tokenize_video({str(clip_path("h264_bframes"))!r}, backend="triton", device="cuda")
except BackendUnavailableError as error:
    print(error)
"""
    assert "torch sees none" in run_apart(code)


def test_without_torch_a_device_is_an_import_error(clip_path):
    code = f"""
import sys
sys.modules["torch"] = None
from ov2_kernels import tokenize_video
try:
    tokenize_video({str(clip_path("h264_bframes"))!r}, device="cpu")
except ImportError as error:
    print(error)
"""
    assert "device needs torch: pip install 'ov2_kernels[torch]'" in run_apart(code)
