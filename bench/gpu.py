"""The Triton kernels on the GPU of this machine: python bench/gpu.py [--samples N ...] [--size HxW ...] [--dtype T]

Every result is compared bit by bit with the native backend, and with the same stage in plain torch, before it is timed.
For each kernel: the bytes that it must move, its median time (caches flushed before each run) and the share of the
device's bandwidth, which is that of a copy of 1 GiB, timed here, unless ``--bandwidth`` gives it in GB/s. Without a GPU
the comparisons are made on a small input under Triton's interpreter, and nothing is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

import plain_torch
from traffic import HEAD_DIM, IMAGES_PER_GROUP, PATCH, SAMPLES, SIZES, work

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

GROUP_SIZE = 32
Stage = Callable[[], Any]


def make_samples(n: int, height: int, width: int) -> Samples:
    """Noise over a texture, vectors constant over 16x16 pixels and mostly zero, and random frames."""
    rng = np.random.default_rng(n + height)
    texture = np.add.outer(np.arange(height) * 3, np.arange(width) * 5) % 200
    luma = (texture + rng.integers(0, 24, (n, height, width), dtype=np.uint8)).astype(np.uint8)
    vectors = rng.integers(-96, 97, (n, -(-height // 16), -(-width // 16), 2), dtype=np.int16)
    vectors *= rng.random((*vectors.shape[:3], 1)) < 0.4
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
        self.edges = torch.arange(0, n + 1, GROUP_SIZE if n >= 2 * GROUP_SIZE else 4)
        self.table = torch.tensor(normalization_table()).to(getattr(torch, dtype)).to(self.device)
        s, edges = self.samples, self.edges.tolist()
        planes = (s.luma, s.prev_luma, s.motion, s.packet_bytes)
        energies = kernels.block_energies(*planes, patch=PATCH)
        scores = kernels.fuse_scores(*energies, self.edges, patch=PATCH)
        selected = kernels.select_blocks(scores, self.edges, images_per_group=IMAGES_PER_GROUP)
        pack = (s.frames, selected, s.frame_ids)
        _, positions = kernels.pack_pixel_values(*pack, self.table, patch=PATCH)
        self.stages: dict[str, tuple[Stage, Stage | None]] = {
            "block_energies": (
                lambda: kernels.block_energies(*planes, patch=PATCH),
                lambda: plain_torch.block_energies(*planes, patch=PATCH),
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
            "rope_frequencies": (lambda: kernels.rope_frequencies(positions, HEAD_DIM), None),
        }

    def pipeline(self, samples: Any) -> Any:
        """From samples on the device to what the encoder eats."""
        planes = (samples.luma, samples.prev_luma, samples.motion, samples.packet_bytes)
        scores = kernels.fuse_scores(*kernels.block_energies(*planes, patch=PATCH), self.edges, patch=PATCH)
        selected = kernels.select_blocks(scores, self.edges, images_per_group=IMAGES_PER_GROUP)
        return kernels.pack_pixel_values(samples.frames, selected, samples.frame_ids, self.table, patch=PATCH)

    def check(self) -> None:
        """Kernels and plain torch against the native backend, bit by bit; ``AssertionError`` names the stage."""
        h, edges, how = self.host, self.edges.numpy(), {"patch": PATCH, "backend": host_backend()}
        energies = ops.block_energies(h.luma, h.prev_luma, h.motion, h.packet_bytes, **how)
        scores = ops.fuse_scores(*energies, edges, **how)
        selected = ops.select_blocks(scores, edges, images_per_group=IMAGES_PER_GROUP, backend=how["backend"])
        pack = [torch.from_numpy(array) for array in (h.frames, selected, h.frame_ids)]
        values = ops.pack_pixel_values(*pack, self.table.cpu(), **how)
        wanted = {
            "block_energies": energies,
            "fuse_scores": (scores,),
            "select_blocks": (selected,),
            "pack_canvases": ops.pack_canvases(*pack, **how),
            "pack_pixel_values": values,
            "rope_frequencies": ops.rope_frequencies(values[1], HEAD_DIM, backend="reference"),
        }
        for stage, forms in self.stages.items():
            for form, run in zip(("kernels", "plain torch"), forms, strict=True):
                if run is not None:
                    result = run()
                    for i, one in enumerate(result if isinstance(result, tuple) else (result,)):
                        same = torch.equal(one.cpu(), torch.as_tensor(wanted[stage][i]))
                        assert same, f"{stage}, {form}: result {i} differs from {how['backend']}"
        got = self.pipeline(self.samples)
        assert all(torch.equal(a.cpu(), b) for a, b in zip(got, values, strict=True)), "the pipeline differs"


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


def microseconds(run: Stage) -> tuple[float, float, float]:
    """Median time on the device, and the quantiles .2 and .8; the caches are flushed before each run."""
    middle, low, high = triton.testing.do_bench(run, warmup=50, rep=200, quantiles=[0.5, 0.2, 0.8])
    return 1e3 * middle, 1e3 * low, 1e3 * high


def copy_bandwidth() -> float:
    """Bytes per second of a copy of 1 GiB, read and write."""
    source = torch.zeros(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * 2**30 / (1e-6 * microseconds(lambda: target.copy_(source))[0])


def report_kernels(case: Case, n: int, height: int, width: int, bandwidth: float) -> None:
    amounts = work(n, height, width, case.table.element_size())
    print(f"{'kernel':18}{'MB':>9}{'us':>10}{'.2 to .8':>18}{'GB/s':>9}{'share':>8}")
    for stage, (run, plain) in case.stages.items():
        with recorded() as launches:
            run()
        for kernel, launch in launches:
            middle, low, high = microseconds(launch)
            moved = amounts[kernel.name].bytes
            rate = moved / (1e-6 * middle)
            print(
                f"{kernel.name:18}{moved / 1e6:9.2f}{middle:10.1f}{low:9.1f}{high:9.1f}{rate / 1e9:9.0f}"
                f"{rate / bandwidth:8.0%}"
            )
        whole = microseconds(run)[0]
        line = f"  {stage}: {whole:.1f} us"
        if plain is not None:
            slow = microseconds(plain)[0]
            line += f"; in plain torch {slow:.1f} us, {slow / whole:.1f} times as long"
        print(line)


def report_end_to_end(case: Case) -> None:
    pipeline = microseconds(lambda: case.pipeline(case.samples))[0]
    upload, total = [], []
    for _ in range(12):
        torch.cuda.synchronize()
        start = time.perf_counter()
        samples = upload_samples(case.host, case.device)
        torch.cuda.synchronize()
        upload.append(time.perf_counter() - start)
        start = time.perf_counter()
        case.pipeline(upload_samples(case.host, case.device))
        torch.cuda.synchronize()
        total.append(time.perf_counter() - start)
        del samples
    uploading, both = (1e3 * statistics.median(times[2:]) for times in (upload, total))
    print(f"end to end: upload {uploading:.2f} ms, kernels {1e-3 * pipeline:.3f} ms, both {both:.2f} ms (medians)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--size", nargs="+", default=[f"{h}x{w}" for h, w in SIZES], metavar="HxW")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="bfloat16")
    parser.add_argument("--bandwidth", type=float, metavar="GB/s", help="of the device (default: that of a copy)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        Case(8, 56, 84, arguments.dtype).check()
        print(f"No GPU here, so nothing is timed. Under the interpreter all results equal those of {host_backend()}.")
        return
    bandwidth = 1e9 * arguments.bandwidth if arguments.bandwidth else copy_bandwidth()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}", end=", ")
    print(f"{bandwidth / 1e9:.0f} GB/s {'as given' if arguments.bandwidth else 'for a copy'}")
    for size in arguments.size:
        height, width = map(int, size.split("x"))
        for n in arguments.samples:
            case = Case(n, height, width, arguments.dtype)
            case.check()
            print(f"\n{n} samples of {height}x{width}, {arguments.dtype}; all results equal those of {host_backend()}")
            report_kernels(case, n, height, width, bandwidth)
            report_end_to_end(case)


if __name__ == "__main__":
    main()
