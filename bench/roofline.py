"""What the kernels can reach on GPUs that are not here: python bench/roofline.py [--samples N] [--size HxW]

Each kernel is compiled for each device. Under the device's name stand the millions of instructions that its warps
execute together: about those in the binary, with its longest pass or loop taken as often as the sizes say. ``memory``
is the time that the bytes it must move take at the device's full bandwidth: a bound. ``issue`` is about the time that
the instructions take if every scheduler issues one in each cycle. ``best`` is the largest share of the bandwidth that
is left to hope for: memory time over the largest of memory time, issue time and ``--floor``, the time of a launch that
does nothing (an assumption here; bench/gpu.py measures it). A kernel that moves its bytes in less than 70% of the floor
cannot be at 70% of the bandwidth, however it is written: those are listed. No time here was measured. ``occ`` is the
share of a multiprocessor's warps that can be resident.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from ov2_kernels.triton.ahead_of_time import Binary, compile_kernels

from traffic import SAMPLES, SIZES, Work, work


@dataclass(frozen=True)
class Device:
    """From the data sheets: compute capability, multiprocessors, boost clock, bandwidth, shared memory."""

    name: str
    target: str
    multiprocessors: int
    hertz: float
    bytes_per_second: float
    shared: int


DEVICES = (
    Device("A100 80GB", "cuda:80", 108, 1.41e9, 2.039e12, 164 * 1024),
    Device("H100 SXM", "cuda:90", 132, 1.98e9, 3.35e12, 228 * 1024),
    Device("B200", "cuda:100", 148, 1.965e9, 8.0e12, 228 * 1024),
)
WARPS, PROGRAMS, REGISTERS, SCHEDULERS = 64, 32, 65536, 4  # of a multiprocessor, on all three
#: share of the bandwidth that a kernel should reach
GOAL = 0.7


def occupancy(binary: Binary, device: Device) -> float:
    """Share of a multiprocessor's warps that can be resident."""
    warps = binary.threads // 32
    per_warp = -(-binary.registers * 32 // 256) * 256
    by_registers = REGISTERS // (per_warp * warps)
    by_shared = device.shared // (binary.shared + 1024)
    return min(PROGRAMS, WARPS // warps, by_registers, by_shared) * warps / WARPS


def bounds(binary: Binary, device: Device, amount: Work) -> tuple[float, float, float]:
    """Instructions of all warps, and the seconds that moving the bytes and issuing those take at best."""
    per_warp = binary.instructions + (binary.longest_pass or binary.longest_loop) * (amount.trips - 1)
    issued = per_warp * amount.programs * binary.threads / 32
    # Few programs leave multiprocessors idle.
    busy = min(device.multiprocessors, amount.programs)
    return issued, amount.bytes / device.bytes_per_second, issued / (busy * SCHEDULERS * device.hertz)


def chosen(binary: Binary) -> bool:
    """The form that a run with the default settings and bfloat16 takes."""
    form = binary.form
    return not form.get("GLOBAL") and form.get("values", "*i32") == "*i32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES))
    parser.add_argument("--size", nargs="+", default=[f"{h}x{w}" for h, w in SIZES], metavar="HxW")
    parser.add_argument("--floor", type=float, default=2.0, metavar="US", help="of a launch (default: %(default)s us)")
    arguments = parser.parse_args()
    binaries = [b for b in compile_kernels(tuple(device.target for device in DEVICES)) if chosen(b)]
    for size in arguments.size:
        height, width = map(int, size.split("x"))
        for samples in arguments.samples:
            report(samples, height, width, binaries, 1e-6 * arguments.floor)


def report(samples: int, height: int, width: int, binaries: list[Binary], floor: float) -> None:
    amounts = work(samples, height, width)
    print(f"\n{samples} samples of {height}x{width}, bfloat16; bounds in microseconds")
    print(f"{'kernel':15}{'MB':>8}" + "".join(f"{d.name:>12} regs  occ  memory  issue best" for d in DEVICES))
    sums = {device.name: [0.0, 0.0] for device in DEVICES}
    small: dict[str, list[str]] = {device.name: [] for device in DEVICES}
    for name, amount in amounts.items():
        row = f"{name:15}{amount.bytes / 1e6:8.2f}"
        for device in DEVICES:
            binary = next(b for b in binaries if b.kernel == name and b.target == device.target)
            issued, memory, issue = bounds(binary, device, amount)
            sums[device.name][0] += memory
            sums[device.name][1] += max(memory, issue, floor)
            if memory < GOAL * floor:
                small[device.name].append(name)
            used = f"{issued / 1e6:12.2f}{binary.registers:5}{occupancy(binary, device):5.0%}"
            row += f"{used}{memory * 1e6:8.2f}{issue * 1e6:7.1f}{memory / max(memory, issue, floor):5.0%}"
        print(row)
    print(f"{'all':23}" + "".join(f"{'':22}{memory * 1e6:8.2f}{'':12}" for memory, _ in sums.values()))
    for device in DEVICES:
        names, (memory, best) = small[device.name], sums[device.name]
        moved = sum(amounts[name].bytes for name in names) / sum(amount.bytes for amount in amounts.values())
        print(
            f"{device.name}: at best {best * 1e6:.0f} us in all, {memory / best:.0%} of the bandwidth; a launch of "
            f"{floor * 1e6:.1f} us could move {floor * device.bytes_per_second / 1e6:.1f} MB. Too small for {GOAL:.0%} "
            f"on any design ({moved:.1%} of all bytes): {', '.join(names) or 'none'}"
        )


if __name__ == "__main__":
    main()
