"""Whole exports of a small checkpoint: what comes out, going on after a stop, and faults."""

from __future__ import annotations

import errno
import json
import os
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from reverie.engines.errors import BundleError, OutputError, SettingsError
from reverie.export import assemble, stream, widen
from reverie.runtime.bundle import load_bundle
from safetensors.torch import save_file

LIMITS = {"fp32": 1e-6, "fp16": 2e-3, "bf16": 2e-2}

pytestmark = pytest.mark.usefixtures("family")


@pytest.mark.parametrize("precision", LIMITS)
def test_a_bundle_says_what_its_checkpoint_says(
    precision: Any, small: SimpleNamespace, tmp_path: Path
) -> None:
    source = small.source(tmp_path / "from")
    told: list[tuple[str, int, int]] = []
    manifest = assemble.export(
        source, tmp_path / "to", precision=precision, on_progress=lambda *a: told.append(a)
    )
    assert manifest == tmp_path / "to" / "bundle.json"
    bundle = load_bundle(tmp_path / "to")
    bundle.verify()
    assert (bundle.family, bundle.manifest["license"]) == ("small", "MIT")
    assert bundle.section("latents") == {"channels": 4}
    assert bundle.section("source") == {
        "origin": "made", "revision": None, "license": "MIT", "loras": [],
    }  # fmt: skip
    assert list(bundle.section("files")) == ["licences/LICENSE"]
    entry = bundle.section("components")["net"]
    assert {port["name"]: (port["dtype"], port["shape"]) for port in entry["inputs"]} == {
        "tokens": ("int64", [1, "length"]),
        "level": ("float32", [1]),
        "x": ("float32", [1, "length", 24]),
    }
    assert entry["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [1, "length", 32]}]
    assert set(entry["kept_fp32"]) == (set() if precision == "fp32" else {"last"})
    for length in (5, 12):
        reference = small.reference(small.tensors(), length)
        with bundle.open("net", device="cpu") as engine:
            given = {name: value.numpy() for name, value in small.examples(length).items()}
            ours = engine.run(given)["logits"]
        assert ours.dtype == np.float32
        assert small.relative(ours, reference) < LIMITS[precision]
    if precision == "fp16":  # what a GPU runs
        graph = bundle.path("net", device="cuda")
        assert small.relative(small.run(graph), small.reference(small.tensors())) < 2e-3
    assert told[0][0] == "net: tracing"
    assert told[-1][0] == "net: weights"
    assert told[-1][1] == told[-1][2]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert not list((tmp_path / "to").rglob("*.part"))


def test_many_weights_are_widened_one_by_one(
    small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widen, "_LARGE", 1)
    monkeypatch.setattr(widen.widen, "__kwdefaults__", {"lean_from": 1})
    assemble.export(small.source(tmp_path / "from"), tmp_path / "to", precision="bf16")
    path = load_bundle(tmp_path / "to").path("net", device="cpu")
    graph = onnx.load(path, load_external_data=False).graph
    assert {"network.mix.weight", "network.last.weight"} & {i.name for i in graph.input} or {
        i.name for i in graph.input
    } > {"tokens", "level", "x"}
    first = [node.op_type for node in graph.node][:4]
    assert first == ["Cast"] * 4
    assert small.relative(small.run(path), small.reference(small.tensors())) < LIMITS["bf16"]


def test_what_is_wrong_beside_the_weights_is_told_before_the_long_work(
    small: SimpleNamespace, tmp_path: Path, family: types.ModuleType
) -> None:
    def sections(source: Any) -> dict[str, Any]:
        raise BundleError("the scheduler is not known")

    family.sections = sections  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match="scheduler"):
        assemble.export(small.source(tmp_path / "from"), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_second_run_goes_on_where_the_first_stopped(
    small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = small.source(tmp_path / "from", "one", "two", "three"), tmp_path / "to"
    made: list[str] = []
    whole = assemble.export_component

    def watched(recipe: Any, *args: Any, **settings: Any) -> dict[str, Any]:
        if recipe.name == "two" and "two" not in made:
            made.append("two")
            (out / ".export" / "two.part").mkdir()
            raise KeyboardInterrupt
        made.append(recipe.name)
        return whole(recipe, *args, **settings)

    monkeypatch.setattr(assemble, "export_component", watched)
    with pytest.raises(KeyboardInterrupt):
        assemble.export(source, out)
    with pytest.raises(BundleError, match=r"no bundle"):
        load_bundle(out)
    assemble.export(source, out)
    assert made == ["one", "two", "two", "three"]
    assert list(load_bundle(out).components) == ["one", "two", "three"]
    assert not (out / ".export" / "two.part").exists()
    before = (out / "bundle.json").stat().st_mtime_ns
    assemble.export(source, out, components=["two"])
    assert made[4:] == []
    assert (out / "bundle.json").stat().st_mtime_ns >= before

    (out / "two.onnx.data").write_bytes(b"short")
    os.utime(tmp_path / "from" / "three" / "model.safetensors")
    assemble.export(source, out)
    assert made[4:] == ["two", "three"]
    load_bundle(out).verify()


def test_one_component_joins_what_is_there(small: SimpleNamespace, tmp_path: Path) -> None:
    source, out = small.source(tmp_path / "from", "one", "two"), tmp_path / "to"
    assemble.export(source, out, components=["one"], precision="fp32")
    assert list(load_bundle(out).components) == ["one"]
    assemble.export(source, out, components=["two"], precision="fp16")
    components = load_bundle(out).components
    assert {name: row.precision for name, row in components.items()} == {
        "one": "fp32",
        "two": "fp16",
    }
    with pytest.raises(SettingsError, match="no component 'tree': it has one, two"):
        assemble.export(source, out, components=["tree"])
    assert list(load_bundle(out).components) == ["one", "two"]


def test_another_checkpoint_leaves_nothing_of_the_first(
    small: SimpleNamespace, tmp_path: Path
) -> None:
    out = tmp_path / "to"
    assemble.export(small.source(tmp_path / "a", "one", "two"), out)
    assemble.export(small.source(tmp_path / "b", "two", state=small.tensors(1)), out)
    assert list(load_bundle(out).components) == ["two"]
    assert not list(out.glob("one*"))
    assert small.relative(small.run(out / "two.onnx"), small.reference(small.tensors(1))) < 2e-3


def spoiled(small: SimpleNamespace, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = small.tensors() | {name.replace("__", "."): t for name, t in changes.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"mix__bias": None}, r"net: the checkpoint has no tensor 'mix\.bias'"),
        ({"mix__weight": torch.zeros(3, 24)}, r"net: tensor 'mix\.weight' has shape \[3, 24\]"),
        ({"shift": torch.full((1, 24), torch.nan)}, r"net: tensor 'shift' holds NaN"),
        ({"mix__weight": torch.full((48, 24), 1e6)}, r"net: tensor 'mix\.weight' reaches 1e\+06"),
        ({"last__weight": torch.full((24, 48), 1e6)}, ""),
    ],
)
def test_a_broken_checkpoint_is_one_line(
    changes: dict[str, Any], line: str, small: SimpleNamespace, tmp_path: Path
) -> None:
    source = small.source(tmp_path / "from", state=spoiled(small, **changes))
    out = tmp_path / "to"
    if not line:  # what stays in float32 may be large
        assemble.export(source, out)
        return
    with pytest.raises(BundleError, match=f"^{line}") as caught:
        assemble.export(source, out)
    assert "\n" not in str(caught.value)
    assert [path.name for path in out.rglob("*")] == [".export"]


