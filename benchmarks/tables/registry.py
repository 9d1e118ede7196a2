"""Every table and figure by the name that its markers have, made from the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from . import beside, builds, cases, evaluation, limits, marks, models, predictions, renders
from .markers import Place
from .reading import MissingResult, Results
from .wording import PREDICTED, Table, seconds, source_lines

TABLES: Mapping[str, Callable[[Results], Table | str]] = {
    "whole renders": renders.whole_renders,
    "stories": renders.stories,
    "installed": renders.installed,
    "held": renders.held,
    "motion against masks": renders.motion_against_masks,
    "scenes": renders.scenes,
    "evaluation, amplitude": evaluation.amplitude,
    "evaluation, phases": evaluation.phases,
    "evaluation, other": evaluation.other,
    "evaluation, gates": evaluation.gates,
    "formats": renders.formats,
    "export cost": models.export_cost,
    "export plain": models.export_plain,
    "parity": models.parity,
    "render cost": models.render_cost,
    "ember precisions": models.ember_precisions,
    "tiny precisions": models.tiny_precisions,
    "quantise cost": models.quantise_cost,
    "engines of full size": builds.full_size,
    "tiny engines": builds.tiny,
    "plans": builds.plans,
    "plans by phase": builds.plan_phases,
    "bench": cases.bench,
    "bench phases": cases.bench_phases,
    "bench energy": cases.bench_energy,
    "devices": cases.devices,
    "peers": beside.peers,
    "peer ratios": beside.peer_ratios,
    "marks": marks.marks,
    "predicted devices": predictions.devices,
    "some predicted devices": predictions.some_devices,
    "prediction errors": predictions.errors,
    "predictions held against": predictions.held_against,
    "ceilings": limits.ceilings,
    "roofline": limits.roofline,
    "scaling": limits.scaling,
    "counted growth": limits.counted,
    "instructions": beside.instructions,
    "host overhead": beside.host_overhead,
}
FIGURES: Mapping[str, Callable[[Results], str]] = {
    "tiny engines": builds.counts,
    "installed": renders.installed_bytes(),
    "opencv installed": renders.installed_bytes("opencv-python-headless"),
    "credentials installed": renders.installed_bytes("c2pa-python", "cryptography"),
    "warp in opencv": lambda results: seconds(results["frame_cost"]["warp"]["opencv_ms"] / 1e3),
    "warp as a graph": lambda results: seconds(results["frame_cost"]["warp"]["graph_ms"] / 1e3),
}


class TableError(ValueError):
    """A table or figure cannot be made; the message says which and why."""


def made(place: Place, document: Path, results: Callable[[], Results] = Results) -> str:
    """Return what belongs in a place of a document.

    Raises:
        TableError: nobody knows its name, a result it is made from is missing or holds something
            else, or it holds predictions and does not say so.
    """
    known: Mapping[str, Callable[[Results], Table | str]]
    known = TABLES if place.kind == "table" else FIGURES
    if place.name not in known:
        raise TableError(f"no {place.kind} is called {place.name!r}; there are {', '.join(known)}")
    read = results()
    try:
        found = known[place.name](read)
    except MissingResult as error:
        raise TableError(f"{place.kind} {place.name!r}: {error}") from error
    except (LookupError, TypeError, ValueError) as error:
        used = ", ".join(path.name for path in read.paths.values())
        why = f"{type(error).__name__} {error}"
        raise TableError(
            f"{place.kind} {place.name!r} cannot be made from {used}: {why}"
        ) from error
    if read.hold_predictions() and not _says_predicted(place, found):
        raise TableError(
            f"{place.kind} {place.name!r} holds predictions, and not every row, nor its head, nor"
            f" the paragraph around it, says {PREDICTED!r}"
        )
    return _table(found, read, document) if place.kind == "table" else str(found)


def _says_predicted(place: Place, found: Table | str) -> bool:
    if isinstance(found, Table):
        return found.says_predicted()
    return PREDICTED in found or (place.kind == "figure" and PREDICTED in place.paragraph)


def _table(found: Table | str, read: Results, document: Path) -> str:
    folder = document.resolve().parent
    links = {
        name: Path(os.path.relpath(path.resolve(), folder)).as_posix()
        for name, path in read.paths.items()
    }
    if isinstance(found, str):
        return f"\n{found}\n\n{source_lines(read.used, links)}\n\n"
    machines = {} if found.own_machines else read.used
    under = source_lines(machines, links, found.notes, found.made_on)
    return f"\n{found.markdown()}\n\n" + (f"{under}\n\n" if under else "")
