"""Kernels compiled for a device that need not be there, and what they take of it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability
from triton.compiler import ASTSource

from .block_energies import energies, motion_medians, share_bits
from .change_scores import find_new_shots, find_shifts, lift_by_median, relate_to_place
from .comparison import measure_changes, sum_profiles
from .fuse_scores import group_scales, weigh
from .launch import INTERPRETED, Kernel
from .pack_canvases import copy_blocks
from .pack_pixel_values import gather_patches
from .rope_frequencies import rotate
from .select_blocks import attenuate, select

#: Every kernel of the package, by the stage that launches it.
KERNELS: dict[str, tuple[Kernel, ...]] = {
    "block_energies": (motion_medians, energies, share_bits),
    "change_scores": (
        sum_profiles,
        find_shifts,
        measure_changes,
        lift_by_median,
        find_new_shots,
        relate_to_place,
    ),
    "fuse_scores": (group_scales, weigh),
    "select_blocks": (attenuate, select),
    "pack_canvases": (copy_blocks,),
    "pack_pixel_values": (gather_patches,),
    "rope_frequencies": (rotate,),
}

#: Devices that the kernels are kept compilable for: NVIDIA by compute capability, AMD by architecture.
TARGETS = {
    "cuda:80": GPUTarget("cuda", 80, 32),
    "cuda:90": GPUTarget("cuda", 90, 32),
    "cuda:100": GPUTarget("cuda", 100, 32),
    "hip:gfx942": GPUTarget("hip", "gfx942", 64),
}


@dataclass(frozen=True)
class Binary:
    """One form of one kernel, compiled for one target."""

    stage: str
    kernel: str
    target: str
    #: ``constexpr`` values and types that tell this form from the others
    form: dict[str, Any]
    #: of a thread: registers (vector ones on AMD); of a thread, bytes: stack frame and spills; of a program, bytes:
    #: shared memory; of a program: threads
    registers: int
    stack: int
    spills: int
    shared: int
    threads: int
    #: machine instructions; those of its longest pass over what stays in registers, 0 if there is none; those of its
    #: longest innermost loop. All 0 for AMD, where they are not counted
    instructions: int
    longest_pass: int
    longest_loop: int
    #: assembly, PTX or AMDGCN
    assembly: str


def compile_kernels(
    targets: tuple[str, ...] = tuple(TARGETS), stages: tuple[str, ...] = tuple(KERNELS)
) -> Iterator[Binary]:
    """Compiles every form of every kernel that a launcher may choose; no GPU is needed.

    On AMD each form comes twice: Triton compiles kernels whose tensors all stay below 2 GiB apart from the rest.
    Raises ``RuntimeError`` where Triton was told to interpret, as it cannot compile then.
    """
    if INTERPRETED:
        raise RuntimeError("TRITON_INTERPRET=1 leaves nothing to compile")
    for target in targets:
        for stage in stages:
            for kernel in KERNELS[stage]:
                for variant in kernel.variants:
                    for narrow in (False, True) if target.startswith("hip") else (False,):
                        yield _compile(stage, kernel, variant, target, narrow)


def _compile(stage: str, kernel: Kernel, variant: Any, target: str, narrow: bool) -> Binary:
    device = TARGETS[target]
    types, constants = kernel.signature(variant), {**kernel.constants(variant), **kernel.about(device.backend)}
    attributes = {}
    for i, (name, type_) in enumerate(types.items()):
        aligned = [["tt.divisibility", 16]] if name in kernel.aligned else []
        in_2_gib = [["tt.pointer_range", 32]] if narrow and type_.startswith("*") else []
        if aligned or in_2_gib:
            attributes[(i,)] = aligned + in_2_gib
    source = ASTSource(
        kernel.function, {**types, **dict.fromkeys(constants, "constexpr")}, constexprs=constants, attrs=attributes
    )
    options = kernel.options(device.warp_size)
    compiled = triton.compile(source, target=device, options=options)
    is_cuda = device.backend == "cuda"
    usage = _ptxas(compiled.asm["ptx"], device.arch) if is_cuda else _amdgcn(compiled.asm["amdgcn"])
    return Binary(
        stage=stage,
        kernel=kernel.name,
        target=target,
        form={**variant, **({"narrow": narrow} if not is_cuda else {})},
        **usage,
        shared=compiled.metadata.shared,
        threads=options["num_warps"] * device.warp_size,
        **_count(compiled.asm["sass"] if is_cuda else ""),
        assembly=compiled.asm["ptx" if is_cuda else "amdgcn"],
    )


def _ptxas(ptx: str, arch: int) -> dict[str, int]:
    # The assembler and the options that Triton itself uses for this device.
    tool, name = get_ptxas(arch), sm_arch_from_capability(arch)
    options = ["-v", "--fmad=false", "--regAllocOptLevel=2", f"--gpu-name={name}"]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "kernel.ptx")
        path.write_text(ptx)
        command = [tool.path, *options, str(path), "-o", str(path.with_suffix(".cubin"))]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return {
        "registers": _number(r"Used (\d+) registers", report),
        "stack": _number(r"(\d+) bytes stack frame", report),
        "spills": _number(r"(\d+) bytes spill stores", report) + _number(r"(\d+) bytes spill loads", report),
    }


def _amdgcn(assembly: str) -> dict[str, int]:
    return {
        "registers": _number(r"\.vgpr_count:\s+(\d+)", assembly),
        "stack": _number(r"\.private_segment_fixed_size:\s+(\d+)", assembly),
        "spills": _number(r"\.vgpr_spill_count:\s+(\d+)", assembly) + _number(r"\.sgpr_spill_count:\s+(\d+)", assembly),
    }


def _count(sass: str) -> dict[str, int]:
    labels: dict[str, int] = {}
    branches: list[tuple[int, str]] = []
    barriers: list[int] = []
    count = 0
    for line in sass.splitlines():
        if match := re.match(r"\s*(\w+):$", line):
            labels[match[1]] = count
        elif line.rstrip().endswith(";") and "NOP" not in line:
            if "BAR.SYNC" in line:
                barriers.append(count)
            count += 1
            if match := re.search(r"\bBRA\S* (?:.*, *)?(\w+);", line):
                branches.append((count, match[1]))
    ends: dict[int, int] = {}
    for end, name in branches:
        # A branch names a label, or an address; an instruction takes 16 bytes.
        to = int(name, 16) // 16 if name.startswith("0x") else labels.get(name, end)
        if to < end - 1:
            ends[to] = max(end, ends.get(to, 0))
    loops = [
        (first, end)
        for first, end in ends.items()
        if not any(a < first < b < end or first < a < end < b for a, b in ends.items())
    ]
    innermost, passes = [0], [0]
    for first, end in loops:
        inside = [(a, b) for a, b in loops if (a, b) != (first, end) and first <= a and b <= end]
        if not inside:
            innermost.append(end - first)
        # A pass over registers waits for all warps, and holds the loop over what did not fit, which does not.
        elif any(first <= at < end for at in barriers) and not any(a <= at < b for a, b in inside for at in barriers):
            passes.append(end - first - sum(b - a for a, b in inside))
    return {"instructions": count, "longest_pass": max(passes), "longest_loop": max(innermost)}


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"the compiler's report has no {pattern!r}: {text[:400]}")
    return int(match[1])
