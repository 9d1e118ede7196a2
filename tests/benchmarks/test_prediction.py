"""Fitting and validating predictions: arithmetic on made points, and the data that is committed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from reverie.benchmarks import (
    manifest_only,
    prediction,
    prediction_fit,
    prediction_measure,
    prediction_points,
    prediction_table,
)
from reverie.benchmarks.prediction_fit import fit, leave_one_out, plain, spread
from reverie.benchmarks.prediction_points import PUBLISHED, Point, published
from reverie.engines.calibration import TABLE, Reached, calibration, parse
from reverie.engines.devices import devices
from reverie.engines.errors import SettingsError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.cost import PhaseCost, Work

TRUE = Reached(
    {"matmul": 0.6, "convolution": 0.3, "attention": 6.3, "elementwise": 0.3}, 0.55, 1.1, 3e-6
)


def point(device: str, *work: Work, times: float = 10.0) -> Point:
    costs = ((PhaseCost("denoise", "denoiser", 1, work, 0, "fp16"), times),)
    empty = Point(f"{device} {work[0].kind}", device, costs, 1.0, True)
    return replace(empty, seconds=empty.predicted(TRUE))


POINTS = [
    point(device, *work)
    for device in ("a100-80gb", "h100", "rtx4090")
    for work in (
        (Work("matmul", 1e14, 1e9, 10),),
        (Work("convolution", 5e13, 1e9, 10),),
        (Work("elementwise", 1e9, 2e11, 10), Work("matmul", 2e13, 1e9, 10)),
    )
]


def test_shares_are_found_again() -> None:
    found = fit(POINTS, "gpu")
    assert found["matmul"] == pytest.approx(0.6, rel=0.05)
    assert found["convolution"] == pytest.approx(0.3, rel=0.05)
    assert found["other"] == pytest.approx(1.1, rel=0.1)
    for name in ("attention", "eager"):  # no point tells of them
        low, high = prediction_fit.RANGES["gpu"][name]
        assert found[name] == pytest.approx((low * high) ** 0.5, rel=0.01)


def test_software_that_joins_no_nodes_has_a_share_of_its_own() -> None:
    slow = [
        replace(one, fused=False, seconds=2 * one.seconds)
        if one.id.endswith("elementwise")
        else one
        for one in POINTS
    ]
    found = fit(slow, "gpu")
    assert found["eager"] < 0.6
    assert found["matmul"] == pytest.approx(0.6, rel=0.1)


def test_one_machine_left_out_is_predicted_from_the_others() -> None:
    rows = leave_one_out(POINTS, "gpu")
    assert len(rows) == len(POINTS)
    assert spread(rows)["worst_factor"] < 1.1
    odd = [replace(one, seconds=3 * one.seconds) if one.device == "h100" else one for one in POINTS]
    rows = leave_one_out(odd, "gpu")
    left = [row["ratio"] for row in rows if row["device"] == "h100"]
    assert max(left) < 0.4
    assert spread(rows)["worst_factor"] > 2.5


def test_only_compared_points_fit_nothing() -> None:
    wild = replace(POINTS[0], seconds=1e6, fit=False)
    assert plain(fit([one for one in (*POINTS, wild) if one.fit], "gpu")) == plain(
        fit(POINTS, "gpu")
    )
    assert wild.id not in [row["id"] for row in leave_one_out([wild], "gpu")]


def test_a_factor_is_never_below_one() -> None:
    assert spread([{"ratio": 0.5}, {"ratio": 1.0}, {"ratio": 1.5}]) == {
        "points": 3,
        "median_factor": 1.5,
        "worst_factor": 2.0,
    }


def test_published_figures_say_whose_they_are() -> None:
    rows = json.loads(PUBLISHED.read_text(encoding="utf-8"))["points"]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["source"]["url"].startswith("https://")
        assert row["source"]["seen"]
        assert row["software"]
        assert "settings" in row
        assert "assumed" in row
        assert row["device"] in devices()
        assert row["bound"] in (None, "upper")
        assert isinstance(row["fused"], bool)
        assert not (row["fit"] and row["bound"])
    assert {one.id for one in published()} == {row["id"] for row in rows}


def test_published_counts_are_near_what_is_known_of_the_models() -> None:
    """Operations of one pass by hand: two a parameter and token, and attention's own."""
    told = {one.id: one for one in published()}
    cost, _ = told["ltx diffusers h100 compiled"].costs[0]
    tokens = 7 * 16 * 24
    assert sum(one.flops for one in cost.work) == pytest.approx(
        2 * 1.65e9 * tokens + 28 * 4 * tokens * tokens * 2048, rel=0.15
    )


