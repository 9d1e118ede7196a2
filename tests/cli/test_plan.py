"""`reverie plan`: tables for people, one object for programs, GPUs that are not here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reverie.cli.main import main
from reverie.engines import machine
from reverie.engines.machine import Machine

TOY = Path(__file__).resolve().parents[1] / "data" / "bundles" / "toy-ember"


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: Any) -> None:
    """A machine without a GPU."""
    here = Machine("Linux", "a processor", 4, 16 * 10**9, 12 * 10**9)
    monkeypatch.setattr(machine, "describe_machine", lambda: here)


def facts(capsys: Any, *words: str) -> dict[str, Any]:
    assert main(["plan", *words, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return json.loads(told.out)


def test_a_plan_is_one_object(capsys: Any) -> None:
    told = facts(capsys, "ember", "--seconds", "2", "--height", "360")
    assert (told["device"], told["fits"], told["budget_bytes"]) == ("cpu", True, 12 * 10**9)
    assert (told["width"], told["height"], told["frames"]) == (640, 360, 48)
    assert {row["name"] for row in told["components"]} >= {"maps", "denoiser"}
    assert [phase["name"] for phase in told["phases"]] == ["look", "maps", "denoise", "frames"]
    assert told["peak_bytes"] == max(phase["peak_bytes"] for phase in told["phases"])
    assert told["notes"] == []
    assert told["rough"] == []


def test_gpus_that_are_not_here_are_planned_for(capsys: Any) -> None:
    unknown = facts(capsys, "ember", "--gpu", "sm86")
    assert unknown["fits"] is None
    assert "say how much there is" in unknown["verdict"]
    assert "not measured" in unknown["notes"][-1]
    told = facts(capsys, "ember", "--gpu", "sm120", "--memory", "6GB")
    assert (told["device"], told["fits"], told["budget_bytes"]) == ("sm120", True, 6 * 10**9)
    assert told["host_bytes"] > 0
    assert facts(capsys, "ember", "--gpu", "sm87", "--memory", "6GiB")["host_bytes"] == 0


def test_what_does_not_fit_is_an_answer(capsys: Any) -> None:
    told = facts(capsys, "ember", "--memory", "200MB")
    assert told["fits"] is False
    assert "does not fit 200 MB" in told["verdict"]
    assert "would do" in told["verdict"]


def test_the_table_ends_with_the_verdict(capsys: Any) -> None:
    assert main(["plan", str(TOY), "--memory", "4GB"]) == 0
    out = capsys.readouterr().out
    for word in ("component", "precision", "residency", "peak of each phase", "denoiser", "staged"):
        assert word in out
    last = " ".join(out.split("\n")[-4:])
    assert "fits 4.0 GB" in last
    assert "rough" in last


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["ember", "--memory", "lots"], 2, "--memory 'lots' cannot be used"),
        (["ember", "--gpu", "sm99"], 2, "GPU architecture 'sm99' is not known"),
        (["ember", "--gpu", "this"], 2, "no GPU that is known can be used here"),
        (["ember", "--height", "9"], 2, "height 9 cannot be used"),
        (["ember", "--backend", "tensorrt"], 2, "runs on NVIDIA GPUs"),
        (["nowhere"], 4, "'nowhere' is not known"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    capsys: Any, words: list[str], code: int, line: str
) -> None:
    assert main(["plan", *words]) == code
    told = capsys.readouterr()
    assert line in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_long_film_is_planned_as_windows(tiny_bundles: Any, capsys: Any) -> None:
    words = [str(tiny_bundles["wan"]), "--height", "64", "--aspect", "1:1"]
    capsys.readouterr()  # what making the bundle told
    short, told = facts(capsys, *words, "--seconds", "2"), facts(capsys, *words, "--seconds", "60")
    assert (short["length"]["way"], short["length"]["windows"]) == ("one", 1)
    assert told["length"]["way"] == "windows"
    assert told["length"]["windows"] > 10
    assert told["frames"] == told["length"]["window_frames"] <= 121
    assert any("are joined" in note for note in told["notes"])
    longer = facts(capsys, *words, "--seconds", "600")
    assert told["peak_bytes"] == pytest.approx(longer["peak_bytes"], rel=0.01)
    looped = facts(capsys, *words, "--seconds", "2", "--loop")
    assert looped["length"]["loop"] == "dissolve"
    assert any("so that the film loops" in note for note in looped["notes"])
    assert main(["plan", *words, "--seconds", "60"]) == 0
    text = capsys.readouterr().out
    assert f"{told['frames']} frames, {told['length']['windows']} times" in text
    assert "colours are held" in text
