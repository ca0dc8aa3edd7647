"""The Triton kernels on the GPU of this machine: python bench/gpu.py [--samples N ...] [--size HxW ...] [--dtype T]

Before anything is timed its result is compared, bit by bit, with the native backend; plain torch likewise. For each
kernel: the bytes that it must move, its median time on the device (cold caches, and the queue filled beforehand, so
that no launch is waited for), and the share of the device's bandwidth: by its clock and bus where torch tells them,
unless ``--bandwidth`` gives it in GB/s, else that of a copy of 1 GiB, which is printed in any case; and the time of a
plain copy of as many bytes, in parts of the kernel's. For each stage the same in plain torch; then end to end, and
which goals are reached. Where such a copy is itself below the goal, as its launch counts for too much, the kernel is
named apart. Without a GPU all of it runs on a small input under Triton's interpreter, with a dash for each time.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

import plain_torch
from traffic import GROUP_SIZE, HEAD_DIM, IMAGES_PER_GROUP, PATCH, SAMPLES, SIZES, Work, work

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported

import numpy as np
import ov2_kernels.triton as kernels
import triton
from ov2_kernels import BackendUnavailableError, ops
from ov2_kernels.device import upload_samples
from ov2_kernels.dispatch import load_backend
from ov2_kernels.media import Samples
from ov2_kernels.tables import normalization_table
from ov2_kernels.triton.launch import Kernel

HAS_GPU = torch.cuda.is_available()
Stage = Callable[[], Any]
NAN = math.nan
#: the goals: this share of the bandwidth with so many samples, and for so many less than this, in microseconds
SHARE, SHARE_SAMPLES, LIMIT, TIME_SAMPLES = 0.7, 768, 1000.0, 256


def make_samples(n: int, height: int, width: int) -> Samples:
    """Noise over a texture, vectors constant over 16x16 pixels, most of them zero or a pan, and random frames."""
    rng = np.random.default_rng(n + height)
    texture = np.add.outer(np.arange(height) * 3, np.arange(width) * 5) % 200
    luma = (texture + rng.integers(0, 24, (n, height, width), dtype=np.uint8)).astype(np.uint8)
    vectors = rng.integers(-96, 97, (n, -(-height // 16), -(-width // 16), 2), dtype=np.int16)
    vectors *= rng.random((*vectors.shape[:3], 1)) < 0.4
    vectors[1::2] += np.array([21, -13], dtype=np.int16)  # every other frame pans: its median is not zero
    motion = vectors.repeat(4, axis=1).repeat(4, axis=2)[:, : height // 4, : width // 4]
    return Samples(
        frame_ids=2 * np.arange(n) + 1,
        frames=rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8),
        luma=luma,
        prev_luma=np.maximum(luma, 4) - rng.integers(0, 5, luma.shape, dtype=np.uint8),
        motion=np.ascontiguousarray(motion),
        packet_bytes=rng.lognormal(7.5, 1.0, n).astype(np.int64),
        pts=np.arange(n),
        pict_types=np.full(n, b"P"),
        substituted=np.zeros(n, dtype=bool),
        shown_ids=2 * np.arange(n) + 1,
        motion_source="codec",
        decoded=n,
        skipped=0,
    )


class Case:
    """One set of samples on the device, and every stage over it, each fed with what the stage before gave."""

    def __init__(self, n: int, height: int, width: int, dtype: str) -> None:
        self.host = make_samples(n, height, width)
        self.device = kernels.default_device()
        self.samples: Any = upload_samples(self.host, self.device)
        self.group_size = GROUP_SIZE if n >= 2 * GROUP_SIZE else 4
        self.edges = torch.cat([torch.arange(0, n, self.group_size), torch.tensor([n])])
        self.table = torch.tensor(normalization_table()).to(getattr(torch, dtype)).to(self.device)
        s, edges = self.samples, self.edges.tolist()
        planes = (s.luma, s.prev_luma, s.motion, s.packet_bytes)
        energies = kernels.block_energies(*planes, patch=PATCH)
        scores = kernels.fuse_scores(*energies, self.edges, patch=PATCH)
        selected = kernels.select_blocks(scores, self.edges, images_per_group=IMAGES_PER_GROUP)
        pack = (s.frames, selected, s.frame_ids)
        _, positions = kernels.pack_pixel_values(*pack, self.table, patch=PATCH)
        self.stages: dict[str, tuple[Stage, Stage]] = {
            "block_energies": (
                lambda: kernels.block_energies(*planes, patch=PATCH),
                lambda: plain_torch.block_energies(*planes, patch=PATCH),
            ),
            "change_scores": (
                lambda: kernels.change_scores(s.luma, s.prev_luma, self.edges, patch=PATCH),
                lambda: plain_torch.change_scores(s.luma, s.prev_luma, edges, patch=PATCH),
            ),
            "fuse_scores": (
                lambda: kernels.fuse_scores(*energies, self.edges, patch=PATCH),
                lambda: plain_torch.fuse_scores(*energies, edges, patch=PATCH),
            ),
            "select_blocks": (
                lambda: kernels.select_blocks(scores, self.edges, images_per_group=IMAGES_PER_GROUP),
                lambda: plain_torch.select_blocks(scores, edges, images_per_group=IMAGES_PER_GROUP),
            ),
            "pack_canvases": (
                lambda: kernels.pack_canvases(*pack, patch=PATCH),
                lambda: plain_torch.pack_canvases(*pack, patch=PATCH),
            ),
            "pack_pixel_values": (
                lambda: kernels.pack_pixel_values(*pack, self.table, patch=PATCH),
                lambda: plain_torch.pack_pixel_values(*pack, self.table, patch=PATCH),
            ),
            "rope_frequencies": (
                lambda: kernels.rope_frequencies(positions, HEAD_DIM),
                lambda: plain_torch.rope_frequencies(positions, HEAD_DIM),
            ),
        }

    def pipeline(self, samples: Any, score: str) -> Any:
        """From samples on the device to what the encoder eats, with blocks scored by ``change`` or ``fused``."""
        if score == "change":
            scores = kernels.change_scores(samples.luma, samples.prev_luma, self.edges, patch=PATCH)
        else:
            planes = (samples.luma, samples.prev_luma, samples.motion, samples.packet_bytes)
            scores = kernels.fuse_scores(*kernels.block_energies(*planes, patch=PATCH), self.edges, patch=PATCH)
        selected = kernels.select_blocks(scores, self.edges, images_per_group=IMAGES_PER_GROUP)
        return kernels.pack_pixel_values(samples.frames, selected, samples.frame_ids, self.table, patch=PATCH)

    def expect(self) -> None:
        """What the native backend makes of the same samples, once, on the host."""
        h, edges, how = self.host, self.edges.numpy(), {"patch": PATCH, "backend": host_backend()}
        energies = ops.block_energies(h.luma, h.prev_luma, h.motion, h.packet_bytes, **how)
        scores = {
            "change": ops.change_scores(h.luma, h.prev_luma, edges, **how),
            "fused": ops.fuse_scores(*energies, edges, **how),
        }
        selected, pack, values = {}, {}, {}
        for name, one in scores.items():
            chosen = ops.select_blocks(one, edges, images_per_group=IMAGES_PER_GROUP, backend=how["backend"])
            selected[name] = chosen
            pack[name] = [torch.from_numpy(array) for array in (h.frames, chosen, h.frame_ids)]
            values[name] = ops.pack_pixel_values(*pack[name], self.table.cpu(), **how)
        self.wanted = {
            "block_energies": energies,
            "change_scores": (scores["change"],),
            "fuse_scores": (scores["fused"],),
            "select_blocks": (selected["fused"],),
            "pack_canvases": ops.pack_canvases(*pack["fused"], **how),
            "pack_pixel_values": values["fused"],
            "rope_frequencies": ops.rope_frequencies(values["fused"][1], HEAD_DIM, backend="reference"),
            **values,  # from samples to them
        }

    def check(self, stage: str, form: str, result: Any) -> None:
        """``AssertionError`` where a stage's result has other bits than expected."""
        results = result if isinstance(result, tuple) else (result,)
        for i, (one, wanted) in enumerate(zip(results, self.wanted[stage], strict=True)):
            same = torch.equal(one.cpu(), torch.as_tensor(wanted))
            assert same, f"{stage}, {form}: result {i} differs from {host_backend()}"


