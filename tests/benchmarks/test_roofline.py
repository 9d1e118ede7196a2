"""How near a render comes to what a machine can do; no seconds of this machine are judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks import roofline, roofline_record, roofs
from reverie.benchmarks.bench import record
from reverie.benchmarks.manifest_only import FOLDER
from reverie.engines.errors import SettingsError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.cost import PhaseCost, Work
from reverie.runtime.shapes import plan_for


def ceilings_file(folder: Path) -> Path:
    def row(kind: str, operator: str, precision: str, best: float, threads: int) -> dict[str, Any]:
        facts = {"kind": kind, "operator": operator, "arithmetic": precision, "best": best}
        return {**facts, "device": "cpu", "threads": threads}

    rows = []
    for threads in (1, 2):
        rows += [
            row("gemm", "MatMul", "fp32", 100e9 * threads, threads),
            row("gemm", "MatMul", "fp32", 90e9 * threads, threads),
            row("gemm", "QLinearMatMul", "int8", 300e9 * threads, threads),
            row("convolution", "Conv", "fp32", 50e9 * threads, threads),
            row("attention", "MultiHeadAttention", "fp32", 40e9 * threads, threads),
            row("memory", "copy", "fp32", 10e9, threads),
            row("memory", "read", "fp32", 20e9, threads),
            row("elementwise", "Add", "fp32", 2e9, threads),
        ]
    path = folder / "ceilings.json"
    path.write_text(json.dumps({"rows": rows}))
    return path


def cost(precision: str = "fp16", runs: int = 1, **work: tuple[float, float]) -> PhaseCost:
    kinds: Any = work.items()
    made = tuple(Work(kind, flops, moved, 1) for kind, (flops, moved) in kinds)
    return PhaseCost("denoise", "denoiser", runs, made, 0, precision)


def test_the_best_rates_are_taken_and_float32_where_there_is_no_kernel(tmp_path: Path) -> None:
    path = ceilings_file(tmp_path)
    one = roofs.read_ceilings(path, threads=1)
    assert one.rate("matmul", "fp16") == (100e9, "fp32")
    assert one.rate("matmul", "int8") == (300e9, "int8")
    assert one.rate("convolution", "int8") == (50e9, "fp32")
    assert (one.memory, one.fresh) == (10e9, 2e9)
    assert roofs.read_ceilings(path).threads == 2
    with pytest.raises(SettingsError, match="measures them"):
        roofs.read_ceilings(path, threads=3)
    with pytest.raises(SettingsError, match="measures them"):
        roofs.read_ceilings(path, device="cuda")
    with pytest.raises(SettingsError, match="cannot be read"):
        roofs.read_ceilings(tmp_path / "none.json")


def test_each_kind_takes_the_longer_of_computing_and_moving(tmp_path: Path) -> None:
    ceilings = roofs.read_ceilings(ceilings_file(tmp_path), threads=1)
    roof = roofs.roof_of(
        cost(runs=3, matmul=(200e9, 1e9), convolution=(5e9, 10e9), elementwise=(1e9, 4e9)), ceilings
    )
    # 2 s computing, 1 s for convolution's bytes, 0.4 s moving, or 2 s into fresh memory.
    assert roof.seconds == pytest.approx(3 * (2 + 1 + 0.4))
    assert roof.fresh_seconds == pytest.approx(3 * (2 + 1 + 2))
    assert roof.bound == "matmul, computing"
    assert roof.intensity == pytest.approx(206 / 15)
    assert roofs.roof_of(cost(elementwise=(0, 1e9)), ceilings).bound == "elementwise, memory"


def test_sizes_of_one_network_are_put_together(tmp_path: Path) -> None:
    ceilings = roofs.read_ceilings(ceilings_file(tmp_path), threads=1)
    rows = [
        roofs.roof_of(cost(matmul=(100e9, 0)), ceilings),
        roofs.roof_of(cost(runs=2, elementwise=(0, 100e9)), ceilings),
    ]
    (roof,) = roofs.together(rows)
    assert (roof.runs, roof.flops, roof.bytes) == (3, 100e9, 200e9)
    assert roof.seconds == pytest.approx(1 + 20)
    assert roof.bound == "elementwise, memory"


def test_a_run_here_is_told_as_a_record(toy_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    target, picture = tmp_path / "made.json", tmp_path / "made.png"
    words = [str(toy_bundle), "--ceilings", str(ceilings_file(tmp_path)), "--threads", "1"]
    words += ["--height", "144", "--seconds", "1", "--json", str(target)]
    pytest.importorskip("matplotlib")
    assert roofline.main([*words, "--plot", str(picture)]) == 0
    made = json.loads(target.read_text())
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(record.schema()).validate(made)
    (row,) = made["rows"]
    rows = {one["component"]: one for one in row["roofline"]}
    assert {"maps", "denoiser", "faces"} <= set(rows)
    for one in rows.values():
        assert one["achieved"] == pytest.approx(one["roof_seconds"] / one["measured"]["min"], 0.05)
        assert one["intensity"] == pytest.approx(one["flops"] / one["bytes"])
        assert len(one["measured"]["samples"]) == 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "maps" in capsys.readouterr().out
    assert roofline.main([*words, "--only", "denoiser"]) == 0
    assert len(json.loads(target.read_text())["rows"][0]["roofline"]) == 1


def bench_record(folder: Path) -> Path:
    summed = {"samples": [2.0, 3.0], "min": 2.0, "median": 2.5, "p95": 2.95}
    step = {"unit": "s", "per": "step", **summed, "total": {**summed, "samples": [20.0, 30.0]}}
    row = {
        "id": "toy 256x144 24f cpu",
        "model": "toy-ember",
        "width": 256,
        "height": 144,
        "frames": 24,
        "fps": 24,
        "steps": 4,
        "precision": {"maps": "fp32", "gone": "int8"},
        "device": "cpu",
        "threads": 2,
        "phases": {"denoise": step, "maps": {"unit": "s", "per": "run", **summed}},
    }
    path = folder / "bench.json"
    path.write_text(json.dumps({"rows": [row]}))
    return path


def test_a_record_of_bench_brings_its_size_and_seconds(toy_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.json"
    words = [str(toy_bundle), "--ceilings", str(ceilings_file(tmp_path)), "--json", str(target)]
    words += ["--record", str(bench_record(tmp_path))]
    assert roofline.main(words) == 0
    (row,) = json.loads(target.read_text())["rows"]
    assert (row["width"], row["height"], row["steps"], row["threads"]) == (256, 144, 4, 2)
    rows = {one["phase"]: one for one in row["roofline"]}
    assert rows["denoise"]["measured"]["samples"] == [20.0, 30.0]  # all steps together
    assert rows["denoise"]["achieved"] == pytest.approx(rows["denoise"]["roof_seconds"] / 20.0)
    assert rows["maps"]["measured"]["min"] == 2.0
    assert rows["look"]["measured"] is None
    assert rows["look"]["achieved"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--height", "144"], "--height cannot go with --record"),
        (["--repeat", "2"], "--repeat cannot go with --record"),
        (["--guidance", "1"], "--guidance cannot go with --record"),
    ],
)
def test_what_a_record_says_is_not_asked_for(
    toy_bundle: Path, tmp_path: Path, capsys: Any, words: list[str], said: str
) -> None:
    given = [str(toy_bundle), "--ceilings", str(ceilings_file(tmp_path))]
    assert roofline.main([*given, "--record", str(bench_record(tmp_path)), *words]) == 2
    assert said in capsys.readouterr().err
    assert roofline.main([*given, "--row", "toy"]) == 2
    assert "--row" in capsys.readouterr().err


def test_a_row_brings_its_guidance_and_is_of_the_model_and_one_window() -> None:
    bundle = load_bundle(FOLDER / "ltx")
    row = {"id": "a", "model": bundle.name, "width": 704, "height": 512, "fps": 24, "steps": 4}
    row |= {"precision": {}, "threads": 2, "device": "cpu"}
    with pytest.raises(SettingsError, match="has no frames"):
        roofline_record.settings_of(row, bundle)
    row |= {"frames": 161, "asked": {"guidance": 3.5, "seconds": None}}
    given = roofline_record.settings_of(row, bundle)
    assert given["guidance"] == plan_for(bundle, **given).guidance == 3.5
    assert given["num_frames"] == 161
    by_time = roofline_record.settings_of(row | {"asked": {"seconds": 2.0}}, bundle)
    assert (by_time["seconds"], by_time.get("num_frames")) == (2.0, None)
    with pytest.raises(SettingsError, match=r"in [2-9] windows"):
        roofline_record.settings_of(row | {"frames": 600}, bundle)
    with pytest.raises(SettingsError, match="measured ember, not"):
        roofline_record.settings_of(row | {"model": "ember"}, bundle)


def test_a_row_that_is_not_there_is_told(toy_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    words = [str(toy_bundle), "--ceilings", str(ceilings_file(tmp_path))]
    words += ["--record", str(bench_record(tmp_path)), "--row", "another"]
    assert roofline.main(words) == 2
    told = capsys.readouterr().err
    assert "toy 256x144 24f cpu" in told
    assert told.count("\n") == 1


def test_without_figures_the_mend_is_told(toy_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["components"]["maps"].pop("cost")
    path.write_text(json.dumps(manifest))
    assert roofline.main([str(toy_bundle), "--ceilings", str(ceilings_file(tmp_path))]) == 4
    assert "python -m reverie.export.cost" in capsys.readouterr().err
