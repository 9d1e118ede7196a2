"""What `scaling` varies: for each sweep its points, and the command that each point runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from PIL import Image, ImageOps

LARGEST = (1920, 1080)
STORY_SECONDS = 1.5
"""Of a story's film for each photo."""


@dataclass(frozen=True)
class Point:
    """One case: what is varied, and how it is run."""

    x: float
    command: tuple[str, ...]
    """Prints JSON that has "stages"."""
    width: int
    height: int
    frames: int
    steps: int | None = None
    at_once: int = 1
    """Processes that run it at the same time."""


@dataclass(frozen=True)
class Sweep:
    """Points that differ in one thing."""

    model: str
    family: str
    axis: str
    """"size", "frames", "steps", "photos" or "jobs"."""
    unit: str
    """What x counts."""
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """Its place in a table, such as "ember size"."""
        return f"{self.model} {self.axis}"


def large(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Write photos anew, cut to the largest size of all points, and return the files.

    A smaller one would first be enlarged by a network at some points, and not at others.
    """
    made = []
    for number, path in enumerate(photos):
        with Image.open(path) as photo:
            cut = ImageOps.fit(photo.convert("RGB"), LARGEST, Image.Resampling.BICUBIC)
        made.append(folder / f"photo-{number}.jpg")
        cut.save(made[-1], quality=92)
    return made


def ember(photos: Sequence[Path], folder: Path) -> Iterator[Sweep]:
    """Sweeps of the embedded model, as it is used: the whole command."""
    reverie = (sys.executable, "-m", "reverie")

    def clip(height: int, frames: int, *more: str) -> tuple[str, ...]:
        out = folder / "{number}.mp4"
        words = (str(photos[0]), "--json", "--quiet", "--force", "--aspect", "16:9")
        words += ("--height", str(height), "--frames", str(frames), "--out", str(out))
        return (*reverie, "animate", *words, *more)

    def point(x: float, height: int, frames: int, steps: int = 10, at_once: int = 1) -> Point:
        command = clip(height, frames, "--steps", str(steps))
        return Point(x, command, height * 16 // 9, height, frames, steps, at_once)

    sizes = tuple(point(h * h * 16 // 9, h, 24) for h in (360, 540, 720, 1080))
    yield Sweep("ember", "ember", "size", "pixels", sizes)
    lengths = tuple(point(n, 360, n) for n in (24, 48, 96, 192))
    yield Sweep("ember", "ember", "frames", "frames", lengths)
    steps = tuple(point(n, 180, 12, n) for n in (5, 10, 20, 40))
    yield Sweep("ember", "ember", "steps", "steps", steps)
    stories = []
    for count in (1, 2, 4, 8):
        names = [str(path) for path in islice(cycle(photos), count)]
        seconds = STORY_SECONDS * count
        words = ("--json", "--quiet", "--force", "--no-keep-shots", "--aspect", "16:9")
        words += ("--seconds", f"{seconds:g}", "--height", "180", "--out")
        command = (*reverie, "story", *names, *words, str(folder / "{number}.mp4"))
        stories.append(Point(count, command, 320, 180, round(seconds * 24)))
    yield Sweep("ember", "ember", "photos", "photos", tuple(stories))
    jobs = tuple(point(n, 360, 48, at_once=n) for n in (1, 2, 4))
    yield Sweep("ember", "ember", "jobs", "processes", jobs)


TINY = {
    "svd": {
        "size": [(side, side, 4, 4) for side in (32, 48, 64, 96)],
        "frames": [(32, 32, count, 4) for count in (2, 4, 8, 16)],
        "steps": [(32, 32, 4, count) for count in (2, 4, 8, 16)],
    },
    "ltx": {
        "size": [(side, side, 9, 4) for side in (64, 128, 256, 384)],
        "frames": [(128, 128, count, 4) for count in (9, 17, 33, 65)],
        "steps": [(128, 128, 9, count) for count in (4, 8, 16, 32)],
    },
    "wan": {
        "size": [(side, side, 9, 4) for side in (64, 128, 256, 384)],
        "frames": [(128, 128, count, 4) for count in (17, 33, 65, 121)],
        "steps": [(128, 128, 9, count) for count in (4, 8, 16, 32)],
    },
}
"""Family -> axis -> (height, width, frames, steps) of its tiny bundle."""


def video(family: str, bundle: Path) -> Iterator[Sweep]:
    """Sweeps of a tiny bundle of a video family."""
    for axis, cases in TINY[family].items():
        points = []
        for case in cases:
            height, width, frames, steps = case
            x = {"size": height * width, "frames": frames, "steps": steps}[axis]
            module = "reverie.benchmarks.scaling_point"
            command = (sys.executable, "-m", module, str(bundle), *map(str, case))
            points.append(Point(x, command, width, height, frames, steps))
        unit = "pixels" if axis == "size" else axis
        yield Sweep(f"{family}-tiny", family, axis, unit, tuple(points))
