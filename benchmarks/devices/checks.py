"""Whether a record can be believed, as far as a record alone can tell."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..bench.record import SCHEMA, schema, summary

LEAST_SAMPLES = 3
"""Films of a case: with fewer there is no spread to judge."""
_NO_NAME = re.compile(r"(?i)(?:|unknown|x86_64|amd64|i[3-6]86|arm64|aarch64|arm|arm64e)")
_LOOSE = 0.02
"""Relative difference that rounding may leave between a figure and what it is made of."""
_LEAST_BYTES = 30e6
"""No Python that renders is smaller."""
_WATTS = (0.1, 2000.0)


def problems(record: Any) -> Iterator[str]:
    """Yield what is wrong with a record, a sentence each; nothing where it can be taken.

    Checked are its schema, hardware that is named, enough repeats, samples that are positive and
    that the summaries follow from, and figures that can be true of one machine.
    """
    if not isinstance(record, Mapping):
        yield "it is no JSON object: give what `reverie bench --json FILE` wrote"
        return
    if record.get("schema") != SCHEMA:
        has = record.get("schema")
        yield f"its schema is {has!r}, not {SCHEMA!r}: measure with `reverie bench`"
        return
    broken = list(_shape(record))
    yield from broken
    if broken:
        return
    if record.get("complete") is False:
        yield "it was stopped half way: measure again"
    yield from _created(record["created"])
    yield from _machine(record["machine"])
    ids = [row["id"] for row in record["rows"]]
    if len(set(ids)) < len(ids):
        yield "two rows have one id: measure each case once"
    for row in record["rows"]:
        yield from (f"row {row['id']!r}: {what}" for what in _row(row, record["machine"]))


def schema_problems(record: Any) -> list[str] | None:
    """Return where a record departs from bench/schema.json; None where jsonschema is not there."""
    try:
        import jsonschema
    except ImportError:
        return None
    found = jsonschema.Draft202012Validator(schema()).iter_errors(record)
    return [f"{'/'.join(map(str, one.path)) or 'it'}: {one.message:.200}" for one in found]


def _shape(record: Mapping[str, Any]) -> Iterator[str]:
    kinds = {"created": str, "machine": dict, "rows": list}
    for name, kind in kinds.items():
        if not isinstance(record.get(name), kind):
            yield f"{name!r} is missing or no {kind.__name__}"
    for row in record["rows"] if isinstance(record.get("rows"), list) else []:
        if not isinstance(row, Mapping) or not isinstance(row.get("id"), str):
            yield "a row has no id"
            continue
        wanted = {
            "width": int,
            "height": int,
            "frames": int,
            "fps": (int, float),
            "device": str,
            "backend": str,
            "precision": Mapping,
            "phases": Mapping,
            "end_to_end": Mapping,
            "host_peak_bytes": Mapping,
        }
        for name, kind in wanted.items():
            if not isinstance(row.get(name), kind):  # type: ignore[arg-type]
                yield f"row {row['id']!r}: {name!r} is missing or of another kind"
    if record.get("rows") == []:
        yield "it has no rows"


def _created(text: str) -> Iterator[str]:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        yield f"it was created at {text!r}, which is no date"
        return
    now = datetime.datetime.now(datetime.UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    if moment > now + datetime.timedelta(days=1):
        yield f"it was created at {text}, in the future: set the clock and measure again"


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    processor = str(machine.get("processor", "")).strip()
    if _NO_NAME.fullmatch(processor) and not (machine.get("jetson") or {}).get("model"):
        yield f'its processor is called {processor!r}: write what it is into "machine": "processor"'
    cores = machine.get("cores")
    if not isinstance(cores, int) or not 1 <= cores <= 4096:
        yield f"its cores are {cores!r}"
    memory = machine.get("memory_bytes")
    if not isinstance(memory, int) or not 2**28 <= memory <= 2**47:
        yield f"its memory_bytes are {memory!r}"
    packages = machine.get("packages")
    if not machine.get("python") or not isinstance(packages, Mapping) or "reverie" not in packages:
        yield "the versions of Python and of Reverie are not named"


def _row(row: Mapping[str, Any], machine: Mapping[str, Any]) -> Iterator[str]:
    for name in ("width", "height", "frames", "fps"):
        if row[name] <= 0:
            yield f"{name} is {row[name]}"
    wrong = list(_summaries(row))
    yield from wrong
    if wrong:
        return
    times = row["end_to_end"]
    if (count := len(times["samples"])) < LEAST_SAMPLES:
        yield f"{count} films were measured: give --repeat {LEAST_SAMPLES} or more"
    factor = row.get("real_time_factor")
    ought = row["frames"] / row["fps"] / times["median"]
    if factor is not None and not math.isclose(factor, ought, rel_tol=_LOOSE):
        yield f"real time is said to be {factor:.3g}x, and the film and its time make {ought:.3g}x"
    longest = max(*times["samples"], *(row.get("warm_wall") or times)["samples"])
    for name, found in row["phases"].items():
        whole = found.get("total") or (found if found.get("per", "run") == "run" else None)
        if whole and whole["median"] > longest * (1 + _LOOSE):
            yield f"{name} takes {whole['median']:.3g} s of a film that takes {longest:.3g} s"
    peak = row["host_peak_bytes"]["median"]
    if not _LEAST_BYTES <= peak <= machine["memory_bytes"]:
        yield f"its peak of memory is {peak:.0f} bytes, on {machine['memory_bytes']} bytes"
    named = machine.get("gpus") or machine.get("jetson")
    if not row["device"].startswith("cpu") and not named:
        yield f"it ran on {row['device']!r}, and the machine names no GPU"
    joules = (row.get("energy") or {}).get("joules")
    if joules and not _WATTS[0] <= (watts := joules["median"] / times["median"]) <= _WATTS[1]:
        yield f"its energy is {watts:.3g} W on average, which no such machine draws"


def _summaries(row: Mapping[str, Any]) -> Iterator[str]:
    """Whether every summary of a row follows from its samples, which are above 0."""
    for where, found in _found(row, ""):
        samples = found["samples"]
        numbers = isinstance(samples, list) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in samples
        )
        if not numbers or not samples or not all(math.isfinite(v) and v >= 0 for v in samples):
            yield f"{where} has samples that are no figures from 0 up"
            continue
        if where.startswith(("end_to_end", "host_peak_bytes")) and min(samples) <= 0:
            yield f"{where} has a sample of 0"
            continue
        for name, ought in summary(samples).items():
            if name != "samples" and not math.isclose(
                found.get(name, math.nan), ought, rel_tol=1e-3, abs_tol=1e-6
            ):
                yield f"{where}: {name} is {found.get(name)!r}, and its samples make {ought!r}"


def _found(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "samples" in value:
            yield where, value
        for name, inner in value.items():
            yield from _found(inner, f"{where}/{name}".lstrip("/"))