def host_backend() -> str:
    try:
        load_backend("native")
    except BackendUnavailableError:
        return "reference"
    return "native"


@contextmanager
def recorded() -> Iterator[list[tuple[Kernel, Stage]]]:
    """The launches made inside, each as a function that repeats it."""
    launches: list[tuple[Kernel, Stage]] = []
    call = Kernel.__call__

    def note(self: Kernel, *arguments: Any, **constants: Any) -> None:
        launches.append((self, lambda: call(self, *arguments, **constants)))
        call(self, *arguments, **constants)

    Kernel.__call__ = note  # type: ignore[method-assign]
    try:
        yield launches
    finally:
        Kernel.__call__ = call  # type: ignore[method-assign]


def microseconds(run: Stage, repeats: int = 30) -> tuple[float, float, float]:
    """Median time on the device, and the quantiles .2 and .8; before each run the caches are filled with other data.

    That is read, not written, so that nothing is owed to memory when the run begins. A spinning kernel goes first,
    while the host queues the run, so that the device never waits for the host, unless the run itself waits for the
    device.
    """
    if not HAS_GPU:
        return NAN, NAN, NAN
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    queued = time.perf_counter() - start
    torch.cuda.synchronize()
    cycles = int(2e9 * min(2 * queued + 1e-4, 0.1))
    cache = torch.zeros(2**26, device="cuda")
    times = []
    for _ in range(repeats):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        cache.amax()
        torch.cuda._sleep(cycles)
        first.record()
        run()
        last.record()
        last.synchronize()
        times.append(1e3 * first.elapsed_time(last))
    low, middle, high = np.quantile(times, [0.2, 0.5, 0.8])
    return float(middle), float(low), float(high)


