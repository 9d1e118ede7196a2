from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.settings import CameraIntent, LightIntent, MotionIntent, Settings, parse_aspect


def test_frames_are_seconds_times_rate() -> None:
    assert Settings().frames == 240
    assert Settings(seconds=2.5, fps=25).frames == 62
    assert Settings(seconds=1.02, fps=50).frames == 51


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": 0}, "seconds 0 "),
        ({"seconds": -3}, "seconds -3 "),
        ({"seconds": math.nan}, "seconds nan "),
        ({"seconds": math.inf}, "seconds inf "),
        ({"seconds": 10_000}, "0.5 to 600"),
        ({"seconds": 0.5, "fps": 2}, "1 frame"),
        ({"fps": 0}, "fps 0 "),
        ({"fps": 1000}, "1 to 120"),
        ({"fps": 23.976}, "whole number"),
        ({"height": 100_000}, "64 to 4320"),
        ({"height": 2}, "height 2 "),
        ({"aspect": "0:5"}, "aspect '0:5'"),
        ({"aspect": "wide"}, "16:9"),
        ({"aspect": "100:1"}, "1:4 to 4:1"),
        ({"motion": 1.5}, "0 to 1"),
        ({"motion": math.nan}, "motion nan"),
        ({"seed": -1}, "seed -1"),
        ({"steps": 0}, "steps 0"),
        ({"seconds": "1"}, "seconds '1' cannot be used: give a number"),
        ({"seconds": True}, "seconds True"),
        ({"seconds": None}, "seconds None"),
        ({"seconds": 10**5000}, "seconds of type int"),
        ({"seconds": np.float32(math.nan)}, "nan"),
        ({"seconds": np.ones(3)}, "seconds array"),
        ({"fps": 24.0}, "fps 24.0 cannot be used: give a whole number"),
        ({"fps": "24"}, "fps '24'"),
        ({"height": 96.0}, "height 96.0 "),
        ({"height": math.nan}, "height nan"),
        ({"height": None}, "height None"),
        ({"height": True}, "height True"),
        ({"seed": 1.0}, "seed 1.0 "),
        ({"seed": 10**5000}, "seed of type int"),
        ({"seed": np.array([1, 2])}, "seed array"),
        ({"steps": 4.0}, "steps 4.0 "),
        ({"motion": "0.5"}, "motion '0.5'"),
        ({"motion": False}, "motion False"),
        ({"aspect": 1.5}, "aspect 1.5"),
        ({"aspect": None}, "aspect None"),
        ({"prompt": 3}, "prompt 3 cannot be used: give a text"),
        ({"prompt": ["zoom"]}, "prompt ['zoom']"),
        ({"prompt": b"a\nb"}, "prompt b'a"),
        ({"loop": "no"}, "loop 'no'"),
        ({"loop": 1}, "True or False"),
    ],
)
def test_impossible_values_are_refused_in_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    made = Settings(
        seconds=np.float32(2.5),
        fps=np.int16(25),
        height=np.int64(96),
        seed=np.uint64(2**62),
        motion=np.float64(0.5),
        steps=np.int8(4),
        loop=np.bool_(True),
    )
    plain = Settings(seconds=2.5, fps=25, height=96, seed=2**62, motion=0.5, steps=4, loop=True)
    assert made == plain
    for name in Settings.__dataclass_fields__:
        assert type(getattr(made, name)) is type(getattr(plain, name))
    assert type(Settings(seconds=2, motion=1).seconds) is float


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("photo", None), ("16:9", 16 / 9), ("9:16", 9 / 16), ("2.39:1", 2.39), ("4x3", 4 / 3)],
)
def test_aspects(text: str, ratio: float | None) -> None:
    assert parse_aspect(text) == (None if ratio is None else pytest.approx(ratio))


def test_intents_list_what_is_known() -> None:
    with pytest.raises(SettingsError, match="push, pull"):
        CameraIntent(move="warp")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="golden"):
        LightIntent(kind="disco")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="static, plant"):
        MotionIntent(gains={"rocks": 1.0})


@pytest.mark.parametrize(
    ("intent", "options", "words"),
    [
        (LightIntent, {"strength": 2.1}, "light strength 2.1 cannot be used: give a number from 0"),
        (LightIntent, {"strength": -0.1}, "0 to 2"),
        (LightIntent, {"strength": math.nan}, "light strength nan"),
        (LightIntent, {"grain": 1.1}, "film grain 1.1 cannot be used: give a number from 0 to 1"),
        (LightIntent, {"grain": -0.1}, "film grain -0.1"),
        (LightIntent, {"grain": "much"}, "film grain 'much'"),
        (CameraIntent, {"pace": 3}, "camera pace 3"),
        (CameraIntent, {"strength": -1}, "camera strength -1"),
        (MotionIntent, {"amount": 2.5}, "motion amount 2.5"),
        (MotionIntent, {"wind": math.inf}, "wind inf"),
    ],
)
def test_intents_have_bounds(intent: type, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        intent(**options)
    assert words in str(caught.value)


def test_the_bounds_themselves_are_allowed() -> None:
    assert LightIntent(strength=2, grain=1) == LightIntent(strength=2.0, grain=1.0)
    assert LightIntent().grain == 0
