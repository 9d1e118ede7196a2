from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from reverie.benchmarks import faults
from reverie.runtime.guard import LIMITS, Report, Watch, describe
from reverie.runtime.identity import Identity
from reverie.runtime.trackers import Median

from . import people_films as people

FPS, COUNT = 12, 36
Pixels = people.Pixels


@pytest.fixture(scope="module")
def scene() -> list[Pixels]:
    return people.push(people.photo("tea-gardens", 160), COUNT)


@pytest.fixture(scope="module")
def portrait() -> list[Pixels]:
    return people.push(people.photo("person-006-portrait", 240), 18)


def watched(frames: list[np.ndarray], photo: Pixels | None = None, **options: object) -> Report:
    watch = Watch(photo, fps=FPS, count=len(frames), **options)  # type: ignore[arg-type]
    for frame in frames:
        watch.see(frame)
    return watch.report()


def bad(report: Report) -> set[str]:
    return {figure.name for figure in report.figures if figure.verdict == "bad"}


def test_a_good_film_is_passed_on_and_left_alone(scene: list[Pixels]) -> None:
    watch = Watch(scene[0], fps=FPS)
    passed = list(watch.over(iter(scene)))
    assert all(one is other for one, other in zip(passed, scene, strict=True))
    report = watch.report()
    assert report.verdict == "ok"
    assert report.lines() == []
    assert report.frames == COUNT
    assert report["first frame"].value == 0
    assert report["seam"].value < 2
    assert set(report.not_measured) == {"identity", "faces lost"}


@pytest.mark.parametrize("name", faults.GENERAL)
def test_a_fault_is_told(scene: list[Pixels], name: str) -> None:
    fault, wanted = faults.GENERAL[name]
    report = watched(list(fault(scene, COUNT)), scene[0])
    assert wanted in bad(report)
    assert report.verdict == "bad"
    assert any(line.startswith(wanted) for line in report.lines())


@pytest.mark.parametrize("name", ["black frame", "seam", "flicker", "frozen", "colour ramp"])
def test_a_fault_of_one_kind_is_not_told_as_all(scene: list[Pixels], name: str) -> None:
    told = bad(watched(list(faults.GENERAL[name][0](scene, COUNT)), scene[0]))
    allowed = {
        "black frame": {"blank", "colour drift"},  # a black frame is of another colour
        "seam": {"seam"},
        "flicker": {"flicker", "flicker in places", "seam"},
        "frozen": {"frozen share", "repeated"},
        "colour ramp": {"colour drift"},
    }
    assert told <= allowed[name]


