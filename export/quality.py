"""What a precision costs: layers, latents and frames of a variant beside those of the reference.

The same trial renders (see `trial`) run in both, with the same noise; the reference computes in
float32, the variant rounds wherever a GPU would (see `rounding`). Layers are compared on inputs
of the reference's render: each graph runs once on them with a sample of every layer's output put
out (see `watch`), at the same places in both, so that memory stays that of a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.closing import Closing
from ..engines.device import Device
from ..engines.engine import Array, Engine
from ..engines.errors import BundleError, OutputError
from ..runtime.bundle import MANIFEST, Bundle, load_bundle
from .layer_error import compare_layers, four_digits
from .likeness import psnr, relative, squared_error, ssim
from .rounding import load_rounded
from .samples import sample_photos
from .scratch import open_model
from .trial import Photo, Trial, plan_trials

DENOISER = "denoiser"
_KEPT_BYTES = 256 * 2**20
"""Inputs larger than this are not kept to compare layers on."""

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done, and of how much."""


def measure(
    bundle_folder: Path,
    precision: str | None,
    *,
    components: Collection[str] | None = None,
    photos: Sequence[Photo] | None = None,
    reference: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: Device | str = "cpu",
    renders: dict[str, Render] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Return how far a variant's results are from the reference's, as numbers that JSON takes.

    precision: the variant's; components that are not there in it run in their own. None measures
        the bundle as it is, which takes a reference.
    components: names of those that run as variants; None for all that are there in the precision.
    photos: files or uint8 RGB (H, W, 3); None takes three that come with Reverie.
    reference: folder of the same model's bundle that counts as exact; None is the bundle itself.
    settings: settings of the trial renders, by name.
    renders: an empty dictionary, to be given to further calls with the same reference and
        components, so that it renders once.

    {"against", "settings", "components": {name: {"outputs": {output: relative L2}, "layers",
    "median_db", "worst": [{"layer", "snr_db"}]}}, "latents": [relative L2 at each step],
    "predictions": [...], "frames": {"psnr", "least_psnr", "ssim", "photos": [...]}}; the first
    frame, which may be the photo itself, is left out. psnr is None where all frames are equal.

    Raises:
        BundleError: there is no variant of that precision, or the two bundles are of two models.
        EngineError: the device cannot run it.
    """
    bundle = load_bundle(bundle_folder)
    exact = bundle if reference is None else load_bundle(reference)
    names = _variants(bundle, exact, precision, components)
    photos = list(photos) if photos is not None else sample_photos()[:3]
    trials = plan_trials(bundle, photos, settings=settings, seed=seed, components=names)
    report: dict[str, Any] = {
        "against": "/".join(sorted({exact.component(name).precision for name in names})),
        "settings": dict(trials[0].asked),
    }
    paths, inputs = list[_Path](), dict[str, list[Mapping[str, Array]]]()
    kept, renders = renders is not None, {} if renders is None else renders
    for number, trial in enumerate(trials):
        what = f"photo {number + 1} of {len(trials)}"
        _tell(on_progress, f"{what}: reference", 2 * number, 2 * len(trials) + 1)
        known = renders.get(trial.key)
        if known is None or not set(names) <= set(known.heard.inputs):
            heard = _Recorder(exact, dict.fromkeys(names), keep=number == 0)
            known = Render(list(trial.frames(replace(exact, opener=heard), device)), heard)
            renders[trial.key] = known
        inputs = inputs or known.heard.inputs
        _tell(on_progress, f"{what}: {precision}", 2 * number + 1, 2 * len(trials) + 1)
        second = _Recorder(bundle, dict.fromkeys(names, precision), rounded=True)
        paths.append(_compare(trial, known, second, bundle, device))
        if not kept:
            del renders[trial.key]
    _tell(on_progress, "layers", 2 * len(trials), 2 * len(trials) + 1)
    report["components"] = {
        name: compare_layers(exact, bundle, name, precision, inputs[name], device=device)
        for name in names
    }
    report |= _summary(paths)
    _tell(on_progress, "measured", 1, 1)
    return report


def write_error(bundle_folder: Path, precision: str, report: Mapping[str, Any]) -> None:
    """Put a report of `measure` into the manifest, at the variants that it is of.

    Each component gets its own layers, and latents and frames as all variants together gave them.

    Raises:
        OutputError: the manifest cannot be written.
    """
    path = Path(bundle_folder) / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    whole = {key: value for key, value in report.items() if key != "components"}
    for name, figures in report["components"].items():
        variant = manifest["components"][name]["variants"][precision]
        together = {"with": sorted(report["components"])}
        variant["error"] = {**variant.get("error", {}), **whole, **together, **figures}
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): make room, or copy the bundle"
            " to where it can"
        ) from error


@dataclass
class Render:
    """What a trial gave in the reference."""

    frames: list[NDArray[np.uint8]]
    heard: _Recorder


@dataclass
class _Path:
    """How far one trial's variant went from the reference."""

    name: str
    latents: list[float]
    predictions: list[float]
    errors: list[float] = field(default_factory=list)
    """Mean squared difference, by frame."""
    alike: list[float] = field(default_factory=list)
    """SSIM, by frame."""


class _Recorder:
    """Opens networks in given precisions and keeps what is to be compared; see `bundle.Opener`."""

    def __init__(
        self,
        bundle: Bundle,
        precisions: Mapping[str, str | None],
        *,
        keep: bool = False,
        rounded: bool = False,
    ) -> None:
        self._bundle, self._precisions = bundle, precisions
        self._keep, self._rounded = keep, rounded
        self.inputs: dict[str, list[Mapping[str, Array]]] = {name: [] for name in precisions}
        self.latents: list[Array] = []
        self.predictions: list[Array] = []

    def __call__(self, name: str, /, *, device: Device | str, threads: int | None) -> Engine:
        precision = self._precisions.get(name)
        if self._rounded and name in self._precisions:
            model = load_rounded(self._bundle, name, precision)
            engine = open_model(
                self._bundle, name, model, precision=precision, device=device, threads=threads
            )
        else:
            engine = self._bundle.open_plainly(
                name, device=device, threads=threads, precision=precision
            )
        return _Heard(engine, lambda given, found: self._hear(name, given, found))

    def _hear(self, name: str, given: Mapping[str, Array], found: Mapping[str, Array]) -> None:
        if name == DENOISER:
            self.latents.append(np.array(given["latents"], np.float32))
            self.predictions.append(np.array(next(iter(found.values())), np.float32))
        if not self._keep or name not in self.inputs:
            return
        if sum(value.nbytes for value in given.values()) <= _KEPT_BYTES:
            kept = {key: np.array(value) for key, value in given.items()}
            self.inputs[name] = [*self.inputs[name][:1], kept]  # the first and the last


class _Heard(Closing):
    """An engine that tells what goes in and comes out; see `engine.Engine`."""

    def __init__(
        self, engine: Engine, told: Callable[[Mapping[str, Array], Mapping[str, Array]], None]
    ) -> None:
        self._engine, self._told = engine, told
        self.inputs, self.outputs, self.device = engine.inputs, engine.outputs, engine.device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        found = self._engine.run(inputs)
        self._told(inputs, found)
        return found

    def close(self) -> None:
        self._engine.close()


def _variants(
    bundle: Bundle, exact: Bundle, precision: str | None, components: Collection[str] | None
) -> list[str]:
    if precision is None:
        names = list(bundle.components)
    elif components is not None:
        names = [name for name in components if bundle.component(name, precision)]
    else:
        names = [n for n, c in bundle.components.items() if precision in c.variants]
        if not names:
            raise BundleError(
                f"{bundle.name} is not there in {precision}:"
                f" `reverie quantize {bundle.folder} --precision {precision}` makes it"
            )
    if exact.family != bundle.family or not set(names) <= set(exact.components):
        raise BundleError(
            f"{exact.folder} is another model than {bundle.folder}: give a bundle of the same"
        )
    return names


def _compare(
    trial: Trial,
    exact: Render,
    second: _Recorder,
    bundle: Bundle,
    device: Device | str,
) -> _Path:
    """Render a trial in the variant, beside the reference's frames."""
    drawn = trial.frames(replace(bundle, opener=second), device)
    path = _Path(trial.name, [], [])
    for number, (ours, theirs) in enumerate(zip(drawn, exact.frames, strict=True)):
        if number or len(exact.frames) == 1:
            path.errors.append(squared_error(ours, theirs))
            path.alike.append(ssim(ours, theirs))
    pairs = zip(second.latents, exact.heard.latents, strict=True)
    path.latents = [relative(ours, theirs) for ours, theirs in pairs]
    pairs = zip(second.predictions, exact.heard.predictions, strict=True)
    path.predictions = [relative(ours, theirs) for ours, theirs in pairs]
    return path


def _summary(paths: Sequence[_Path]) -> dict[str, Any]:
    ratios = [_decibel(psnr(float(np.mean(path.errors)))) for path in paths]
    alike = [float(np.mean(path.alike)) for path in paths]
    known = [ratio for ratio in ratios if ratio is not None]
    return {
        "latents": [
            four_digits(float(value)) for value in np.mean([p.latents for p in paths], axis=0)
        ],
        "predictions": [
            four_digits(float(value)) for value in np.mean([p.predictions for p in paths], axis=0)
        ],
        "frames": {
            "psnr": round(float(np.mean(known)), 2) if known else None,
            "least_psnr": min(known) if known else None,
            "ssim": round(float(np.mean(alike)), 5),
            "photos": [
                {"photo": path.name, "psnr": ratio, "ssim": round(likeness, 5)}
                for path, ratio, likeness in zip(paths, ratios, alike, strict=True)
            ],
        },
    }


def _decibel(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _tell(on_progress: OnProgress | None, what: str, done: int, total: int) -> None:
    if on_progress is not None:
        on_progress(f"measuring: {what}", done, total)
