"""Tables of figures that nobody measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.tables import predictions, registry
from reverie.benchmarks.tables.markers import Place
from reverie.benchmarks.tables.reading import Results
from reverie.benchmarks.tables.wording import PREDICTED, between, duration


def row(device: str, model: str, seconds: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "device": device,
        "title": device.title(),
        "model": model,
        "predicted": True,
        "fits": seconds is not None,
        "seconds": seconds,
        "low_seconds": seconds and seconds / 2,
        "high_seconds": seconds and seconds * 2,
        "peak_bytes": 5e9,
        "budget_bytes": 4e9,
        "precisions": {"denoiser": "fp8", "vae_decoder": "fp16"},
        "streamed": [],
        **changes,
    }


def held(**more: Any) -> dict[str, Any]:
    return {
        "rows": [
            {
                "device": "a",
                "id": "x",
                "seconds": 2.0,
                "predicted_seconds": 3.0,
                "ratio": 1.5,
                **more,
            }
        ],
        "spread": {"points": 1, "median_factor": 1.5, "worst_factor": 1.5},
    }


@pytest.fixture
def report() -> dict[str, Any]:
    return {
        "machine": {"processor": "A chip", "cores": 2, "python": "3.11", "packages": {}},
        "workloads": {
            "ember": {"width": 1280, "height": 720, "frames": 240, "fps": 24},
            "ltx": {"width": 704, "height": 512, "frames": 97, "fps": 24, "steps": 30},
        },
        "errors": {"unseen": {"factor": 3.0, "why": "assumed: nobody timed one"}},
        "measured": held(),
        "published": held(source={"title": "A card", "url": "https://example.org/card"}),
        "rows": [
            row("orin", "ember", 18.4, streamed=["text_encoder"]),
            row("orin", "ltx", None),
            row("h200", "ltx", 240.0),
        ],
    }


def made(name: str, report: dict[str, Any], tmp_path: Path) -> str:
    (tmp_path / "prediction.json").write_text(json.dumps(report))
    place = Place("table", name, "", 0, 0, "")
    return registry.made(place, tmp_path / "README.md", partial(Results, tmp_path, tmp_path))


def test_a_device_with_every_model(report: dict[str, Any], tmp_path: Path) -> None:
    lines = made("predicted devices", report, tmp_path).strip().splitlines()
    assert lines[0] == (
        "| device | ember, 1280x720, 240 frames: predicted"
        " | LTX 2B, 704x512, 97 frames, 30 steps: predicted |"
    )
    assert lines[2:4] == [
        "| Orin | 18 s (9.2 to 37 s), fp8, 5.00 GB, streamed: text_encoder"
        " | does not fit: 5.00 GB of 4.00 GB |",
        "| H200 | - | 4.0 min (2.0 to 8.0 min), fp8, 5.00 GB |",
    ]
    assert "No figure of this table was measured" in lines[5]
    assert "Shares of peaks are fitted on measurements of A chip" in lines[5]


@pytest.mark.parametrize(
    "name", ["predicted devices", "prediction errors", "predictions held against"]
)
def test_every_table_says_that_it_is_predicted(
    report: dict[str, Any], tmp_path: Path, name: str
) -> None:
    head = made(name, report, tmp_path).strip().splitlines()[0]
    assert PREDICTED in head


def test_a_first_pages_devices_must_be_there(report: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(registry.TableError, match="nothing is predicted for apple-m2"):
        made("some predicted devices", report, tmp_path)
    report["rows"] = [row(name, "ember", 9.0) for name in (*predictions._SOME, "another")]
    lines = made("some predicted devices", report, tmp_path).strip().splitlines()
    assert sum(line.startswith("| ") for line in lines) == len(predictions._SOME) + 1
    assert not any("Another" in line for line in lines)


def test_what_a_prediction_was_held_against(report: dict[str, Any], tmp_path: Path) -> None:
    lines = made("predictions held against", report, tmp_path).strip().splitlines()
    assert lines[2] == "| a | x | 2.0 s | 3.0 s | 1.50x | measured here |"
    assert lines[3].endswith("| [A card](https://example.org/card) |")


def test_a_row_that_is_not_said_to_be_predicted_is_refused(
    report: dict[str, Any], tmp_path: Path
) -> None:
    report["rows"][0]["predicted"] = False
    with pytest.raises(registry.TableError, match="not said to be predicted"):
        made("predicted devices", report, tmp_path)


def test_a_table_that_forgets_the_word_is_refused(
    report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_head", lambda model, work: model)
    with pytest.raises(registry.TableError, match="says 'predicted'"):
        made("predicted devices", report, tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.52, "0.52 s"), (18.4, "18 s"), (99.0, "99 s"), (240.0, "4.0 min"), (8780, "2.4 h")],
)
def test_rough_durations(value: float, text: str) -> None:
    assert duration(value) == text


def test_a_unit_stands_once() -> None:
    assert between(9.2, 36.9, duration) == "9.2 to 37 s"
    assert between(40.0, 180.0, duration) == "40 s to 3.0 min"
