from __future__ import annotations

import numpy as np
import pytest
from reverie.runtime import steer
from reverie.runtime.crop import Box
from reverie.runtime.faces import Face
from reverie.runtime.regions import Regions
from reverie.runtime.settings import CLASSES, MotionIntent
from reverie.runtime.spectrum import CAP, FREQUENCIES, Spectrum


def empty_regions(height: int = 48, width: int = 64) -> Regions:
    people = np.zeros((height, width, 6), np.float32)
    people[..., 0] = 1
    zeros = np.zeros((height, width), np.float32)
    return Regions([], people, zeros, zeros)


def all_of(kind: str, height: int = 48, width: int = 64) -> np.ndarray:
    classes = np.zeros((6, height, width), np.float32)
    classes[CLASSES.index(kind)] = 1
    return classes


def test_what_is_static_holds_and_what_stirs_is_free() -> None:
    regions = empty_regions()
    assert steer.hold_still(all_of("static"), regions, MotionIntent()).min() == 1
    for kind in CLASSES[1:]:
        assert steer.hold_still(all_of(kind), regions, MotionIntent()).max() == 0


def test_a_class_the_prompt_holds_down_holds() -> None:
    only_leaves = MotionIntent(gains={name: 0.0 for name in CLASSES if name != "plant"})
    assert steer.hold_still(all_of("water"), empty_regions(), only_leaves).min() == 1
    assert steer.hold_still(all_of("plant"), empty_regions(), only_leaves).max() == 0
    half = MotionIntent(gains={"plant": 0.5})
    assert steer.hold_still(all_of("plant"), empty_regions(), half).mean() == pytest.approx(0.5)


def test_a_face_holds_whatever_the_maps_say() -> None:
    regions = empty_regions()
    regions.faces.append(Face(Box(0.4, 0.3, 0.6, 0.7), 0.95))
    for motion in (MotionIntent(), MotionIntent(people=True)):
        held = steer.hold_still(all_of("plant"), regions, motion)
        assert held[16:32, 28:36].min() > 0.999
        assert held[:4].max() < 0.01


def test_the_subject_holds_unless_asked_and_a_sure_plant_less() -> None:
    regions = empty_regions()
    regions.subject[12:36, 16:48] = 1
    doubtful = 0.55 * all_of("plant") + 0.45 * all_of("sky")
    assert steer.hold_still(doubtful, regions, MotionIntent())[20:28, 24:40].min() > 0.99
    assert steer.hold_still(all_of("plant"), regions, MotionIntent())[20:28, 24:40].max() < 0.99
    assert steer.hold_still(doubtful, regions, MotionIntent(people=True))[20:28, 24:40].max() < 0.01


def spectrum(rms: float, drift: float = 0.0) -> Spectrum:
    coefficients = np.zeros((8, 4, 48, 64), np.float32)
    coefficients[:, 0] = rms * np.sqrt(2 / 8)
    flow = np.zeros((2, 48, 64), np.float32)
    flow[1] = drift
    return Spectrum(coefficients, np.asarray(FREQUENCIES, np.float32), flow)


def test_more_motion_is_more_and_never_above_the_cap() -> None:
    plants = all_of("plant")
    calm = steer.scale_motion(spectrum(0.004), plants, 1.0, MotionIntent())
    assert calm.rms().max() == pytest.approx(0.004, rel=1e-4)
    doubled = steer.scale_motion(spectrum(0.004), plants, 2.0, MotionIntent())
    assert doubled.rms().max() == pytest.approx(0.008, rel=1e-4)
    wild = steer.scale_motion(spectrum(0.012), plants, 2.0, MotionIntent(wind=2.0))
    assert wild.rms().max() == pytest.approx(CAP, rel=1e-3)


def test_wind_moves_leaves_and_not_water_and_turns_the_clouds() -> None:
    wind = MotionIntent(wind=0.5, wind_degrees=0.0)
    leaves = steer.scale_motion(spectrum(0.004), all_of("plant"), 1.0, wind)
    assert leaves.rms().max() == pytest.approx(0.002, rel=1e-4)
    water = steer.scale_motion(spectrum(0.004, drift=0.01), all_of("water"), 1.0, wind)
    assert water.rms().max() == pytest.approx(0.004, rel=1e-4)
    np.testing.assert_allclose(water.drift[1], 0.01, rtol=1e-4)
    clouds = steer.scale_motion(spectrum(0.0, drift=0.01), all_of("sky"), 1.0, wind)
    np.testing.assert_allclose(clouds.drift[0], 0.005, rtol=1e-4)
    np.testing.assert_allclose(clouds.drift[1], 0.0, atol=1e-7)


def test_open_sky_is_far() -> None:
    near = np.ones((48, 64), np.float32)
    assert steer.scene_depth(near, all_of("sky")).max() == 0
    np.testing.assert_array_equal(steer.scene_depth(near, all_of("plant")), near)


def test_the_camera_leans_to_the_largest_face_then_to_the_subject() -> None:
    regions = empty_regions()
    assert steer.focus(regions) == (0.5, 0.5)
    regions.subject[:, 48:] = 1
    x, y = steer.focus(regions)
    assert x > 0.6
    assert y == pytest.approx(0.5)
    regions.faces.append(Face(Box(0.1, 0.1, 0.2, 0.2), 0.9))
    regions.faces.append(Face(Box(0.2, 0.3, 0.6, 0.7), 0.8))
    assert steer.focus(regions) == (pytest.approx(0.4), pytest.approx(0.5))


@pytest.mark.parametrize(
    ("colour", "leaves"),
    [
        ((90, 125, 40), True),  # a lawn
        ((110, 160, 20), True),  # tea in the sun
        ((60, 110, 95), False),  # a green lake
        ((200, 150, 60), False),  # water at sunset
        ((110, 112, 90), False),  # a muddy river
        ((120, 170, 220), False),  # the sky
    ],
)
def test_what_is_green_as_grass_never_flows(colour: tuple[int, int, int], leaves: bool) -> None:
    picture = np.full((96, 128, 3), colour, np.uint8)
    drift = np.full((1, 48, 64), 0.01, np.float32)
    classes, kept = steer.green_is_leaves(all_of("water"), drift, picture)
    np.testing.assert_allclose(classes.sum(0), 1, atol=1e-5)
    if leaves:
        assert classes[CLASSES.index("plant")].min() > 0.9
        assert kept.max() < 0.001
    else:
        assert classes[CLASSES.index("water")].min() > 0.9
        assert kept.min() > 0.009