def test_where_a_fault_is(scene: list[Pixels]) -> None:
    assert watched(list(faults.seam(scene, COUNT)))["seam"].at == pytest.approx(COUNT / 2 / FPS)
    black = watched(list(faults.black_frame(scene, COUNT)))["blank"]
    assert black.at == pytest.approx(COUNT // 2 / FPS)
    assert black.detail == "1 black"


def test_a_slow_film_with_grain_is_not_frozen(scene: list[Pixels]) -> None:
    random = np.random.default_rng(3)
    grainy = [
        np.clip(frame + random.normal(0, 4, frame.shape[:2])[..., None], 0, 255).astype(np.uint8)
        for frame in scene
    ]
    assert watched(grainy)["frozen share"].verdict == "ok"


def test_a_still_that_an_encoder_draws_better_and_better_is_frozen(scene: list[Pixels]) -> None:
    rng = np.random.default_rng(4)
    still = scene[-1]
    better = [
        np.clip(still + rng.normal(0, 1.6 - 0.4 * step, still.shape), 0, 255).astype(np.uint8)
        for step in range(4)
    ]
    report = watched([*scene, *(better[index // COUNT] for index in range(4 * COUNT))])
    assert report["frozen"].value > 5
    assert report["frozen"].verdict == "bad"


def test_another_photo_is_told(scene: list[Pixels], portrait: list[Pixels]) -> None:
    report = watched(scene, portrait[0][: scene[0].shape[0] - 2])
    assert report["another photo"].verdict == "bad"
    assert not watched(scene, scene[0][:-2]).has("another photo")


def test_light_that_was_asked_for_is_no_fault(scene: list[Pixels]) -> None:
    ramp = list(faults.colour_ramp(scene, COUNT, most=35))
    assert "colour drift" in bad(watched(ramp))
    lit = watched(ramp, expected_light=True)
    assert lit["colour drift"].verdict == "ok"
    limits = lit.as_dict()["figures"]["colour drift"]
    assert limits["bad"] == LIMITS["colour drift"].bad * LIMITS["colour drift"].lit


def test_a_camera_that_goes_far_is_no_drift_and_no_flicker() -> None:
    picture = people.photo("tea-gardens")
    film = people.push(picture, COUNT, most=2.2)
    report = watched(film)
    assert report["colour drift"].verdict == "ok"
    assert report["flicker"].verdict == "ok"
    assert report["flicker in places"].verdict == "ok"


def test_a_loop_is_judged_where_it_closes(scene: list[Pixels]) -> None:
    closed = scene + scene[-2:0:-1]
    assert watched(closed, loop=True)["loop seam"].value == pytest.approx(1, abs=0.6)
    assert "loop seam" in bad(watched(scene, loop=True))
    assert "loop seam" not in [figure.name for figure in watched(scene).figures]


def test_the_first_frame_is_compared_with_the_photo(scene: list[Pixels]) -> None:
    other = people.photo("chelsea", 160)
    assert "first frame" in bad(watched([np.asarray(f[:, :240]) for f in scene], other[:, :240]))
    large = people.photo("tea-gardens")
    frame = np.ascontiguousarray(large[40:280, 60:420])
    cropped = [cv2.resize(frame, (540, 360), interpolation=cv2.INTER_CUBIC)] * 3
    assert watched(cropped, large)["first frame"].value < 3
    assert "first frame" in watched(cropped, other).not_measured


def faced(portrait: list[Pixels], make: Callable[[Identity], faults.Fault]) -> Report:
    """What is told of a portrait's film with a fault, looked at twice a second."""
    with Identity(portrait[0]) as known:
        frames = list(make(known)(portrait, len(portrait)))
    with Identity(portrait[0]) as known:
        return watched(frames, portrait[0], identity=known, looks=2.0)


def test_a_face_that_stays_is_left_alone(portrait: list[Pixels]) -> None:
    report = faced(portrait, lambda known: faults.none)
    assert report.verdict == "ok"
    assert report["identity"].value > 0.97
    assert report.faces[0].cosine == report["identity"].value


def test_a_swapped_face_is_told(portrait: list[Pixels]) -> None:
    other = people.photo("person-004-selfie")
    assert "identity" in bad(faced(portrait, lambda known: faults.swapped(other, known)))


def test_a_morphing_face_is_told(portrait: list[Pixels]) -> None:
    other = people.photo("person-004-selfie")
    assert bad(faced(portrait, lambda known: faults.morphing(other, known))) == {"identity"}


def test_a_vanishing_face_is_told(portrait: list[Pixels]) -> None:
    assert bad(faced(portrait, faults.vanishing)) & {"identity", "faces lost"}


def test_a_face_swapped_for_a_moment_is_looked_at(portrait: list[Pixels]) -> None:
    other = people.photo("person-004-selfie")
    with Identity(portrait[0]) as known:
        swapped = list(faults.swapped(other, known)(portrait[8:10], 2))
    frames = portrait[:8] + swapped[1:] + portrait[9:]
    with Identity(portrait[0]) as known:
        assert "identity" in bad(watched(frames, portrait[0], identity=known))


def test_looks_at_faces_are_few(portrait: list[Pixels]) -> None:
    with Identity(portrait[0]) as known:
        report = watched(portrait[:1] * 400, portrait[0], identity=known, most_looks=5)
    row = report.faces[0]
    assert row.seen + row.lost + row.out + row.small <= 6


def test_a_report_is_plain_data(scene: list[Pixels]) -> None:
    import json

    told = watched(scene, scene[0]).as_dict()
    assert json.loads(json.dumps(told)) == told
    assert set(told["figures"]) <= set(LIMITS)
    report = watched(list(faults.seam(scene, COUNT)))
    assert describe(report["seam"]).startswith("seam ")
    assert "\n" not in describe(report["seam"])


def test_a_film_of_nothing_and_one_of_one_frame(scene: list[Pixels]) -> None:
    assert watched([]).frames == 0
    assert watched([]).verdict == "ok"
    assert watched(scene[:1], scene[0]).frames == 1


def test_a_median_of_many_needs_no_memory() -> None:
    median, values = Median(), np.random.default_rng(0).gamma(2.0, 0.5, 5000)
    for value in values:
        median.add(float(value))
    assert median() == pytest.approx(float(np.median(values)), rel=0.05)
    assert Median()() == 0
