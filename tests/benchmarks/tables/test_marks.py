"""Tables of records: cases, peers, marks."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.benchmarks.bench.record import phase, summary
from reverie.benchmarks.peers.ratios import QUANTITIES
from reverie.benchmarks.tables import beside, cases, marks


class Made:
    """Results that are made here."""

    def __init__(self, **reports: Any) -> None:
        self._reports = reports

    def __getitem__(self, name: str) -> Any:
        return self._reports[name]

    def every(self, prefix: str) -> list[Any]:
        return [report for name, report in self._reports.items() if name.startswith(prefix)]


def film(family: str, width: int, height: int, peak: float, factor: float, **more: Any) -> Any:
    return {
        "id": f"{family} {width}x{height} 240f cpu",
        "family": family,
        "width": width,
        "height": height,
        "frames": 240,
        "device": "cpu",
        "real_time_factor": factor,
        "host_peak_bytes": summary([peak] * 3),
        "end_to_end": summary([9.0, 9.5, 10.0]),
        "cold_start": {"import": summary([0.2, 0.3, 0.4])},
        "phases": {"encode": phase([2.0, 2.1, 2.2])},
        **more,
    }


def way(name: str, peer: str, step: float) -> Any:
    return {
        "id": f"ltx 704x512 9f cpu {name}",
        "model": "ltx",
        "family": "ltx",
        "width": 704,
        "height": 512,
        "frames": 9,
        "device": "cpu",
        "peer": peer,
        "skipped": None,
        "versions": {peer: "1.0"},
        "phases": {"denoise": phase([step] * 3, per="step")},
        "cold_start": {"first step ends": summary([9.0, 9.0, 9.0])},
        "host_peak_bytes": summary([4e9] * 3),
    }


def pair(ours: str, theirs: str, **ratios: float) -> Any:
    names = {
        "step": "denoise, a step",
        "peak": "peak memory",
        "start": "start to first step ends",
        "tiled": "decode alone, tiled",
        "tiled_peak": "decode alone, tiled, peak memory",
    }
    return {
        "ours": ours,
        "theirs": theirs,
        "proofs": {"film": {"same": True, "why": "alike"}},
        "ratios": {
            names[name]: {"samples": [value, value], "median": value, "low": value, "high": value}
            for name, value in ratios.items()
        },
        "refused": {},
    }


def together(*pairs: Any) -> Any:
    rows = [
        way("reverie int8", "reverie", 5.0),
        way("reverie fp16", "reverie", 7.0),
        way("diffusers fp32", "diffusers", 12.0),
        way("diffusers bf16", "diffusers", 10.0),
        way("diffusers bf16 compile", "diffusers", 8.0),
    ]
    return {"rows": rows, "comparisons": list(pairs)}


def marked(**reports: Any) -> dict[str, tuple[str, ...]]:
    found = marks.marks(Made(**reports))  # type: ignore[arg-type]
    return {row[0]: row[1:] for row in found.rows}


def test_marks_are_met_or_missed_by_their_figures() -> None:
    bench = {
        "rows": [film("ember", 1280, 720, 701e6, 1.0), film("ember", 1920, 1080, 1.19e9, 0.6)],
    }
    rows = marked(bench=bench)
    start = "ember, 10 s of 1280x720 at 24 fps, process start included"
    assert rows[start] == ("1.00x real time", "at least 1.0x", "met")
    assert rows["ember, 10 s of 1280x720: peak memory"][2] == "**missed**"
    assert rows["ember, 10 s of 1920x1080: peak memory"][2] == "met"


def test_a_gpu_meets_no_mark_of_a_processor() -> None:
    bench = {"rows": [film("ember", 1280, 720, 5e8, 9.0, device="cuda")]}
    assert rows_not_measured(marked(bench=bench)) == rows_not_measured(marked(bench={"rows": []}))


def test_models_may_lie_in_files_of_their_own() -> None:
    step = phase([10.0] * 3, per="step", outside_networks=summary([0.01] * 3))
    rows = marked(
        bench={"rows": [film("ember", 1280, 720, 5e8, 1.1)]},
        bench_ltx={"rows": [film("ltx", 704, 512, 4e9, 0.1, phases={"denoise": step})]},
    )
    assert rows["ember, 10 s of 1280x720: peak memory"][2] == "met"
    assert rows["ltx 704x512 240f cpu: host's share of a step"] == ("0.10%", "under 1%", "met")


def rows_not_measured(rows: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for name, row in rows.items() if row[2] == "not measured"]


def test_what_was_not_measured_is_not_left_out() -> None:
    rows = marked(bench={"rows": []})
    unmeasured = rows_not_measured(rows)
    assert len(unmeasured) == 3 + 4 + 4 + 2
    assert "SVD beside diffusers: denoise, a step" in unmeasured


def test_the_best_of_each_is_compared() -> None:
    record = together(
        pair("reverie fp16", "diffusers bf16", step=1.4),
        pair("reverie int8", "diffusers fp32", step=2.4),
        pair("reverie int8", "diffusers bf16", step=2.0),
        pair("reverie int8", "diffusers bf16 compile", step=1.6),
    )
    found = beside.best_pair(record)
    assert found is not None
    assert (found["ours"], found["theirs"]) == ("reverie int8", "diffusers bf16")


def test_a_pair_whose_work_was_not_the_same_is_no_best_one() -> None:
    assert beside.best_pair(together(pair("reverie int8", "diffusers bf16"))) is None


@pytest.mark.parametrize(
    ("ratios", "verdicts"),
    [
        ({"step": 1.3, "peak": 0.7, "start": 0.25}, ["met", "met", "met", "not measured"]),
        ({"step": 1.29, "peak": 0.71, "start": 0.26}, ["**missed**"] * 3 + ["not measured"]),
        (
            {"step": 2.0, "tiled": 1.3, "tiled_peak": 1.0},
            ["met", "not measured", "not measured", "met"],
        ),
        (
            {"step": 2.0, "tiled": 1.3, "tiled_peak": 2.0},
            ["met", *["not measured"] * 2, "**missed**"],
        ),
        ({"step": 2.0, "tiled": 1.3}, ["met", "not measured", "not measured", "**missed**"]),
    ],
)
def test_marks_beside_a_peer(ratios: dict[str, float], verdicts: list[str]) -> None:
    record = together(pair("reverie int8", "diffusers bf16", **ratios))
    rows = marked(bench={"rows": []}, peers_ltx=record)
    mine = [row for name, row in rows.items() if "reverie int8 beside diffusers bf16" in name]
    assert [row[2] for row in mine] == verdicts


def test_the_hosts_share_of_a_step() -> None:
    step = phase([10.0] * 3, per="step", outside_networks=summary([0.2] * 3))
    row = film("ltx", 704, 512, 4e9, 0.1, phases={"denoise": step})
    rows = marked(bench={"rows": [row]})
    name = "ltx 704x512 240f cpu: host's share of a step"
    assert rows[name] == ("2.00%", "under 1%", "**missed**")


def test_ways_that_did_not_run_say_why() -> None:
    record = together(pair("reverie int8", "diffusers bf16", step=2.0))
    record["rows"].append({**way("openvino", "openvino", 1.0), "skipped": "it is not installed"})
    rows = beside.peers(Made(peers=record)).rows  # type: ignore[arg-type]
    assert rows[-1][1] == "not run: it is not installed"
    assert rows[0][:2] == ("ltx 704x512 9f cpu reverie int8 (reverie 1.0)", "5.0 s")


def test_a_ratio_that_was_refused_is_none() -> None:
    record = together(pair("reverie int8", "diffusers bf16", step=2.0))
    row = beside.peer_ratios(Made(peers=record)).rows[0]  # type: ignore[arg-type]
    assert row[:4] == (
        "ltx 704x512, 9 frames",
        "reverie int8 / diffusers bf16",
        "2.00x (2.00 to 2.00)",
        "-",
    )
    assert row[-1] == "film: alike"


def test_a_case_with_its_start_and_phases() -> None:
    step = phase([0.01] * 30, per="step", totals=[0.1, 0.1, 0.1])
    row = film("ember", 1280, 720, 4e8, 1.05)
    row["phases"] = {"denoise": step, **row["phases"]}
    told = Made(bench={"machine": None, "rows": [row]})
    assert cases.bench(told).rows == (  # type: ignore[arg-type]
        (
            "ember 1280x720 240f cpu",
            "0.30 s (0.20 to 0.39 s)",
            "-",
            "-",
            "9.5 s (9.0 to 9.9 s)",
            "1.05x",
            "400 MB",
        ),
    )
    assert cases.bench_phases(told).rows[0][1:] == ("0.10 s, 10 ms a step", "2.1 s")  # type: ignore[arg-type]


def test_what_a_machine_does_not_tell_is_not_zero() -> None:
    row = film("ember", 1280, 720, 4e8, 1.05)
    row |= {
        "energy": {"joules": None, "reason": "no meter"},
        "temperature": None,
        "throttled": None,
    }
    found = cases.bench_energy(Made(bench={"machine": None, "rows": [row]})).rows[0]  # type: ignore[arg-type]
    assert found[1:] == ("not told: no meter", "not told", "not told")
    row["energy"] = {"joules": summary([90.0, 91.0, 92.0]), "reason": ""}
    row["temperature"] = {"highest": 71.4}
    row["throttled"] = {"seen": True, "counted": {"package": 3}, "gpu": None}
    found = cases.bench_energy(Made(bench={"machine": None, "rows": [row]})).rows[0]  # type: ignore[arg-type]
    assert found[1:] == ("91 J (90 to 92 J)", "at most 71 C", "seen: package")


def test_cases_of_several_machines_are_told_apart() -> None:
    chip = {"processor": "A chip", "cores": 2, "python": "3.11", "packages": {}}
    row = film("ember", 1280, 720, 4e8, 1.05)
    here, there = {"machine": chip, "rows": [row]}, {"machine": chip, "rows": [{**row, "id": "b"}]}
    names = cases.measured(Made(bench=here, bench_more=there))  # type: ignore[arg-type]
    assert list(names) == [row["id"], "b"]
    there["machine"] = {**chip, "gpus": [{"name": "A GPU"}]}
    names = cases.measured(Made(bench=here, bench_more=there))  # type: ignore[arg-type]
    assert list(names) == [f"{row['id']}, A chip, 2 cores", "b, A GPU"]


def test_ratios_are_called_as_the_peers_module_calls_them() -> None:
    known = {quantity.name for quantity in QUANTITIES}
    assert set(beside._RATIOS) <= known
    assert {name for name, _, _ in marks._OF_PEERS} <= known
