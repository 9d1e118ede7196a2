"""Calibration: ranges that numpy finds too, and records that survive whatever happens to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from reverie.engines.engine import Engine, open_engine
from reverie.engines.errors import OutputError, SettingsError
from reverie.export import calibrate as calibrating
from reverie.export import ranges
from reverie.export.calibrate import Calibration, calibrate
from reverie.export.ranges import Tally
from reverie.export.samples import drawn_picture, sample_photos
from reverie.export.trial import Trial, plan_trials
from reverie.export.watch import Point, add_watch
from reverie.runtime.bundle import Bundle, load_bundle

PHOTOS = [drawn_picture(seed, (96, 128)) for seed in range(3)]


@pytest.fixture
def bundle(toy_bundle: Path) -> Bundle:
    """Ember's toy: `denoiser` has one convolution, `people` one product."""
    return load_bundle(toy_bundle)


def run(bundle: Bundle, **options: Any) -> Calibration:
    return calibrate(bundle, **{"photos": PHOTOS, "components": ["people", "denoiser"]} | options)


def same(one: Calibration, other: Calibration) -> bool:
    def plain(found: Calibration) -> Any:
        return {
            name: {
                value: (
                    r.absmax,
                    r.upper,
                    None if r.channel_absmax is None else [*r.channel_absmax],
                )
                for value, r in rows.items()
            }
            for name, rows in found.items()
        }

    return bool(plain(one) == plain(other))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the trials that are rendered from here on."""
    rendered, frames = [], Trial.frames

    def count(self: Trial, *arguments: Any) -> Any:
        rendered.append(self.key)
        return frames(self, *arguments)

    monkeypatch.setattr(Trial, "frames", count)
    return rendered


def test_ranges_are_those_of_the_values(bundle: Bundle) -> None:
    found = run(bundle, components=None)
    assert set(found) == {"people", "denoiser"}
    people, latents = (next(iter(found[name].values())) for name in ("people", "denoiser"))
    seen: dict[str, list[np.ndarray]] = {"image": [], "latents": []}

    def opener(name: str, /, *, device: Any, threads: Any) -> Engine:
        engine = bundle.open_plainly(name, device=device, threads=threads)
        plain = engine.run

        def note(inputs: Any) -> Any:
            for value in seen:
                if name in ("people", "denoiser") and value in inputs:
                    seen[value].append(np.array(inputs[value]))
            return plain(inputs)

        engine.run = note  # type: ignore[method-assign]
        return engine

    for trial in plan_trials(bundle, PHOTOS):
        trial.frames(replace(bundle, opener=opener), "cpu")
    for one, name, axes in ((people, "image", (0, 1, 2)), (latents, "latents", (0, 2, 3))):
        values = seen[name]
        channels = np.max([np.abs(value).max(axis=axes) for value in values], axis=0)
        np.testing.assert_allclose(one.channel_absmax, channels, rtol=1e-6)
        assert one.absmax == pytest.approx(channels.max(), rel=1e-6)
        exact = np.quantile(np.concatenate([np.abs(v).reshape(-1) for v in values]), 0.9999)
        assert 0.95 * exact <= one.upper <= one.absmax


@pytest.mark.parametrize("sent", [KeyboardInterrupt, RuntimeError])
def test_a_run_goes_on_where_it_was_stopped(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: type[BaseException]
) -> None:
    whole = run(bundle, folder=tmp_path / "whole")
    save = ranges.Record.save
    saved = 0

    def stop(self: ranges.Record) -> None:
        nonlocal saved
        saved += 1
        if saved == 4:  # the second photo's first component is down, its second is not
            raise sent
        save(self)

    monkeypatch.setattr(ranges.Record, "save", stop)
    with pytest.raises(sent):
        run(bundle)
    monkeypatch.setattr(ranges.Record, "save", save)
    rendered = counted(monkeypatch)
    assert same(run(bundle), whole)
    assert len(rendered) == 2
    assert same(run(bundle), whole)
    assert len(rendered) == 2
    assert same(calibrate(bundle, components=["people", "denoiser"]), whole)
    assert len(rendered) == 2
    assert not list(bundle.folder.rglob("*.part"))


def test_other_photos_begin_anew_and_more_go_on(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bundle, photos=PHOTOS[:2])
    rendered = counted(monkeypatch)
    more = run(bundle)
    assert len(rendered) == 1
    others = run(bundle, photos=[PHOTOS[2], PHOTOS[0]])
    assert len(rendered) == 3
    assert not same(more, others)
    assert same(run(bundle), more)


def damage_text(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_text(path.read_text()[:-40])


def damage_numbers(folder: Path) -> None:
    for path in folder.glob("*.npz"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


def remove_numbers(folder: Path) -> None:
    for path in folder.glob("*.npz"):
        path.unlink()


def say_otherwise(folder: Path) -> None:
    for path in folder.glob("*.json"):
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | {"done": None, "widths": []}))


def other_graph(folder: Path) -> None:
    """The same record, of a graph that has changed since."""
    path = folder.parent / "bundle.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["components"].values():
        graph = onnx.load(path.parent / entry["file"])
        graph.doc_string = "another"
        onnx.save(graph, path.parent / entry["file"])
        entry["bytes"] = (path.parent / entry["file"]).stat().st_size
        entry["sha256"] = calibrating_hash(path.parent / entry["file"])
    path.write_text(json.dumps(manifest))


def calibrating_hash(path: Path) -> str:
    from reverie.runtime.bundle import hash_file

    return hash_file(path)


@pytest.mark.parametrize(
    "damage", [damage_text, damage_numbers, remove_numbers, say_otherwise, other_graph]
)
def test_a_record_that_is_not_whole_is_made_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    whole = run(bundle)
    damage(bundle.folder / calibrating.FOLDER)
    rendered = counted(monkeypatch)
    assert same(run(load_bundle(bundle.folder)), whole)
    assert len(rendered) == len(PHOTOS)


def test_weights_that_changed_are_another_network(bundle: Bundle, tmp_path: Path) -> None:
    points = [Point("x", ("n",), 4, None)]
    component = bundle.component("people")
    record = ranges.Record(tmp_path, component, Tally.empty(points), ["run"], True)
    record.save()
    assert ranges.open_record(tmp_path, component, points).finished
    data = replace(component.graph, sha256="0" * 64)
    assert not ranges.open_record(tmp_path, replace(component, data=(data,)), points).finished


def test_a_percentile_is_close_and_never_below() -> None:
    random = np.random.default_rng(0)
    tally = Tally.empty([Point("x", ("n",), 2, None), Point("nothing", ("n",), 2, None)])
    values = [random.laplace(size=8192).astype(np.float32) for _ in range(30)]
    for value in values:
        channels = np.abs(value.reshape(-1, 2)).max(axis=0)
        tally.add(0, channels, value)
    found = tally.ranges()
    assert set(found) == {"x"}
    size = np.sort(np.abs(np.concatenate(values)))
    exact = size[int(np.ceil(0.9999 * size.size)) - 1]
    assert exact * (1 - 1e-6) <= found["x"].upper <= exact * 2 ** (1 / 64) * (1 + 1e-6)
    assert found["x"].absmax == size[-1]
    zeros = Tally.empty([Point("x", ("n",), None, None)])
    zeros.add(0, np.zeros(1, np.float32), np.zeros(5, np.float32))
    assert (zeros.ranges()["x"].absmax, zeros.ranges()["x"].upper) == (0.0, 0.0)


def test_tallies_of_two_runs_merge() -> None:
    points = [Point("x", ("n",), 2, None)]
    one, other, both = (Tally.empty(points) for _ in range(3))
    for tally, value in ((one, [1.0, -2.0]), (other, [0.5, 4.0])):
        sample = np.array(value, np.float32)
        for each in (tally, both):
            each.add(0, np.abs(sample), sample)
    one.merge(other)
    assert one.ranges() == both.ranges()
    assert [*one.ranges()["x"].channel_absmax] == [1.0, 4.0]  # type: ignore[misc]


def test_what_cannot_be_done_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no component 'unet'") as told:
        run(bundle, components=["unet"])
    assert "\n" not in str(told.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        run(bundle, folder=tmp_path / "file")
    with pytest.raises(SettingsError, match="no_such"):
        run(bundle, settings={"no_such": 1})


def test_a_model_that_reads_prompts_needs_one(video_bundle: Path) -> None:
    bundle = load_bundle(video_bundle)
    manifest = {**bundle.manifest, "prompts": {}}
    components = {k: v for k, v in bundle.components.items() if k != "text_encoder"}
    with pytest.raises(SettingsError, match="neither baked prompts nor a text encoder"):
        plan_trials(replace(bundle, manifest=manifest, components=components), PHOTOS)


def test_every_networks_ranges_of_a_video_model(video_bundle: Path) -> None:
    """Its text encoder reads prompts, its decoder runs on what the loop gave."""
    bundle = load_bundle(video_bundle)
    trials = plan_trials(bundle, PHOTOS[:1])
    assert trials[0].prompt
    found = calibrate(bundle, photos=PHOTOS[:1], steps=2)
    assert set(found) <= set(bundle.components)


def test_the_photos_that_come_along_can_be_used() -> None:
    assert len(sample_photos()) >= 6
    assert all(Path(photo).is_file() for photo in sample_photos())


def test_drawn_pictures_are_pictures() -> None:
    picture = drawn_picture(4)
    assert picture.shape == (320, 480, 3)
    assert picture.std() > 30
    np.testing.assert_array_equal(picture, drawn_picture(4))
    assert (picture != drawn_picture(5)).any()


def test_large_weights_beside_the_graph_stay_where_they_are(tmp_path: Path) -> None:
    """A watched copy finds external weights, and leaves nothing behind."""
    from reverie.export.scratch import open_model

    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    from reverie.runtime.bundle import Component, DataFile

    data = DataFile("net.onnx.data", path.with_name("net.onnx.data").stat().st_size, "")
    component = Component("net", DataFile("net.onnx", path.stat().st_size, ""), (data,))
    bundle = Bundle(tmp_path, "none", "none", "1", {"net": component}, {})
    (tmp_path / ".net.999999999.onnx").write_bytes(b"of a process that was killed")
    x = np.ones((1, 3), np.float32)
    with open_model(bundle, "net", calibrating.load_graph(path)) as engine:
        np.testing.assert_array_equal(engine.run({"x": x})["y"], x @ weight)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    with open_engine(path, device="cpu") as engine:
        np.testing.assert_array_equal(engine.run({"x": x})["y"], x @ weight)


def test_nothing_is_run_that_nothing_needs(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once what is to be watched has run, no other network is opened any more."""
    opened: list[str] = []
    plainly = Bundle.open_plainly

    def note(self: Bundle, name: str, **options: Any) -> Engine:
        opened.append(name)
        return plainly(self, name, **options)

    monkeypatch.setattr(Bundle, "open_plainly", note)
    assert set(run(bundle, photos=PHOTOS[:1], components=["people"])) == {"people"}
    assert opened == ["faces", "subject", "depth"]


def test_the_graph_for_processors_has_every_activation(
    tmp_path: Path, family: Any, small: Any
) -> None:
    """A network in float16: what is watched in float32 are the values of the main graph."""
    from reverie.export import assemble
    from reverie.export.layers import find_layers

    assemble.export(small.source(tmp_path / "checkpoint"), tmp_path / "bundle", precision="fp16")
    found = load_bundle(tmp_path / "bundle")
    assert found.component("net").cpu is not None
    points = {point.name: point for point in calibrating._points(found, "net")}
    layers, _ = find_layers(calibrating.load_graph(found.path("net")).graph)
    assert layers
    for layer in layers:
        channels = layer.shape[layer.inner] * layer.groups
        assert {points[value].channels for value in layer.activations} == {channels}
    model = calibrating.load_graph(found.path("net", device="cpu"))
    assert [p.name for p in add_watch(model, points.values())] == list(points)
