from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face
from reverie.runtime.families import ember
from reverie.runtime.frame import frame_photo
from reverie.runtime.guard import Regions
from reverie.runtime.photo import load_photo
from reverie.runtime.settings import CLASSES, MotionIntent, Settings
from reverie.runtime.spectrum import CAP, FREQUENCIES, Spectrum

DATA = Path(__file__).resolve().parents[2] / "data"


def picture(name: str) -> np.ndarray:
    with Image.open(DATA / "photos" / f"{name}.jpg") as photo:
        return np.asarray(photo.convert("RGB"))


def empty_regions(height: int = 48, width: int = 64) -> Regions:
    people = np.zeros((height, width, 6), np.float32)
    people[..., 0] = 1
    zeros = np.zeros((height, width), np.float32)
    return Regions([], people, zeros, zeros)


def all_of(kind: str, height: int = 48, width: int = 64) -> np.ndarray:
    classes = np.zeros((6, height, width), np.float32)
    classes[CLASSES.index(kind)] = 1
    return classes


@pytest.fixture(scope="module")
def toy() -> Bundle:
    return load_bundle(DATA / "bundles" / "toy-ember")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), 16 / 9), ((720, 1280), 9 / 16), ((600, 600), 1.0), ((4000, 1000), 4.0)],
)
def test_the_maps_input_suits_the_picture(size: tuple[int, int], expected: float) -> None:
    width, height = ember.map_size(*size)
    assert width % 32 == height % 32 == 0
    assert 0.75 < width * height / ember.MAP_AREA < 1.3
    assert width / height == pytest.approx(expected, rel=0.15)


def test_what_is_static_holds_and_what_stirs_is_free() -> None:
    regions = empty_regions()
    assert ember.hold(all_of("static"), regions, MotionIntent()).min() == 1
    for kind in CLASSES[1:]:
        assert ember.hold(all_of(kind), regions, MotionIntent()).max() == 0


def test_a_class_the_prompt_holds_down_holds() -> None:
    only_leaves = MotionIntent(gains={name: 0.0 for name in CLASSES if name != "plant"})
    assert ember.hold(all_of("water"), empty_regions(), only_leaves).min() == 1
    assert ember.hold(all_of("plant"), empty_regions(), only_leaves).max() == 0
    half = MotionIntent(gains={"plant": 0.5})
    assert ember.hold(all_of("plant"), empty_regions(), half).mean() == pytest.approx(0.5)


def test_a_face_holds_whatever_the_maps_say() -> None:
    regions = empty_regions()
    points = np.zeros((5, 2), np.float32)
    regions.faces.append(Face(Box(0.4, 0.3, 0.6, 0.7), 0.95, points))
    for motion in (MotionIntent(), MotionIntent(people=True)):
        held = ember.hold(all_of("plant"), regions, motion)
        assert held[16:32, 28:36].min() > 0.999
        assert held[:4].max() < 0.01


def test_the_subject_holds_unless_asked_and_a_sure_plant_less() -> None:
    regions = empty_regions()
    regions.subject[12:36, 16:48] = 1
    doubtful = 0.55 * all_of("plant") + 0.45 * all_of("sky")
    assert ember.hold(doubtful, regions, MotionIntent())[20:28, 24:40].min() > 0.99
    assert ember.hold(all_of("plant"), regions, MotionIntent())[20:28, 24:40].max() < 0.99
    assert ember.hold(doubtful, regions, MotionIntent(people=True))[20:28, 24:40].max() < 0.01


def spectrum(rms: float, drift: float = 0.0) -> Spectrum:
    coefficients = np.zeros((8, 4, 48, 64), np.float32)
    coefficients[:, 0] = rms * np.sqrt(2 / 8)
    flow = np.zeros((2, 48, 64), np.float32)
    flow[1] = drift
    return Spectrum(coefficients, np.asarray(FREQUENCIES, np.float32), flow)


