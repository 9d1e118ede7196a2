"""What a calibration found: the range of every activation, kept in a folder as it grows.

A record is `COMPONENT.HASH.json` beside the numbers it names, `COMPONENT.HASH.N.npz`; the first
twelve digits of the graph's sha256 are HASH. The numbers are written first and the JSON takes the
place of the one before by renaming: stopped at any moment, the record is whole, as it was or as it
is. A record that is not whole, or is of another graph or other weights, counts for nothing.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import OutputError
from ..runtime.bundle import Component, hash_file
from .watch import Point

PERCENTILE = 99.99
_FORMAT = 1
_PER_OCTAVE = 64
_LEAST, _MOST = -40, 40
_BINS = (_MOST - _LEAST) * _PER_OCTAVE + 1


@dataclass(frozen=True)
class Range:
    """How large the values of one activation were."""

    absmax: float
    """The largest |x| of all."""
    upper: float
    """The 99.99th percentile of |x|, from a sample and rounded up by at most 1.1 %."""
    channel_absmax: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """(channels,) the largest |x| of each channel: the last axis for MatMul and Gemm, axis 1 for
    convolutions; None where the readers of a value disagree on which axis that is."""


Ranges = Mapping[str, Range]
"""Activation name in the component's main graph -> its range."""


class Calibration(dict[str, Ranges]):
    """Component -> activation -> range."""


@dataclass
class Tally:
    """Running numbers of one component's activations."""

    points: Sequence[Point]
    channels: list[NDArray[np.float32]]
    """A row for each point, (channels,) or (1,): the largest |x|."""
    counts: NDArray[np.int64]
    """(points, bins): how often |x| was so large, in steps of 1 / 64 octave."""

    @classmethod
    def empty(cls, points: Sequence[Point]) -> Tally:
        """Nothing seen yet."""
        channels = [np.zeros(_width(point), np.float32) for point in points]
        return cls(points, channels, np.zeros((len(points), _BINS), np.int64))

    def add(self, number: int, channels: NDArray[np.float32], sample: NDArray[np.float32]) -> None:
        """Take in what one run of the network gave for a point."""
        np.maximum(self.channels[number], np.abs(channels), out=self.channels[number])
        size = np.abs(np.asarray(sample, np.float32).reshape(-1))
        with np.errstate(divide="ignore"):
            place = np.ceil((np.log2(size) - _LEAST) * _PER_OCTAVE)
        place = np.nan_to_num(place, nan=_BINS - 1, posinf=_BINS - 1, neginf=0)
        bins = np.clip(place, 0, _BINS - 1).astype(np.int64)
        self.counts[number] += np.bincount(bins, minlength=_BINS)

    def merge(self, other: Tally) -> None:
        """Take in what another tally of the same points holds."""
        for mine, theirs in zip(self.channels, other.channels, strict=True):
            np.maximum(mine, theirs, out=mine)
        self.counts += other.counts

    def ranges(self) -> dict[str, Range]:
        """The ranges of all points that were met."""
        return {
            point.name: Range(
                absmax=float(channels.max(initial=0.0)),
                upper=_percentile(counts, float(channels.max(initial=0.0))),
                channel_absmax=None if point.channels is None else channels.copy(),
            )
            for point, channels, counts in zip(self.points, self.channels, self.counts, strict=True)
            if counts.any()
        }


@dataclass
class Record:
    """A component's tally in a folder, and the runs that are in it."""

    folder: Path
    component: Component
    tally: Tally
    done: list[str] = field(default_factory=list)
    """Keys of the runs that were taken in."""
    finished: bool = False
    """Whether all runs that were asked for are in."""

    @property
    def path(self) -> Path:
        """The JSON file."""
        return self.folder / f"{_stem(self.component)}.json"

    def save(self) -> None:
        """Write it down, in place of what was there.

        Raises:
            OutputError: the folder cannot be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            numbers = self.folder / f"{_stem(self.component)}.{len(self.done)}.npz"
            part = numbers.with_suffix(".part")
            with part.open("wb") as file:
                np.savez_compressed(
                    file,
                    counts=self.tally.counts,
                    channels=np.concatenate([*self.tally.channels, np.zeros(0, np.float32)]),
                )
                file.flush()
                os.fsync(file.fileno())
            part.replace(numbers)
            said = {
                "format": _FORMAT,
                **_identity(self.component),
                "points": [point.name for point in self.tally.points],
                "widths": [len(row) for row in self.tally.channels],
                "done": self.done,
                "finished": self.finished,
                "file": numbers.name,
                "sha256": hash_file(numbers),
            }
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            part.replace(self.path)
            for old in self.folder.glob(f"{_stem(self.component)}.*.npz"):
                if old != numbers:
                    old.unlink(missing_ok=True)


def open_record(folder: Path, component: Component, points: Sequence[Point]) -> Record:
    """Return the record of a component, an empty one where there is none that is whole."""
    record = Record(folder, component, Tally.empty(points))
    try:
        said = json.loads(record.path.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT or any(
            said[key] != value for key, value in _identity(component).items()
        ):
            return record
        if said["points"] != [point.name for point in points]:
            return record
        if said["widths"] != [_width(point) for point in points]:
            return record
        numbers = folder / Path(said["file"]).name
        if hash_file(numbers) != said["sha256"]:
            return record
        with np.load(numbers, allow_pickle=False) as stored:
            counts, channels = stored["counts"], stored["channels"]
        done, finished = [str(key) for key in said["done"]], bool(said["finished"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
        return record
    ends = np.cumsum(said["widths"])
    if counts.shape != record.tally.counts.shape or channels.shape != (int(ends[-1]),):
        return record
    rows = np.split(channels.astype(np.float32), ends[:-1])
    record.tally = Tally(points, [row.copy() for row in rows], counts.astype(np.int64))
    record.done, record.finished = done, finished
    return record


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the system says against writing into one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}): make room, or name another"
            " folder for the calibration"
        ) from error


def _identity(component: Component) -> dict[str, object]:
    return {
        "component": component.name,
        "graph": component.graph.sha256,
        "data": [data.sha256 for data in component.data],
    }


def _stem(component: Component) -> str:
    return f"{component.name}.{component.graph.sha256[:12]}"


def _width(point: Point) -> int:
    return 1 if point.channels is None else point.channels


def _percentile(counts: NDArray[np.int64], absmax: float) -> float:
    """The upper edge of the bin that holds the percentile; never above what was met."""
    upto = np.cumsum(counts)
    place = int(np.searchsorted(upto, math.ceil(upto[-1] * PERCENTILE / 100)))
    return min(float(2.0 ** (place / _PER_OCTAVE + _LEAST)) if place else 0.0, absmax)
