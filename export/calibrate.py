"""Calibration: a bundle's own loop run on sample photos, its activations' ranges written down.

The family's own code renders as it always does; only the networks it opens are watched copies (see
`watch`) that ONNX Runtime runs in float32. Nothing of the activations leaves the graph but maxima
and small samples, so that the peak of memory is that of the render. Each photo's numbers are added
to a record on the disk when the photo is done; a second call goes on with the next one.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from filelock import FileLock

from ..engines.closing import Closing
from ..engines.device import Device, choose_device
from ..engines.engine import Array, Engine, Port
from ..engines.errors import BundleError, SettingsError
from ..runtime.bundle import Bundle
from ..runtime.take import find_family, gives_frames
from .ranges import Calibration, Range, Record, Tally, open_record, writing
from .samples import sample_photos
from .scratch import open_model
from .trial import Photo, Trial, plan_trials
from .watch import OFFSET, Point, add_watch, channels_of, find_points, is_watch, sample_of

__all__ = ["FOLDER", "Calibration", "Range", "calibrate"]

FOLDER = ".calibration"
"""Where the records lie, below the bundle's folder."""
OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and of how much."""


def calibrate(
    bundle: Bundle,
    *,
    photos: Sequence[Photo] | None = None,
    components: Collection[str] | None = None,
    steps: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    device: Device | str = "cpu",
    settings: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Return the range of every activation that weights are multiplied with, by component.

    photos: files or uint8 RGB (H, W, 3); None takes those that come with Reverie. A call that says
        neither photos nor steps nor settings takes whatever finished record there is.
    components: names; None for all that multiply with weights.
    steps: denoising steps; None is the model's own number, `trial.MOST_STEPS` at most.
    folder: where records are kept, BUNDLE/.calibration where it is None.
    settings: further settings of the render (height, width, num_frames, guidance, ...), by name.

    The same arguments give the same ranges, whether or not a run was interrupted.

    Raises:
        SettingsError: a component is not known, or a prompt is needed that cannot be encoded.
        BundleError, EngineError, PhotoError: as of a render.
        OutputError: the folder cannot be written.
    """
    folder = bundle.folder / FOLDER if folder is None else Path(folder)
    points = {name: _points(bundle, name) for name in _chosen(bundle, components)}
    points = {name: found for name, found in points.items() if found}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire()
    try:
        records = {
            name: open_record(folder, bundle.component(name), found)
            for name, found in points.items()
        }
        free = photos is None and steps is None and not settings
        if not free or not all(record.finished for record in records.values()):
            asked = {**(settings or {}), **({} if steps is None else {"steps": steps})}
            trials = plan_trials(
                bundle, photos or sample_photos(), settings=asked, seed=seed, components=records
            )
            _fill(bundle, records, trials, choose_device(device), on_progress)
        return Calibration({name: record.tally.ranges() for name, record in records.items()})
    finally:
        lock.release()


def _fill(
    bundle: Bundle,
    records: Mapping[str, Record],
    trials: Sequence[Trial],
    device: Device,
    on_progress: OnProgress | None,
) -> None:
    """Bring records to hold just these trials."""
    keys = [trial.key for trial in trials]
    for record in records.values():
        if record.done != keys[: len(record.done)]:  # of other photos, or of more
            record.tally, record.done = Tally.empty(record.tally.points), []
            record.finished = False
    for number, trial in enumerate(trials):
        wanted = {name: r for name, r in records.items() if len(r.done) <= number}
        if not wanted:
            continue

        def told(stage: str, done: int, total: int, number: int = number) -> None:
            if on_progress is not None:
                share = done / total if stage == "denoise" and total else 0.0
                what = f"calibrating: photo {number + 1} of {len(trials)}"
                on_progress(what, round(100 * (number + min(share, 0.99))), 100 * len(trials))

        opener = _Opener(bundle, {n: r.tally.points for n, r in wanted.items()}, trial.seed)
        with suppress(_Enough):
            frames = trial.frames(replace(bundle, opener=opener), device, told)
            if gives_frames(find_family(bundle)):  # ember's networks have run by now
                deque(frames, maxlen=0)
        for name, record in wanted.items():
            record.tally.merge(opener.tallies[name])
            record.done.append(trial.key)
            record.finished = len(record.done) == len(trials)
            record.save()
    if on_progress is not None:
        on_progress("calibrating", 100 * len(trials), 100 * len(trials))


def _chosen(bundle: Bundle, components: Collection[str] | None) -> list[str]:
    unknown = [name for name in components or () if name not in bundle.components]
    if unknown:
        raise SettingsError(
            f"{bundle.name} has no component {unknown[0]!r}: it has {', '.join(bundle.components)}"
        )
    return [name for name in bundle.components if components is None or name in components]


def _points(bundle: Bundle, name: str) -> list[Point]:
    """The activations of a component's main graph that its "cpu" graph has too."""
    main = find_points(load_graph(bundle.path(name)).graph)
    runs_here = bundle.path(name, device="cpu")
    if runs_here == bundle.path(name):
        return list(main.values())
    there = find_points(load_graph(runs_here).graph)
    return [point for value, point in main.items() if value in there]


def load_graph(path: Path) -> ir.Model:
    """Read a graph, its external weights left where they are.

    Raises:
        BundleError: it is no graph.
    """
    try:
        return ir.load(path)
    except Exception as error:  # protobuf has errors of its own
        raise BundleError(f"{path} is no ONNX graph: export the model again") from error


class _Enough(Exception):
    """All that was to be watched has run."""


class _Opener:
    """Opens a bundle's networks, watched ones where they are wanted; see `bundle.Opener`."""

    def __init__(self, bundle: Bundle, points: Mapping[str, Sequence[Point]], seed: int) -> None:
        self._bundle, self._points, self._seed = bundle, points, seed
        self._closed: set[str] = set()
        self.tallies = {name: Tally.empty(found) for name, found in points.items()}

    def __call__(self, name: str, /, *, device: Device | str, threads: int | None) -> Engine:
        if name not in self._points:
            if self._closed == set(self._points):
                raise _Enough
            return self._bundle.open_plainly(name, device=device, threads=threads)
        model = load_graph(self._bundle.path(name, device="cpu"))
        there = add_watch(model, self._points[name])
        if len(there) != len(self._points[name]):
            raise BundleError(f"{name}: its graphs do not have the same nodes: export it again")
        engine = open_model(self._bundle, name, model, device=device, threads=threads)
        places = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        return Watched(engine, self.tallies[name], places, lambda: self._closed.add(name))


class Watched(Closing):
    """An engine whose additional outputs go into a tally; see `engine.Engine`."""

    def __init__(
        self,
        engine: Engine,
        tally: Tally,
        places: np.random.Generator,
        closed: Callable[[], None],
    ) -> None:
        self._engine, self._tally, self._places, self._closed = engine, tally, places, closed
        self.inputs: tuple[Port, ...] = tuple(p for p in engine.inputs if p.name != OFFSET)
        self.outputs: tuple[Port, ...] = tuple(p for p in engine.outputs if not is_watch(p.name))
        self.device = engine.device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network, and take in what it watched."""
        offset = self._places.integers(0, 2**31 - 1, 1, np.int64)
        found = self._engine.run({**inputs, OFFSET: offset})
        for number in range(len(self._tally.points)):
            largest = np.asarray(found[channels_of(number)], np.float32)
            sample = np.asarray(found[sample_of(number)], np.float32)
            self._tally.add(number, largest, sample)
        return {port.name: found[port.name] for port in self.outputs}

    def close(self) -> None:
        """Close the network."""
        self._engine.close()
        self._closed()
