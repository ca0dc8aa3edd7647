"""atheris target for what Python hands over: settings, asset directories, messages.

``python python_tests/fuzz/surface.py CORPUS -max_total_time=60``, with ``pip install '.[fuzz]'``; messages of lmms need
torch too, and are left out without. Whatever comes in, the answer is a result or a ``ValueError`` or ``OSError``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from clips import encode, scene

with atheris.instrument_imports(include=["ov2_kernels"]):
    from ov2_kernels import (  # noqa: F401
        CodecConfig,
        CodecTokens,
        asset_files,
        assets,
        dispatch,
        load_assets,
        ops,
        tokenize_frames,
        tokenize_video,
        tokens,
        video,
        vision_prompt,
    )
    from ov2_kernels.integrations import codec_video_prep, llava_onevision2

    LMMS = importlib.util.find_spec("torch") is not None
    if LMMS:
        from ov2_kernels.integrations import lmms_video_utils

Data = atheris.FuzzedDataProvider

WORDS = ("", "auto", "fused", "bits", "energy", "uniform", "fixed", "readiness", "default", "peaks", "none", "global")
WORDS += ("framediff", "mvwarp", "bitcost", "additive", "hevc", "cpu", "jpg", "a\nb", "\0", "\udcff", "../x")
NUMBERS = (0, 1, -1, 2, 4, 8, 14, 28, 32, 1000, 2**31 - 1, 2**31, 2**63, -(2**63), 2**64, 10**400)
FLOATS = (0.0, -0.0, 0.5, 1.0, 127.9, 1e308, 5e-324, math.inf, -math.inf, math.nan)


def value(data: Data, depth: int = 2) -> Any:
    """Any value of JSON, and some that are none."""
    kind = data.ConsumeIntInRange(0, 11 if depth else 8)
    if kind <= 2:
        return data.ConsumeIntInRange(-4, 300)
    if kind == 3:
        return NUMBERS[data.ConsumeIntInRange(0, len(NUMBERS) - 1)]
    if kind == 4:
        return FLOATS[data.ConsumeIntInRange(0, len(FLOATS) - 1)]
    if kind == 5:
        return data.ConsumeRegularFloat()
    if kind == 6:
        return WORDS[data.ConsumeIntInRange(0, len(WORDS) - 1)]
    if kind == 7:
        return (None, True, False, b"bytes", np.int64(8), np.float32(0.5), np.array([1, 2]))[
            data.ConsumeIntInRange(0, 6)
        ]
    if kind == 8:
        return data.ConsumeUnicode(8)
    if kind == 9:
        return [value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))]
    if kind == 10:
        return {str(value(data, 0))[:20]: value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))}
    return data.ConsumeIntInRange(0, 2**62)


def some(data: Data, names: list[str]) -> dict[str, Any]:
    """Values for a few of the names."""
    return {names[data.ConsumeIntInRange(0, len(names) - 1)]: value(data) for _ in range(data.ConsumeIntInRange(0, 4))}


def settings(data: Data, clip: Path) -> None:
    """Settings of any value, of the package and of what stands in for others; good ones are put to use."""
    kind = data.ConsumeIntInRange(0, 4)
    if kind <= 1:
        made = CodecConfig(**some(data, list(CodecConfig.__dataclass_fields__)))
        assert made.sample_limit(10.0) >= 1
        assert made.max_groups >= 1
        assert all(isinstance(w, int) and w >= 0 for w in made.weights)
        assert made == made.replace()
        json.dumps(dataclasses.asdict(made))
        made = made.replace(max_pixels=min(made.max_pixels, max(3200, (2 * made.patch) ** 2)))
        result = tokenize_video(clip, made)
        assert len(result.canvases) >= 1
        assert len(result.canvases) <= made.target_canvas or made.profile == "readiness"
    elif kind == 2:
        llava_onevision2.CodecConfig(**some(data, list(llava_onevision2.CodecConfig.__dataclass_fields__))).validate()
    elif kind == 3:
        names = list(codec_video_prep.PreinferConfig.__dataclass_fields__)[2:]
        codec_video_prep.PreinferConfig("clip.mp4", "out", **some(data, names)).codec_config()
    elif LMMS:
        names = list(lmms_video_utils.CodecConfig.__dataclass_fields__)
        lmms = lmms_video_utils.CodecConfig(**{"device": "cpu", **some(data, names)})
        lmms.validate()
        assert lmms.num_sampled_frames(2.0) >= 1


class Assets:
    """Good directories, of which one file at a time is changed."""

    def __init__(self, home: Path, clip: Path) -> None:
        self.work = home / "work"
        tokens = tokenize_video(clip, target_canvas=4, group_size=4, min_group_frames=2, max_pixels=3200, patch=14)
        tokens.save(home / "jpg", format="jpg")
        tokens.save(home / "png", format="png")
        tokenize_frames([np.full((30, 40, 3), 7, np.uint8)] * 2).save(home / "npy", format="npy")
        self.good = {name: {p.name: p.read_bytes() for p in (home / name).iterdir()} for name in ("jpg", "png", "npy")}

    def __call__(self, data: Data) -> None:
        name = ("jpg", "png", "npy")[data.ConsumeIntInRange(0, 2)]
        files = dict(self.good[name])
        if data.ConsumeBool():
            meta = json.loads(files["meta.json"])
            for _ in range(data.ConsumeIntInRange(1, 3)):
                change_inside(data, meta)
            files["meta.json"] = json.dumps(meta, default=str).encode()
        else:
            victim = sorted(files)[data.ConsumeIntInRange(0, len(files) - 1)]
            files[victim] = changed_bytes(data, files[victim])
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for file, content in files.items():
            (self.work / file).write_bytes(content)
        try:
            loaded = CodecTokens.load(self.work, max_bytes=1 << 22)
        except ValueError as error:
            if "\n" in str(error):
                raise RuntimeError(f"more than a line: {error!r}") from error
            return
        # What loads can be used.
        assert loaded.canvases.nbytes <= 1 << 22
        assert loaded.group_edges[0] == 0
        loaded.model_inputs(as_torch=False, threads=1)
        vision_prompt(loaded)


def change_inside(data: Data, meta: Any) -> None:
    """Sets, removes or adds a value somewhere in what JSON held."""
    while True:
        keys = list(meta) if isinstance(meta, dict) else list(range(len(meta)))
        if not keys:
            return
        key = keys[data.ConsumeIntInRange(0, len(keys) - 1)]
        if isinstance(meta[key], (dict, list)) and data.ConsumeProbability() < 0.7:
            meta = meta[key]
            continue
        if data.ConsumeProbability() < 0.1:
            del meta[key]
        else:
            meta[key] = value(data)
        return


def changed_bytes(data: Data, content: bytes) -> bytes:
    """The content with a stretch of it replaced, cut, or all of it new."""
    at = data.ConsumeIntInRange(0, len(content))
    until = min(len(content), at + data.ConsumeIntInRange(0, 64))
    tail = b"" if data.ConsumeIntInRange(0, 7) == 0 else content[until:]
    return content[:at] + data.ConsumeBytes(64) + tail


def messages(clip: Path) -> Callable[[Data], None]:
    """Chat messages for lmms, and a video for the processors."""
    paths = [str(clip), f"file://{clip}", "nowhere.mp4", "file://[", "", "\0", str(clip.parent), "/dev/null"]
    small = {"target_canvas": 2, "images_per_group": 2, "group_size": 4, "max_pixels": 3200, "min_group_frames": 2}

    def path(data: Data) -> Any:
        at = data.ConsumeIntInRange(0, len(paths) + 3)
        return paths[at] if at < len(paths) else value(data)

    def part(data: Data) -> Any:
        if data.ConsumeProbability() < 0.1:
            return value(data)
        made: dict[Any, Any] = {"type": ("video", "video_url", "text", value(data))[data.ConsumeIntInRange(0, 3)]}
        key = ("video", "video_url", "url")[data.ConsumeIntInRange(0, 2)]
        made[key] = path(data) if data.ConsumeBool() else {"url": path(data)}
        made.update(some(data, ["video_start", "video_end", "fps", "nframes", "max_pixels", "min_pixels"]))
        return made

    def run(data: Data) -> None:
        if not LMMS or data.ConsumeProbability() < 0.2:
            llava_onevision2.process_codec_video(
                str(path(data)), llava_onevision2.CodecConfig(**small, cache_root=None)
            )
            return
        given: Any = [{"role": "user", "content": [part(data) for _ in range(data.ConsumeIntInRange(0, 2))]}]
        if data.ConsumeProbability() < 0.1:
            given = value(data)
        defaults = {**small, "device": "cpu", **some(data, ["score_mode", "gop_mode", "bitcost_score_mode"])}
        _, outputs = lmms_video_utils.process_video_info(given, **defaults)
        assert all(len(output.canvases) == len(output.gop_ids) for output in outputs)

    return run


def main() -> None:
    """Runs the target; the arguments are those of libFuzzer."""
    warnings.simplefilter("ignore")
    os.environ.pop("ONLINE_CODEC_CACHE_DIR", None)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        home = Path(name)
        clip = encode(home / "clip.mp4", scene(12, 32, 48), options={"g": "4", "threads": "1"})
        surfaces = [lambda data: settings(data, clip), Assets(home, clip), messages(clip)]

        def target(raw: bytes) -> None:
            data = Data(raw)
            with contextlib.suppress(ValueError, OSError):
                surfaces[data.ConsumeIntInRange(0, 2)](data)

        atheris.Setup(sys.argv, target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
