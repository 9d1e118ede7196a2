"""The film itself: it begins as the photo, moves what may move, closes its loops."""

from __future__ import annotations

from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
from reverie.runtime import motion, side_by_side
from reverie.runtime.look.look import Look
from reverie.runtime.motion import render
from reverie.runtime.settings import CLASSES, CameraIntent, LightIntent
from reverie.runtime.spectrum import FREQUENCIES, Spectrum
from reverie.runtime.warp import OpenCvWarp

from .flat_memory import growth

HEIGHT, WIDTH = 144, 192
STEADY: dict[str, Any] = {
    "camera": CameraIntent("push", strength=0.0),
    "light": LightIntent("none"),
}


def texture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 1.5)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def spectrum(*, left: bool = True, amplitude: float = 0.006, drift: float = 0.0) -> Spectrum:
    """The left half (or all) swings, softly varied; the lower half drifts to the right."""
    height, width = 36, 48
    rng = np.random.default_rng(5)
    coefficients = np.zeros((len(FREQUENCIES), 4, height, width), np.float32)
    for k in range(len(FREQUENCIES)):
        for c in range(4):
            smooth = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), 6)
            coefficients[k, c] = amplitude / (k + 1) * smooth / smooth.std()
    if left:
        coefficients[..., width // 2 :] = 0
    flow = np.zeros((2, height, width), np.float32)
    flow[0, height // 2 :] = drift
    return Spectrum(coefficients, np.array(FREQUENCIES, np.float32), flow)


def everywhere(value: float = 1.0) -> np.ndarray:
    return np.full((36, 48), value, np.float32)


def classes(name: str) -> np.ndarray:
    maps = np.zeros((len(CLASSES), 36, 48), np.float32)
    maps[CLASSES.index(name)] = 1.0
    return maps


def film(count: float = 2.0, fps: int = 12, **more: Any) -> np.ndarray:
    options = {"spectrum": spectrum(), "gain": everywhere(), **STEADY, **more}
    picture = options.pop("picture", texture())
    return np.stack(list(render(picture, seconds=count, fps=fps, **options)))


def change(frames: np.ndarray) -> np.ndarray:
    return np.abs(frames[1:].astype(float) - frames[0]).mean((0, 3))


@pytest.mark.parametrize(
    ("seconds", "fps", "count"), [(1.0, 24, 24), (0.5, 25, 12), (1.26, 10, 13), (0.01, 10, 1)]
)
def test_exactly_the_frames_asked_for(seconds: float, fps: int, count: int) -> None:
    assert len(film(seconds, fps)) == count


@pytest.mark.parametrize("loop", [False, True])
def test_the_first_frame_is_the_picture(loop: bool) -> None:
    more = {"camera": None, "light": LightIntent("golden", grain=1.0), "loop": loop}
    frames = film(1.0, **more)
    assert np.array_equal(frames[0], texture())
    assert frames.dtype == np.uint8


def test_same_seed_same_frames_other_seed_other_wind() -> None:
    assert np.array_equal(film(seed=1), film(seed=1))
    assert not np.array_equal(film(seed=1), film(seed=2))


def test_what_may_not_move_does_not() -> None:
    moved = change(film(3.0))
    assert moved[10:-10, 10:80].mean() > 3.0
    assert moved[:, 112:].max() < 0.5
    held = everywhere()
    held[:, :24] = 0.0
    assert change(film(3.0, gain=held)).max() < 0.5


def test_a_fine_gain_is_obeyed_to_the_pixel() -> None:
    held = np.ones((HEIGHT, WIDTH), np.float32)
    held[40:100, 20:60] = 0.0
    moved = change(film(3.0, gain=held, spectrum=spectrum(left=False)))
    assert moved[44:96, 24:56].max() < 1.0
    assert moved[44:96, 80:180].mean() > 3.0


def test_motion_fades_at_the_border() -> None:
    moved = change(film(3.0, spectrum=spectrum(left=False)))
    assert moved[0].mean() < 0.35 * moved[20:-20, 20:-20].mean()


def test_nothing_moves_without_motion_camera_or_light() -> None:
    still = spectrum(amplitude=0.0)
    assert np.ptp(film(spectrum=still), axis=0).max() == 0


def test_camera_and_light_alone_are_a_film() -> None:
    frames = film(4.0, spectrum=spectrum(amplitude=0.0), camera=None, light=None)
    assert change(frames)[:, :20].mean() > 2.0
    steps = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    assert steps[4:].min() > 0.03  # never quite still
    assert steps.max() < 6.0


def test_motion_eases_in() -> None:
    frames = film(4.0).astype(float)[:, :, :80]
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert steps[0] < 0.4 * steps[24:].mean()


def loop_steps(seconds: float, **more: Any) -> np.ndarray:
    """Mean change from each frame to the next, the last one back to the first."""
    frames = film(seconds, fps=24, loop=True, **more).astype(float)
    return np.abs(np.diff(frames, axis=0, append=frames[:1])).mean((1, 2, 3))


@pytest.mark.parametrize("seconds", [1.0, 2.3, 5.0])
@pytest.mark.parametrize("kind", ["swing", "water", "sky"])
def test_a_loop_closes(kind: str, seconds: float) -> None:
    # Motion alone, and strong: a camera or a light that moves would hide a seam.
    more: dict[str, Any] = {"spectrum": spectrum(left=False, amplitude=0.01)}
    if kind != "swing":
        more = {"spectrum": spectrum(amplitude=0.0, drift=0.02), "classes": classes(kind)}
    steps = loop_steps(seconds, **more)
    assert steps.max() > 0.3
    assert steps[-1] <= 1.1 * max(steps[0], steps[-2])


def test_a_loop_of_everything_closes() -> None:
    more = {"spectrum": spectrum(drift=0.02), "classes": classes("water")}
    steps = loop_steps(5.0, camera=None, light=LightIntent("golden"), **more)
    assert steps[-1] <= 1.1 * max(steps[0], steps[-2])


def test_water_flows_on_without_a_pulse() -> None:
    water = {"spectrum": spectrum(amplitude=0.0, drift=0.03), "classes": classes("water")}
    frames = film(8.0, fps=6, **water).astype(float)
    moved = change(frames)
    assert moved[:66].max() < 0.5  # the dry half stands
    wet = frames[:, 90:130, 30:-30]
    assert np.abs(np.diff(wet, axis=0)).mean((1, 2, 3))[4:].min() > 1.0
    contrast = wet.std((1, 2)).mean(-1)[1:]
    assert contrast.min() > 0.8 * contrast.max()


def test_clouds_go_straight_on() -> None:
    sky = {"spectrum": spectrum(amplitude=0.0, drift=0.01), "classes": classes("sky")}
    frames = film(4.0, fps=6, **sky)
    first = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY).astype(np.float32)[95:125, 60:130]
    last = cv2.cvtColor(frames[-1], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fits = [np.abs(last[95:125, 60 + d : 130 + d] - first).mean() for d in range(-6, 9)]
    assert 3 <= int(np.argmin(fits)) - 6 <= 6  # 1.44 pixels a second, after a gentle start


def test_grain_comes_with_the_light() -> None:
    still = spectrum(amplitude=0.0)
    grainy = film(3.0, spectrum=still, light=LightIntent("none", grain=1.0))
    assert change(grainy[24:]).mean() > 0.5
    assert np.ptp(film(3.0, spectrum=still, light=LightIntent("none")), axis=0).max() == 0


def test_drawing_ends_with_the_film(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Watched(OpenCvWarp):
        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(motion, "choose_warp", lambda picture, device: Watched(picture))
    frames = render(texture(), spectrum(), everywhere(), seconds=1, fps=12)
    assert len(list(islice(frames, 3))) == 3
    assert not closed
    frames.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert len(film(1.0)) == 12
    assert closed == [True, True]


def test_memory_does_not_grow_with_the_film() -> None:
    frames = render(texture(), spectrum(drift=0.02), everywhere(), seconds=600, fps=24, depth=None)
    assert growth(frames) < 100_000


@pytest.mark.parametrize("options", [{}, {"light": LightIntent("golden", grain=1.0)}])
def test_frames_drawn_side_by_side_are_the_same(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    moving = {"spectrum": spectrum(drift=0.02), "classes": classes("water"), **options}
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        together = film(1.0, 24, **moving)
        monkeypatch.setattr(side_by_side, "MOST", 1)
        assert np.array_equal(film(1.0, 24, **moving), together)
    finally:
        cv2.setNumThreads(threads)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        render(texture()[:-1], spectrum(), everywhere(), seconds=1, fps=12)


# Measured before films had looks: the change from the photo at three moments, and the last one's
# colours in its upper and lower left. A float differs elsewhere by less than the tolerance.
BEFORE: dict[str, tuple[dict[str, Any], list[float]]] = {
    "plain": ({}, [1.872, 18.661, 29.232, 125.905, 124.757, 122.945, 125.709, 127.175, 130.068]),
    "orbit": (
        {"camera": CameraIntent("orbit"), "light": LightIntent("candle", grain=0.5)},
        [0.863, 14.283, 31.772, 127.8, 114.278, 98.404, 128.737, 116.981, 103.707],
    ),
    "loop": (
        {"camera": CameraIntent("left"), "light": LightIntent("golden"), "loop": True},
        [18.143, 47.184, 16.997, 129.299, 129.066, 125.949, 131.051, 130.512, 130.032],
    ),
}


@pytest.mark.parametrize("name", BEFORE)
def test_without_a_mood_films_are_what_they_were(name: str) -> None:
    options, known = BEFORE[name]
    y, x = np.mgrid[0:36, 0:48].astype(np.float32)
    near = (1 / (1 + np.exp(np.hypot(x - 24, y - 20) - 9))).astype(np.float32)
    maps = {"depth": near, "people": near, "focus": (0.5, 0.4), "gain": 1 - near}
    options = {"camera": None, "light": None, **options}
    frames = film(3.0, 8, spectrum=spectrum(drift=0.01), seed=2, **maps, **options)
    values = frames.astype(float)
    moved = [np.abs(frame - values[0]).mean() for frame in values[[4, 12, 20]]]
    colours = values[20].reshape(2, 72, 2, 96, 3).mean((1, 3)).ravel()[:6]
    assert [*moved, *colours] == pytest.approx(known, abs=0.02)
    look = Look(options.get("camera") or CameraIntent(), options.get("light") or LightIntent())
    same = film(
        3.0,
        8,
        spectrum=spectrum(drift=0.01),
        seed=2,
        look=look,
        faces=near,
        loop=bool(options.get("loop")),
        **maps,
    )
    assert np.array_equal(same, frames)
