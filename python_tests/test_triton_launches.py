"""How often the pipeline after decoding asks the device for work, and that it never waits for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ov2_kernels.tables import normalization_table

from strategies import motion_fields, picture_pairs
from triton_support import (
    DEVICE,
    HAS_GPU,
    device_module,
    fake_tensor,
    interpreter,
    kernels,
    launch,
    python_dispatch,
    torch,
    torch_ops,
    triton,
)

#: operators that only describe memory: no work for a device
FREE = {"empty", "empty_like", "new_empty", "view", "detach", "alias", "slice", "as_strided", "_unsafe_view"}
FREE |= {"device", "is_pinned", "_pin_memory", "lift_fresh", "transpose", "expand"}


class Counter(python_dispatch.TorchDispatchMode):
    """Notes the launches of Triton, and the operators of torch that give a device work or wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.triton: list[str] = []
        self.torch: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        key = "CompositeImplicitAutograd"
        if func.namespace == "aten" and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key):
            with self:  # it is what it is made of
                return func.decompose(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in FREE and func.namespace != "ov2_kernels":
            self.torch.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    @property
    def launches(self) -> list[str]:
        """All that was counted."""
        return self.triton + self.torch

    def clear(self) -> None:
        """Starts anew."""
        self.triton.clear()
        self.torch.clear()

    def count_launches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hooks Triton's own launch functions, compiled and interpreted."""
        for cls in (interpreter.InterpretedFunction, triton.runtime.JITFunction):

            def run(function, *args, run=cls.run, **kwargs):
                self.triton.append(function.__name__)
                with torch._C._DisableTorchDispatch():  # the interpreter moves tensors about
                    return run(function, *args, **kwargs)

            monkeypatch.setattr(cls, "run", run)


def run_pipeline(samples: dict[str, torch.Tensor], edges: torch.Tensor, score: str = "fused") -> torch.Tensor:
    """From decoded samples on the device to canvases and to the encoder's input."""
    patch = 2
    planes = (samples["luma"], samples["prev_luma"], samples["motion"], samples["packet_bytes"])
    if score == "change":
        scores = kernels.change_scores(*planes[:2], edges, patch=patch)
    else:
        scores = kernels.fuse_scores(*kernels.block_energies(*planes, patch=patch), edges, patch=patch)
    selected = kernels.select_blocks(scores, edges)
    kernels.pack_canvases(samples["frames"], selected, samples["frame_ids"], patch=patch)
    packed = kernels.pack_pixel_values(samples["frames"], selected, samples["frame_ids"], samples["table"], patch=patch)
    return packed[0]


def make_samples(n: int) -> dict[str, torch.Tensor]:
    luma, prev = picture_pairs(n, n, 8, 12, "noise")
    arrays = {
        "luma": luma,
        "prev_luma": prev,
        "motion": motion_fields(n, n, 8, 12, "small"),
        "packet_bytes": np.full(n, 999),
        "frames": np.random.default_rng(n).integers(0, 256, (n, 8, 12, 3), dtype=np.uint8),
        "frame_ids": np.arange(n),
        "table": np.array(normalization_table()),
    }
    return {name: torch.from_numpy(array).to(DEVICE) for name, array in arrays.items()}


KERNELS = ["motion_medians", "energies", "share_bits"]  # block_energies
KERNELS += ["group_scales", "weigh"]  # fuse_scores
SELECT_AND_PACK = ["attenuate", "select"]  # select_blocks
SELECT_AND_PACK += ["copy_blocks", "gather_patches"]  # pack_canvases, pack_pixel_values
KERNELS += SELECT_AND_PACK
CHANGE = ["sum_profiles", "find_shifts", "measure_changes", "lift_by_median", "find_new_shots", "relate_to_place"]
CHANGE += SELECT_AND_PACK


@pytest.mark.parametrize("edges", [[0, 1], [0, 9], [0, 1, 2, 5, 9], [*range(14)]])
@pytest.mark.parametrize(("score", "kernels_"), [("fused", KERNELS), ("change", CHANGE)])
def test_at_most_ten_kernels_whatever_the_size(score, kernels_, edges, monkeypatch):
    """As they run here: Triton's own launch functions are hooked."""
    samples = make_samples(edges[-1])
    run_pipeline(make_samples(1), torch.tensor([0, 1]))  # tables are uploaded once
    counter = Counter()
    counter.count_launches(monkeypatch)
    fetched = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self, cpu=torch.Tensor.cpu: fetched.append(self) or cpu(self))
    host_edges = torch.tensor(edges)
    with counter:
        run_pipeline(samples, host_edges, score)
    assert counter.triton == kernels_
    assert set(counter.torch) <= ({"_to_copy"} if HAS_GPU else set())
    assert len(counter.launches) <= 12
    assert fetched == [host_edges], "group_edges is all that may have to be fetched, once"


