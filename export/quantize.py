"""Variants of a bundle's networks in other precisions, beside what is there.

A graph is read without its weights. Each weight is read from its file in pieces, quantised, and
written into the variant's own file (see `blocks`), so that memory does not grow with the network.
A graph that computes in float32 computes in half precision between what is quantised: Turing has
no float32 products in TensorRT-RTX, and int8 next to float32 would gain nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..engines.architectures import PRECISIONS
from ..engines.errors import BundleError, EngineError, OutputError, SettingsError
from ..runtime.bundle import Bundle, Component, hash_file, load_bundle
from . import attention, blocks, cost, half, keep, memory, plans, store, turing
from .layers import Layer, Left, find_layers
from .plans import Plans, make_plans
from .processor import for_processor
from .qdq import quantise
from .variant_report import report
from .variants import Staging, staging

if TYPE_CHECKING:
    from .ranges import Range

Photo: TypeAlias = "Path | str | NDArray[np.uint8]"
OnProgress = Callable[[str, int, int], None]
"""Takes "component: phase", and how much of how much of it is done."""

_HALF = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
_BITS = {"fp16": 16.0, "bf16": 16.0, "int8": 8.1, "fp8": 8.1, "int4": 4.3, "nvfp4": 4.6}
_REPORTED = 1000  # steps of progress
_FORM = 3
"""Of the graphs that this module makes; another one makes every variant again."""


def quantize(
    bundle_folder: Path,
    precision: str,
    *,
    components: Collection[str] | None = None,
    photos: Sequence[Photo] | None = None,
    calibration: Mapping[str, Mapping[str, Range]] | None = None,
    weights_only: bool = False,
    activations: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Make components of a bundle in a precision; returns the path of its manifest.

    precision: one of `PRECISIONS`. int8 and fp8 quantise activations too, which asks for their
        ranges: `calibration`, or what running the bundle on `photos` finds (None takes those that
        come with Reverie).
    components: names; None for all that multiply by weights.
    weights_only: leave activations as they are.
    activations: quantise them in nvfp4 as well, for which TensorRT alone has a form.

    Raises:
        SettingsError: the precision or a component is not known, or there is nothing to do.
        BundleError: the bundle is broken, or a weight of it cannot be quantised.
        OutputError: the bundle cannot be written, or the disk is full. It is then as it was.
    """
    if precision not in PRECISIONS:
        raise SettingsError(
            f"precision {precision!r} is not known: it is one of {', '.join(PRECISIONS)}"
        )
    bundle = load_bundle(bundle_folder)
    chosen = _chosen(bundle, components)
    ready = {
        name: _Work(bundle, component, precision, activations) for name, component in chosen.items()
    }
    todo = {name: work for name, work in ready.items() if work.why_not is None}
    if not todo:
        raise SettingsError(
            f"{bundle.name}: there is nothing to make in {precision}:"
            f" {'; '.join(f'{name} {work.why_not}' for name, work in ready.items())}"
        )
    with staging(bundle.folder) as place:
        with_ranges = not weights_only and (
            precision in keep.WITH_ACTIVATIONS or (precision == "nvfp4" and activations)
        )
        if not with_ranges:
            ranges: Mapping[str, Mapping[str, Range]] | None = None
        elif calibration is None:
            ranges = _calibrated(bundle, precision, list(todo), photos, on_progress)
        else:
            ranges = calibration
        _check_space(bundle.folder, todo.values())
        entries = {}
        for number, (name, work) in enumerate(todo.items()):
            told = _teller(on_progress, name, number, len(todo))
            mine = None if ranges is None else ranges.get(name, {})
            made_from = work.made_from(mine)
            if work.is_there(made_from):
                continue
            entry = place.done(name, precision, made_from)
            if entry is None:
                entry = _make(work, place, mine, made_from, told)
            entries[name] = entry
        return place.publish(precision, entries)


