"""Clips of which it is known what happens when and where, seeded: a scene and how it is encoded.

Everything about a clip follows from its seed. The truth of a clip lies beside it: for each event its frames, its place
in each of them and how much of it the encoder left, and the shots.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parent.parent / "python_tests"))
from clips import encode
from event_scenes import FPS, SCENARIOS, Scene

Array = npt.NDArray[Any]

#: part of every file name, to be raised with any change to what is drawn or told
VERSION = 4

#: name -> codec, container, options: x264 at three qualities and keyframe distances, x265, VP9
ENCODINGS: dict[str, tuple[str, str, dict[str, str]]] = {
    "x264-18": ("libx264", "mp4", {"crf": "18", "preset": "medium", "g": "50"}),
    "x264-25": ("libx264", "mp4", {"crf": "25", "preset": "medium", "g": "250"}),
    "x264-32": ("libx264", "mkv", {"crf": "32", "preset": "veryfast", "g": "125"}),
    "x265": (
        "libx265",
        "mp4",
        {"crf": "28", "preset": "superfast", "x265-params": "keyint=125:log-level=none:pools=1"},
    ),
    "vp9": ("libvpx-vp9", "webm", {"crf": "38", "b": "0", "cpu-used": "7", "deadline": "realtime", "g": "128"}),
}


@dataclass(frozen=True)
class Clip:
    """What is to be made, or lies in the cache."""

    scenario: str
    seed: int
    seconds: int
    encoding: str
    height: int = 180
    width: int = 320

    @property
    def name(self) -> str:
        """Name of its file, without suffix."""
        return f"{self.scenario}-{self.seed}-{self.seconds}s-{self.width}x{self.height}-{self.encoding}-v{VERSION}"

    def paths(self, folder: Path) -> tuple[Path, Path]:
        """The video and its truth."""
        return folder / f"{self.name}.{ENCODINGS[self.encoding][1]}", folder / f"{self.name}.json"

    def scene(self) -> Scene:
        """The scene, which its seed decides, whatever the encoding."""
        rng = np.random.default_rng([self.seed, list(SCENARIOS).index(self.scenario)])
        scene = Scene(rng, self.seconds * FPS, self.height, self.width)
        SCENARIOS[self.scenario](scene)
        return scene

    def make(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The video and its truth, from the folder or made and put there; neither is ever there by half."""
        video, truth = self.paths(folder)
        if not truth.exists() or not video.exists():
            scene = self.scene()
            codec, _, options = ENCODINGS[self.encoding]
            fresh = video.with_name(f".{os.getpid()}-{video.name}")
            try:
                encode(fresh, scene.render(), codec=codec, rate=FPS, options=options)
                fresh.replace(video)
            finally:
                fresh.unlink(missing_ok=True)
            note = truth.with_name(f".{os.getpid()}-{truth.name}")
            note.write_text(json.dumps(_truth(scene, survival(video, self.scene()))))
            note.replace(truth)
        return video, json.loads(truth.read_text())


def survival(video: Path, scene: Scene) -> list[float]:
    """How much of each event of the scene the encoder left: of the frame that shows most of it, the share.

    1 where the event is there as it was drawn, about 0 where nothing tells of it. An event that does not pass counts as
    1.
    """
    left = [0.0 if event.passes else 1.0 for event in scene.events]
    at: dict[int, list[int]] = {}
    for i, event in enumerate(scene.events):
        for t in range(event.begin, event.end) if event.passes else ():
            at.setdefault(t, []).append(i)
    with av.open(str(video)) as container:
        decoded = container.decode(video=0)
        for t, (frame, (shown, without)) in enumerate(zip(decoded, scene.render_both(at), strict=True)):
            if t not in at:
                continue
            found = frame.to_ndarray(format="rgb24")
            for i in at[t]:
                x0, y0, x1, y1 = np.rint(scene.events[i].boxes[t - scene.events[i].begin]).astype(int)
                place = np.s_[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1]
                left[i] = max(left[i], _share(found[place], shown[place], without[place]))
    return left


def _share(found: Array, shown: Array, without: Array) -> float:
    """How much of what ``shown`` differs by from ``without`` is in what was decoded, by least squares.

    What the encoder does to the picture without the event is taken apart: it blurs, which takes off a share of the
    detail that the event would cover as well.
    """
    drawn, detail, rest = (
        part.astype(np.float64).ravel()
        for part in (shown - without.astype(int), _detail(without), found - without.astype(int))
    )
    if not drawn.any():
        return 0.0
    shares, *_ = np.linalg.lstsq(np.stack([drawn, detail], axis=1), rest, rcond=None)
    return float(shares[0])


def _detail(picture: Array) -> Array:
    """What a picture differs by from its mean colour."""
    return np.asarray(picture - picture.mean(axis=(0, 1)))


def _truth(scene: Scene, left: list[float]) -> dict[str, Any]:
    size = np.array([scene.width, scene.height, scene.width, scene.height])
    events = [
        {
            "begin": e.begin,
            "end": e.end,
            "boxes": np.round(np.clip(e.boxes / size, 0, 1), 5).tolist(),
            "left": round(share, 3),
        }
        for e, share in sorted(zip(scene.events, left, strict=True), key=lambda pair: pair[0].begin)
    ]
    edges = [*scene.shots, scene.frames]
    return {"frames": scene.frames, "fps": FPS, "events": events, "shots": list(itertools.pairwise(edges))}


#: seconds of a clip, by its seed; together with the encoding below, five seeds in a row make a Latin square
LENGTHS = (60, 90, 120, 240, 600)


def planned(scenario: str, seed: int, seconds: int | None = None) -> Clip:
    """The clip of a scenario and a seed: five seeds in a row show each length, and each encoding, once."""
    encoding = tuple(ENCODINGS)[(seed + 2 * list(SCENARIOS).index(scenario)) % len(ENCODINGS)]
    return Clip(scenario, seed, seconds or LENGTHS[seed % len(LENGTHS)], encoding)
