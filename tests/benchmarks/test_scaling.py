"""Sweeps: what they run, what is made of it, and what is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image
from reverie.benchmarks import (
    counted_growth,
    records,
    scaling,
    scaling_figure,
    scaling_point,
    sweeps,
)
from reverie.benchmarks.bench.record import record, schema
from reverie.benchmarks.machine import describe_machine
from reverie.benchmarks.sweeps import Point, Sweep
from reverie.engines.errors import SettingsError


def made_sweep(seconds: Any, axis: str = "frames", points: tuple[int, ...] = (1, 2, 4, 8)) -> Sweep:
    """Points that say how long they took."""

    def point(x: int) -> Point:
        told = json.dumps({"stages": {"look": 1.0, "denoise": seconds(x)}})
        code = f"print({told.replace('{', '{{').replace('}', '}}')!r})"
        jobs = x if axis == "jobs" else 1
        return Point(x, (sys.executable, "-S", "-c", code), 64, 64, x, 4, jobs)

    unit = "processes" if axis == "jobs" else axis
    return Sweep("made", "made", axis, unit, tuple(point(x) for x in points))


def rows_of(sweep: Sweep, seconds: Any, repeat: int = 3) -> list[dict[str, Any]]:
    """Rows as `measure` makes them, of made figures."""

    def run(x: float) -> dict[str, Any]:
        stages = {"look": 1.0, "denoise": seconds(x)}
        took = {"seconds": sum(stages.values()), "processor_seconds": 1.0}
        return {**took, "peak_bytes": 10**8 + int(10**6 * x), "stages": stages}

    return [scaling.row(sweep, p, [[run(p.x)] * p.at_once] * repeat) for p in sweep.points]


def test_points_run_and_become_rows_that_can_be_compared(tmp_path: Path) -> None:
    sweep = made_sweep(lambda x: 0.1 * x, points=(1, 2))
    rows = scaling.measure([sweep], 2, tmp_path)
    assert [row["x"] for row in rows] == [1, 2]
    assert rows[1]["phases"]["denoise"]["samples"] == [0.2, 0.2]
    assert all(value > 0 for value in rows[0]["end_to_end"]["samples"])
    path = tmp_path / "r.json"
    path.write_text(json.dumps(record(rows, machine=describe_machine(), command=["scaling"])))
    jsonschema.validate(json.loads(path.read_text()), schema())
    read = records.read(path)
    assert list(read.rows) == ["scaling made frames 1", "scaling made frames 2"]
    assert len(records.join(read, read).questions) == 2 * 4


def test_the_phase_that_grows_too_fast_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    square = lambda x: 0.05 * x * x  # noqa: E731
    rows = rows_of(made_sweep(square), square)
    fits, told = scaling.report(rows)
    powers = {fit["measure"]: fit["power"] for fit in fits}
    assert powers["denoise"] == pytest.approx(2.0, abs=0.02)
    assert powers["look"] == 0
    assert powers["memory"] == pytest.approx(1.0, abs=0.3)
    assert len(told) == 1
    assert told[0].startswith("made frames: denoise grows with power 2.00")
    assert told[0].endswith("not explained yet")
    assert "attention" in scaling._why("ltx-tiny size", "denoise")
    assert scaling._why("svd-tiny frames", "decode") == "not explained yet"
    assert "made frames: denoise" in capsys.readouterr().out


def test_linear_growth_is_not_accused(capsys: pytest.CaptureFixture[str]) -> None:
    line = lambda x: 0.5 * x  # noqa: E731
    _, told = scaling.report(rows_of(made_sweep(line), line))
    assert told == []
    assert "nothing was seen to grow faster than linear" in capsys.readouterr().out


def test_jobs_at_once_are_told_by_throughput(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = made_sweep(lambda x: x, axis="jobs", points=(1, 2, 4))
    rows = rows_of(sweep, lambda x: x)
    assert [row["jobs"] for row in rows] == [1, 2, 4]
    assert rows[1]["host_peak_bytes"]["median"] == 2 * (10**8 + 2 * 10**6)
    scaling.report(rows)
    assert "throughput beside one process: 1.00x, 1.33x, 1.60x" in capsys.readouterr().out


def test_the_sweeps_name_themselves(tmp_path: Path) -> None:
    photos = [Path("a.jpg"), Path("b.jpg")]
    chosen = scaling.choose(["ember", "ltx-tiny size"], photos, tmp_path, tmp_path / "tiny")
    names = [f"ember {axis}" for axis in ("size", "frames", "steps", "photos", "jobs")]
    assert [s.name for s in chosen] == [*names, "ltx-tiny size"]
    story = next(s for s in chosen if s.axis == "photos").points[2]
    assert story.command[4:8] == ("a.jpg", "b.jpg", "a.jpg", "b.jpg")
    for sweep in chosen:
        assert list(sweep.points) == sorted(sweep.points, key=lambda p: p.x)
        for point in sweep.points:
            [word.format(number=0) for word in point.command]
    with pytest.raises(SettingsError, match="no sweep is called 'other'"):
        scaling.choose(["other"], photos, tmp_path, tmp_path)


def test_a_point_is_what_it_says(video_bundle: Path) -> None:
    told = scaling_point.film(video_bundle, 64, 64, 9, 3)
    assert told["frames"] == 9
    assert told["stages"]
    with pytest.raises(ValueError, match="makes"):
        scaling_point.film(video_bundle, 65, 64, 9, 3)


def test_attention_is_seen_in_what_is_counted() -> None:
    found = counted_growth.counted(scaling.MANIFESTS / "ltx")
    steps = [p for p in found if (p.axis, p.phase) == ("size", "denoise")]
    assert [p.x for p in steps] == sorted(p.x for p in steps)
    shares = [p.attention_share for p in steps]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1
    # What is linear beside what is quadratic: between the two, and more so with each point.
    powers = counted_growth.powers(steps)
    assert powers == sorted(powers)
    assert 1 < powers[0] < powers[-1] < 2
    assert all(name in "\n".join(counted_growth.lines(found)) for name in ("denoise", "decode"))


def test_a_single_repeat_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling.main(["--repeat", "1"]) == 2
    assert "one sample has no spread" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sweep", "photos", "tiny", "repeat", "plot"])
def test_counting_takes_no_options_of_runs(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "_count", lambda: pytest.fail("it went on"))
    assert scaling.main(["--counted", f"--{name}", "3"]) == 2
    told = capsys.readouterr().err
    assert f"--{name} cannot go with --counted" in told
    assert told.count("\n") == 1


def test_without_matplotlib_nothing_is_measured_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scaling, "_measured", lambda asked: pytest.fail("it went on"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert scaling.main(["--plot", "made.png"]) == 7
    assert "pip install" in capsys.readouterr().err


def test_sweeps_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    rows = rows_of(made_sweep(float), float)
    fits = [{"sweep": "made frames", "measure": "denoise", "power": 1.0}]
    assert scaling_figure.png(rows, fits).startswith(b"\x89PNG")


def test_photos_are_made_large_enough_for_every_point(tmp_path: Path) -> None:
    Image.new("RGB", (300, 400)).save(tmp_path / "small.jpg")
    made = sweeps.large([tmp_path / "small.jpg"] * 2, tmp_path)
    assert len({*made}) == 2
    for path in made:
        with Image.open(path) as photo:
            assert photo.size == sweeps.LARGEST == (1920, 1080)
    sizes = [p.height for s in sweeps.ember(made, tmp_path) for p in s.points]
    assert max(sizes) == 1080
