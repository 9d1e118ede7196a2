"""The ember family's recipes, the toy bundle, and the bundle that ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from reverie.engines.errors import BundleError
from reverie.export import __main__ as command
from reverie.export import graph, pack, parity
from reverie.export.families import ember
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.denoise import denoise
from reverie.runtime.schedule import schedule_from_manifest

DATA = Path(__file__).resolve().parents[1] / "data"
HELPERS = ("depth", "people", "subject", "faces")


def toy_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_toy", DATA / "make_toy_bundles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def toy() -> Bundle:
    return load_bundle(DATA / "bundles" / "toy-ember")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ember's networks with random weights, none of them silent."""
    from reverie.export.training.checkpoint import save_checkpoint
    from reverie.export.training.denoiser import EmberDenoiser
    from reverie.export.training.maps import EmberMaps

    torch.manual_seed(0)
    networks = EmberMaps(), EmberDenoiser()
    for network in networks:
        for weight in network.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.02)
    path = tmp_path_factory.mktemp("training") / "ember.safetensors"
    save_checkpoint(path, *networks)
    return path


def test_embers_own_networks_go_the_whole_road(checkpoint: Path, tmp_path: Path) -> None:
    recipes = ember.own_recipes(checkpoint)
    assert [recipe.name for recipe in recipes] == ["maps", "denoiser"]
    entries = {recipe.name: pack.write_component(recipe, tmp_path) for recipe in recipes}
    for entry in entries.values():
        for figures in entry["parity"]["outputs"].values():
            assert figures["relative_l2"] < 5e-3
            assert figures["range"] > 0
    assert sum(entry["bytes"] for entry in entries.values()) <= 12 * 2**20
    features = entries["maps"]["outputs"][3]
    assert features["name"] == "features"
    assert features["shape"] == entries["denoiser"]["inputs"][2]["shape"]
    assert entries["denoiser"]["outputs"][0]["shape"][1] == ember.LATENTS["channels"]


def test_the_schedule_that_ships_is_the_one_the_training_samples_with() -> None:
    from reverie.export.training.denoiser import noise_levels

    schedule = schedule_from_manifest(ember.SCHEDULE)
    np.testing.assert_allclose(schedule.noise_levels, noise_levels(schedule.steps))
    np.testing.assert_array_equal(schedule.timesteps, schedule.noise_levels[:-1])


def test_the_bundle_that_ships_agrees_with_its_originals() -> None:
    bundle = load_bundle("ember")
    for name in HELPERS:
        entry = bundle.manifest["components"][name]
        for output, figures in entry["parity"]["outputs"].items():
            assert figures["relative_l2"] < 1e-2, (name, output)
        assert (bundle.folder / entry["license_file"]).read_text().count("\n") > 20
        assert entry["license_file"] in bundle.manifest["files"]
    if "maps" in bundle.components:
        own = bundle.components["maps"].graph.bytes + bundle.components["denoiser"].graph.bytes
        assert own <= 12 * 2**20


def test_the_toy_is_as_its_script_makes_it(toy: Bundle, tmp_path: Path) -> None:
    recipes = toy_maker().recipes()
    assert [recipe.name for recipe in recipes] == list(toy.components)
    assert set(toy.components) == {"maps", "denoiser", *HELPERS}
    for recipe in recipes:
        entry = toy.manifest["components"][recipe.name]
        assert [port["name"] for port in entry["inputs"]] == list(recipe.examples)
        assert {port["name"]: tuple(port["shape"]) for port in entry["outputs"]} == recipe.outputs
        assert entry["precision"] == recipe.precision
    assert toy.manifest["motion"] == ember.motion_section()
    assert toy.manifest["latents"] == ember.LATENTS

    people = next(recipe for recipe in recipes if recipe.name == "people")
    fresh = pack.write_component(people, tmp_path)
    for key in ("inputs", "outputs", "precision", "license"):
        assert fresh[key] == toy.manifest["components"]["people"][key]


def test_the_toy_has_the_interfaces_of_the_bundle_that_ships(toy: Bundle) -> None:
    real = load_bundle("ember")
    toy.verify()
    assert sum(path.stat().st_size for path in toy.folder.rglob("*.*")) < 300_000
    for name in real.components:
        for key in ("inputs", "outputs"):
            theirs, ours = (b.manifest["components"][name][key] for b in (real, toy))
            assert [p["name"] for p in ours] == [p["name"] for p in theirs]
            assert [p["dtype"] for p in ours] == [p["dtype"] for p in theirs]
            if name in HELPERS:
                assert ours == theirs


