"""`reverie cache`: what a person sees of the engines built here, and deletes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reverie.cli.main import main
from reverie.engines.cache import EngineCache, EngineKey


def key(letter: str = "a", version: str = "1.7.1") -> EngineKey:
    shapes = ((1, 8), (1, 16), (1, 32))
    return EngineKey(
        letter * 64,
        ("d" * 64,),
        "int8",
        {"x": shapes},
        "rtx",
        version,
        ("sm89",),
        {},
        f"toy-{letter}",
    )


def write(path: Path) -> None:
    path.write_bytes(b"engine" * 100)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    monkeypatch.setenv("REVERIE_CACHE", str(tmp_path / "engines"))
    monkeypatch.setenv("REVERIE_CACHE_LIMIT", "2GB")
    cache = EngineCache()
    for letter in "abc":
        cache.get(key(letter), write)
    return cache


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_list_names_engines(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for words in ("toy-a", "int8", "sm89", "rtx 1.7.1", key("b").digest()[:12], "of 2.0 GB"):
        assert words in out, words
    assert "3 engines" in out


def test_list_as_json(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache.get(key("b"), write)
    path.write_bytes(b"cut")
    assert main(["cache", "list", "--json"]) == 0
    facts = told(capsys)
    assert (facts["folder"], facts["limit_bytes"]) == (str(cache.folder), 2_000_000_000)
    assert [entry["name"] for entry in facts["entries"]] == ["toy-a", "toy-c", "toy-b"]
    assert facts["entries"][2]["problem"] == "was cut short (3 of 600 bytes)"
    assert set(facts["entries"][0]) == {
        "key",
        "name",
        "precision",
        "library",
        "library_version",
        "device",
        "file",
        "bytes",
        "made",
        "last_used",
        "build_seconds",
        "outdated",
        "problem",
    }


def test_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REVERIE_CACHE", str(tmp_path / "none"))
    for action in ("list", "verify", "clear"):
        assert main(["cache", action]) == 0
        assert capsys.readouterr().out.startswith("0 engines")
    assert not (tmp_path / "none").exists()


def test_verify_says_which_are_not_whole(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "verify"]) == 0
    assert "3 engines, all are whole" in capsys.readouterr().out
    path = cache.folder / f"{key('b').digest()}.engine"
    path.write_bytes(path.read_bytes().replace(b"n", b"m", 1))
    assert main(["cache", "verify"]) == 6
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"1 of 3 engines are not whole, and are built again when they are needed: {key('b')} was"
    assert "was changed since it was built (sha256)" in err
    assert main(["cache", "verify", "--json"]) == 6
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["exit_code"]) == ("EngineError", 6)
    assert [entry["name"] for entry in facts["broken"]] == ["toy-b"]
    assert [entry["name"] for entry in facts["whole"]] == ["toy-a", "toy-c"]
    assert main(["cache", "verify", key("a").digest()]) == 0
    assert path.exists()


def test_a_record_alone_is_no_whole_engine(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache.folder / f"{key('b').digest()}.engine").unlink()
    assert main(["cache", "verify"]) == 0
    out = capsys.readouterr().out
    assert "2 engines, all are whole" in out
    assert "toy-b" not in out
    assert main(["cache", "verify", "--json"]) == 0
    assert [entry["name"] for entry in told(capsys)["whole"]] == ["toy-a", "toy-c"]


@pytest.mark.parametrize("words", [[], ["--all"], ["all"], ["--older-than", "0s"]])
def test_clear_all(
    cache: EngineCache, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "clear", *words, "--json"]) == 0
    facts = told(capsys)
    assert len(facts["removed"]) == 3
    assert (facts["kept"], facts["freed_bytes"]) == ([], 1800)
    assert cache.entries() == []


def test_clear_some(cache: EngineCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear", key("b").digest()[:12]]) == 0
    assert "deleted toy-b int8 sm89" in capsys.readouterr().out
    assert main(["cache", "clear", "--older-than", "1d"]) == 0
    assert "0 engines deleted" in capsys.readouterr().out
    with cache.using(cache.get(key("a"), write)):
        assert main(["cache", "clear"]) == 0
    out = capsys.readouterr().out
    assert "kept toy-a" in out
    assert "deleted toy-c" in out
    assert main(["cache", "clear", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clear", "zzzz"], "'zzzz' is no engine of the cache"),
        (["clear", ""], "fits 3 engines"),
        (["clear", "--older-than", "long"], "is no age: write it like 30d"),
        (["clear", "--older-than", "-1d"], "is no age"),
        (["clear", "abc", "--all"], "ask for one of both"),
        (["list", "--all"], "are for `reverie cache clear`"),
        (["drop"], "invalid choice"),
        ([], "action"),
    ],
)
def test_impossible_words(
    cache: EngineCache, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[-1:] == ["-1d"]:
        words = [*words[:-2], "--older-than=-1d"]
    assert main(["cache", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert line in err or "list|clear|verify" in err
    assert len(cache.entries()) == 3


def test_a_folder_that_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("REVERIE_CACHE", str(file))
    assert main(["cache", "list", "--json"]) == 0
    assert told(capsys)["entries"] == []


def test_what_a_terminal_would_obey_is_shown(
    cache: EngineCache, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    cache.get(replace(key("e"), name="[red]\x1b[31mx\n"), write)
    for words in (["list"], ["verify"], ["clear"]):
        assert main(["cache", *words]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "[red]" in out
