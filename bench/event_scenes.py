"""Textured scenes with sensor noise in which it is known what happens when and where.

A scenario is a function that draws its events from the scene's random generator.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parent.parent / "python_tests"))
from clips import texture

Array = npt.NDArray[Any]

FPS = 25
NOISE = 1.6
MARGIN = 24  # pixels around the picture that a moving camera may show


@dataclass
class Event:
    """Something that happens in the frames ``begin .. end - 1``; a box ``(x0, y0, x1, y1)`` in pixels for each.

    What ``passes`` is drawn for the event alone, and is gone behind it.
    """

    begin: int
    end: int
    boxes: Array
    passes: bool = False


@dataclass
class Sprite:
    """A picture with soft edges, int16 ``[h, w, 3]``, and how much of it covers what is behind, ``[h, w, 1]``."""

    picture: Array
    cover: Array

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.picture.shape[0], self.picture.shape[1]


#: A sprite, and the place of its upper left corner in the world.
Drawn = tuple[Sprite, float, float]


@dataclass
class Scene:
    """What a clip shows. ``sprites`` lists those of a frame; ``camera`` gives where in the world the screen lies."""

    rng: np.random.Generator
    frames: int
    height: int
    width: int
    backgrounds: list[Array] = field(default_factory=list)
    #: first frame of each shot, and the background that it shows
    shots: list[int] = field(default_factory=lambda: [0])
    events: list[Event] = field(default_factory=list)
    camera: Array | None = None
    gain: Array | None = None
    lift: Array | None = None
    sprites: dict[int, list[Drawn]] = field(default_factory=dict)
    #: sprites of the events that pass, in front of the others
    passing: dict[int, list[Drawn]] = field(default_factory=dict)

    def add(
        self, t: int, sprite: Sprite, y: float, x: float, passes: bool = False
    ) -> tuple[float, float, float, float]:
        """Draws a sprite into frame ``t`` at a place in the world; returns its box on the screen."""
        (self.passing if passes else self.sprites).setdefault(t, []).append((sprite, y, x))
        dy, dx = (0.0, 0.0) if self.camera is None else self.camera[t]
        h, w = sprite.size
        return x - dx, y - dy, x - dx + w, y - dy + h

    def happen(self, begin: int, sprite: Sprite, places: list[tuple[float, float]]) -> None:
        """An event: a sprite that is at each of ``places`` in turn, one a frame."""
        boxes = [self.add(begin + i, sprite, y, x, passes=True) for i, (y, x) in enumerate(places)]
        self.events.append(Event(begin, begin + len(places), np.array(boxes), passes=True))

    def background(self, **options: float) -> Array:
        """A new backdrop, wider than the screen by the margin on every side."""
        seed = int(self.rng.integers(2**31))
        picture = texture(self.height + 2 * MARGIN, self.width + 2 * MARGIN, seed)
        grain = self.rng.normal(0.0, 1.0, (*picture.shape[:2], 1))
        grain = grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))
        picture = (picture - picture.mean()) * options.get("contrast", 1.0) + options.get("level", 115.0) + 3.0 * grain
        return np.clip(np.rint(picture), 0, 255).astype(np.int16)

    def render(self) -> Iterator[Array]:
        """The frames, RGB uint8 ``[height, width, 3]``."""
        return (picture for picture, _ in self.render_both(range(0)))

    def render_both(self, wanted: Container[int]) -> Iterator[tuple[Array, Array]]:
        """The frames, and those ``wanted`` again without what passes; the others as they are."""
        if not self.backgrounds:
            self.backgrounds = [self.background()]
        bank = np.rint(self.rng.normal(0.0, NOISE, (self.height + 64, self.width + 64, 1))).astype(np.int16)
        shot = 0
        for t in range(self.frames):
            while shot + 1 < len(self.shots) and t >= self.shots[shot + 1]:
                shot += 1
            wide = self.backgrounds[shot % len(self.backgrounds)]
            oy, ox = (0.0, 0.0) if self.camera is None else self.camera[t]
            picture = _window(wide, oy + MARGIN, ox + MARGIN, self.height, self.width)
            for sprite, y, x in self.sprites.get(t, ()):
                _paste(picture, sprite, round(y - oy), round(x - ox))
            without = picture.copy() if t in wanted else picture
            for sprite, y, x in self.passing.get(t, ()):
                _paste(picture, sprite, round(y - oy), round(x - ox))
            y, x = self.rng.integers(0, 64, 2)
            sign = 1 - 2 * int(self.rng.integers(2))
            noise = sign * bank[y : y + self.height, x : x + self.width]
            finished = self._finish(picture, t, noise)
            yield finished, self._finish(without, t, noise) if t in wanted else finished

    def _finish(self, picture: Array, t: int, noise: Array) -> Array:
        """The picture under the light of a frame, with the sensor's noise."""
        if self.gain is not None and self.gain[t] != 1.0:
            picture = (picture * self.gain[t]).astype(np.int16)
        if self.lift is not None and self.lift[t]:
            picture = picture + np.int16(self.lift[t])
        return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _window(wide: Array, y: float, x: float, height: int, width: int) -> Array:
    """A part of the world, bilinear in sixteenths of a pixel."""
    y16, x16 = round(16 * y), round(16 * x)
    iy, ix, fy, fx = y16 >> 4, x16 >> 4, y16 & 15, x16 & 15
    part = wide[iy : iy + height + 1, ix : ix + width + 1]
    if fx:
        part = (part[:, :-1] * np.int16(16 - fx) + part[:, 1:] * np.int16(fx) + 8) >> 4
    if fy:
        part = (part[:-1] * np.int16(16 - fy) + part[1:] * np.int16(fy) + 8) >> 4
    return part[:height, :width].copy()


