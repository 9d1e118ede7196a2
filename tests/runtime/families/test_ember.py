from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import BundleError
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.families import ember
from reverie.runtime.frame import frame_photo
from reverie.runtime.photo import load_photo
from reverie.runtime.regions import Regions, carried

DATA = Path(__file__).resolve().parents[2] / "data"


def picture(name: str) -> np.ndarray:
    with Image.open(DATA / "photos" / f"{name}.jpg") as photo:
        return np.asarray(photo.convert("RGB"))


def empty_regions(height: int = 48, width: int = 64) -> Regions:
    people = np.zeros((height, width, 6), np.float32)
    people[..., 0] = 1
    zeros = np.zeros((height, width), np.float32)
    return Regions([], people, zeros, zeros)


@pytest.fixture(scope="module")
def toy() -> Bundle:
    return load_bundle(DATA / "bundles" / "toy-ember")


def test_what_was_found_goes_with_the_frame() -> None:
    photo = load_photo(picture("lake-sherburne"))
    regions = empty_regions()
    regions.people[..., 0] = 0
    regions.people[..., 4] = 1
    shot = frame_photo(photo, aspect="1:4", height=200, keep=regions.subject)
    on_frame = carried(regions, shot)
    np.testing.assert_allclose(on_frame.people.sum(-1), 1, atol=1e-5)
    assert shot.extended is not None
    assert on_frame.people[0, :, 0].min() == pytest.approx(1)  # nobody beyond the photo


def test_the_seed_is_the_wind(toy: Bundle) -> None:
    maps = ember.analyse(toy, picture("tea-gardens"), device="cpu")

    def wind(seed: int) -> np.ndarray:
        return ember.sample_latents(toy, maps.features, seed=seed, device="cpu")

    np.testing.assert_array_equal(wind(1), wind(1))
    assert np.abs(wind(1) - wind(2)).max() > 0.1


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), 16 / 9), ((720, 1280), 9 / 16), ((600, 600), 1.0), ((4000, 1000), 4.0)],
)
def test_the_maps_input_suits_the_picture(
    toy: Bundle, size: tuple[int, int], expected: float
) -> None:
    traits = ember.Traits.of(toy)
    width, height = ember.input_size(*size, traits)
    assert width % traits.multiple == height % traits.multiple == 0
    assert 0.75 < width * height / traits.area < 1.3
    assert width / height == pytest.approx(expected, rel=0.15)


def test_trained_sizes_are_kept(toy: Bundle) -> None:
    traits = ember.Traits.of(toy)
    assert ember.input_size(1080, 720, traits) == (288, 192)
    assert ember.input_size(720, 1080, traits) == (192, 288)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("latents", "channels", 30),
        ("latents", "channels", None),
        ("defaults", "motion", 0),
        ("defaults", "motion", "much"),
        ("motion", "frequencies", [9, "x"]),
        ("motion", "frequencies", None),
        ("motion", "classes", ["static"]),
        ("motion", "looks", []),
        ("motion", "looks", [9]),
        ("limits", "picture_area", -1),
        ("limits", "picture_multiple", 0),
    ],
)
def test_a_broken_manifest_names_the_entry(
    toy_bundle: Path, section: str, name: str, value: object
) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest[section][name] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=rf"bundle\.json: {section}\.{name} must be"):
        ember.Traits.of(load_bundle(toy_bundle))


def test_frequencies_come_from_the_bundle(toy_bundle: Path) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["motion"]["frequencies"] = [0.1 * (k + 1) for k in range(8)]
    path.write_text(json.dumps(manifest))
    assert ember.Traits.of(load_bundle(toy_bundle)).frequencies[7] == pytest.approx(0.8)


def test_a_mirrored_look_lies_as_the_picture_does(toy: Bundle) -> None:
    pixels = picture("lake-sherburne")
    with toy.open("maps", device="cpu") as engine:
        traits = ember.Traits.of(toy)
        seen = ember.run_maps(engine, pixels, traits)["classes"]
        mirrored = ember.run_maps(engine, pixels, traits, mirrored=True)["classes"]
        flipped = ember.run_maps(engine, pixels[:, ::-1], traits)["classes"]
    np.testing.assert_allclose(mirrored, flipped[..., ::-1], atol=0.02)
    assert np.abs(seen - mirrored).mean() < np.abs(seen - mirrored[..., ::-1]).mean()


def test_larger_looks_are_averaged_at_the_first_ones_size(toy_bundle: Path) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    sizes = []
    for looks in ([1.0], [1.0, 1.4, 2.0]):
        manifest["motion"]["looks"] = looks
        path.write_text(json.dumps(manifest))
        maps = ember.analyse(load_bundle(toy_bundle), picture("tea-gardens"), device="cpu")
        sizes.append((maps.classes.shape, maps.amplitude.shape, maps.drift.shape))
        np.testing.assert_allclose(maps.classes.sum(0), 1, atol=1e-3)
    assert sizes[0] == sizes[1]
