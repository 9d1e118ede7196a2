"""What is asked, in its order: settings, the prompt's words, the mood, the family's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.runtime.look.look import Look, resolve
from reverie.runtime.look.mood import MOODS, PAUSE, Irregularity
from reverie.runtime.pipeline import stream
from reverie.runtime.prompt import understand
from reverie.runtime.settings import CameraIntent, LightIntent, Settings, Understanding


def look(prompt: str | None = None, *, drawn: bool = False, **of: Any) -> Look:
    return resolve(Settings(**of), understand(prompt), drawn=drawn)


def test_nothing_asked_is_the_familys_own() -> None:
    assert look() == Look()
    assert look().camera == CameraIntent()
    assert not look().empty
    assert look(drawn=True).empty
    assert look(drawn=True).told == ()


def test_a_prompt_without_a_mood_is_taken_as_it_was() -> None:
    words = "soft golden hour, camera zooms in slowly, film grain"
    found, understanding = look(words), understand(words)
    assert (found.camera, found.light) == (understanding.camera, understanding.light)
    assert found.score == ()
    assert not found.layered


@pytest.mark.parametrize("name", MOODS)
def test_a_mood_is_its_recipe(name: str) -> None:
    found = look(mood=name)
    assert (found.camera, found.light) == (MOODS[name].camera, MOODS[name].light)
    assert found.score == MOODS[name].score
    assert found.told[0].startswith(f"mood: {name}: ")
    assert not look(mood=name, drawn=True).empty


def test_the_prompt_goes_before_the_mood() -> None:
    found = look("moonlight, camera pans left, no film grain, sharp", mood="wistful")
    assert (found.camera.move, found.light.kind) == ("left", "moon")
    assert found.light.grain == 0.0
    assert found.blur == 0.0
    assert found.score == MOODS["wistful"].score


def test_words_without_a_move_or_a_light_shade_the_moods_own() -> None:
    found = look("camera moves slowly, soft light", mood="wistful")
    assert found.camera.move == "push"
    assert found.camera.pace < 1.0
    assert found.light.kind == "dusk"
    assert found.light.strength < MOODS["wistful"].light.strength


def test_the_settings_go_before_the_prompt() -> None:
    found = look(
        "moonlight, pan left, film grain", mood="tender", camera="up", light="bright", grain=0.9
    )
    assert (found.camera.move, found.light.kind, found.light.grain) == ("up", "bright", 0.9)
    assert "camera: up" in found.told
    assert "light: daylight" in found.told


def test_the_settings_mood_goes_before_the_prompts() -> None:
    found = look("wistful", mood="radiant")
    assert found.score == MOODS["radiant"].score
    assert "the prompt's mood, wistful, gave way" in found.told
    assert look("wistful").score == MOODS["wistful"].score


def test_off_is_off() -> None:
    for prompt in (None, "zoom in, golden hour, film grain"):
        for mood in (None, *MOODS):
            found = look(prompt, mood=mood, camera="off", light="none", grain=0.0)
            assert not found.moves
            assert not found.lights
            assert found.light.grain == 0.0
            assert not found.layered
    assert look(camera="off").lights
    assert look(light="none").moves


def test_a_pause_a_blur_and_a_stutter_need_no_mood() -> None:
    assert look("zoom in, pause").score == PAUSE
    assert look("dreamy").blur == 0.6
    assert look("dreamy", drawn=True).blur == 0.6
    assert not look("dreamy", drawn=True).moves
    assert look("stuttering").irregular
    assert look("no stutter", mood="restless").irregular == Irregularity()


def test_people_are_a_layer_where_the_camera_goes_sideways() -> None:
    assert look(mood="tender").layered
    assert look(camera="orbit").layered
    assert not look(camera="push").layered
    assert not look(mood="still").layered
    assert not look("orbit").layered


def test_defaults_ask_for_nothing() -> None:
    neutral = Understanding()
    assert (neutral.mood, neutral.blur, neutral.grain) == (None, None, None)
    assert (neutral.pause, neutral.stutter) == (False, None)
    assert LightIntent() == Look().light


def test_a_mood_from_the_command_to_the_frames() -> None:
    photo = Path(__file__).parents[2] / "data" / "photos" / "person-006-portrait.jpg"

    def film(**more: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        options = {"seconds": 1.0, "fps": 6, "height": 144, "device": "cpu", **more}
        made = stream(photo, **options)
        return np.stack(list(made)), made.notes

    moody, notes = film(mood="wistful")
    assert sum(note.startswith("mood: wistful: ") for note in notes) == 1
    nothing, notes = film(motion=0.0, camera="off", light="none")
    assert not any(note.startswith("mood") for note in notes)
    assert np.array_equal(nothing[-1], nothing[0])
    assert np.array_equal(moody[0], nothing[0])
    assert np.abs(moody[-1].astype(int) - moody[0]).mean() > 0.5
