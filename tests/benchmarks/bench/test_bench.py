"""The command as a whole, with cases that are not run: what is kept, told, and refused."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reverie.benchmarks.bench import bench as command
from reverie.benchmarks.bench.children import _died, _raised
from reverie.benchmarks.bench.record import schema
from reverie.benchmarks.bench.words import add_options
from reverie.engines.errors import (
    BundleError,
    EngineError,
    MissingPackageError,
    OutputError,
    PhotoError,
    ReverieError,
)

Make = Callable[..., dict[str, Any]]


def asked(*words: object) -> Namespace:
    options = ArgumentParser()
    add_options(options)
    return options.parse_args([str(word) for word in words])


@pytest.fixture
def measured(row: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Lets cases be "measured"; those that are given are raised in their turn."""

    def prepare(*outcomes: BaseException | None) -> list[int]:
        waiting, done = list(outcomes), [0]

        def measure(case: Any, plans: Any, on_run: Any, *, debug: bool) -> dict[str, Any]:
            outcome = waiting.pop(0) if waiting else None
            if outcome is not None:
                raise outcome
            done[0] += 1
            return row(width=case.width)

        monkeypatch.setattr(command, "measure", measure)
        return done

    return prepare


def test_everything_is_written(tmp_path: Path, measured: Any, capsys: Any) -> None:
    measured()
    pytest.importorskip("matplotlib")
    names = {name: tmp_path / f"out.{name}" for name in ("json", "plot", "html")}
    words = [word for name, path in names.items() for word in (f"--{name}", path)]
    command.bench(asked("--size", "96x64", "128x64", *words))
    made = json.loads(names["json"].read_text())
    jsonschema.Draft202012Validator(schema()).validate(made)
    assert [row["id"] for row in made["rows"]] == ["ember 96x64 12f cpu", "ember 128x64 12f cpu"]
    assert made["complete"]
    assert names["plot"].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in names["html"].read_text()
    assert sorted(tmp_path.iterdir()) == sorted(names.values())
    told = capsys.readouterr()
    assert "real time" in told.out
    assert "MiB predicted" in told.out


def test_ctrl_c_keeps_whole_cases(tmp_path: Path, measured: Any) -> None:
    measured(None, KeyboardInterrupt())
    out = tmp_path / "out.json"
    with pytest.raises(KeyboardInterrupt, match="1 of 3 cases were measured and are in"):
        command.bench(asked("--size", "96x64", "128x64", "160x64", "--json", out, "--quiet"))
    made = json.loads(out.read_text())
    assert len(made["rows"]) == 1
    assert made["complete"] is False


def test_ctrl_c_in_the_first_case_writes_nothing(tmp_path: Path, measured: Any) -> None:
    measured(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        command.bench(asked("--json", tmp_path / "out.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_case_that_fails_keeps_those_before(tmp_path: Path, measured: Any) -> None:
    measured(None, EngineError("it broke: mend it"))
    out = tmp_path / "out.json"
    with pytest.raises(EngineError, match="it broke: mend it; 1 of 2 cases were measured"):
        command.bench(asked("--size", "96x64", "128x64", "--json", out, "--quiet"))
    assert len(json.loads(out.read_text())["rows"]) == 1


@pytest.mark.parametrize("option", ["json", "plot", "html"])
def test_what_cannot_be_written_is_told_before(tmp_path: Path, measured: Any, option: str) -> None:
    done = measured()
    with pytest.raises(OutputError, match=f"with --{option}") as error:
        command.bench(asked(f"--{option}", tmp_path / "nowhere" / "out"))
    assert "--out" not in str(error.value)
    with pytest.raises(OutputError, match="is a folder"):
        command.bench(asked(f"--{option}", tmp_path))
    assert done == [0]


def test_two_results_need_two_names(tmp_path: Path, measured: Any) -> None:
    done = measured()
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match="--json and --html name one file"):
        command.bench(asked("--json", tmp_path / "a", "--html", tmp_path / "x" / ".." / "a"))
    assert done == [0]


def test_a_full_disk_leaves_no_half_a_file(
    tmp_path: Path, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured()
    out = tmp_path / "out.json"
    out.write_text("before")

    def full(*words: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reverie.runtime.output.os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        command.bench(asked("--json", out, "--quiet"))
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_no_matplotlib_is_told_before(
    tmp_path: Path, measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = measured()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'reverie\[bench\]'"):
        command.bench(asked("--plot", tmp_path / "out.png"))
    assert done == [0]


def test_the_record_alone_goes_to_stdout(measured: Any, capsys: Any) -> None:
    measured()
    command.bench(asked("--json", "-"))
    assert json.loads(capsys.readouterr().out)["schema"] == "reverie.bench/1"


@pytest.mark.parametrize("kind", [PhotoError, BundleError, OutputError, EngineError])
def test_a_processs_error_keeps_its_kind(kind: type[ReverieError]) -> None:
    error = _raised("what happened", kind.exit_code)
    assert type(error) is kind
    assert str(error) == "what happened"
    assert type(_raised("other", 1)) is ReverieError


def test_a_process_that_dies_is_told() -> None:
    assert "SIGKILL, perhaps for want of memory" in str(_died(-9, ""))
    assert "exit code 3 (last line)" in str(_died(3, "first\nlast line\n"))
