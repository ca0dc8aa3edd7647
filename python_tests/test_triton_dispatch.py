"""Which backend answers, in which kind, and the stages as torch operators."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from ov2_kernels import BackendUnavailableError, ops
from ov2_kernels.tables import normalization_table

from parity import assert_same
from strategies import motion_fields, picture_pairs
from triton_support import DEVICE, HAS_GPU, fake_tensor, interpreter, needs_gpu, run_apart, to_numpy, torch, triton

N, H, W, PATCH = 6, 8, 12, 2
BACKENDS = ("auto", "native", "reference", "triton")


def make_inputs() -> dict[str, np.ndarray]:
    luma, prev = picture_pairs(1, N, H, W, "noise")
    return {
        "luma": luma,
        "prev_luma": prev,
        "motion": motion_fields(1, N, H, W, "small"),
        "packet_bytes": np.arange(N) + 500,
        "group_edges": np.array([0, 2, 6]),
        "frames": np.random.default_rng(1).integers(0, 256, (N, H, W, 3), dtype=np.uint8),
        "frame_ids": np.arange(N) * 7,
        "table": normalization_table(),
    }


def pipeline(luma, prev_luma, motion, packet_bytes, group_edges, frames, frame_ids, table, backend="auto"):
    """Every stage after decoding; what each of them answers."""
    how = {"patch": PATCH, "backend": backend}
    energies = ops.block_energies(luma, prev_luma, motion, packet_bytes, **how)
    scores = ops.fuse_scores(*energies, group_edges, **how)
    changes = ops.change_scores(luma, prev_luma, group_edges, **how)
    selected = ops.select_blocks(scores, group_edges, backend=backend)
    canvases, sources = ops.pack_canvases(frames, selected, frame_ids, **how)
    values, positions = ops.pack_pixel_values(frames, selected, frame_ids, table, **how)
    rope = ops.rope_frequencies(positions, 64, backend="auto" if backend == "native" else backend)
    return (*energies, scores, changes, selected, canvases, sources, values, positions, *rope)


def as_tensors(arrays, device=DEVICE):
    return {name: torch.from_numpy(np.array(array)).to(device) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def expected():
    return pipeline(**make_inputs(), backend="reference")


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_are_answered_with_arrays(backend, expected):
    got = pipeline(**make_inputs(), backend=backend)
    assert all(isinstance(value, np.ndarray) for value in got)
    assert_same(got, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("device", sorted({"cpu", DEVICE.type}))
def test_tensors_are_answered_with_tensors_of_their_device(backend, device, expected):
    got = pipeline(**as_tensors(make_inputs(), device), backend=backend)
    assert all(isinstance(value, torch.Tensor) and value.device.type == device for value in got)
    assert_same(to_numpy(got), expected)


def test_edges_may_stay_arrays_beside_tensors(expected):
    inputs = as_tensors(make_inputs())
    inputs["group_edges"] = make_inputs()["group_edges"]
    assert_same(to_numpy(pipeline(**inputs)), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_tables(backend):
    inputs = as_tensors(make_inputs())
    table = inputs["table"].to(torch.bfloat16)
    selected = torch.arange(12, device=DEVICE).view(2, 6)
    values, _ = ops.pack_pixel_values(
        inputs["frames"], selected, inputs["frame_ids"], table, patch=PATCH, backend=backend
    )
    exact, _ = ops.pack_pixel_values(inputs["frames"], selected, inputs["frame_ids"], inputs["table"], patch=PATCH)
    assert values.dtype == torch.bfloat16
    assert torch.equal(values, exact.to(torch.bfloat16))


def launched(monkeypatch) -> list[str]:
    names: list[str] = []
    for cls in (interpreter.InterpretedFunction, triton.runtime.JITFunction):

        def run(self, *args, run=cls.run, **kwargs):
            names.append(self.__name__)
            return run(self, *args, **kwargs)

        monkeypatch.setattr(cls, "run", run)
    return names


def test_auto_is_native_on_the_host(monkeypatch):
    names = launched(monkeypatch)
    ops.rope_frequencies(torch.zeros((1, 3), dtype=torch.int64), 32)
    pipeline(**as_tensors(make_inputs(), "cpu"))
    assert names == []
    pipeline(**as_tensors(make_inputs(), "cpu"), backend="triton")
    assert len(names) == 16


@needs_gpu
def test_auto_is_triton_on_a_gpu(monkeypatch):
    names = launched(monkeypatch)
    pipeline(**as_tensors(make_inputs()))
    assert HAS_GPU
    assert len(names) == 15


def test_wrong_tensors_are_named():
    inputs = as_tensors(make_inputs())
    planes = [inputs[name] for name in ("luma", "prev_luma", "motion", "packet_bytes")]
    with pytest.raises(ValueError, match=r"luma must be uint8, got torch\.int64"):
        ops.block_energies(planes[0].long(), *planes[1:], patch=PATCH)
    with pytest.raises(ValueError, match=r"prev_luma must have the shape \[6, 8, 12\], got \[6, 8, 6\]"):
        ops.block_energies(planes[0], planes[1][..., :6], *planes[2:], patch=PATCH)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        ops.block_energies(*planes, patch=PATCH, threads=0)
    with pytest.raises(ValueError, match="backend must be one of"):
        ops.block_energies(*planes, patch=PATCH, backend="cuda")
    scores = torch.zeros((3, 1, 1), dtype=torch.int32)
    for backend in BACKENDS:
        for edges in ([0, 2], [1, 3], [0, 2, 2, 3], [0]):
            with pytest.raises(ValueError, match="group_edges must rise from 0 to the number of samples, 3"):
                ops.select_blocks(scores, torch.tensor(edges), backend=backend)
    with pytest.raises(ValueError, match="head_dim must be a positive multiple of 32, got 48"):
        ops.rope_frequencies(torch.zeros((1, 3), dtype=torch.int64), 48)
    with pytest.raises(ValueError, match="theta must be above 0"):
        ops.rope_frequencies(torch.zeros((1, 3), dtype=torch.int64), 64, 0.0)
    with pytest.raises(BackendUnavailableError, match="'native' has no rope_frequencies"):
        ops.rope_frequencies(torch.zeros((1, 3), dtype=torch.int64), 64, backend="native")


@pytest.mark.parametrize("backend", BACKENDS)
def test_operators_called_by_themselves_check_as_much(backend):
    inputs = as_tensors(make_inputs())
    luma, prev_luma, edges = inputs["luma"], inputs["prev_luma"], inputs["group_edges"]
    operators, how = torch.ops.ov2_kernels, {"patch": PATCH, "backend": backend}
    with pytest.raises(ValueError, match="luma must be uint8"):
        operators.change_scores(luma.float(), prev_luma, edges, **how)
    with pytest.raises(ValueError, match="prev_luma must have the shape"):
        operators.change_scores(luma, prev_luma[:1], edges, **how)
    with pytest.raises(ValueError, match="multiples of 2"):
        operators.change_scores(luma[:, :-1], prev_luma[:, :-1], edges, **how)
    frames = torch.zeros((2, 8, 12, 3), dtype=torch.uint8)
    selected = torch.zeros((1, 6), dtype=torch.int64)
    with pytest.raises(ValueError, match="frame_ids must have the shape"):
        operators.pack_canvases(frames, selected, torch.zeros(1, dtype=torch.int64), **how)


@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
@pytest.mark.parametrize("backend", ["auto", "triton"])
def test_torch_compile_passes_over_the_stages(compiler, backend, expected):
    torch._dynamo.reset()
    compiled = torch.compile(pipeline, fullgraph=True, backend=compiler)
    assert_same(to_numpy(compiled(**as_tensors(make_inputs()), backend=backend)), expected)


def test_a_compiled_pipeline_serves_other_numbers_of_canvases():
    torch._dynamo.reset()
    graphs = []

    def note(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(pipeline, fullgraph=True, backend=note)
    inputs = make_inputs()
    for edges in ([0, 2, 6], [0, 1, 6], [0, 3, 6]):
        inputs["group_edges"] = np.array(edges)
        assert_same(to_numpy(compiled(**as_tensors(inputs))), pipeline(**inputs))
    assert len(graphs) == 1


@pytest.mark.parametrize("backend", ["auto", "triton"])
def test_the_operators_keep_their_promises(backend):
    inputs = as_tensors(make_inputs())
    planes = [inputs[name] for name in ("luma", "prev_luma", "motion", "packet_bytes")]
    operators, how = torch.ops.ov2_kernels, {"backend": backend}
    energies = operators.block_energies(*planes, patch=PATCH)
    scores = operators.fuse_scores(*energies, inputs["group_edges"], weights=[256, 256, 256], patch=PATCH)
    selected = operators.select_blocks(scores, inputs["group_edges"], images_per_group=4, selection="stretches")
    pack = (inputs["frames"], selected, inputs["frame_ids"])
    for operator, arguments, options in [
        ("block_energies", planes, {"patch": PATCH}),
        ("change_scores", (inputs["luma"], inputs["prev_luma"], inputs["group_edges"]), {"patch": PATCH}),
        ("fuse_scores", (*energies, inputs["group_edges"]), {"weights": [1, 2, 3], "patch": PATCH}),
        ("select_blocks", (scores, inputs["group_edges"]), {"images_per_group": 3, "selection": "global"}),
        ("pack_canvases", pack, {"patch": PATCH}),
        ("pack_pixel_values", (*pack, inputs["table"]), {"patch": PATCH}),
        ("rope_frequencies", (torch.zeros((5, 3), dtype=torch.int64, device=DEVICE),), {"head_dim": 64, "theta": 1e4}),
    ]:
        found = torch.library.opcheck(getattr(operators, operator).default, tuple(arguments), {**options, **how})
        assert set(found.values()) == {"SUCCESS"}, (operator, found)


def test_fakes_look_like_the_results(expected):
    """Shapes, types and strides, but for the number of canvases, which no fake can know."""
    inputs = make_inputs()
    environment = torch.fx.experimental.symbolic_shapes.ShapeEnv()
    with fake_tensor.FakeTensorMode(shape_env=environment) as mode:
        got = pipeline(**{name: mode.from_tensor(tensor) for name, tensor in as_tensors(inputs).items()})
    for fake, real in zip(got, expected, strict=True):
        assert str(fake.dtype) == f"torch.{real.dtype}"
        assert fake.ndim == real.ndim
        assert all(a == b for a, b in zip(fake.shape, real.shape, strict=True) if isinstance(a, int))


PLANES = "np.zeros((1, 28, 28), 'u1'), np.zeros((1, 28, 28), 'u1'), np.zeros((1, 7, 7, 2), 'i2'), np.ones(1, 'i8')"


def test_torch_is_not_imported_unasked():
    code = f"""
