"""The light: neutral at the start, slow, without bands, never a flash."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from reverie.runtime.look.light import SHINES, Light, sunny_side
from reverie.runtime.look.pacing import Pacing
from reverie.runtime.settings import LightIntent, LightKind

SIZE = (72, 96)
KINDS = (*get_args(LightKind), None)


@pytest.fixture
def picture() -> np.ndarray:
    x = np.linspace(20, 250, SIZE[1])[None, :, None]
    return np.broadcast_to(x, (*SIZE, 3)).astype(np.uint8)


def light(kind: str | None, strength: float = 1.0, **more: object) -> Light:
    options = {"size": SIZE, "seconds": 10.0, "seed": 3, **more}
    return Light(LightIntent(kind, strength), **options)  # type: ignore[arg-type]


def test_every_kind_that_can_be_asked_for_is_known() -> None:
    assert set(get_args(LightKind)) <= set(SHINES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_film_begins_in_the_photos_own_light(kind: str | None, picture: np.ndarray) -> None:
    asked = light(kind)
    assert np.array_equal(asked.shine(picture, 0.0), picture)
    first = asked.shine(picture, 1 / 24).astype(int)
    assert np.abs(first - picture).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_returns_to_its_start(kind: str | None, picture: np.ndarray) -> None:
    asked = light(kind, loop=True)
    assert np.abs(asked.shine(picture, 10.0).astype(int) - picture).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_strobes(kind: str | None, picture: np.ndarray) -> None:
    frames = np.stack([light(kind, 2.0).shine(picture, i / 24) for i in range(0, 240, 2)])
    levels = frames.mean((1, 2, 3)) / 255
    assert np.abs(np.diff(levels)).max() < 0.02  # of full brightness, in a twelfth of a second
    turns = np.diff(np.sign(np.diff(levels)[np.abs(np.diff(levels)) > 1e-3]))
    assert np.count_nonzero(turns) / 2 / 10 < 3.0  # swings a second


def test_kinds_look_like_their_names(picture: np.ndarray) -> None:
    late = {kind: light(kind).shine(picture, 9.0).astype(float).mean((0, 1)) for kind in KINDS}
    plain = picture.astype(float).mean((0, 1))
    warmth = {kind: colour[0] - colour[2] for kind, colour in late.items()}
    assert warmth["golden"] > 8
    assert warmth["candle"] > 8
    assert warmth["moon"] < -8
    assert warmth["dusk"] < -5
    assert late["dusk"].mean() < 0.92 * plain.mean()
    assert late["moon"].mean() < late["dusk"].mean() + 3
    assert late["bright"].mean() > plain.mean()
    assert np.abs(late[None] - plain).max() < 0.04 * 255
    assert np.array_equal(light("none").shine(picture, 9.0), picture)


def test_the_photos_own_light_is_alive(picture: np.ndarray) -> None:
    later = light(None).shine(picture, 6.0).astype(float) - picture
    assert 0.2 < np.abs(later).mean() < 6.0


@pytest.mark.parametrize("kind", ["golden", "bright", "candle"])
def test_bright_skin_is_not_clipped(kind: str) -> None:
    ramp = np.arange(190, 246, dtype=np.uint8)
    skin = np.broadcast_to(np.repeat(ramp, 2)[None, :96, None], (*SIZE, 3)).copy()
    shone = light(kind).shine(skin, 9.0)
    assert (shone == 255).mean() < 0.02
    columns = shone.astype(float).mean(0)
    assert columns[90].min() > columns[10].min()


def test_a_smooth_sky_shows_no_bands() -> None:
    height, width = 120, 160
    tall = np.linspace(200, 204, height)[:, None, None]
    sky = np.broadcast_to(np.round(tall), (height, width, 3)).astype(np.uint8)
    shone = light("golden", size=(height, width)).shine(sky, 9.0).astype(float)
    rows = shone.mean((1, 2))
    assert len(np.unique(np.round(rows, 2))) > 40  # far more than five flat bands


def test_flames_flicker_and_the_rest_does_not(picture: np.ndarray) -> None:
    flame = np.zeros((18, 24), np.float32)
    flame[8:12, 4:8] = 1.0
    asked = light(None, flame=flame)
    plain = light(None)
    change = (
        np.stack(
            [
                asked.shine(picture, t).astype(float) - plain.shine(picture, t)
                for t in np.arange(4, 8, 0.1)
            ]
        )
        .std(0)
        .mean(-1)
    )
    assert change[32:48, 16:32].mean() > 3 * change[:, 80:].mean()
    assert change[32:48, 16:32].mean() > 0.3


def test_none_leaves_even_a_flame_alone(picture: np.ndarray) -> None:
    asked = light("none", flame=np.ones((18, 24), np.float32))
    assert np.array_equal(asked.shine(picture, 5.0), picture)


def test_strength_counts_up_to_two(picture: np.ndarray) -> None:
    warmth = [
        np.diff(light("golden", s).shine(picture, 9.0).astype(float)[..., ::2].mean((0, 1)))[0]
        for s in (1.0, 1.5, 2.0)
    ]
    assert warmth[0] > warmth[1] + 2 > warmth[2] + 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_loop_does_not_flash(kind: str | None, picture: np.ndarray) -> None:
    def quickest(seconds: float) -> float:
        asked = light(kind, seconds=seconds, loop=True)
        times = np.linspace(0, seconds, round(48 * seconds) + 1)
        levels = np.array([asked.shine(picture, float(t)).mean() for t in times])
        return float(np.abs(np.diff(levels)).max() / times[1])

    usual = quickest(5.0)
    for seconds in (0.5, 1.0, 2.0):
        assert quickest(seconds) <= 1.25 * usual + 0.5


def test_sunny_side() -> None:
    picture = np.full((40, 60, 3), 60, np.uint8)
    picture[:10, 45:] = 250
    assert sunny_side(picture) == 1.0
    assert sunny_side(picture[:, ::-1]) == -1.0


def test_light_swells_with_feeling_and_is_smooth_where_it_is_uneven() -> None:
    pacing = Pacing(seconds=10.0, peak=0.5)
    even, swelling = light("golden"), light("golden", swell=0.5, pacing=pacing)
    peak = [float(np.abs(one.field(5.0) - 1).mean()) for one in (even, swelling)]
    assert peak[1] > 1.3 * peak[0]
    assert np.array_equal(even.field(10.0), swelling.field(10.0))
    uneven = light("overcast", wander=2.0).field(6.0)
    assert uneven.std() > 1.5 * light("overcast").field(6.0).std()
    # A cell is a twenty-fourth of the shorter side: no edge of light falls across a face.
    assert max(np.abs(np.diff(uneven, axis=axis)).max() for axis in (0, 1)) < 0.03


def test_light_may_take_its_time() -> None:
    soon, late = light("dusk"), light("dusk", arrives=9.0)
    assert late.tones(3.0).mean() > soon.tones(3.0).mean()
    assert np.allclose(late.tones(10.0), soon.tones(10.0))
