"""What becomes of each network of a bundle when engines are made, with pretended builds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import BuildProgress, BuildRequest, Built, Refused
from reverie.engines.cache import EngineCache
from reverie.engines.errors import BundleError, EngineError, SettingsError
from reverie.runtime import making
from reverie.runtime.bundle import load_bundle
from reverie.runtime.making import Made, Making, Place, make_engines
from reverie.runtime.targets import Target

HERE = Target(ARCHITECTURES["sm86"], True)


class Pretended:
    """Takes the place of `build_engine`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.failing: set[str] = set()
        self.asked: list[BuildRequest] = []

    def __call__(
        self,
        request: BuildRequest,
        out: Path,
        *,
        on_progress: Callable[[BuildProgress], None],
        memory: int | None,
    ) -> Built:
        self.asked.append(request)
        on_progress(BuildProgress("compile", "", 0, 0, 0.1, None, 1000))
        if request.precision in self.refused:
            raise Refused(f"{request.graph.name}: no {request.precision}")
        if request.precision in self.failing:
            raise EngineError("killed")
        out.write_bytes(b"engine")
        return Built(1.5, 1000, 6, "1")


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    made = Pretended()
    monkeypatch.setattr(making, "build_engine", made)
    return made


@pytest.fixture
def variants(toy_bundle: Path) -> Path:
    """A bundle whose denoiser is there in fp16, int8 and int4, which are the same files."""
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    entry = manifest["components"]["denoiser"]
    plain = {key: entry[key] for key in ("file", "bytes", "sha256")}
    entry["variants"] = {name: plain | {"precision": name} for name in ("int8", "int4")}
    path.write_text(json.dumps(manifest))
    return toy_bundle


def made(folder: Path, cache: Path, **asked: Any) -> list[Made]:
    settings = {"targets": (HERE,), "components": ("denoiser",)} | asked
    return list(make_engines(Making(load_bundle(folder), **settings), EngineCache(cache)))


def test_the_next_precision_is_built_where_the_library_refuses_one(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    pretended.refused = {"fp16"}
    (row,) = made(variants, tmp_path / "cache")
    assert (row.status, row.precision) == ("built", "int8")
    assert row.why == "fp16 was refused: denoiser.onnx: no fp16"
    assert (row.seconds, row.peak_bytes, row.engine_bytes) == (1.5, 1000, 6)
    assert [request.precision for request in pretended.asked] == ["fp16", "int8"]


def test_a_network_that_is_refused_in_all_of_them(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    pretended.refused = {"fp16", "int8", "int4", "fp32"}
    (row,) = made(variants, tmp_path / "cache")
    assert (row.status, row.why) == ("refused", "denoiser.onnx: no int4")
    rows = {row.component: row for row in made(variants, tmp_path / "cache", components=None)}
    assert {row.status for row in rows.values()} == {"left"}


def test_what_fails_for_another_reason_is_not_tried_in_another_precision(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    pretended.failing = {"fp16"}
    (row,) = made(variants, tmp_path / "cache")
    assert (row.status, row.why) == ("refused", "killed")
    assert len(pretended.asked) == 1


def test_a_precision_that_was_asked_for_stays(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    (row,) = made(variants, tmp_path / "cache", precision="int8")
    assert (row.status, row.precision, row.why) == ("built", "int8", "as asked")
    pretended.refused = {"int4"}
    (row,) = made(variants, tmp_path / "cache", precision="int4")
    assert (row.status, row.why) == ("refused", "denoiser.onnx: no int4")
    turing = (Target(ARCHITECTURES["sm75"], True),)
    (row,) = made(variants, tmp_path / "cache", precision="int4", targets=turing)
    assert row.status == "refused"
    assert row.why == "TensorRT-RTX refuses weights of 4 bits on sm75: use fp16 or int8"
    with pytest.raises(BundleError, match="not there in fp8, only in fp16, int8, int4"):
        made(variants, tmp_path / "cache", precision="fp8")


def test_networks_without_the_precision_are_built_in_their_own(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    rows = made(variants, tmp_path / "cache", precision="int8", components=("maps", "denoiser"))
    assert [(row.component, row.precision) for row in rows] == [
        ("maps", "fp32"),
        ("denoiser", "int8"),
    ]
    assert rows[0].why == "it is not there in int8; the only one it is there in"


def test_what_is_there_is_not_built_again(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    (first,) = made(variants, tmp_path / "cache")
    (second,) = made(variants, tmp_path / "cache")
    assert (first.status, second.status) == ("built", "cached")
    assert first.path == second.path
    (streamed,) = made(variants, tmp_path / "cache", weight_streaming=True)
    assert streamed.status == "built"
    assert streamed.path != first.path
    (larger,) = made(variants, tmp_path / "cache", aspect="1:1")
    assert larger.path != first.path


def test_little_memory_of_the_gpu_makes_weights_stream(
    variants: Path, tmp_path: Path, pretended: Pretended
) -> None:
    (row,) = made(variants, tmp_path / "cache", memory=1000)
    assert (row.status, row.weight_streaming) == ("built", True)
    assert pretended.asked[0].weight_streaming


def test_little_memory_to_build_with(variants: Path, tmp_path: Path, pretended: Pretended) -> None:
    (row,) = made(variants, tmp_path / "cache", ram=1000, precision="int8")
    assert row.status == "refused"
    assert "building it in int8 takes up to 4" in row.why
    assert not pretended.asked


def test_progress_names_the_engine(variants: Path, tmp_path: Path, pretended: Pretended) -> None:
    seen: list[tuple[Place, str]] = []
    asked = Making(load_bundle(variants), (HERE,), components=("maps", "denoiser", "maps"))
    rows = list(
        make_engines(
            asked,
            EngineCache(tmp_path / "cache"),
            on_build=lambda place, progress: seen.append((place, progress.phase)),
        )
    )
    assert len(rows) == 2
    assert seen == [
        (Place(1, 2, "maps", "fp32", "sm86"), "compile"),
        (Place(2, 2, "denoiser", "fp16", "sm86"), "compile"),
    ]


def test_an_unknown_component(variants: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no component 'unet': use "):
        made(variants, tmp_path / "cache", components=("unet",))


def test_facts_are_plain(variants: Path, tmp_path: Path, pretended: Pretended) -> None:
    (row,) = made(variants, tmp_path / "cache")
    assert json.loads(json.dumps(row.facts()))["status"] == "built"


def test_an_engine_for_several_shapes_takes_them_all_in(
    variants: Path, pretended: Pretended, tmp_path: Path
) -> None:
    bundle, cache = load_bundle(variants), EngineCache(tmp_path / "engines")

    def profile(aspect: str) -> Any:
        pretended.asked.clear()
        asked = Making(bundle, (HERE,), components=("denoiser",), aspect=aspect, height=240)
        assert [row.status for row in make_engines(asked, cache)] == ["built"]
        return pretended.asked[0].profile

    wide, tall, both = (profile(aspect) for aspect in ("16:9", "9:16", "16:9, 9:16"))
    for name, (low, best, high) in both.items():
        pairs = zip(wide[name][1], tall[name][1], strict=True)
        assert low == tuple(min(pair) for pair in pairs)
        pairs = zip(wide[name][1], tall[name][1], strict=True)
        assert high == tuple(max(pair) for pair in pairs)
        assert best in (wide[name][1], tall[name][1])
    assert wide != tall
    with pytest.raises(SettingsError, match="aspect"):
        profile("16:9,wide")
