"""`reverie plan --device`: seconds that are labelled as predicted, with their error beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.manifest_only import FOLDER
from reverie.cli.main import main
from reverie.cli.predicting import seconds_text
from reverie.engines.devices import devices

SHORT = ("--seconds", "2", "--height", "360")


def facts(capsys: Any, *words: str) -> dict[str, Any]:
    assert main(["plan", *words, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return json.loads(told.out)


def test_a_prediction_is_labelled_wherever_it_stands(capsys: Any) -> None:
    told = facts(capsys, "ember", "--device", "rtx4090", *SHORT)
    prediction = told["prediction"]
    assert told["predicted"] is True
    assert prediction["predicted"] is True
    assert prediction["device"] == "rtx4090"
    assert prediction["low_seconds"] < prediction["seconds"] < prediction["high_seconds"]
    assert prediction["error_factor"] > 1
    assert prediction["error_why"]
    assert prediction["film_seconds"] == 2
    assert all(phase["predicted"] is True for phase in prediction["phases"])
    assert {"start", "look", "maps", "frames", "encode"} <= {
        phase["name"] for phase in prediction["phases"]
    }
    assert any("rtx" in line.lower() for line in prediction["sources"])
    assert (told["device"], told["fits"]) == ("sm89", True)
    assert told["notes"][-1].startswith("building engines")


def test_a_plan_without_a_device_predicts_nothing(capsys: Any) -> None:
    words = ("ember", "--gpu", "sm89", *SHORT)
    assert not {"prediction", "predicted"} & set(facts(capsys, *words))
    assert main(["plan", *words]) == 0
    assert "predicted" not in capsys.readouterr().out


def test_the_table_says_predicted_and_how_far_off(capsys: Any) -> None:
    assert main(["plan", "ember", "--device", "orin-nano-8gb", *SHORT]) == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    assert "predicted seconds on Jetson Orin Nano 8GB" in flat
    assert "predicted:" in flat
    assert "real time; error: a factor of" in flat
    assert "note: predicted for Jetson Orin Nano" in flat
    assert "fits 7.1 GB" in flat


@pytest.mark.parametrize("memory", [(), ("--memory", "10MB")])
def test_every_figure_in_text_is_labelled(memory: tuple[str, ...], capsys: Any) -> None:
    assert main(["plan", "ember", "--device", "rtx4090", *memory, *SHORT]) == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    assert "predicted: ember on " in flat
    assert "predicted: peak of each phase" in flat
    assert "predicted: beside, on the host: " in flat
    assert ("predicted: does not fit " if memory else "predicted: fits ") in flat
    for what in ("ember on", "peak of each phase", "beside, on the host", "fit"):
        lines = [line for line in out.splitlines() if line.startswith(what)]
        assert lines == []


def test_what_does_not_fit_has_no_seconds(capsys: Any) -> None:
    words = ("ember", "--device", "rtx4090", "--memory", "10MB", *SHORT)
    told = facts(capsys, *words)
    assert told["fits"] is False
    assert told["prediction"]["seconds"] is None
    assert told["prediction"]["phases"] == []
    assert main(["plan", *words]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "no time, for it does not fit" in out
    assert "does not fit 10 MB" in out


@pytest.mark.parametrize("family", ["ltx", "svd", "wan"])
def test_manifests_alone_are_planned_and_predicted(family: str, capsys: Any) -> None:
    folder = FOLDER / family
    assert [one.name for one in folder.iterdir()] == ["bundle.json"]
    height = {"ltx": "512", "svd": "576", "wan": "704"}[family]
    words = [str(folder), "--device", "h100", "--height", height, "--frames", "14", "--fps", "7"]
    told = facts(capsys, *words, "--steps", "10")
    more = facts(capsys, *words, "--steps", "20")
    assert told["fits"] is True
    assert told["prediction"]["seconds"] < more["prediction"]["seconds"]
    by_name = {phase["name"]: phase["seconds"] for phase in told["prediction"]["phases"]}
    assert by_name["denoise"] > 0
    assert by_name["decode"] > 0


def test_the_list_names_every_device_and_its_sources(capsys: Any) -> None:
    told = facts(capsys, "--device", "list")["devices"]
    assert [row["name"] for row in told] == list(devices())
    assert all(row["sources"]["peaks"] for row in told)
    assert main(["plan", "--device", "list"]) == 0
    out = capsys.readouterr().out
    assert "devices that can be predicted" in out
    assert "https://" in out
    assert all(name in out for name in devices())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ember", "--device", "rtx4060"], "near it: rtx4060-8gb"),
        (["ember", "--device", "nothing-like-it"], "is not known"),
        (["ember", "--device", "rtx4090", "--gpu", "sm89"], "not allowed with"),
        (["ember", "--device", "raspberry-pi-5", "--backend", "tensorrt"], "NVIDIA GPUs"),
        (["--device", "rtx4090"], "no model was named"),
        ([], "no model was named"),
    ],
)
def test_bad_names_are_one_line(words: list[str], line: str, capsys: Any) -> None:
    try:
        code = main(["plan", *words])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    told = capsys.readouterr()
    assert line in told.err
    assert told.out == ""


def test_a_bundle_without_figures_says_how_to_add_them(toy_bundle: Path, capsys: Any) -> None:
    manifest = json.loads((toy_bundle / "bundle.json").read_text(encoding="utf-8"))
    for entry in manifest["components"].values():
        entry.pop("cost", None)
    (toy_bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert main(["plan", str(toy_bundle), "--device", "rtx4090"]) == 4
    assert "reverie.export.cost" in capsys.readouterr().err


def test_seconds_have_the_digits_of_a_prediction() -> None:
    assert [seconds_text(one) for one in (0.0812, 7.31, 42.4, 1234.0)] == [
        "0.081 s",
        "7.3 s",
        "42 s",
        "1230 s",
    ]
