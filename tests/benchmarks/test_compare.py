"""Comparing records and commands: what is found, what is let pass, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.benchmarks import compare, paired, records
from reverie.benchmarks.bench.record import phase, record, summary
from reverie.benchmarks.verdicts import Question, answer
from reverie.engines.errors import SettingsError

MACHINE = {"processor": "made", "cores": 2, "packages": {"numpy": "2.4.6"}}
CASE = "ember 640x360 48f cpu"


def row(samples: Mapping[str, Sequence[float]], name: str = CASE, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": name, "model": "ember", "threads": 2, **more}
    for field in ("end_to_end", "host_peak_bytes"):
        if field in samples:
            made[field] = summary(samples[field])
    phases = {n: phase(v) for n, v in samples.items() if n not in made}
    return {**made, "phases": phases, "device_peak_bytes": None}


def save(path: Path, *rows: dict[str, Any], machine: Any = MACHINE) -> Path:
    made = record(rows, machine=machine, command=["bench"])
    path.write_text(json.dumps(made))
    return path


def noisy(median: float, count: int = 8, spread: float = 0.005, seed: int = 0) -> list[float]:
    return list(median * np.random.default_rng(seed).lognormal(0, spread, count))


def found(told: Mapping[str, Any]) -> dict[str, str]:
    return {one["measure"]: one["verdict"] for one in told["rows"]}


def test_a_slower_phase_is_found_and_ends_with_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = row({"end_to_end": noisy(2.0), "denoise": noisy(1.0), "look": noisy(0.5)})
    after = row(
        {
            "end_to_end": noisy(2.01, seed=1),
            "denoise": noisy(1.1, seed=1),
            "look": noisy(0.4, seed=1),
        }
    )
    files = [save(tmp_path / "a.json", before), save(tmp_path / "b.json", after)]
    out = tmp_path / "out.json"
    assert compare.main([*map(str, files), "--json", str(out)]) == compare.GOT_WORSE == 10
    told = json.loads(out.read_text())
    assert found(told) == {
        "end to end": "no difference seen",
        "denoise": "slower",
        "look": "faster",
    }
    worse = next(one for one in told["rows"] if one["measure"] == "denoise")
    assert worse["low"] <= 1.1 <= worse["high"]
    assert told["worse"] is True
    assert told["verdict"] == "slower"
    assert "slower" in capsys.readouterr().out
    assert compare.main([str(files[1]), str(files[1])]) == 0


def test_memory_counts_too(tmp_path: Path) -> None:
    sides = [
        row({"end_to_end": noisy(2.0), "host_peak_bytes": [size + at for at in range(8)]})
        for size in (400_000_000, 440_000_000)
    ]
    files = [save(tmp_path / f"{n}.json", one) for n, one in enumerate(sides)]
    told = compare.compared(*map(records.read, files))
    assert found(told)["memory"] == "larger"
    assert compare.main([*map(str, reversed(files))]) == 0


def test_noise_and_few_samples_are_undecided(tmp_path: Path) -> None:
    names = [f"part {n}" for n in range(12)]
    before = save(tmp_path / "a.json", row({n: noisy(1.0, 5) for n in names}))
    after = save(tmp_path / "b.json", row({n: noisy(1.3, 5, seed=1) for n in names}))
    told = compare.compared(records.read(before), records.read(after))
    assert set(found(told).values()) == {"too noisy to tell"}
    assert "must be 6 on each side" in told["rows"][0]["reason"]
    told = compare.compared(records.read(before), records.read(after), only="*: part 3")
    assert found(told) == {"part 3": "slower"}
    wild = save(tmp_path / "c.json", row({"part 1": noisy(1.0, 8, 0.4)}))
    other = save(tmp_path / "d.json", row({"part 1": noisy(1.05, 8, 0.4, seed=1)}))
    told = compare.compared(records.read(wild), records.read(other))
    assert found(told) == {"part 1": "too noisy to tell"}
    assert "within the noise" in told["rows"][0]["reason"]


def test_a_whole_group_of_equal_things_is_rarely_accused() -> None:
    """With no threshold: the chance of any wrong verdict among twenty is what is stated."""
    rng, tries, wrong = np.random.default_rng(0), 250, 0
    for _ in range(tries):
        asked = [
            Question("row", f"part {n}", "s", tuple(rng.gamma(9, 1, 8)), tuple(rng.gamma(9, 1, 8)))
            for n in range(20)
        ]
        verdicts = {one.verdict for one in answer(asked, threshold=0.0, error=0.05)}
        wrong += bool(verdicts & {"slower", "faster"})
    most = 0.05 * tries + 4 * (tries * 0.05 * 0.95) ** 0.5
    assert 0 < wrong <= most


def test_runs_are_compared_and_not_their_steps(tmp_path: Path) -> None:
    """Two runs of four steps are two samples, not eight."""
    figures = phase([1.0, 1.1, 0.9, 1.0] * 2, per="step", totals=[4.0, 4.1])
    path = save(tmp_path / "a.json", {**row({}), "phases": {"denoise": figures}})
    told = dict(records.measures(records.read(path).rows[CASE], path))
    assert told == {("denoise", "s", False): (4.0, 4.1)}


def test_another_machine_is_told(tmp_path: Path) -> None:
    other = {"processor": "other", "cores": 2, "packages": {"numpy": "2.5.0"}}
    first = save(tmp_path / "a.json", row({"end_to_end": noisy(2.0)}))
    second = save(tmp_path / "b.json", row({"end_to_end": noisy(2.0)}, threads=4), machine=other)
    told = compare.compared(records.read(first), records.read(second))
    assert told["warnings"] == [
        "the machine's processor was made and is other",
        "numpy was 2.4.6 and is 2.5.0",
        f"{CASE}: threads was 2 and is 4",
    ]


def test_what_one_side_lacks_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = save(
        tmp_path / "a.json", row({"look": noisy(1), "old": noisy(1)}), row({}, name="gone")
    )
    second = save(tmp_path / "b.json", row({"look": noisy(1), "new": noisy(1)}))
    assert compare.main([str(first), str(second)]) == 0
    said = capsys.readouterr().out
    assert "only before: gone" in said
    assert f"only before: {CASE}: old" in said
    assert f"only after: {CASE}: new" in said


BAD = {
    "other schema": ('{"schema": "reverie.bench/9", "rows": []}', "is of schema 'reverie.bench/9'"),
    "no schema": ('{"machine": {}}', "says no schema"),
    "no JSON": ("{", "is no JSON"),
    "a list": ("[]", "says no schema"),
    "text": ('{"schema": "reverie.bench/1", "rows": "all"}', "rows is no list"),
    "no id": ('{"schema": "reverie.bench/1", "rows": [{}]}', "a row's id is no text"),
    "twice": ('{"schema": "reverie.bench/1", "rows": [{"id": "a"}, {"id": "a"}]}', "two rows 'a'"),
    "nan": (
        '{"schema": "reverie.bench/1", "rows": [{"id": "a", "end_to_end": {"samples": [NaN]}}]}',
        "a sample of end to end is nan",
    ),
    "nothing": ('{"schema": "reverie.bench/1", "rows": []}', "no row in common"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = BAD[name]
    path = tmp_path / "bad.json"
    path.write_text(text)
    good = save(tmp_path / "good.json", row({"end_to_end": noisy(2.0)}))
    assert compare.main([str(path), str(good)]) == compare.BAD_INPUT == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_what_cannot_be_read_or_asked_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(save(tmp_path / "good.json", row({"end_to_end": noisy(2.0)})))
    for words in (
        [str(tmp_path / "none.json"), good],
        [str(tmp_path), good],
        [good],
        [good, good, "--run", "true", "--against", "true"],
        ["--run", "true"],
        ["--run", "true", "--against", "surely-no-such-program"],
        ["--run", "false", "--against", "true", "--pairs", "1"],
        [good, good, "--only", "nothing"],
        [good, good, "--error", "0"],
        [good, good, "--json", str(tmp_path / "none" / "x.json")],
    ):
        assert compare.main(words) == 2, words
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as caught:
        compare.main([good, good, "--threshold", "much"])
    assert caught.value.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_it_is_a_script_too(tmp_path: Path) -> None:
    good = save(tmp_path / "good.json", row({"end_to_end": noisy(2.0)}))
    done = subprocess.run(
        [Path(compare.__file__).with_suffix(""), good, good],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "no difference seen" in done.stdout


def test_shares() -> None:
    assert compare.share("2%") == compare.share("0.02") == 0.02


def test_commands_run_in_turn_and_their_tree_is_measured(tmp_path: Path) -> None:
    """The second one's own child takes the memory."""
    log = tmp_path / "log"
    child = f"import sys; open({str(log)!r}, 'a').write(sys.argv[1]); "
    big = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'b = bytearray(10**8)'])"
    first = f'{sys.executable} -S -c "{child}" a'
    second = f'{sys.executable} -S -c "{child}{big}" b'
    told = {q.measure: q for q in paired.measure(first, second, pairs=2, warm_up=1)}
    assert log.read_text() == "ab" + "ab" + "ba"
    memory = told["memory"]
    assert max(memory.before) < 5e7 < 1e8 < min(memory.after)
    assert all(0 < a < 60 for q in told.values() if q.unit == "s" for a in q.before)


def test_a_failing_command_is_told() -> None:
    with pytest.raises(SettingsError, match=r"ended with 3 \(nothing to do\)"):
        paired.run_once(
            [
                sys.executable,
                "-c",
                "import sys; print('nothing to do', file=sys.stderr); sys.exit(3)",
            ]
        )