def _paste(picture: Array, sprite: Sprite, y: int, x: int) -> None:
    h, w = sprite.size
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(h, picture.shape[0] - y), min(w, picture.shape[1] - x)
    if top >= bottom or left >= right:
        return
    spot = picture[y + top : y + bottom, x + left : x + right]
    cover = sprite.cover[top:bottom, left:right]
    spot += ((sprite.picture[top:bottom, left:right] - spot) * cover).astype(np.int16)


def sprite(rng: np.random.Generator, height: int, width: int, *, strength: float = 1.0) -> Sprite:
    """A textured ellipse of its own colour; ``strength`` below 1 lets what is behind shine through."""
    picture = texture(height, width, int(rng.integers(2**31))) * 0.5
    colour = rng.uniform(20, 190, 3)
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    cover = np.clip(3.0 * (1.0 - (x**4 + y**4)), 0.0, 1.0)[..., None] * strength
    return Sprite(np.clip(picture + colour, 0, 255).astype(np.int16), cover)


def _moments(scene: Scene, count: int, longest: int) -> list[int]:
    """Beginnings of events at random, at least a second apart and a second from either end."""
    free = scene.frames - 2 * FPS - longest
    gap = FPS + longest
    count = max(1, min(count, free // gap))
    slack = np.sort(scene.rng.integers(0, max(1, free - (count - 1) * gap), count))
    return [FPS + int(s) + i * gap for i, s in enumerate(slack)]


def _rare(
    scene: Scene,
    every: float = 6.0,
    strength: tuple[float, float] = (0.4, 1.0),
    columns: tuple[float, float] = (0.03, 0.97),
) -> None:
    """Things that appear somewhere for 0.1 to 0.5 s and are gone."""
    longest = FPS // 2
    for begin in _moments(scene, min(40, round(scene.frames / FPS / every)), longest):
        length = int(scene.rng.integers(3, longest + 1))
        side = round(scene.height * scene.rng.uniform(0.08, 0.18))
        thing = sprite(scene.rng, side, side, strength=scene.rng.uniform(*strength))
        dy, dx = (0.0, 0.0) if scene.camera is None else scene.camera[begin]
        y = dy + scene.rng.uniform(0.03, 0.97) * (scene.height - side)
        x = dx + scene.rng.uniform(*columns) * (scene.width - side)
        scene.happen(begin, thing, [(y, x)] * length)


def repetition(scene: Scene) -> None:
    """Two to four hops a second, for up to two minutes: each is an event."""
    bout = min(scene.frames - 2 * FPS, 120 * FPS)
    t = float(scene.rng.integers(FPS, max(FPS + 1, scene.frames - FPS - bout)))
    end = t + bout
    height, width = round(0.42 * scene.height), round(0.12 * scene.width)
    body = sprite(scene.rng, height, width)
    x = scene.rng.uniform(0.25, 0.65) * scene.width
    ground = 0.92 * scene.height - height
    rate = scene.rng.uniform(2.2, 3.6)
    places: dict[int, tuple[float, float]] = {}
    while t < end:
        rate = float(np.clip(rate + scene.rng.normal(0, 0.08), 2.0, 4.0))
        period = FPS / rate
        begin, stop = round(t), round(t + period)
        leap = 0.16 * scene.height * scene.rng.uniform(0.8, 1.2)
        boxes = []
        for frame in range(begin, stop):
            y = ground - leap * np.sin(np.pi * (frame - begin) / (stop - begin))
            places[frame] = (y, x)
            boxes.append((x, y, x + width, y + height))
        scene.events.append(Event(begin, stop, np.array(boxes)))
        t += period
    for frame in range(scene.frames):
        scene.add(frame, body, *places.get(frame, (ground, x)))


def rare(scene: Scene) -> None:
    """Rare events of 0.1 to 0.5 s in a calm scene."""
    _rare(scene)


def crossing(scene: Scene) -> None:
    """A small object crosses the picture in 0.4 to 1.6 s."""
    longest = round(1.6 * FPS)
    for begin in _moments(scene, min(40, round(scene.frames / FPS / 7)), longest):
        length = int(scene.rng.integers(round(0.4 * FPS), longest + 1))
        side = round(scene.height * scene.rng.uniform(0.06, 0.12))
        thing = sprite(scene.rng, side, side)
        y0, y1 = scene.rng.uniform(0.05, 0.95, 2) * (scene.height - side)
        x = np.linspace(-0.5 * side, scene.width - 0.5 * side, length)
        if scene.rng.integers(2):
            x = x[::-1]
        scene.happen(begin, thing, list(zip(np.linspace(y0, y1, length), x, strict=True)))


def pan(scene: Scene) -> None:
    """Rare events under a camera that pans to and fro."""
    speed = scene.rng.uniform(0.3, 0.8)
    phase = np.arange(scene.frames) * speed / (2 * MARGIN - 4) + scene.rng.uniform(0, 2)
    x = (MARGIN - 2) * (2 * np.abs(phase % 2 - 1) - 1)
    scene.camera = np.stack([np.zeros(scene.frames), x], axis=1)
    _rare(scene)


def shake(scene: Scene) -> None:
    """Rare events under hand-held shake."""
    steps = scene.rng.normal(0, 1, (scene.frames, 2))
    path, speed = np.zeros((scene.frames, 2)), np.zeros(2)
    for t in range(1, scene.frames):
        speed = 0.8 * speed + 0.45 * steps[t] - 0.02 * path[t - 1]
        path[t] = path[t - 1] + speed
    scene.camera = np.clip(path, 2 - MARGIN, MARGIN - 2)
    _rare(scene)


def cuts(scene: Scene) -> None:
    """Shots of 1 to 8 s, flashes and fades, none of which is an event; and rare events inside the shots."""
    scene.gain, scene.lift = np.ones(scene.frames), np.zeros(scene.frames)
    scene.backgrounds = [scene.background(level=scene.rng.uniform(80, 150)) for _ in range(9)]
    while True:
        t = scene.shots[-1] + round(FPS * scene.rng.uniform(1.0, 8.0))
        if t > scene.frames - FPS:
            break
        scene.shots.append(t)
        if scene.rng.random() < 0.3:  # out of one shot and into the next through black, half a second each way
            half = FPS // 2
            ramp = np.abs(np.arange(-half, half)) / half
            scene.gain[t - half : t + half] *= ramp
    for _ in range(max(1, scene.frames // (5 * FPS))):
        t = int(scene.rng.integers(0, scene.frames - 3))
        scene.lift[t : t + int(scene.rng.integers(1, 4))] = 70
    _rare(scene)


SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgcde", "abc", "abcdefg", "abcdfg")


def _digit(value: int, height: int, width: int) -> Sprite:
    """A seven-segment figure, bright on a dark field."""
    picture = np.full((height, width, 3), 26.0)
    s = max(2, width // 5)
    middle = height // 2
    place = {
        "a": np.s_[1 : 1 + s, 1 : width - 1],
        "g": np.s_[middle - s // 2 : middle - s // 2 + s, 1 : width - 1],
        "d": np.s_[height - 1 - s : height - 1, 1 : width - 1],
        "f": np.s_[1:middle, 1 : 1 + s],
        "b": np.s_[1:middle, width - 1 - s : width - 1],
        "e": np.s_[middle : height - 1, 1 : 1 + s],
        "c": np.s_[middle : height - 1, width - 1 - s : width - 1],
    }
    for segment in SEGMENTS[value]:
        picture[place[segment]] = (235, 215, 120)
    return Sprite(picture.astype(np.int16), np.ones((height, width, 1)))


def digits(scene: Scene) -> None:
    """A scoreboard of four figures beside slow motion; one changes now and then, and stays: an event for a second."""
    height, width = max(12, round(0.1 * scene.height)), max(8, round(0.04 * scene.width))
    figures = [_digit(v, height, width) for v in range(10)]
    y, x = round(0.06 * scene.height), round(scene.rng.uniform(0.1, 0.6) * scene.width)
    shown = scene.rng.integers(0, 10, 4)
    walker = sprite(scene.rng, round(0.35 * scene.height), round(0.1 * scene.width))
    moments = set(_moments(scene, min(40, round(scene.frames / FPS / 6)), FPS))
    for t in range(scene.frames):
        if t in moments:
            place = int(scene.rng.integers(4))
            shown[place] = (shown[place] + scene.rng.integers(1, 10)) % 10
            box = (x + place * (width + 2), y, x + place * (width + 2) + width, y + height)
            scene.events.append(Event(t, t + FPS, np.array([box] * FPS)))
        scene.add(t, walker, 0.55 * scene.height, scene.width * (0.45 + 0.4 * np.sin(t / 70.0)))
        for place, value in enumerate(shown):
            scene.add(t, figures[value], y, x + place * (width + 2))


def faint(scene: Scene) -> None:
    """Faint events beside a busy picture in the picture."""
    height, width = round(0.42 * scene.height), round(0.36 * scene.width)
    inset = Sprite(np.zeros((height, width, 3), np.int16), np.ones((height, width, 1)))
    y, x = scene.height - height - 4, scene.width - width - 4
    wide = np.clip(scene.background(contrast=1.6), 0, 255)
    angle = scene.rng.uniform(0, 6)
    for t in range(scene.frames):
        oy = round((MARGIN - 1) * (1 + np.sin(0.31 * t + angle)))
        ox = round((scene.width - width) * 0.5 * (1 + np.sin(0.17 * t)))
        scene.add(t, Sprite(wide[oy : oy + height, ox : ox + width], inset.cover), y, x)
    _rare(scene, strength=(0.16, 0.28), columns=(0.03, 0.5))


SCENARIOS: dict[str, Callable[[Scene], None]] = {
    make.__name__: make for make in (repetition, rare, crossing, pan, shake, cuts, digits, faint)
}