class _Work:
    """One component that is to be made in a precision."""

    def __init__(
        self, bundle: Bundle, component: Component, precision: str, activations: bool
    ) -> None:
        self.bundle, self.component, self.precision = bundle, component, precision
        self.activations = activations
        """Whether nvfp4 quantises them."""
        self.path = bundle.path(component.name)
        self.processor_path = bundle.path(component.name, device="cpu")
        model = self.model()
        self.layers, self.left = find_layers(model.graph)
        half_already = half.computes_half(model)
        self.why_not: str | None = None
        if not self.layers and not self.left:
            self.why_not = "multiplies by no weights"
        elif precision in _HALF and half_already and component.precision == precision:
            self.why_not = f"is {precision} already"
        elif precision not in _HALF and not self.layers:
            self.why_not = "has no weights worth it"
        stored = sum(
            value.const_value.size
            for value in model.graph.initializers.values()
            if value.const_value is not None
        )
        inside = sum(layer.size for layer in self.layers)
        self.bytes = int(inside * _BITS[precision] / 8 + (stored - inside) * 2)
        """About what the variant takes on the disk."""

    def model(self) -> ir.Model:
        """The component's graph, its weights still in their file."""
        try:
            return ir.load(self.path)
        except Exception as error:  # protobuf and onnx_ir raise many types here
            raise BundleError(
                f"{self.path} cannot be read ({type(error).__name__}): copy the bundle again"
            ) from error

    def is_there(self, made_from: str) -> bool:
        """Whether the bundle has this very variant, and every file of it is whole."""
        rows = self.bundle.section("components")[self.component.name].get("variants", {})
        if rows.get(self.precision, {}).get("quantised", {}).get("made_from") != made_from:
            return False
        variant = self.component.variants[self.precision]
        try:
            return all(
                hash_file(self.bundle.folder / file.file) == file.sha256 for file in variant.files
            )
        except OSError:
            return False

    def made_from(self, ranges: Mapping[str, Range] | None) -> str:
        """Return a hash of all that the variant depends on."""
        family = self.bundle.family
        tables = [keep.KEEP.get(family, ()), keep.FLOAT32.get(family, ())]
        settings = [plans.SMOOTH_FROM, plans.CLIPPED, blocks.CLIPS, self.activations, _FORM]
        files = [self.component.graph, *self.component.data]
        said = [self.precision, [file.sha256 for file in files], tables, settings, ranges is None]
        digest = hashlib.sha256(repr(said).encode())
        for name, found in sorted((ranges or {}).items()):
            digest.update(repr((name, found.absmax, found.upper)).encode())
            if found.channel_absmax is not None:
                digest.update(np.ascontiguousarray(found.channel_absmax).data)
        return digest.hexdigest()


def _make(
    work: _Work,
    place: Staging,
    ranges: Mapping[str, Range] | None,
    made_from: str,
    told: Callable[[str, float], None],
) -> dict[str, Any]:
    name, precision = work.component.name, work.precision
    folder = place.begin(name, precision)
    try:
        begun = time.perf_counter()
        entry = _write(work, folder / f"{name}.{precision}.onnx", ranges, told)
        entry["quantised"]["seconds"] = round(time.perf_counter() - begun, 2)
        entry["quantised"]["made_from"] = made_from
        place.finish(name, precision, made_from, entry)
        return entry
    except BaseException:
        place.clear(name, precision)
        raise


