"""From a checkpoint to a bundle: component after component, and the manifest last.

A component is made in a folder of its own below BUNDLE/.export and moved into the bundle when it is
whole; a record beside says what it was made from, so that a second run goes on where a first one
stopped. A folder without bundle.json is no bundle, and bundle.json is written when all is there.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from ..engines.errors import BundleError, OutputError, SettingsError
from ..runtime.bundle import hash_file
from . import attention, cost, fake, graph, memory, pack, records, store, stream, widen
from .progress import OnProgress, Work
from .recipe import PartRecipe, Precision

if TYPE_CHECKING:
    from .lora import Loras
    from .source import Source

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ITEM_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def export(
    source: Source,
    out: Path,
    *,
    precision: Precision = "fp16",
    components: Collection[str] | None = None,
    loras: Sequence[tuple[str | Path, float]] = (),
    verify: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Export a checkpoint into the folder `out`; returns the path of its bundle.json.

    components: names of those to make, None for all; others that the folder holds already stay.
    loras: files and their scales, added to the weights on their way.
    verify: run each component beside its torch twin, and write the figures into the manifest.

    Raises:
        SettingsError: a component is not known, or `out` holds other things than a bundle.
        BundleError: the checkpoint lacks a tensor, or holds one that cannot be exported.
        OutputError: `out` cannot be written, or the disk is full.
    """
    out = Path(out)
    family = importlib.import_module(f"{__package__}.families.{source.family}")
    recipes = {recipe.name: recipe for recipe in family.recipes(source)}
    sections = dict(family.sections(source))  # what is wrong there is told before the long work
    chosen = _chosen(recipes, components, source)
    opened, rows = _open_loras(loras, source)
    changed = set(opened.names()) if opened else set()
    with _writing(out):
        records.prepare(out)
        wanted = {}
        for name, recipe in recipes.items():
            part = source.part(recipe.part)
            applied = rows if changed.intersection(part.weights or ()) else []
            wanted[name] = records.fingerprint(part, _least(recipe, precision), applied)
        done = records.still_true(out, wanted, [recipe.name for recipe in chosen])
        todo = [
            recipe
            for recipe in chosen
            if recipe.name not in done or (verify and "parity" not in done[recipe.name]["entry"])
        ]
        _check_space(out, source, todo, precision)
        again = {recipe.name for recipe in todo}
        records.clear(
            out,
            keep=[name for name in done if name not in again],
            keep_prompts="text_encoder" in done.keys() - again,
        )
        work = Work(source, todo, on_progress)
        for recipe in todo:
            entry = export_component(
                recipe,
                source,
                out,
                precision=precision,
                loras=opened,
                verify=verify,
                told=work.teller(recipe),
            )
            records.write(out, recipe.name, wanted[recipe.name], entry)
            done[recipe.name] = {"made_from": wanted[recipe.name], "entry": entry}
        made = {name: done[name] for name in recipes if name in done}
        return _finish(source, family, out, made, sections)


def export_component(
    recipe: PartRecipe,
    source: Source,
    out: Path,
    *,
    precision: Precision,
    loras: Loras | None = None,
    verify: bool = False,
    told: Callable[[str, float], None] | None = None,
) -> dict[str, Any]:
    """Make one component in a bundle's folder; returns its entry in the manifest.

    `told` takes the phase ("tracing", "weights", "verifying") and how much of it is done, 0..1.
    Raises BundleError as `export` does; what was half done is gone then.
    """
    precision = _least(recipe, precision)
    told = told or (lambda phase, share: None)
    part = source.part(recipe.part)
    if part.weights is None:
        raise BundleError(f"{source.name}: {recipe.part} has no weights; get the whole checkpoint")
    weights = stream.Stream(recipe.name, part.weights, loras)
    staging = out / records.FOLDER / f"{recipe.name}{records.PART}"
    staging.mkdir(parents=True)
    try:
        told("tracing", 0.0)
        model, kept = _trace(recipe, weights, precision, source.origin)
        graph_path = staging / f"{recipe.name}.onnx"
        inputs, outputs = (
            graph.ports(list(model.graph.inputs)),
            graph.ports(list(model.graph.outputs)),
        )
        files = _write(model, graph_path, lambda a, b: told("weights", a / b))
        del model
        entry: dict[str, Any] = {
            **files,
            "precision": precision,
            "kept_fp32": _kept(recipe, precision, kept),
            "inputs": inputs,
            "outputs": outputs,
            "license": source.license,
            "license_file": names[0] if (names := _licence_names(source)) else "",
            "source": source.origin,
        }
        if verify:
            from .verify import verify_part

            told("verifying", 0.0)
            runs_here = staging / files.get("cpu", files)["file"]
            entry["parity"] = verify_part(recipe, runs_here, weights, precision)
        for file in records.files(entry):
            (staging / file).replace(out / file)
        return entry
    finally:
        part.weights.release()
        shutil.rmtree(staging, ignore_errors=True)
        give_back_memory()


