"""Records of `reverie bench` read back, and two of them joined case by case."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engines.errors import SettingsError
from .bench.record import SCHEMA
from .verdicts import Question

SAME_WORK = ("version", "precision", "backend", "device", "threads", "fps", "steps")
"""Fields of a row that ought to be alike for a comparison to say something of the code."""
MACHINE = ("processor", "cores", "memory_bytes", "system", "python", "packages")
WHOLE = {
    "end_to_end": ("end to end", "s"),
    "host_peak_bytes": ("memory", "bytes"),
    "device_peak_bytes": ("device memory", "bytes"),
}

Key = tuple[str, str, bool]
"""Measure, unit, whether it is of the whole run."""


@dataclass(frozen=True)
class Record:
    """What a file holds."""

    path: Path
    created: str
    machine: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]
    """By id."""

    def told(self) -> dict[str, Any]:
        """Which record it is, as plain data."""
        return {"file": self.path.name, "created": self.created, "machine": dict(self.machine)}


@dataclass(frozen=True)
class Joined:
    """What two records have in common, and what only one of them has."""

    questions: tuple[Question, ...]
    warnings: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def read(path: Path) -> Record:
    """Read a record. Raises SettingsError, in one line, where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is no JSON ({error}): give a record") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        has = "says no schema" if schema is None else f"is of schema {schema!r}"
        raise SettingsError(
            f"{path} {has}, and {SCHEMA!r} is read here: measure again with `reverie bench --json`"
        )
    rows: dict[str, Mapping[str, Any]] = {}
    for row in _of(found.get("rows"), list, path, "rows"):
        name = _of(_of(row, dict, path, "a row").get("id"), str, path, "a row's id")
        if name in rows:
            raise SettingsError(f"{path} has two rows {name!r}: measure each case once")
        rows[name] = row
    machine = _of(found.get("machine", {}), dict, path, "machine")
    record = Record(path, str(found.get("created", "")), machine, rows)
    for row in rows.values():
        dict(measures(row, path))  # told now, whichever file it is joined with
    return record


def measures(row: Mapping[str, Any], path: Path) -> Iterator[tuple[Key, tuple[float, ...]]]:
    """Yield what a row measured; where a phase has figures of whole runs, those.

    Steps and frames of one run hang together, and are no independent samples.
    """
    for field, (name, unit) in WHOLE.items():
        if row.get(field) is not None:
            yield (name, unit, True), _samples(row[field], path, name)
    energy = row.get("energy")
    joules = energy.get("joules") if isinstance(energy, dict) else None
    if joules is not None:
        yield ("energy", "J", True), _samples(joules, path, "energy")
    for name, phase in _of(row.get("phases") or {}, dict, path, "phases").items():
        figures = _of(phase, dict, path, name)
        per = figures.get("per", "run")
        if figures.get("total") is not None:
            figures, per = figures["total"], "run"
        told = name if per == "run" else f"{name} (per {per})"
        yield (told, str(phase.get("unit", "s")), False), _samples(figures, path, name)
    for name, figures in _of(row.get("cold_start") or {}, dict, path, "cold_start").items():
        yield (f"cold start: {name}", "s", False), _samples(figures, path, f"cold start: {name}")


def join(before: Record, after: Record) -> Joined:
    """Put the same measures of the same rows side by side."""
    questions, warnings = list[Question](), machine_warnings(before.machine, after.machine)
    only: tuple[list[str], list[str]] = ([], [])
    for name in dict.fromkeys((*before.rows, *after.rows)):
        sides = before.rows.get(name), after.rows.get(name)
        if sides[0] is None or sides[1] is None:
            only[0 if sides[1] is None else 1].append(name)
            continue
        first, second = dict(measures(sides[0], before.path)), dict(measures(sides[1], after.path))
        for key in dict.fromkeys((*first, *second)):
            measure, unit, whole = key
            if key in first and key in second:
                question = Question(name, measure, unit, first[key], second[key], whole)
                questions.append(question)
            else:
                only[0 if key in first else 1].append(f"{name}: {measure}")
        for field in SAME_WORK:
            was, now = sides[0].get(field), sides[1].get(field)
            if was != now:
                warnings.append(f"{name}: {field} was {_short(was)} and is {_short(now)}")
    return Joined(tuple(questions), tuple(warnings), tuple(only[0]), tuple(only[1]))


def machine_warnings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say in which hardware and versions two machines differ."""
    told = []
    for field in MACHINE:
        was, now = before.get(field), after.get(field)
        if isinstance(was, dict) and isinstance(now, dict):
            for name in sorted({*was, *now}):
                if was.get(name) != now.get(name):
                    told.append(
                        f"{name} was {_short(was.get(name))} and is {_short(now.get(name))}"
                    )
        elif was != now:
            told.append(f"the machine's {field} was {_short(was)} and is {_short(now)}")
    return told


def _short(value: Any) -> str:
    if value is None:
        return "not said"
    return str(value)


def _samples(found: Any, path: Path, what: str) -> tuple[float, ...]:
    samples = _of(_of(found, dict, path, what).get("samples"), list, path, f"{what}'s samples")
    for value in samples:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise SettingsError(
                f"{path}: a sample of {what} is {value!r}, no figure from 0 up: measure again"
            )
    if not samples:
        raise SettingsError(f"{path}: {what} has no samples: measure again")
    return tuple(map(float, samples))


def _of(value: Any, kind: type, path: Path, what: str) -> Any:
    if not isinstance(value, kind):
        raise SettingsError(f"{path}: {what} is no {_KINDS[kind]}: measure again")
    return value


_KINDS = {dict: "object", list: "list", str: "text"}