def test_the_calibration_that_ships_is_whole() -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    known = calibration()
    assert parse(table) == known
    assert set(known.reached) == {"cpu", "gpu"}
    assert set(known.errors) == {"measured", "processor", "published", "unseen", "host"}
    for kind, reached in known.reached.items():
        ranges = prediction_fit.RANGES[kind]
        for name, share in reached.compute.items():
            low, high = ranges[name]
            assert low * 0.99 <= share <= high * 1.01
    for error in known.errors.values():
        assert error.factor >= 1.2
        assert error.why
    assert known.errors["unseen"].factor >= known.errors["published"].factor
    assert set(known.fitted_on) <= set(devices())
    assert table["made_by"].startswith("python -m reverie.benchmarks.prediction")


def test_the_results_that_ship_are_predictions() -> None:
    report = json.loads(prediction.RESULTS.read_text(encoding="utf-8"))
    assert report["schema"] == "reverie.prediction/1"
    rows: list[dict[str, Any]] = report["rows"]
    assert {row["device"] for row in rows} == set(devices())
    assert {row["model"] for row in rows} == set(prediction_table.WORKLOADS)
    for row in rows:
        assert row["predicted"] is True
        if row["fits"]:
            assert row["low_seconds"] < row["seconds"] < row["high_seconds"]
            assert row["error_factor"] > 1
        else:
            assert row["seconds"] is None
    for held in ("measured", "published"):
        assert report[held]["spread"]["points"] == len(report[held]["rows"]) > 5


def test_the_shipped_table_is_what_the_figures_give() -> None:
    report = json.loads(prediction.RESULTS.read_text(encoding="utf-8"))
    shipped = {(row["device"], row["model"]): row for row in report["rows"]}
    for name in ("rtx4090", "orin-nano-8gb"):
        made = prediction_table.predicted(
            "ltx", prediction_table.WORKLOADS["ltx"], devices()[name], calibration()
        )
        assert made is not None
        told = prediction_table.told(made)
        assert told["seconds"] == pytest.approx(shipped[name, "ltx"]["seconds"], rel=1e-6)


def test_a_manifest_is_written_without_graphs(tmp_path: Any) -> None:
    folder = load_bundle("ember").folder
    manifest = manifest_only.manifest_of(manifest_only.FOLDER / "ltx")
    assert manifest["name"] == "ltx-2b-0.9.5"
    written = manifest_only.write(manifest_only.FOLDER / "ltx", tmp_path)
    assert written == tmp_path / "ltx" / "bundle.json"
    assert [one.name for one in written.parent.iterdir()] == ["bundle.json"]
    assert load_bundle(written.parent).components.keys() == manifest["components"].keys()
    assert folder.is_dir()


def test_measured_rows_carry_their_own_counts(tmp_path: Any) -> None:
    row = {
        "id": "ember 360p",
        "device": "epyc-2core",
        "networks": {
            "maps": {
                "runs": 4,
                "seconds": 2.0,
                "costs": [
                    {
                        "phase": "maps",
                        "component": "maps",
                        "runs": runs,
                        "work": [{"kind": "matmul", "flops": 1e9, "bytes": 1e6, "nodes": 3}],
                        "weight_bytes": 1,
                        "precision": "fp16",
                    }
                    for runs in (1, 1)
                ],
            }
        },
    }
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({"rows": [row]}), encoding="utf-8")
    (found,) = prediction_points.measured(path)
    assert [times for _, times in found.costs] == [2.0, 2.0]
    assert found.seconds == 2.0
    assert prediction_points.measured(tmp_path / "none.json") == []


def film(cores: int, draw: float, encode: float) -> dict[str, Any]:
    pixels = 640 * 360 * 48
    network = {"seconds": 0.5, "open_seconds": 0.1, "costs": [{"work": [{"nodes": 50}]}]}
    stages = {"frames": draw * pixels, "encode": encode * pixels}
    return {
        "family": "ember",
        "device": f"epyc-{cores}core",
        "cores": cores,
        "width": 640,
        "height": 360,
        "frames": 48,
        "stages": stages,
        "networks": {"maps": network},
        "wall_seconds": sum(stages.values()) + 0.6 + 1.5,
    }