def test_a_module_that_cannot_be_traced_is_one_line(
    small: SimpleNamespace, family: types.ModuleType, tmp_path: Path
) -> None:
    class Branching(small.Net):  # type: ignore[misc,name-defined]
        def forward(self, tokens: Any, level: Any, x: Any) -> Any:
            return super().forward(tokens, level, x) if level.item() > 0 else x

    family.recipes = lambda source: [  # type: ignore[attr-defined]
        small.recipe(build=lambda: small.Wrapped(Branching()))
    ]
    with pytest.raises(BundleError, match=r"^net cannot be traced") as caught:
        assemble.export(small.source(tmp_path / "from"), tmp_path / "to")
    assert "\n" not in str(caught.value)


def test_a_component_that_needs_float32_has_it_and_says_why(
    small: SimpleNamespace, family: types.ModuleType, tmp_path: Path
) -> None:
    family.recipes = lambda source: [  # type: ignore[attr-defined]
        small.recipe(least_precision="fp32", why="it overflows")
    ]
    assemble.export(small.source(tmp_path / "from"), tmp_path / "to", precision="fp16")
    entry = load_bundle(tmp_path / "to").section("components")["net"]
    assert entry["precision"] == "fp32"
    assert entry["kept_fp32"] == {"*": {"reason": "it overflows"}}