def _trace(
    recipe: PartRecipe, weights: stream.Stream, precision: Precision, origin: str
) -> tuple[ir.Model, dict[str, fake.Kept]]:
    module = fake.build(recipe)
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv())
    kept = fake.fill(module, mode, fake.DTYPES[precision], recipe.keep_fp32)
    model = graph.trace_part(recipe, module, mode, precision)
    attention.keep_short_plain(model)
    stream.attach(model, recipe, module, weights)
    del module
    graph.finish_part(model, recipe, origin)
    stream.fold_taps(model)
    stream.fold_transposes(model)
    return model, kept


def _write(model: ir.Model, path: Path, told: store.Told) -> dict[str, Any]:
    """Write a graph and its weights; returns what the manifest says of them."""
    data = store.write(model, path.with_name(f"{path.name}.data"), told)
    entry = store.write_graph(model, path)
    if data is not None:
        entry["data"] = [data]
    half = widen.has_half(model)
    if half:
        widen.widen(model)
    fused = attention.fuse_attention(model)
    if fused and not half:
        widen.widen(model)  # that a processor holds no copy of its weights
    if half or fused:
        entry["cpu"] = store.write_graph(model, path.with_suffix(".cpu.onnx"))
    entry["memory"] = memory.component_memory(path.parent, entry)
    entry["cost"] = cost.component_cost(path.parent, entry)
    return entry


def _kept(
    recipe: PartRecipe, precision: Precision, kept: dict[str, fake.Kept]
) -> dict[str, dict[str, Any]]:
    if recipe.least_precision == "fp32" == precision and recipe.why:
        return {"*": {"reason": recipe.why}}
    return {name: {"reason": piece.reason, "count": piece.count} for name, piece in kept.items()}


def _finish(
    source: Source,
    family: Any,
    out: Path,
    done: dict[str, dict[str, Any]],
    sections: dict[str, Any],
) -> Path:
    """Write all that is not a network, the manifest last."""
    files = list(family.files(source, out))
    names = _licence_names(source)
    for file, name in zip(source.license_files, names, strict=True):
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, out / name)
    given: dict[str, Any] = {
        "name": source.name,
        "version": source.revision or "1",
        "description": f"{source.pipeline} from {source.origin}",
        "license": source.license or "unknown",
    }
    given |= {key: sections.pop(key) for key in given if key in sections}
    loras = [record["made_from"]["loras"] for record in done.values()]
    baked = records.prompts(out)
    if baked:
        sections["prompts"] = baked
        files += [records.prompt_file(key) for key in baked]
    return pack.write_manifest(
        out,
        family=source.family,
        components={name: record["entry"] for name, record in done.items()},
        files=[*files, *names],
        source={
            "origin": source.origin,
            "revision": source.revision,
            "license": source.license,
            "loras": next((rows for rows in loras if rows), []),
        },
        **given,
        **sections,
    )


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc keeps otherwise."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library


def _chosen(
    recipes: dict[str, PartRecipe], components: Collection[str] | None, source: Source
) -> list[PartRecipe]:
    unknown = [name for name in components or () if name not in recipes]
    if unknown:
        raise SettingsError(
            f"{source.name} has no component {unknown[0]!r}: it has {', '.join(recipes)}"
        )
    return [recipe for name, recipe in recipes.items() if not components or name in components]


def _least(recipe: PartRecipe, precision: Precision) -> Precision:
    return precision if precision == "fp32" else recipe.least_precision or precision


def _open_loras(
    loras: Sequence[tuple[str | Path, float]], source: Source
) -> tuple[Loras | None, list[dict[str, Any]]]:
    """Open LoRA files; also returns them as the manifest has them."""
    if not loras:
        return None, []
    from .lora import Loras

    opened = Loras.open([(str(file), scale) for file, scale in loras], source.parts)
    return opened, [
        {"file": Path(file).name, "sha256": hash_file(Path(file)), "scale": float(scale)}
        for file, scale in loras
    ]


def _licence_names(source: Source) -> list[str]:
    """Where the checkpoint's licence texts lie in a bundle."""
    return [f"licences/{file.name}" for file in source.license_files]


def _check_space(
    out: Path, source: Source, todo: Sequence[PartRecipe], precision: Precision
) -> None:
    """Raise OutputError where the disk has not the room that the headers ask for."""
    need: dict[str, int] = {}
    for recipe in todo:
        item = _ITEM_BYTES[_least(recipe, precision)]
        size = stream.stored_bytes(source.part(recipe.part).weights or {}, item)
        need[recipe.part] = max(need.get(recipe.part, 0), size)
    free = shutil.disk_usage(out).free
    if sum(need.values()) > free:
        raise OutputError(
            f"the disk of {out} has {_size(free)} free and the bundle takes about"
            f" {_size(sum(need.values()))}: make room, or name a folder on another disk"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turn what the system says against writing into one line."""
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
        raise OutputError(
            f"{out} cannot be written ({what}); what is done so far is kept, so run it again"
            " when that is mended"
        ) from error