def test_the_toy_moves_leaves_and_lets_walls_stand(toy: Bundle) -> None:
    image = np.full((1, 3, 64, 96), 0.5, np.float32)
    image[:, :, :, :48] = np.array([0.2, 0.6, 0.1], np.float32)[:, None, None]
    with toy.open("maps", device="cpu") as engine:
        maps = engine.run({"image": image})
    np.testing.assert_allclose(maps["classes"].sum(1), 1.0, atol=1e-5)
    assert maps["amplitude"].shape == (1, 8, 32, 48)
    assert maps["classes"][0, 1, :, :24].min() > 0.9
    assert maps["classes"][0, 0, :, 24:].min() > 0.5
    assert maps["amplitude"][..., :24].mean() > 2 * maps["amplitude"][..., 24:].mean()

    schedule = schedule_from_manifest(toy.section("schedule"))
    with toy.open("denoiser", device="cpu") as engine:

        def step(latents: np.ndarray, timestep: float) -> np.ndarray:
            level = np.array([timestep], np.float32)
            given = {"latents": latents, "noise_level": level, "features": maps["features"]}
            return engine.run(given)["velocity"]

        results = []
        for seed in (0, 1):
            noise = np.random.default_rng(seed).standard_normal((1, 34, 8, 12), np.float32)
            results.append(denoise(step, noise, schedule))
    assert all(np.isfinite(result).all() for result in results)
    assert np.abs(results[0] - results[1]).mean() > 0.05


def test_the_toy_finds_no_face(toy: Bundle) -> None:
    with toy.open("faces", device="cpu") as engine:
        found = engine.run({"input": np.full((1, 3, 640, 640), 255, np.float32)})
    for stride in (8, 16, 32):
        score = np.sqrt(found[f"cls_{stride}"] * found[f"obj_{stride}"])
        assert score.max() < 0.1


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = command.main(["ember", "--models", str(tmp_path), "--out", str(out)])
    said = capsys.readouterr().err
    assert code == 1
    assert "fastdepth_7.onnx" in said
    assert said.count("\n") == 1
    assert not (out / "bundle.json").exists()


def test_the_command_writes_a_bundle(
    toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = toy_maker()
    recipes = [recipe for recipe in maker.recipes() if recipe.name in ("people", "depth")]
    monkeypatch.setattr(ember, "helper_recipes", lambda models: recipes)
    monkeypatch.setattr(ember, "EMBEDDED", toy.folder)
    card = tmp_path / "card.md"
    card.write_text("What it was trained on.\n")
    out = tmp_path / "out"
    given = ["ember", "--models", str(tmp_path), "--out", str(out), "--card", str(card)]
    assert command.main(given) == 0
    assert capsys.readouterr().out.strip() == str(out / "bundle.json")
    bundle = load_bundle(out)
    bundle.verify()
    assert set(bundle.components) == {"people", "depth"}
    assert (out / "MODEL_CARD.md").read_text() == card.read_text()
    assert "MODEL_CARD.md" in bundle.manifest["files"]


def test_the_command_reports_a_graph_that_disagrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise BundleError("people: logits differs from its original; the export is wrong")

    monkeypatch.setattr(ember, "export", refuse)
    code = command.main(["ember", "--models", str(tmp_path), "--out", str(tmp_path / "out")])
    assert code == BundleError.exit_code
    assert capsys.readouterr().err.startswith("export: people")


def test_ready_parity_compares_with_the_file(toy: Bundle, tmp_path: Path) -> None:
    """The toy's own people network, taken over as if it were somebody else's."""
    recipe = ember.ReadyRecipe(
        name="people",
        file=toy.path("people"),
        inputs={"image": "image"},
        outputs={"logits": "logits"},
        precision="fp32",
        origin=ember.DENOISER_ORIGIN,
    )
    pack.write_graph(graph.take_over(recipe), tmp_path / "people.onnx")
    figures = parity.ready_parity(recipe, tmp_path / "people.onnx")
    assert figures["outputs"]["logits"]["max_abs"] == 0.0
    assert figures["outputs"]["logits"]["range"] > 1.0
