"""Makes what the fuzz targets start from: clips of a few kilobytes, and single pictures of H.264.

``seeds.py FOLDER FILES...`` writes to ``FOLDER/h264_parser`` and ``FOLDER/read_samples``; ``FILES`` are further raw
H.264 streams. ``findings``, beside this file, holds what broke the reader before.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "python_tests"))
from clips import encode, scene

MOST_BYTES = 4000
SMALL = {"preset": "medium", "g": "4", "threads": "1", "crf": "38"}
H264: dict[str, dict[str, Any]] = {
    "cabac": {},
    "cavlc": {"options": {"profile": "baseline", "x264-params": "slices=2"}},
    "bframes": {"options": {"x264-params": "bframes=3:b-pyramid=normal:b-adapt=0:open-gop=1"}},
    "interlaced": {"options": {"x264-params": "interlaced=1"}},
    "ten_bit": {"pix_fmt": "yuv420p10le"},
    "444": {"pix_fmt": "yuv444p"},
}
CLIPS: dict[str, dict[str, Any]] = {
    "bframes.mp4": {"options": {**SMALL, "x264-params": "bframes=3:b-adapt=0"}},
    "fragmented.mp4": {"options": SMALL, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "rotated.mov": {"options": SMALL, "rotation": 90},
    "h264.mkv": {"options": SMALL, "pts": [0, 33, 70, 100, 500, 530, 560, 600]},
    "h264.ts": {"options": SMALL, "container": "mpegts"},
    "h264.avi": {"options": {**SMALL, "x264-params": "bframes=2:b-adapt=0"}},
    "h264.flv": {"options": SMALL},
    "h264.264": {"options": SMALL, "container": "h264"},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"g": "4", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "4", "flags": "+qpel"}},
    "mpeg1.mkv": {"codec": "mpeg1video", "options": {"g": "4", "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "container": "mpegts", "options": {"g": "4", "bf": "2"}},
    "flv1.flv": {"codec": "flv", "options": {"g": "4"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "4", "cpu-used": "4"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "4", "cpu-used": "6"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True},
    "ffv1.mkv": {"codec": "ffv1"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
}


def units(data: bytes) -> list[bytes]:
    """The NAL units of a raw stream."""
    return [unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x01", data) if unit.rstrip(b"\0")]


def pictures(data: bytes) -> list[bytes]:
    """The parameter sets of a raw stream with its smallest picture and two large ones, in either framing and rules."""
    found = units(data)
    sets = [unit for unit in found if unit[0] & 31 in (7, 8)][:4]
    slices: list[list[bytes]] = []
    for unit in found:
        if unit[0] & 31 not in (1, 5) or len(unit) < 2:
            continue
        if unit[1] & 0x80 or not slices:  # first_mb_in_slice is 0
            slices.append([])
        slices[-1].append(unit)
    small = sorted((p for p in slices if sum(map(len, p)) < MOST_BYTES), key=lambda p: sum(map(len, p)))
    result = []
    for picture in small[:1] + small[1:][-2:]:
        body = [*sets, *picture]
        result.append(b"\0" + b"".join(b"\0\0\1" + unit for unit in body))
        result.append(b"\7" + b"".join(len(unit).to_bytes(4, "big") + unit for unit in body))
    return result


def main(folder: Path, files: list[Path]) -> None:
    """Writes the seeds of both targets."""
    parser, reader = folder / "h264_parser", folder / "read_samples"
    for target in (parser, reader):
        target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        for kind, settings in H264.items():
            options = {**SMALL, "crf": "20", **settings.get("options", {})}
            raw = encode(made / f"{kind}.264", scene(8, 48, 64), container="h264", **{**settings, "options": options})
            files = [*files, raw]
        for path in files:
            for i, data in enumerate(pictures(path.read_bytes())):
                (parser / f"{path.stem}_{i}").write_bytes(data)
        for i, (clip, settings) in enumerate(CLIPS.items()):
            data = encode(made / clip, scene(8, 32, 48), **settings).read_bytes()
            (reader / clip).write_bytes(data + bytes([i]))
    for found in (Path(__file__).parent / "findings").iterdir():
        (reader / found.name).write_bytes(found.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), list(map(Path, sys.argv[2:])))
