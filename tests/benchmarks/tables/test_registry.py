from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.tables import registry
from reverie.benchmarks.tables.markers import Place
from reverie.benchmarks.tables.reading import RESULTS, MissingResult, Results
from reverie.benchmarks.tables.wording import Table


def place(kind: str, name: str, paragraph: str = "") -> Place:
    return Place(kind, name, "", 0, 0, paragraph)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results, and a table and a figure that read "mine" of them."""

    def mine(results: Results) -> Table:
        return Table(("a",), ((str(results["mine"]["a"]),),))

    def figure(results: Results) -> str:
        return str(results["mine"]["a"])

    monkeypatch.setattr(registry, "TABLES", {"mine": mine})
    monkeypatch.setattr(registry, "FIGURES", {"mine": figure})
    return tmp_path


def made(folder: Path, what: Place, **report: Any) -> str:
    if report:
        (folder / "mine.json").write_text(json.dumps(report))
    return registry.made(what, folder / "README.md", partial(Results, folder, folder))


def test_a_table_follows_its_result(folder: Path) -> None:
    machine = {"processor": "A chip", "cores": 2, "python": "3.11", "packages": {}}
    assert made(folder, place("table", "mine"), a=5, machine=machine) == (
        "\n| a |\n|---|\n| 5 |\n\n"
        "<sub>A chip, 2 cores; Python 3.11; raw: [mine](mine.json).</sub>\n\n"
    )
    assert made(folder, place("figure", "mine"), a=6, machine=machine) == "6"


def test_a_missing_result_is_told(folder: Path) -> None:
    with pytest.raises(registry.TableError, match=r"'mine': mine\.json is not in"):
        made(folder, place("table", "mine"))


def test_a_broken_result_is_told(folder: Path) -> None:
    (folder / "mine.json").write_text("{")
    with pytest.raises(registry.TableError, match="is no JSON"):
        made(folder, place("figure", "mine"))


def test_a_result_of_another_form_is_told(folder: Path) -> None:
    with pytest.raises(registry.TableError, match=r"cannot be made from mine\.json: KeyError 'a'"):
        made(folder, place("table", "mine"), b=5)


@pytest.mark.parametrize("kind", ["table", "figure"])
def test_an_unknown_name_is_told(folder: Path, kind: str) -> None:
    with pytest.raises(registry.TableError, match=f"no {kind} is called 'yours'; there are mine"):
        made(folder, place(kind, "yours"))


def test_predictions_are_said_to_be_some(folder: Path) -> None:
    with pytest.raises(registry.TableError, match="says 'predicted'"):
        made(folder, place("table", "mine"), a=5, rows=[{"predicted_seconds": 5}])
    with pytest.raises(registry.TableError, match="says 'predicted'"):
        made(folder, place("figure", "mine", "It takes 5."), a=5, predicted=5)
    assert (
        made(folder, place("figure", "mine", "It takes 5, as predicted."), a=5, predicted=5) == "5"
    )
    assert "| 5 predicted |" in made(folder, place("table", "mine"), a="5 predicted", predicted=5)


def test_a_file_of_predictions_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "prediction.json").write_text('{"seconds": 5}')
    results = Results(tmp_path, tmp_path)
    assert results["prediction"]["seconds"] == 5
    assert results.hold_predictions()


def test_a_result_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingResult, match=r"none\.json"):
        Results(tmp_path)["none"]


@pytest.mark.parametrize("name", registry.TABLES)
def test_every_table_says_what_it_is_made_from(name: str) -> None:
    told = registry.TABLES[name].__doc__ or ""
    assert ".json" in told
    assert told.splitlines()[0].endswith((".", ";", ","))


def test_a_change_of_one_sample_changes_its_table(tmp_path: Path) -> None:
    """Figures are read, not remembered."""
    for path in RESULTS.glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    told = json.loads((RESULTS / "end_to_end.json").read_text())
    before = registry.made(place("table", "whole renders"), RESULTS / "x.md")
    told["rows"][0]["wall_median"] *= 2
    (tmp_path / "end_to_end.json").unlink()
    (tmp_path / "end_to_end.json").write_text(json.dumps(told))
    after = registry.made(
        place("table", "whole renders"), RESULTS / "x.md", partial(Results, tmp_path, tmp_path)
    )
    rows = [
        [line for line in text.splitlines() if line.startswith("| ")][1:]
        for text in (before, after)
    ]
    assert rows[0][0] != rows[1][0]
    assert rows[0][1:] == rows[1][1:]
