"""The record of a benchmark: one schema for whoever measures repeated things, and for `compare`.

A row is one case; its `id` joins two files. Every figure keeps its samples, so that a reader may
judge its spread, and a comparison its noise.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SCHEMA = "reverie.bench/1"
SCHEMA_FILE = Path(__file__).with_name("schema.json")


def summary(samples: Iterable[float]) -> dict[str, Any]:
    """Return {"samples", "min", "median", "p95"} of some figures, of any unit.

    The 95th percentile is linear between neighbours, as NumPy has it. Raises ValueError where there
    are no samples, or one is not finite.
    """
    kept = [_short(value) for value in samples]
    if not kept or not all(math.isfinite(value) for value in kept):
        raise ValueError("a summary needs samples, all of them finite")
    ordered = sorted(kept)
    return {
        "samples": kept,
        "min": ordered[0],
        "median": _short(quantile(ordered, 0.5)),
        "p95": _short(quantile(ordered, 0.95)),
    }


def maybe_summary(samples: Sequence[float | None]) -> dict[str, Any] | None:
    """Return the summary of what was measured, None where a sample is missing."""
    known = [value for value in samples if value is not None]
    return summary(known) if known and len(known) == len(samples) else None


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted figures, linear between neighbours; share 0 .. 1."""
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def phase(
    samples: Iterable[float],
    *,
    per: str = "run",
    totals: Iterable[float] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a phase's figures in seconds.

    per: "run", "step" or "frame", which one sample is of. totals: seconds of the whole phase in
    each run; None where the samples are that already.
    """
    kept = list(samples)
    whole = kept if totals is None else list(totals)
    return {"unit": "s", "per": per, **summary(kept), "total": summary(whole), **more}


def record(
    rows: Sequence[Mapping[str, Any]],
    *,
    machine: Mapping[str, Any],
    command: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """Return a whole record, ready to be written as JSON.

    Of paths in the command its last parts stay: folders are nobody else's business.
    """
    return {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [without_folders(word) for word in command],
        "machine": dict(machine),
        **more,
        "rows": [dict(row) for row in rows],
    }


def without_folders(word: str) -> str:
    """Return a word of a command line, of what may be a path (NAME=PATH too) the last part."""
    name, equals, value = word.partition("=")
    if equals and not re.search(r"[\\/]", name):
        return f"{name}={without_folders(value)}"
    return re.split(r"[\\/]", word.rstrip("\\/"))[-1] if re.search(r"[\\/]", word) else word


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every record follows."""
    found: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def encoded(made: Mapping[str, Any]) -> bytes:
    """Return a record as it is written: UTF-8, rows and samples on lines of their own."""
    return (json.dumps(made, indent=1, allow_nan=False) + "\n").encode()


def case_id(
    model: str, width: int, height: int, frames: int, device: str, *more: str | None
) -> str:
    """Return the key that joins the same case in two files: "ember 1280x720 240f cpu".

    more: what was asked for beyond the defaults, such as "int8" or "2 threads"; None is left out.
    """
    words = [model, f"{width}x{height}", f"{frames}f", device, *(w for w in more if w)]
    return " ".join(words)


def _short(value: float) -> float:
    """A figure to microseconds, whole numbers as they are."""
    return value if isinstance(value, int) else round(float(value), 6)