import sys, numpy as np, ov2_kernels
from ov2_kernels import ops, tokenize_video
ops.block_energies({PLANES})
ops.block_energies({PLANES}, backend="reference")
ops.rope_frequencies(np.zeros((1, 3), "i8"), 64)
print("torch" in sys.modules, "triton" in sys.modules)
"""
    assert run_apart(code).split() == ["False", "False"]


@pytest.mark.parametrize("missing", ["torch", "triton"])
def test_without_torch_or_triton_only_triton_is_unavailable(missing):
    code = f"""
import sys, numpy as np
sys.modules["{missing}"] = None
from ov2_kernels import BackendUnavailableError, ops
ops.block_energies({PLANES})
try:
    ops.block_energies({PLANES}, backend="triton")
except BackendUnavailableError as error:
    print(error)
"""
    assert f"the backend 'triton' cannot be loaded: import of {missing} halted" in run_apart(code)


@pytest.mark.skipif(HAS_GPU, reason="there is a device")
def test_without_a_device_the_reason_is_told():
    code = f"""
import numpy as np, torch
from ov2_kernels import BackendUnavailableError, ops
arrays = {PLANES}
for inputs in arrays, map(torch.from_numpy, arrays):
    try:
        ops.block_energies(*inputs, backend="triton")
    except BackendUnavailableError as error:
        print(error)
"""
    assert run_apart(code).count("Triton kernels need a CUDA or ROCm device, and torch sees none") == 2


def test_compiling_is_the_first_thing_asked(expected):
    code = f"""
import torch
from ov2_kernels import ops
def energies(*planes):
    return ops.block_energies(*planes)
compiled = torch.compile(energies, fullgraph=True, backend="eager")
import numpy as np
print(compiled(*map(torch.from_numpy, ({PLANES})))[2].item())
"""
    assert run_apart(code).split() == [str(8 * 256)]


def test_the_command_leaves_no_complaints_of_its_libraries():
    """Triton's bindings tell on stderr what is still there at the end."""
    command = [sys.executable, "-m", "ov2_kernels", "doctor"]
    home = os.path.dirname(os.path.dirname(ops.__file__))
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "triton" in done.stdout
