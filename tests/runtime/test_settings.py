from __future__ import annotations

import math
from typing import Any

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
    ],
)
def test_impossible_values_are_refused_in_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


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