def wall_clock(run: Stage, repeats: int = 12) -> float:
    """Median microseconds from the call to the end of the work, as the host sees it."""
    if not HAS_GPU:
        return NAN
    times = []
    for _ in range(repeats + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(1e6 * (time.perf_counter() - start))
    return statistics.median(times[3:])


@dataclass(frozen=True)
class Machine:
    """What times are compared with: bytes per second, and the microseconds of a launch that does nothing."""

    name: str
    bandwidth: float
    floor: float

    @classmethod
    def here(cls, given: float | None) -> Machine:
        if not HAS_GPU:
            return cls("no GPU", NAN, NAN)
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        source = torch.zeros(2**30, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        copy = 2 * 2**30 / (1e-6 * microseconds(lambda: target.copy_(source))[0])
        bandwidth, source_of_it = copy, "that of the copy"
        # Two transfers a clock, as on NVIDIA's; AMD's memory makes more of them, and is not asked.
        clock, bits = (getattr(properties, name, 0) for name in ("memory_clock_rate", "memory_bus_width"))
        if given:
            bandwidth, source_of_it = 1e9 * given, "as given"
        elif torch.version.hip is None and clock and bits:
            bandwidth, source_of_it = 2e3 * clock * bits / 8, "by clock and bus"
        one = source[:1]
        floor = microseconds(lambda: one.add_(1))[0]
        print(f"{properties.name}, torch {torch.__version__}, triton {triton.__version__}; a copy of 1 GiB runs at ")
        print(
            f"{copy / 1e9:.0f} GB/s, a launch takes {floor:.1f} us; bandwidth {bandwidth / 1e9:.0f} GB/s {source_of_it}"
        )
        return cls(properties.name, bandwidth, floor)


def number(value: float, form: str) -> str:
    """A dash, as wide, for what was not measured."""
    width = int(form.split(".")[0] or 0)
    return "-".rjust(width) if math.isnan(value) else format(value, form)


def copy_time(size: int) -> float:
    """Median microseconds of a copy that reads and writes so many bytes together."""
    if not HAS_GPU:
        return NAN
    source = torch.zeros(max(size // 2, 1), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return microseconds(lambda: target.copy_(source))[0]


def report_kernels(case: Case, amounts: dict[str, Work], machine: Machine) -> dict[str, tuple[float, float]]:
    """Prints a line for each kernel and each stage; the shares of the bandwidth that each kernel and a copy reached."""
    shares = {}
    print(f"{'kernel':18}{'MB':>9}{'us':>10}{'.2 to .8':>18}{'GB/s':>9}{'share':>8}{'a copy':>8}")
    for stage, (run, plain) in case.stages.items():
        with recorded() as launches:
            case.check(stage, "kernels", run())
        for kernel, launch in launches:
            middle, low, high = microseconds(launch)
            moved = amounts[kernel.name].bytes
            rate = moved / (1e-6 * middle)
            share, copy = rate / machine.bandwidth, copy_time(moved)
            shares[kernel.name] = share, share * middle / copy
            times = number(middle, "10.1f") + number(low, "9.1f") + number(high, "9.1f")
            print(
                f"{kernel.name:18}{moved / 1e6:9.2f}{times}{number(rate / 1e9, '9.0f')}{number(share, '8.0%')}"
                f"{number(copy / middle, '8.0%')}"
            )
        case.check(stage, "kernels, once more", run())
        whole = microseconds(run)[0]
        case.check(stage, "plain torch", plain())
        slow = microseconds(plain)[0]
        in_torch = f"in plain torch {number(slow, '.1f')} us, {number(slow / whole, '.1f')} times as long"
        print(f"  {stage}: {number(whole, '.1f')} us; {in_torch}")
    return shares


def report_end_to_end(case: Case) -> float:
    """Prints upload, kernels and both, for either score; microseconds of the kernels as the host sees the slower."""
    upload = wall_clock(lambda: upload_samples(case.host, case.device))
    print(f"end to end, medians in ms: upload {number(upload / 1e3, '.2f')}")
    slowest = 0.0
    for score in ("change", "fused"):

        def kernels_alone(samples: Any = case.samples, score: str = score) -> Any:
            return case.pipeline(samples, score)

        def with_upload(score: str = score) -> Any:
            return case.pipeline(upload_samples(case.host, case.device), score)

        case.check(score, "on what was uploaded", kernels_alone())
        on_device, seen = microseconds(kernels_alone)[0], wall_clock(kernels_alone)
        case.check(score, "with its upload", with_upload())
        both = wall_clock(with_upload)
        slowest = max(slowest, seen) if not math.isnan(seen) else NAN
        print(
            f"  scored by {score:7} kernels {number(on_device / 1e3, '.3f')} on the device, "
            f"{number(seen / 1e3, '.3f')} as the host sees them; with the upload {number(both / 1e3, '.2f')}"
        )
    return slowest


def goals(n: int, shares: dict[str, tuple[float, float]], seen: float, machine: Machine) -> list[str]:
    """The goals that a number of samples has, each reached or not, or not measured."""
    lines = []
    if n == SHARE_SAMPLES:
        for title, names in (
            ("reached", [k for k, (share, _) in shares.items() if share >= SHARE]),
            ("not reached", [k for k, (share, copy) in shares.items() if share < SHARE <= copy]),
            ("nor by a copy of as many bytes", [k for k, (share, copy) in shares.items() if max(share, copy) < SHARE]),
            ("not measured", [k for k, (share, _) in shares.items() if math.isnan(share)]),
        ):
            if names:
                listed = ", ".join(f"{name} {number(shares[name][0], '.0%')}" for name in names)
                lines.append(f"goal {SHARE:.0%} of the bandwidth at {n} samples, {title}: {listed}")
    if n == TIME_SAMPLES:
        said = "not measured" if math.isnan(seen) else "reached" if seen < LIMIT else "not reached"
        on = "" if "H100" in machine.name else f" (set for an H100, this is {machine.name})"
        lines.append(f"goal of less than {LIMIT / 1e3:.0f} ms for the kernels at {n} samples: {said}{on}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--size", nargs="+", default=[f"{h}x{w}" for h, w in SIZES], metavar="HxW")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="bfloat16")
    parser.add_argument("--bandwidth", type=float, metavar="GB/s", help="of the device (default: that of a copy)")
    arguments = parser.parse_args()
    machine = Machine.here(arguments.bandwidth)
    if not HAS_GPU:
        print(f"No GPU here, so nothing is timed: under the interpreter, against {host_backend()}.")
    for size in arguments.size if HAS_GPU else ("56x56",):
        height, width = map(int, size.split("x"))
        for n in arguments.samples if HAS_GPU else (5,):
            case = Case(n, height, width, arguments.dtype)
            case.expect()
            print(f"\n{n} samples of {height}x{width}, {arguments.dtype}; results must equal those of {host_backend()}")
            amounts = work(n, height, width, case.table.element_size(), group_size=case.group_size)
            shares = report_kernels(case, amounts, machine)
            seen = report_end_to_end(case)
            # The interpreter's input is small: it stands for every size that has a goal.
            for samples in (n,) if HAS_GPU else (SHARE_SAMPLES, TIME_SAMPLES):
                print(*goals(samples, shares, seen, machine), sep="\n")


if __name__ == "__main__":
    main()
