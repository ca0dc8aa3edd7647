"""Every form of every kernel compiled for every target, with no GPU: nothing spills, no option changes a bit."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from pathlib import Path

import pytest

from triton_support import KERNELS, launch, run_apart, torch

TARGETS = ("cuda:80", "cuda:90", "cuda:100", "hip:gfx942")
#: run on its own: a process that interprets cannot compile
SCRIPT = """
import dataclasses, json, sys
from ov2_kernels.triton.ahead_of_time import TARGETS, compile_kernels
assert tuple(TARGETS) == tuple(sys.argv[1].split(","))
json.dump([dataclasses.asdict(b) for b in compile_kernels()], sys.stdout)
"""


@pytest.fixture(scope="module")
def binaries():
    # Triton warns where fusion of multiplication and addition is left to its default.
    return json.loads(run_apart(SCRIPT, ",".join(TARGETS)))


def test_every_form_is_there(binaries):
    forms = sum(len(kernel.variants) for kernel in KERNELS.values())
    assert forms == 18
    for target in TARGETS:
        assert sum(b["target"] == target for b in binaries) == forms * (2 if target.startswith("hip") else 1)


def test_every_declared_kernel_is_compiled():
    """The list of kernels is that of the package's modules."""
    import ov2_kernels.triton as package

    declared = set()
    for module in pkgutil.iter_modules(package.__path__, "ov2_kernels.triton."):
        values = vars(importlib.import_module(module.name)).values()
        declared |= {value for value in values if isinstance(value, launch.Kernel)}
    assert declared == set(KERNELS.values())


@pytest.mark.parametrize("target", ["cuda:90", "hip:gfx942"])
def test_what_is_launched_was_compiled_ahead(target):
    """Triton itself chooses the forms, as at a launch; on AMD it takes those for tensors below 2 GiB here."""
    report = json.loads(run_apart((Path(__file__).parent / "launch_without_gpu.py").read_text(), target))
    assert report["unforeseen"] == []
    assert [form for form in report["unused"] if "'narrow': False" not in form] == []


def test_nothing_spills(binaries, capsys):
    rows = [
        f"{'target':12}{'kernel':16}{'form':34}{'registers':>10}{'stack':>7}{'spills':>8}{'shared':>8}{'threads':>9}"
    ]
    for b in binaries:
        form = " ".join(f"{name}={value}" for name, value in b["form"].items() if name not in ("CHUNK", "table"))
        numbers = f"{b['registers']:10}{b['stack']:7}{b['spills']:8}{b['shared']:8}{b['threads']:9}"
        rows.append(f"{b['target']:12}{b['kernel']:16}{form[:33]:34}{numbers}")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(rows) + "\n")
    for b in binaries:
        assert b["spills"] == 0, b
        assert b["stack"] == 0, b


def test_passes_over_registers_are_found(binaries):
    """What bench/roofline.py multiplies by the number of passes."""
    for b in binaries:
        if b["target"].startswith("cuda") and b["kernel"] in ("motion_medians", "group_scales", "select"):
            assert 0 < b["longest_pass"] < 400, (b["kernel"], b["longest_pass"])


def test_float_arithmetic_is_ieee(binaries):
    """No fused multiplication and addition, no approximate root, no flushed subnormal that the source has not."""
    for b in binaries:
        if b["target"].startswith("cuda"):
            code = re.sub(r"//.*", "", b["assembly"])
            assert not re.search(r"\bfma\.", code), b["kernel"]
            assert not re.search(r"\.approx|\.ftz", code), b["kernel"]
            for operation in re.findall(r"\b(?:mul|add|sub)(\.\S*f(?:32|64))", code):
                assert operation.startswith(".rn") or b["kernel"] != "rotate", (b["kernel"], operation)
        elif b["kernel"] == "rotate":
            assert not re.search(r"\bv_(?:pk_)?(?:fma|mad|fmac)_f", b["assembly"]), b["form"]
        elif b["kernel"] == "energies":
            # The hardware's root may be off by one unit: two exact remainders put it right.
            assert re.search(r"v_sqrt_f32(?:(?:.*\n){1,12}?.*v_fma_f32){2}", b["assembly"]), b["form"]
    roots = [b["assembly"] for b in binaries if b["kernel"] == "energies" and b["target"].startswith("cuda")]
    assert len(roots) == 3
    assert all("sqrt.rn.f32" in code for code in roots)


def test_an_unlisted_form_is_refused():
    gather = KERNELS["gather_patches"]
    with pytest.raises(TypeError, match="gather_patches has no form for"):
        gather((1,), *[torch.zeros(1)] * 6, 1, 28, 28, 14, CHUNK=128)
    tensors = [torch.zeros(1, dtype=getattr(torch, name)) for name in ("int16", "int64", "int64", "int32")]
    tensors += [torch.zeros(1, dtype=torch.int64)] * 2
    with pytest.raises(TypeError, match="gather_patches has no form for"):
        gather((0,), *tensors, 1, 28, 28, 14, CHUNK=256)
    with pytest.raises(OverflowError, match="a kernel's 32-bit parameter cannot hold 2147483648"):
        gather((0,), *tensors, 2**31, 28, 28, 14, CHUNK=128)
    gather((0,), *tensors, 2**31 - 1, 28, 28, 14, CHUNK=128)
