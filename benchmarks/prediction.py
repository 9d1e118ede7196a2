"""Fits predictions, holds them against what was measured and published, and tabulates devices.

    python -m reverie.benchmarks.prediction --fit        writes engines/calibration.json
    python -m reverie.benchmarks.prediction [--json FILE]

What it is held against: this machine on one core and on two (prediction_measure.py), and figures of
other people's software on other GPUs (published.json). Both by leaving one machine out: shares are
fitted on the others. The table has four models on every device, each in the precisions and the
placing that the planner chooses there. All of its seconds and bytes are predicted.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..engines.calibration import TABLE, Calibration, calibration, parse
from ..engines.devices import find_device
from ..engines.errors import ReverieError
from ..runtime.output import check_file, disk_errors, write_file
from .machine import describe_machine
from .prediction_fit import (
    PULL,
    RANGES,
    factors_of,
    fit,
    leave_one_out,
    model_of,
    plain,
    row_of,
    spread,
)
from .prediction_points import MEASURED, Point, measured, published
from .prediction_table import WORKLOADS, predicted, table

RESULTS = Path(__file__).with_name("results") / "prediction.json"
UNSEEN, PROCESSOR, HOST = 3.0, 3.0, 2.0
"""Factors where nothing says how far off a prediction is: wide on purpose, assumed, not fitted."""
LEAST = {"measured": 1.2, "published": 2.0}
"""Factors that no few points make smaller: published ones are of other software than this."""
PARALLEL = 0.5
"""Share of the host's work that cores divide, assumed where one number of cores was measured."""


def fitted() -> dict[str, Any]:
    """Return engines/calibration.json anew from the points that there are.

    Raises:
        SystemExit: nothing was measured on this machine.
    """
    here, there = measured(), published()
    if not here:
        raise SystemExit(f"{MEASURED} is missing: run reverie.benchmarks.prediction_measure first")
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    table = _without_errors(here, there, rows)
    errors = {
        "measured": _stated(
            "measured",
            [*leave_one_out(here, "cpu"), *_films(table, here, rows)],
            "networks and films on this machine, on one core predicted from two and the reverse",
        ),
        "published": _stated(
            "published",
            leave_one_out(there, "gpu"),
            "other people's software on GPUs, each architecture predicted from the others; "
            "none of it ran Reverie",
        ),
        "processor": {
            "factor": PROCESSOR,
            "why": "assumed: one kind of processor was measured, so nothing says how others differ",
        },
        "unseen": {
            "factor": UNSEEN,
            "why": "assumed: no timed run of such a GPU with its settings said, or of such a "
            f"precision on one, was found; {_outside(there)}",
        },
        "host": {
            "factor": HOST,
            "why": "assumed: drawing and encoding scaled from one processor by cores and clock",
        },
    }
    return {**table, "errors": errors}