def test_folders_with_other_things_are_left_alone(small: SimpleNamespace, tmp_path: Path) -> None:
    source = small.source(tmp_path / "from")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(SettingsError, match="holds other things"):
        assemble.export(source, tmp_path / "to")
    with pytest.raises(SettingsError, match="is a file"):
        assemble.export(source, tmp_path / "to" / "holiday.jpg")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["holiday.jpg"]


def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(
    small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = small.source(tmp_path / "from"), tmp_path / "to"
    blocks = stream.Stream.blocks

    def failing(self: stream.Stream, tensor: stream.Streamed) -> Any:
        yield next(iter(blocks(self, tensor)))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream.Stream, "blocks", failing)
    with pytest.raises(OutputError, match="the disk is full") as caught:
        assemble.export(source, out)
    assert "\n" not in str(caught.value)
    assert [path.name for path in out.rglob("*")] == [".export"]


def test_room_is_looked_for_ahead(
    small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = small.source(tmp_path / "from"), tmp_path / "to"
    monkeypatch.setattr(assemble.shutil, "disk_usage", lambda path: SimpleNamespace(free=5000))
    with pytest.raises(OutputError, match=r"has 0\.0 MB free"):
        assemble.export(source, out)
    assert not list(out.glob("*.json"))


def test_a_lora_is_fused_and_written_down(small: SimpleNamespace, tmp_path: Path) -> None:
    state = small.tensors()
    torch.manual_seed(3)
    down, up = torch.randn(2, 24), torch.randn(48, 2)
    save_file(
        {"transformer.mix.lora_A.weight": down, "transformer.mix.lora_B.weight": up},
        tmp_path / "few.safetensors",
    )
    source = small.source(tmp_path / "from", "transformer")
    out = tmp_path / "to"
    loras = [(tmp_path / "few.safetensors", 0.5)]
    assemble.export(source, out, precision="fp32")
    assemble.export(source, out, precision="fp32", loras=loras)
    fused = state | {"mix.weight": state["mix.weight"] + 0.5 * up @ down}
    ours = small.run(out / "transformer.onnx")
    assert small.relative(ours, small.reference(fused)) < 1e-6
    assert small.relative(ours, small.reference(state)) > 1e-2
    rows = load_bundle(out).section("source")["loras"]
    assert [(row["file"], row["scale"], len(row["sha256"])) for row in rows] == [
        ("few.safetensors", 0.5, 64)
    ]


def test_baked_prompts_stay_as_long_as_their_text_encoder(
    small: SimpleNamespace, tmp_path: Path
) -> None:
    source, out = small.source(tmp_path / "from", "text_encoder", "vae"), tmp_path / "to"
    assemble.export(source, out)
    (out / "prompts").mkdir()
    (out / "prompts" / "0a.npz").write_bytes(b"embeddings")
    manifest = json.loads((out / "bundle.json").read_text())
    manifest["prompts"] = {"0a": {"prompt": "a breeze"}}
    (out / "bundle.json").write_text(json.dumps(manifest))
    assemble.export(source, out, components=["vae"], precision="fp32")
    bundle = load_bundle(out)
    bundle.verify()
    assert bundle.section("prompts") == manifest["prompts"]
    assert "prompts/0a.npz" in bundle.section("files")
    assemble.export(source, out, components=["text_encoder"], precision="bf16")
    assert load_bundle(out).section("prompts") == {}
    assert not (out / "prompts").exists()
