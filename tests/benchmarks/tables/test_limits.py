"""Tables of ceilings and of growth."""

from __future__ import annotations

from typing import Any

from reverie.benchmarks.bench.record import summary
from reverie.benchmarks.growth import fit
from reverie.benchmarks.tables import limits


class Made:
    """Results that are made here."""

    def __init__(self, **reports: Any) -> None:
        self._reports = reports

    def __getitem__(self, name: str) -> Any:
        return self._reports[name]

    def every(self, prefix: str) -> list[Any]:
        return [report for name, report in self._reports.items() if name.startswith(prefix)]


def ceiling(operator: str, precision: str, threads: int | None, best: float, unit: str) -> Any:
    return {
        "kind": "matmul" if unit == "FLOP/s" else "memory",
        "operator": operator,
        "arithmetic": precision,
        "threads": threads,
        "best": best,
        "unit": unit,
    }


def test_the_best_of_all_sizes_is_a_ceiling() -> None:
    rows = [
        ceiling("MatMul", "fp32", 1, 50e9, "FLOP/s"),
        ceiling("MatMul", "fp32", 1, 62e9, "FLOP/s"),
        ceiling("MatMul", "fp32", 2, 120e9, "FLOP/s"),
        ceiling("copy", "fp32", 1, 9.5e9, "B/s"),
    ]
    made = Made(ceilings_here={"name": "here", "rows": rows})
    assert limits.ceilings(made).rows == (  # type: ignore[arg-type]
        ("here", "matmul", "MatMul", "fp32", "62.0 GFLOP/s (1 thread), 120 GFLOP/s (2 threads)"),
        ("here", "memory", "copy", "fp32", "9.5 GB/s (1 thread)"),
    )


def test_a_gpu_has_no_threads() -> None:
    made = Made(ceilings={"name": "gpu", "rows": [ceiling("MatMul", "fp16", None, 7e14, "FLOP/s")]})
    assert limits.ceilings(made).rows == (("gpu", "matmul", "MatMul", "fp16", "700.00 TFLOP/s"),)  # type: ignore[arg-type]


def point(sweep: str, x: float, unit: str, value: float) -> Any:
    return {
        "sweep": sweep,
        "x": x,
        "x_unit": unit,
        "end_to_end": summary([value, value * 1.01]),
        "host_peak_bytes": summary([1e8, 1e8]),
        "jobs_a_minute": summary([60 * x / value]),
    }


def test_growth_is_told_with_its_power() -> None:
    points = [point("ember size", x, "pixels", 1e-6 * x**2) for x in (1000.0, 2000.0, 4000.0)]
    found = fit(
        [one["x"] for one in points], [one["end_to_end"]["samples"] for one in points]
    ).as_json()
    still = {**found, "power": 0, "faster_than_linear": False}
    fits = [
        {"sweep": "ember size", "measure": "seconds", **found},
        {"sweep": "ember size", "measure": "memory", **still},
        {"sweep": "ember size", "measure": "decode", **found},
    ]
    told = {"rows": points, "fits": fits, "faster_than_linear": ["ember size: decode, because"]}
    table = limits.scaling(Made(scaling=told))  # type: ignore[arg-type]
    (row,) = table.rows
    assert row[:3] == ("ember size", "1000 to 4000 pixels", "1.0 s to 16.1 s")
    assert row[3].startswith("**2.0")
    assert row[4] == f"decode {row[3]}"
    assert row[6] == "does not grow"
    assert table.notes[-1] == "ember size: decode, because"


def test_jobs_at_once_are_told_by_their_throughput() -> None:
    points = [point("ember jobs", x, "processes", y) for x, y in ((1, 10.0), (2, 16.0))]
    told = {"rows": points, "fits": [], "faster_than_linear": []}
    (row,) = limits.scaling(Made(scaling=told)).rows  # type: ignore[arg-type]
    assert row[3] == "throughput 1.25x with 2"


def test_how_near_a_phase_comes_to_its_ceiling() -> None:
    line = {
        "phase": "denoise",
        "component": "denoiser",
        "precision": "fp16",
        "flops": 4.2e13,
        "bytes": 8.4e9,
        "roof_seconds": 6.0,
        "measured": {**summary([8.0, 9.0]), "min": 8.0},
        "achieved": 0.75,
        "bound": "compute",
    }
    unmeasured = {**line, "measured": None, "achieved": None}
    case = {"id": "roofline ltx 704x512 9f cpu", "threads": 2, "roofline": [line, unmeasured]}
    rows = limits.roofline(Made(roofline_ltx={"rows": [case]})).rows  # type: ignore[arg-type]
    assert rows[0] == (
        "ltx 704x512 9f cpu, 2 threads",
        "denoise: denoiser, fp16",
        "42,000.0",
        "8.40",
        "6.0 s",
        "8.0 s",
        "75%",
        "compute",
    )
    assert rows[1][-3:] == ("-", "-", "compute")


def test_counted_growth() -> None:
    def counted(phase: str, x: int, flops: float, share: float) -> dict[str, Any]:
        point = {"model": "ltx", "axis": "size", "phase": phase, "x": x}
        return {**point, "flops": flops, "attention_share": share}

    points = [
        counted("denoise", 100, 1e12, 0.1),
        counted("denoise", 1000, 1e14, 0.5),
        counted("text", 100, 1e12, 0.1),
        counted("text", 1000, 1e12, 0.1),
    ]
    rows = limits.counted(Made(scaling={"counted": points})).rows  # type: ignore[arg-type]
    assert rows == (("ltx, denoise", "100 to 1,000 pixels", "1.0 to 100.0", "2.00", "10% to 50%"),)