def _without_errors(
    here: Sequence[Point], there: Sequence[Point], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    on_gpu = [point for point in there if point.fit]
    return {
        "schema": "reverie.calibration/1",
        "made_by": "python -m reverie.benchmarks.prediction --fit",
        "created": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "assumed": {
            "pull": PULL,
            "ranges": RANGES,
            "parallel": PARALLEL,
            "note": "a share that no point tells about stays near the middle of its range",
        },
        "reached": {
            "cpu": plain(fit([point for point in here if point.fit], "cpu")),
            "gpu": plain(fit(on_gpu, "gpu")),
        },
        "points": {
            "cpu": sorted({f"{point.device}: {point.id}" for point in here}),
            "gpu": sorted({point.id for point in on_gpu}),
        },
        "host": _host(rows),
        "seen": sorted({point.hardware.rate for point in on_gpu}),
        "fitted_on": sorted({point.device for point in here}),
        "errors": {},
    }


def _host(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the host's part costs: a pixel on one core, and how much of it cores share.

    Rows of one number of cores do not tell that share: it is `PARALLEL` then.
    """
    films = [row for row in rows if row["family"] == "ember"]
    found: dict[str, Any] = {"clock_mhz": find_device(films[0]["device"]).clock_mhz}
    for task, stage in (("draw", "frames"), ("encode", "encode")):
        prices: dict[int, list[float]] = {}
        for row in films:
            pixels = row["width"] * row["height"] * row["frames"]
            prices.setdefault(row["cores"], []).append(row["stages"][stage] / pixels)
        few, many = min(prices), max(prices)
        price = statistics.median(prices[few])
        parallel = PARALLEL
        if many > few:
            ratio = min(statistics.median(prices[many]) / price, 1.0)
            parallel = (1 - ratio) / ((1 - 1 / many) - ratio * (1 - 1 / few))
            parallel = min(max(parallel, 0.0), 1.0)
        found[task] = {
            "seconds_per_pixel": float(f"{price / (1 - parallel + parallel / few):.4g}"),
            "parallel": float(f"{parallel:.3g}"),
        }
    networks = [one for row in films for one in row["networks"].values()]
    nodes = [sum(w["nodes"] for w in one["costs"][0]["work"]) for one in networks]
    opening = sum(one["open_seconds"] for one in networks)
    found["open_seconds_per_node"] = float(f"{opening / sum(nodes):.3g}")
    found["start_seconds"] = float(f"{statistics.median(map(_rest, films)):.3g}")
    return found


def _rest(row: Mapping[str, Any]) -> float:
    """Seconds of a film that are neither networks nor frames: start, imports, photo, masks."""
    inside = sum(one["seconds"] + one["open_seconds"] for one in row["networks"].values())
    return float(row["wall_seconds"] - inside - row["stages"]["frames"] - row["stages"]["encode"])


def _films(
    table: Mapping[str, Any], here: Sequence[Point], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """ember's whole films as predicted from the other machines alone, against their wall time."""
    films = [row for row in rows if row["family"] == "ember"]
    known = {name: _without(name, table, here, films) for name in {r["device"] for r in films}}
    found = []
    for row in films:
        without = known[row["device"]]
        if without is None:
            continue
        work = {"width": row["width"], "height": row["height"], "frames": row["frames"], "fps": 24}
        made = predicted("ember", work, find_device(row["device"]), without)
        assert made is not None
        assert made.total is not None
        ratio = made.total.seconds / row["wall_seconds"]
        found.append(
            {
                "id": f"{row['id']}, end to end",
                "device": row["device"],
                "seconds": row["wall_seconds"],
                "predicted_seconds": float(f"{made.total.seconds:.4g}"),
                "ratio": float(f"{ratio:.3g}"),
            }
        )
    return found


def _without(
    left: str,
    table: Mapping[str, Any],
    here: Sequence[Point],
    films: Sequence[Mapping[str, Any]],
) -> Calibration | None:
    """The calibration without one machine: its shares and its host; None where it is the only."""
    points = [point for point in here if point.fit and point.device != left]
    others = [row for row in films if row["device"] != left]
    if not points or not others:
        return None
    kinds = ("measured", "processor", "published", "unseen", "host")
    return parse(
        {
            **table,
            "reached": {**table["reached"], "cpu": plain(fit(points, "cpu"))},
            "host": _host(others),
            "errors": {kind: {"factor": 1.0, "why": ""} for kind in kinds},
        }
    )


def _outside(there: Sequence[Point]) -> str:
    """How many of the points that are only compared lie further off than is stated for them."""
    values = fit([point for point in there if point.fit], "gpu")
    rows = [row_of(point, values) for point in there if not point.fit]
    far = [row for row in rows if not 1 / UNSEEN <= row["ratio"] <= UNSEEN]
    return f"{len(far)} of {len(rows)} figures whose settings are guessed lie further off"


def _stated(kind: str, rows: Sequence[Mapping[str, Any]], why: str) -> dict[str, Any]:
    """An error as the package states it: the worst of what was held against, or `LEAST`.

    It is rounded up, so that no point lies outside; off the ninth digit, which 1.1 * 10 has.
    """
    found = spread(rows)
    factor = max(math.ceil(round(factors_of(rows)[-1] * 10, 9)) / 10, LEAST[kind])
    told = f"worst {found['worst_factor']:g}, median {found['median_factor']:g}"
    return {"factor": factor, "why": f"{why}; of {found['points']} points {told}"}


def _print(report: Mapping[str, Any]) -> None:
    for title in ("measured", "published"):
        held = report[title]
        print(f"{title}, one machine left out: {held['spread']}")
        for row in held["rows"]:
            print(
                f"  {row['device']:14} {row['id']:44} {row['seconds']:9.3f} s"
                f"  predicted {row['predicted_seconds']:9.3f} s  x{row['ratio']:.2f}"
            )
    print("only compared, for their settings are not said:")
    for row in report["published"]["compared"]:
        print(f"  {row['device']:14} {row['id']:44} x{row['ratio']:.2f} {row.get('bound', '')}")
    print("predicted seconds (and by what factor they may be off)")
    for row in report["rows"]:
        what = "does not fit"
        if row["fits"]:
            what = (
                f"{row['seconds']:9.4g} s ({row['low_seconds']:.3g} to {row['high_seconds']:.3g})"
            )
        print(f"  {row['device']:16} {row['model']:6} {what}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", action="store_true", help="write engines/calibration.json first")
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    try:
        for target in (asked.json, *([TABLE] if asked.fit else [])):
            with disk_errors(target):  # told before minutes are spent
                check_file(target, force=True)
        if asked.fit:
            write_file(_encoded(fitted()), TABLE, force=True)
            calibration.cache_clear()
        report = _report()
        _print(report)
        write_file(_encoded(report), asked.json, force=True)
    except ReverieError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _encoded(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1) + "\n").encode()


def _report() -> dict[str, Any]:
    known = calibration()
    here, there = measured(), published()
    on_all = fit([point for point in there if point.fit], "gpu")
    on_cpu, on_gpu = leave_one_out(here, "cpu"), leave_one_out(there, "gpu")
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"] if here else []
    plain_table = json.loads(TABLE.read_text(encoding="utf-8"))
    films = _films(plain_table, here, rows)
    return {
        "schema": "reverie.prediction/1",
        "note": "every figure of `rows` is predicted; none was measured on the device it is for",
        "machine": describe_machine(),
        "workloads": WORKLOADS,
        "errors": plain_table["errors"],
        "measured": {"rows": [*on_cpu, *films], "spread": spread([*on_cpu, *films])},
        "published": {
            "note": "other people's software on other people's machines",
            "rows": on_gpu,
            "spread": spread(on_gpu),
            "spread_by_model": spread(leave_one_out(there, "gpu", model_of)),
            "compared": [row_of(p, on_all) for p in there if not p.fit],
        },
        "rows": table(known),
    }


if __name__ == "__main__":
    sys.exit(main())