def test_the_host_is_priced_by_the_pixel_on_one_core_and_on_two() -> None:
    found = prediction._host([film(1, 4e-8, 2e-8), film(2, 3e-8, 1e-8)])
    assert found["draw"] == {"seconds_per_pixel": pytest.approx(4e-8), "parallel": 0.5}
    assert found["encode"] == {"seconds_per_pixel": pytest.approx(2e-8), "parallel": 1.0}
    assert found["open_seconds_per_node"] == pytest.approx(0.1 / 50)
    assert found["start_seconds"] == pytest.approx(1.5)
    assert found["clock_mhz"] == devices()["epyc-1core"].clock_mhz


def test_an_error_is_stated_no_smaller_than_few_points_allow() -> None:
    near = [{"ratio": 1.1}, {"ratio": 0.95}]
    assert prediction._stated("published", near, "why")["factor"] == 2.0
    assert prediction._stated("measured", near, "why")["factor"] == 1.2
    far = [{"ratio": 0.2}, {"ratio": 1.0}]
    told = prediction._stated("published", far, "because")
    assert told["factor"] == 5.0
    assert told["why"].startswith("because; of 2 points worst 5")
    assert prediction._stated("measured", [{"ratio": 4.72}], "")["factor"] == 4.8
    assert prediction._stated("measured", [{"ratio": 0.2127}], "")["factor"] == 4.8  # 4.7015
    assert prediction._stated("measured", [{"ratio": 1.3}], "")["factor"] == 1.3


def test_one_number_of_cores_leaves_the_shared_part_assumed() -> None:
    for cores in (1, 2):
        found = prediction._host([film(cores, 3e-8, 1e-8)])["draw"]
        assert found["parallel"] == prediction.PARALLEL
        share = 1 - prediction.PARALLEL + prediction.PARALLEL / cores
        assert found["seconds_per_pixel"] * share == pytest.approx(3e-8, rel=1e-3)
    price = [1e-8 * (0.25 + 0.75 / cores) for cores in (2, 8)]
    found = prediction._host([film(2, price[0], 1e-8), film(8, price[1], 1e-8)])["draw"]
    assert found == {"seconds_per_pixel": pytest.approx(1e-8), "parallel": pytest.approx(0.75)}


def test_a_film_is_predicted_without_what_its_own_machine_took() -> None:
    films = [film(1, 4e-8, 2e-8) | {"id": "ember"}, film(2, 3e-8, 1e-8) | {"id": "ember"}]
    work = Work("convolution", 1e9, 1e6, 10)
    costs = ((PhaseCost("maps", "maps", 1, (work,), 0, "fp16"), 1.0),)
    here = [Point("maps", f"epyc-{cores}core", costs, 0.1, True) for cores in (1, 2)]
    table = json.loads(TABLE.read_text(encoding="utf-8"))

    def told(points: list[Point], rows: list[dict[str, Any]]) -> dict[str, float]:
        made = prediction._films(table, points, rows)
        return {row["device"]: row["predicted_seconds"] for row in made}

    plain_ones = told(here, films)
    assert set(plain_ones) == {"epyc-1core", "epyc-2core"}
    slow = film(1, 8e-8, 9e-8) | {"id": "ember"}
    changed = told([replace(here[0], seconds=0.5), here[1]], [slow, films[1]])
    assert changed["epyc-1core"] == plain_ones["epyc-1core"]
    assert changed["epyc-2core"] > plain_ones["epyc-2core"]
    assert told(here[:1], films[:1]) == {}


def test_results_that_cannot_be_written_are_told_before_anything_is_fitted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def never() -> dict[str, Any]:
        raise AssertionError("fitted all the same")

    monkeypatch.setattr(prediction, "_report", never)
    assert prediction.main(["--json", str(tmp_path / "none" / "made.json")]) == 5
    assert "does not exist" in capsys.readouterr().err


def test_a_case_is_bound_to_cores_that_this_process_may_run_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {7, 3, 5}, raising=False)
    assert prediction_measure.cores_of(2) == [3, 5]
    for many in (0, 4):
        with pytest.raises(SettingsError, match="may run on 3"):
            prediction_measure.cores_of(many)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--cores", "1", "--json", "none/made.json"], 5), (["--cores", "1", "99999"], 2)],
)
def test_what_cannot_be_measured_is_told_before_anything_runs(
    words: list[str],
    code: int,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    def never(words: list[str], cores: int) -> dict[str, Any]:
        raise AssertionError("ran all the same")

    monkeypatch.setattr(prediction_measure, "bound", never)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    monkeypatch.chdir(tmp_path)
    assert prediction_measure.main(["--photo", "photo.jpg", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