def test_more_motion_is_more_and_never_above_the_cap() -> None:
    plants = all_of("plant")
    calm = ember.driven(spectrum(0.004), plants, 1.0, MotionIntent())
    assert calm.rms().max() == pytest.approx(0.004, rel=1e-4)
    doubled = ember.driven(spectrum(0.004), plants, 2.0, MotionIntent())
    assert doubled.rms().max() == pytest.approx(0.008, rel=1e-4)
    wild = ember.driven(spectrum(0.012), plants, 2.0, MotionIntent(wind=2.0))
    assert wild.rms().max() == pytest.approx(CAP, rel=1e-3)


def test_wind_moves_leaves_and_not_water_and_turns_the_clouds() -> None:
    wind = MotionIntent(wind=0.5, wind_degrees=0.0)
    leaves = ember.driven(spectrum(0.004), all_of("plant"), 1.0, wind)
    assert leaves.rms().max() == pytest.approx(0.002, rel=1e-4)
    water = ember.driven(spectrum(0.004, drift=0.01), all_of("water"), 1.0, wind)
    assert water.rms().max() == pytest.approx(0.004, rel=1e-4)
    np.testing.assert_allclose(water.drift[1], 0.01, rtol=1e-4)
    clouds = ember.driven(spectrum(0.0, drift=0.01), all_of("sky"), 1.0, wind)
    np.testing.assert_allclose(clouds.drift[0], 0.005, rtol=1e-4)
    np.testing.assert_allclose(clouds.drift[1], 0.0, atol=1e-7)


def test_the_motion_setting_scales_the_models_own(toy: Bundle) -> None:
    assert ember.amount(toy, Settings(), MotionIntent()) == 1
    assert ember.amount(toy, Settings(motion=0), MotionIntent()) == 0
    assert ember.amount(toy, Settings(motion=1.0), MotionIntent(amount=0.5)) == 1


def test_open_sky_is_far() -> None:
    regions = empty_regions()
    near = Regions([], regions.people, regions.subject, np.ones((48, 64), np.float32))
    maps = ember.Maps(
        all_of("sky"), *[np.zeros(1, np.float32)] * 4, near.people, near.subject, near.depth
    )
    assert ember.scene_depth(maps).max() == 0


def test_the_camera_leans_to_the_largest_face_then_to_the_subject() -> None:
    regions = empty_regions()
    assert ember.focus(regions) == (0.5, 0.5)
    regions.subject[:, 48:] = 1
    x, y = ember.focus(regions)
    assert x > 0.6
    assert y == pytest.approx(0.5)
    points = np.zeros((5, 2), np.float32)
    regions.faces.append(Face(Box(0.1, 0.1, 0.2, 0.2), 0.9, points))
    regions.faces.append(Face(Box(0.2, 0.3, 0.6, 0.7), 0.8, points))
    assert ember.focus(regions) == (pytest.approx(0.4), pytest.approx(0.5))


def test_what_was_found_goes_with_the_frame() -> None:
    photo = load_photo(picture("lake-sherburne"))
    regions = empty_regions()
    regions.people[..., 0] = 0
    regions.people[..., 4] = 1
    shot = frame_photo(photo, aspect="1:4", height=200, keep=regions.subject)
    carried = ember.carried(regions, shot)
    np.testing.assert_allclose(carried.people.sum(-1), 1, atol=1e-5)
    assert shot.extended is not None
    assert carried.people[0, :, 0].min() == pytest.approx(1)  # nobody beyond the photo


def test_the_seed_is_the_wind(toy: Bundle) -> None:
    maps = ember.analyse(toy, picture("tea-gardens"), device="cpu")
    one = ember.sample(toy, maps.features, seed=1, device="cpu")
    np.testing.assert_array_equal(one, ember.sample(toy, maps.features, seed=1, device="cpu"))
    assert np.abs(one - ember.sample(toy, maps.features, seed=2, device="cpu")).max() > 0.1