def _write(
    work: _Work,
    path: Path,
    ranges: Mapping[str, Range] | None,
    told: Callable[[str, float], None],
) -> dict[str, Any]:
    """Write a variant's files; returns its entry in the manifest."""
    told("reading", 0.0)
    model, precision = work.model(), work.precision
    layers, left = find_layers(model.graph)
    made = Plans()
    if precision not in _HALF:
        made = make_plans(
            work.bundle.family,
            work.component.name,
            layers,
            precision,
            ranges,
            activations=work.activations,
        )
    kept = _in_half(work, model, layers)
    quantise(model, made.quantised)
    data_path = path.with_name(f"{path.name}.data")
    data = store.write(model, data_path, lambda done, total: told("weights", done / total))
    entry: dict[str, Any] = store.write_graph(_for_turing(model, precision), path)
    if data is not None:
        entry["data"] = [data]
    for_processor(model)
    attention.keep_others_plain(model, attention.fused_in(work.processor_path))
    attention.fuse_attention(model)
    entry["cpu"] = store.write_graph(model, path.with_suffix(".cpu.onnx"))
    entry["memory"] = memory.component_memory(path.parent, entry)
    entry["cost"] = cost.component_cost(path.parent, entry)
    given = work.bundle.section("components")[work.component.name]
    copied = ("inputs", "outputs", "license", "license_file", "source")
    entry |= {"precision": precision} | {key: given[key] for key in copied if key in given}
    before = work.component.stored_bytes
    return entry | report(made, left if made.quantised else kept, before, entry)


def _for_turing(model: ir.Model, precision: str) -> ir.Model:
    """Return the graph that GPUs run: a changed copy where Turing would not take this one."""
    if precision not in turing.PRECISIONS or not half.computes_half(model):
        return model
    copied = ir.serde.deserialize_model(ir.serde.serialize_model(model))
    return copied if turing.as_convolutions(copied) else model


def _in_half(work: _Work, model: ir.Model, layers: Sequence[Layer]) -> list[Left]:
    """Let a graph compute in half precision, in place; returns what stays in float32."""
    wanted = _HALF.get(work.precision)
    if half.computes_half(model):
        if wanted is not None:
            half.swap_half(model, wanted)
        return []
    rows = [
        (layer, row)
        for layer in layers
        if (row := keep.why_float32(work.bundle.family, work.component.name, layer, wanted))
    ]
    stay = {node for layer, _ in rows for node in layer.nodes}
    large = half.to_half(model, wanted or ir.DataType.FLOAT16, stay)
    reason = "a weight beyond what float16 holds"
    return [Left(layer.name, layer.size, row.reason) for layer, row in rows] + [
        Left(name, 0, reason) for name in large
    ]


def _chosen(bundle: Bundle, components: Collection[str] | None) -> dict[str, Component]:
    for name in components or ():
        if name not in bundle.components:
            raise SettingsError(
                f"{bundle.name} has no component {name!r}: it has {', '.join(bundle.components)}"
            )
    return {
        name: component
        for name, component in bundle.components.items()
        if not components or name in components
    }


def _calibrated(
    bundle: Bundle,
    precision: str,
    names: Sequence[str],
    photos: Sequence[Photo] | None,
    on_progress: OnProgress | None,
) -> Mapping[str, Mapping[str, Range]]:
    from .calibrate import calibrate

    try:
        return calibrate(bundle, photos=photos, components=names, on_progress=on_progress)
    except (BundleError, EngineError, SettingsError) as error:
        raise type(error)(
            f"{error}; calibration renders with the bundle itself, `reverie quantize"
            f" {bundle.folder} --precision {precision} --weights-only` goes without"
        ) from error


def _check_space(folder: Path, works: Collection[_Work]) -> None:
    need, free = sum(work.bytes for work in works), shutil.disk_usage(folder).free
    if need > free:
        raise OutputError(
            f"the disk of {folder} has {free / 1e9:.1f} GB free and the variants take about"
            f" {need / 1e9:.1f} GB: make room, or name fewer components"
        )


def _teller(
    on_progress: OnProgress | None, name: str, number: int, count: int
) -> Callable[[str, float], None]:
    """Return what takes a component's phases and how much of each is done."""

    def tell(phase: str, share: float) -> None:
        if on_progress is not None:
            done = int((number + share) * _REPORTED)
            on_progress(f"{name}: {phase}", done, count * _REPORTED)

    return tell
