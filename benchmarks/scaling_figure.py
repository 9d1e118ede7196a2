"""Sweeps drawn: seconds over what was varied, both axes logarithmic, with the fitted powers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from .bench.drawing import check_drawing

_ACROSS = 3


def png(rows: Sequence[Mapping[str, Any]], fits: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the rows of all sweeps, and say with which power each fitted phase grows.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(one["sweep"] for one in rows))
    down = -(-len(names) // _ACROSS)
    figure = Figure(figsize=(4.2 * _ACROSS, 3.2 * down), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(down, _ACROSS, place)
        of_it = [one for one in rows if one["sweep"] == name]
        x = [one["x"] for one in of_it]
        axes.loglog(x, [one["end_to_end"]["median"] for one in of_it], "o-", label="whole")
        for phase in of_it[-1]["phases"]:
            powers = [f["power"] for f in fits if (f["sweep"], f["measure"]) == (name, phase)]
            y = [one["phases"].get(phase, {}).get("median") for one in of_it]
            if powers and all(y):
                axes.loglog(x, y, ".--", label=f"{phase}, power {powers[0]:.2f}")
        axes.set_title(name)
        axes.set_xlabel(of_it[0]["x_unit"])
        axes.set_ylabel("s")
        axes.legend(fontsize=7)
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=110)
    return made.getvalue()