def test_on_cuda_edges_sent_ahead_serve_all_stages_and_nothing_waits(monkeypatch):
    """On tensors that pretend to be CUDA's: sizes and strides are all that a launcher looks at."""
    counter = Counter()
    monkeypatch.setattr(launch.Kernel, "__call__", lambda self, *args, **constants: counter.triton.append(self.name))
    monkeypatch.setattr(fake_tensor.FakeTensor, "data_ptr", lambda self: 0)
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    stream = SimpleNamespace(cuda_stream=1)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    samples, edges = make_samples(9), torch.tensor([0, 1, 2, 5, 9])
    array = edges.numpy()
    for name, answer in (("cpu", edges), ("numpy", array)):

        def only_edges(self, answer=answer):
            return answer if self is edges else pytest.fail("something is fetched")

        monkeypatch.setattr(torch.Tensor, name, only_edges)
    attenuation = sys.modules["ov2_kernels.triton.select_blocks"]._attenuation
    attenuation.cache_clear()
    launch._sent.cache_clear()
    with fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        pretended = {name: torch.empty_like(tensor, device="cuda") for name, tensor in samples.items()}
        assert all(isinstance(tensor, fake_tensor.FakeTensor) for tensor in pretended.values())
        run_pipeline(pretended, edges)
        assert len(pinned) == 2, "a table and the edges: a copy from elsewhere may wait"
        launch._sent.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(device_module, "_resolve", lambda _: torch.device("cuda", 0))
            patch.setattr(torch, "from_numpy", lambda _: edges)
            unknown = np.zeros(9, dtype=bool)
            merge = device_module.send_plan("cuda", array, np.zeros((9, 2, 3), dtype=np.int64), unknown, "auto")
        assert merge(edges) is edges
        for stream.cuda_stream, uploads in ((1, []), (2, 2 * ["_to_copy"])):
            counter.clear()
            with counter:
                values = run_pipeline(pretended, edges)
            assert values.device.type == "cuda"
            assert counter.triton == KERNELS
            assert counter.torch == uploads, "only where they were sent on another stream"
    attenuation.cache_clear()
    launch._sent.cache_clear()
    assert len(pinned) == 5


def test_auto_is_triton_for_what_lies_on_a_cuda_device(monkeypatch):
    """Which operators choose what, on tensors that pretend; ``native`` would fetch them."""
    names: list[str] = []
    monkeypatch.setattr(launch.Kernel, "__call__", lambda self, *args, **constants: names.append(self.name))
    monkeypatch.setattr(fake_tensor.FakeTensor, "data_ptr", lambda self: 0)
    samples = make_samples(2)
    with fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        planes = [torch.empty_like(samples[k], device="cuda") for k in ("luma", "prev_luma", "motion", "packet_bytes")]
        results = torch_ops._execute("block_energies", tuple(planes), {"threads": 0, "backend": "auto", "patch": 2})
    assert all(result.device.type == "cuda" for result in results)
    assert names == KERNELS[:3]
