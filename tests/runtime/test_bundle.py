from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.errors import BundleError
from reverie.runtime.bundle import embedded_models, load_bundle


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_the_embedded_bundle_is_whole() -> None:
    assert "ember" in embedded_models()
    bundle = load_bundle("ember")
    bundle.verify()
    assert bundle.family == "ember"
    for component in bundle.components.values():
        assert component.license
        assert component.source
    total = sum(c.graph.bytes + sum(d.bytes for d in c.data) for c in bundle.components.values())
    assert total <= 36 * 2**20


def test_ports_in_the_manifest_are_those_of_the_graphs() -> None:
    bundle = load_bundle("ember")
    for name in bundle.components:
        entry = bundle.manifest["components"][name]
        with bundle.open(name, device="cpu") as engine:
            assert [(p.name, str(p.dtype)) for p in engine.inputs] == [
                (p["name"], p["dtype"]) for p in entry["inputs"]
            ]
            assert [p.name for p in engine.outputs] == [p["name"] for p in entry["outputs"]]


def test_unknown_models_list_the_known_ones() -> None:
    with pytest.raises(BundleError, match="'amber' is not known: use ember"):
        load_bundle("amber")


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle: it has no bundle\.json"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("variants", [[], "int8", 5, None, {"int8": 5}])
def test_variants_of_a_wrong_type_are_told(toy_bundle: Path, variants: Any) -> None:
    edit(toy_bundle, lambda m: m["components"]["maps"].update(variants=variants))
    with pytest.raises(BundleError, match=r"components\.maps\.variants must be an object"):
        load_bundle(toy_bundle)


@pytest.mark.parametrize(
    "text", ["", "{", "\x00", "[]", "null", '{"format": 2}', '{"format": 1}', "[" * 100_000]
)
def test_a_broken_manifest_is_one_line(toy_bundle: Path, text: str) -> None:
    (toy_bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json") as caught:
        load_bundle(toy_bundle)
    assert "\n" not in str(caught.value)


def test_a_binary_manifest_is_one_line(toy_bundle: Path) -> None:
    (toy_bundle / "bundle.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BundleError, match="no valid JSON"):
        load_bundle(toy_bundle)


def test_a_cut_file_fails_the_size_check(toy_bundle: Path) -> None:
    path = toy_bundle / "maps.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BundleError, match=r"maps\.onnx .*size check"):
        load_bundle(toy_bundle).path("maps")


def test_a_changed_byte_fails_the_hash_check(toy_bundle: Path) -> None:
    path = toy_bundle / "denoiser.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    bundle = load_bundle(toy_bundle)
    with pytest.raises(BundleError, match=r"denoiser\.onnx .*sha256 check"):
        bundle.open("denoiser")
    with pytest.raises(BundleError, match=r"denoiser\.onnx .*sha256 check"):
        bundle.verify()


def test_a_missing_file_is_named(toy_bundle: Path) -> None:
    (toy_bundle / "faces.onnx").unlink()
    with pytest.raises(BundleError, match=r"faces\.onnx is missing"):
        load_bundle(toy_bundle).path("faces")


def test_a_missing_component_is_named(toy_bundle: Path) -> None:
    edit(toy_bundle, lambda m: m["components"].pop("denoiser"))
    with pytest.raises(BundleError, match="component 'denoiser' is missing"):
        load_bundle(toy_bundle).open("denoiser")


@pytest.mark.parametrize("file", ["../maps.onnx", "/etc/passwd", "a/../../x", "c:\\x", "..\\x"])
def test_files_outside_the_bundle_are_refused(toy_bundle: Path, file: str) -> None:
    edit(toy_bundle, lambda m: m["components"]["maps"].update(file=file))
    with pytest.raises(BundleError, match="outside the bundle"):
        load_bundle(toy_bundle)


@pytest.mark.parametrize("key", ["family", "name", "version", "components"])
def test_a_missing_entry_is_named(toy_bundle: Path, key: str) -> None:
    edit(toy_bundle, lambda m: m.pop(key))
    with pytest.raises(BundleError, match=f"'{key}' is missing"):
        load_bundle(toy_bundle)
