"""Cuts raw H.264 files into inputs of the fuzz target: the parameter sets and one small picture each."""

from __future__ import annotations

import re
import sys
from pathlib import Path

MOST_BYTES = 4000


def units(data: bytes) -> list[bytes]:
    """The NAL units of a raw stream."""
    return [unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x01", data) if unit.rstrip(b"\0")]


def inputs(data: bytes) -> list[bytes]:
    """The smallest pictures, in either framing, for either set of rules."""
    found = units(data)
    sets = [unit for unit in found if unit[0] & 31 in (7, 8)][:4]
    pictures: list[list[bytes]] = []
    for unit in found:
        if unit[0] & 31 not in (1, 5) or len(unit) < 2:
            continue
        if unit[1] & 0x80 or not pictures:  # first_mb_in_slice is 0
            pictures.append([])
        pictures[-1].append(unit)
    small = sorted((p for p in pictures if sum(map(len, p)) < MOST_BYTES), key=lambda p: sum(map(len, p)))[:2]
    result = []
    for picture in small:
        body = [*sets, *picture]
        result.append(b"\0" + b"".join(b"\0\0\1" + unit for unit in body))
        result.append(b"\7" + b"".join(len(unit).to_bytes(4, "big") + unit for unit in body))
    return result


if __name__ == "__main__":
    corpus = Path(sys.argv[1])
    for name in sys.argv[2:]:
        for i, data in enumerate(inputs(Path(name).read_bytes())):
            (corpus / f"{Path(name).stem}_{i}").write_bytes(data)
