"""The documents say what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reverie.cli.main import COMMANDS, exit_codes, parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "DEPENDENCIES.md",
        "ENGINES.md",
        "benchmarks/README.md",
        "benchmarks/devices/README.md",
        "runtime/bundles/ember/MODEL_CARD.md",
        "export/training/README.md",
    )
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text()
    assert "@@" not in text
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("http") or (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_module_that_is_to_be_run_is_there(path: Path) -> None:
    for name in re.findall(r"python -m reverie\.([a-z0-9_.]+[a-z0-9_])", path.read_text()):
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), name


def test_every_result_has_the_command_that_makes_it() -> None:
    """A row of the benchmarks' page links the file, and names a module or a command."""
    rows = [
        line
        for line in (ROOT / "benchmarks/README.md").read_text().splitlines()
        if line.startswith("|")
    ]
    for result in (ROOT / "benchmarks/results").glob("*.json"):
        row = next((row for row in rows if f"(results/{result.name})" in row), "")
        assert re.search(r"`(python -m reverie\.|reverie )", row), result.name


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        if isinstance(value, dict):
            yield from value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


MACHINE_PATH = re.compile(r"(?:.*=)?(?:/[A-Za-z]|\.\./|~/|[A-Za-z]:\\)")


def test_no_figures_tell_where_on_a_machine_they_were_made() -> None:
    kept = [
        *(ROOT / "benchmarks").glob("*.json"),
        *(ROOT / "benchmarks/results").glob("*.json"),
        *(ROOT / "benchmarks/manifests").rglob("*.json"),
        *(ROOT / "engines").glob("*.json"),
    ]
    assert len(kept) > 10
    found = {
        path.name: one
        for path in kept
        for one in strings(json.loads(path.read_text()))
        if MACHINE_PATH.match(one)
    }
    assert found == {}


def options(command: str) -> set[str]:
    actions = parser()._subparsers._group_actions[0].choices[command]._actions  # type: ignore[union-attr,index]
    return {o for action in actions for o in action.option_strings if o.startswith("--")}


def test_the_readme_names_every_option_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"[` ](--[a-z][a-z-]*)", readme))
    assert options("animate") - {"--help"} <= named
    known = set().union(*map(options, COMMANDS))
    assert named <= known | {"--version"}


def test_the_readme_names_every_exit_code() -> None:
    readme = (ROOT / "README.md").read_text()
    for code in re.findall(r"^  (\d+)", exit_codes(), re.MULTILINE):
        assert re.search(rf"\| .*\b{code}\b.* \|", readme), code
