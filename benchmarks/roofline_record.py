"""What a record of `reverie bench` tells a roofline: which film it was, and what it took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines.errors import SettingsError
from ..runtime.bundle import Bundle
from ..runtime.settings import Settings
from ..runtime.shapes import length_of

_CALLED = {"image encode": "encode image", "drawing": "frames"}
"""Phases of a record -> those of a plan."""
_NEEDED = ("model", "width", "height", "frames", "fps", "steps", "precision", "threads", "device")


def row_of(path: Path, wanted: str | None) -> dict[str, Any]:
    """Return a row of a record of `reverie bench`, its only one where none is named.

    Raises:
        SettingsError: the file is no record, or there is no such row.
    """
    try:
        rows = {row["id"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{path} is no record ({error}): `reverie bench` writes one") from error
    if wanted is None and len(rows) == 1:
        return dict(next(iter(rows.values())))
    if wanted not in rows:
        names = "; ".join(rows)
        raise SettingsError(f"{path} has no row {wanted!r}: name one with --row: {names}")
    return dict(rows[wanted])


def settings_of(row: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """Return the settings, as `plan_for` takes them, of the film that a row measured.

    Raises:
        SettingsError: it is no row of `reverie bench`, a film of another model, or of several
            windows, of which a plan has one.
    """
    missing = [name for name in _NEEDED if name not in row]
    if missing:
        raise SettingsError(
            f"the row {row['id']!r} has no {missing[0]}: give a record that `reverie bench` wrote"
        )
    if row["model"] != bundle.name:
        raise SettingsError(
            f"the row {row['id']!r} measured {row['model']}, not {bundle.name}: name that model, "
            "or another row with --row"
        )
    asked = row.get("asked") or {}
    seconds = asked.get("seconds")
    given = {
        "height": row["height"],
        "aspect": f"{row['width']}:{row['height']}",
        "fps": row["fps"],
        "steps": row["steps"],
        "guidance": asked.get("guidance"),
        **({"num_frames": row["frames"]} if seconds is None else {"seconds": seconds}),
    }
    length = length_of(bundle, Settings(**given))
    if length is not None and length.windows > 1:
        raise SettingsError(
            f"the row {row['id']!r} is of a film in {length.windows} windows, and a roofline is of "
            f"one: measure at most {length.window_frames} frames"
        )
    return given


def measured_before(row: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return seconds of whole phases in a record's row, phase -> samples."""
    found = {}
    for name, figures in row["phases"].items():
        whole = figures.get("total") or figures
        if figures.get("per", "run") == "run" or "total" in figures:
            found[_CALLED.get(name, name)] = [float(one) for one in whole["samples"]]
    return found
