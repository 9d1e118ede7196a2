"""What a machine can do at most: graphs of one operator, measured and written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.benchmarks import ceiling_graphs, ceilings
from reverie.benchmarks.bench import record
from reverie.engines.device import Device
from reverie.engines.errors import EngineError
from reverie.engines.ort import OrtEngine
from reverie.export.cost import Counter
from reverie.export.polynomials import Walk


@pytest.fixture
def small(monkeypatch: Any) -> None:
    """The same operators at sizes that take no time."""
    monkeypatch.setattr(ceiling_graphs, "GEMMS", ((4, 64, 32),))
    convolutions = ((1, 8, 8, (6, 5), (3, 3)), (1, 8, 4, (3, 6, 5), (3, 1, 1)))
    monkeypatch.setattr(ceiling_graphs, "CONVOLUTIONS", convolutions)
    monkeypatch.setattr(ceiling_graphs, "ATTENTIONS", ((2, 6, 5, 8),))
    monkeypatch.setattr(ceiling_graphs, "ELEMENTS", 4096)
    monkeypatch.setattr(ceilings, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(ceilings, "MEMORY_BYTES", 2**16)


@pytest.mark.usefixtures("small")
def test_every_graph_runs_and_computes_what_it_says(tmp_path: Path) -> None:
    cases = list(ceiling_graphs.processor_cases())
    assert {case.kind for case in cases} == {"gemm", "convolution", "attention", "elementwise"}
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        model, given = case.build()
        ceiling_graphs.save(model, tmp_path / "one.onnx")
        with OrtEngine(tmp_path / "one.onnx", Device("cpu"), 1) as engine:
            made = engine.run(given)["y"]
        assert made.size, case.name
        walk = Walk(model, tmp_path)
        known = walk.at({})
        counted = list(Counter(model, known, on_cpu=True, fused=False).nodes(known))
        assert sum(node.flops for node in counted) == case.flops, case.name
        moved = sum(node.bytes for node in counted)
        assert case.bytes == pytest.approx(moved, rel=0.2), case.name


@pytest.mark.usefixtures("small")
def test_graphs_of_gpus_are_whole() -> None:
    import onnx

    precisions = set()
    for case in ceiling_graphs.gpu_cases():
        if "8192x8192" in case.size:
            continue  # its weights alone are 128 MiB
        model, given = case.build()
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        kinds = {array.dtype for array in given.values()}
        precisions.add(case.precision)
        assert kinds == {np.dtype(np.float16 if case.precision == "fp16" else np.float32)}
    assert precisions == {"fp16", "bf16", "fp32"}


@pytest.mark.usefixtures("small")
def test_what_a_gpu_runs_stays_on_its_device(tmp_path: Path) -> None:
    case = next(case for case in ceiling_graphs.processor_cases() if case.operator == "MatMul")
    model, given = case.build()
    ceiling_graphs.save(model, tmp_path / "one.onnx")
    with OrtEngine(tmp_path / "one.onnx", Device("cpu"), 1) as engine:
        assert len(ceilings.timed(ceilings._bound(engine, given), 3)) >= 3


@pytest.mark.usefixtures("small")
def test_a_record_is_written(tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "made.json"
    words = ["--name", "try", "--threads", "1,2", "--repeat", "2", "--json", str(target)]
    assert ceilings.main(words) == 0
    made = json.loads(target.read_text())
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(record.schema()).validate(made)
    assert made["command"][:3] == ["python", "-m", "reverie.benchmarks.ceilings"]
    assert {row["threads"] for row in made["rows"]} == {1, 2}
    assert len({row["id"] for row in made["rows"]}) == len(made["rows"])
    for row in made["rows"]:
        samples = row["phases"]["run"]["samples"]
        assert len(samples) >= 2
        work = row["bytes"] if row["unit"] == "B/s" else row["flops"]
        # Samples are written to microseconds.
        assert row["best"] == pytest.approx(work / max(min(samples), 1e-9), rel=0.5)
    assert {"memory", "gemm"} <= {row["kind"] for row in made["rows"]}
    assert made["notes"] == []
    assert "GFLOP/s" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_what_has_no_kernel_is_left_out_with_its_reason(tmp_path: Path, monkeypatch: Any) -> None:
    def refused(*given: Any) -> Any:
        raise EngineError("there is no kernel\nof that")

    monkeypatch.setattr(ceilings, "measure_case", refused)
    target = tmp_path / "made.json"
    only = ["--only", "convolution"]
    assert ceilings.main(["--name", "x", "--threads", "1", "--json", str(target), *only]) == 0
    made = json.loads(target.read_text())
    assert made["rows"] == []
    assert len(made["notes"]) == 4
    assert all(note.endswith("there is no kernel") for note in made["notes"])


def test_without_onnx_the_pip_line_is_told(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert ceilings.main(["--name", "x", "--json", str(tmp_path / "x.json")]) == 7
    assert "pip install 'reverie[export]'" in capsys.readouterr().err
