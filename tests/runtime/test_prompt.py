from __future__ import annotations

import random
from typing import Any

import pytest
from reverie.runtime import lexicon
from reverie.runtime.prompt import understand
from reverie.runtime.settings import CLASSES, LightIntent, Settings, Understanding
from reverie.runtime.vocabulary import nearest, vocabulary

MOVING = [name for name in CLASSES if name != "static"]


def only(**gains: float) -> dict[str, float]:
    """Gains where the classes not named hold still."""
    return {name: gains.get(name, 0.0) for name in MOVING}


def test_the_example_of_the_readme() -> None:
    found = understand("soft golden hour lighting, camera zooms in slowly, slight leaf movement")
    assert (found.camera.move, found.light.kind) == ("push", "golden")
    assert found.camera.pace < 1
    assert found.light.strength < 1
    assert found.motion.gains == only(plant=0.5)
    assert not found.motion.people
    assert found.understood == (
        "light: golden hour, soft",
        "camera: push in, slow",
        "motion: leaf, slight",
    )
    assert found.unused == ()


@pytest.mark.parametrize(
    ("prompt", "move"),
    [
        ("zoom in", "push"),
        ("zooming out slowly", "pull"),
        ("push in toward the water", "push"),
        ("slow dolly out", "pull"),
        ("the camera pulls back", "pull"),
        ("camera pans slowly to the left over the water", "left"),
        ("slow pan from left to right, no zoom", "right"),
        ("pan from the right", "left"),
        ("the camera moves up", "up"),
        ("tilt down", "down"),
        ("camera drifts forward slowly", "push"),
        ("Orbit around the subject", "orbit"),
        ("parallax", "orbit"),
        ("Ken Burns effect", "push"),
        ("zooom in", "push"),
        ("Kamera zoomt langsam", "push"),
        ("static camera", "still"),
        ("still camera, waves roll in", "still"),
        ("without camera movement", "still"),
        ("no wind or camera movement", "still"),
        ("don't zoom", "still"),
        ("don\u2019t move the camera", "still"),
        ("static shot, tripod", "still"),
        ("keep the camera fixed while the leaves move", "still"),
        ("leaves move", None),
        ("wind from the left", None),
        ("handheld camera", None),
    ],
)
def test_camera(prompt: str, move: str | None) -> None:
    assert understand(prompt).camera.move == move


def test_a_clip_has_one_move_and_the_second_is_told() -> None:
    found = understand("zoom in then pan left")
    assert found.camera.move == "push"
    assert found.unused == ("pan", "left")


def test_degrees_of_the_camera() -> None:
    paces = [understand(f"{word} zoom").camera.pace for word in ("very slow", "slow", "", "fast")]
    assert paces == sorted(paces)
    assert paces[2] == 1
    assert understand("slow and gentle zoom").understood == ("camera: push in, slow, gentle",)
    assert understand("zoom in slowly and smoothly").camera.pace == 0.5
    assert understand("not too fast zoom").camera.pace < 1
    assert understand("very very very fast extremely rapid zoom").camera.pace <= 2


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("golden hour", "golden"),
        ("warm light", "golden"),
        ("sunset over the sea", "golden"),
        ("at dusk", "dusk"),
        ("moonlight", "moon"),
        ("by candlelight", "candle"),
        ("flickering light", "candle"),
        ("overcast", "overcast"),
        ("cool lighting", "overcast"),
        ("sun rays through the leaves", "bright"),
        ("bright morning light", "bright"),
        ("lumi\u00e8re dor\u00e9e", "golden"),
        ("no golden light", "none"),
        ("keep the light constant", "none"),
        ("soft light", None),
        ("golden leaves sway", None),
        ("light breeze", None),
        ("candle flickers", None),
    ],
)
def test_light(prompt: str, kind: str | None) -> None:
    assert understand(prompt).light.kind == kind


@pytest.mark.parametrize(
    ("prompt", "gains"),
    [
        ("slight leaf movement", only(plant=0.5)),
        ("leaves and grass move slightly", only(plant=0.5)),
        ("clouds drift, water calm", only(sky=1.0, water=0.4)),
        ("movement in the leaves", only(plant=1.0)),
        ("candle flickers", only(flame=1.0)),
        ("the flag waves", only(cloth=1.0)),
        ("only the leaves move", only(plant=1.0)),
        ("everything still but the leaves", only(plant=1.0)),
        ("leaves sway but the water does not move", only(plant=1.0)),
        ("leaves, no water movement", only(plant=1.0)),
        ("very gentle waves", only(water=0.36)),
        ("light leaf movement", only(plant=0.5)),
        ("keep the water still", {"water": 0.0}),
        ("keep the leaves and the water still", {"plant": 0.0, "water": 0.0}),
        ("everything moves except the water", {"water": 0.0}),
        ("no movement in the water", {"water": 0.0}),
        ("no wind", {"plant": 0.0, "cloth": 0.0}),
        ("no wind in the trees", {"plant": 0.0, "cloth": 0.0}),
        ("leaves sway gently in the wind", {"plant": 0.6}),
        ("strong wind, waves crash", {"water": 1.0}),
        ("zoom in on the flower", {}),
        ("camera pans over the water", {}),
        ("golden light on the sea", {}),
        ("gentle breeze", {}),
    ],
)
def test_gains(prompt: str, gains: dict[str, float]) -> None:
    assert understand(prompt).motion.gains == gains


def test_all_motion_is_scaled_when_nothing_is_named() -> None:
    assert understand("gentle movement").motion.amount == 0.6
    assert understand("everything moves wildly").motion.amount == 1.8
    assert understand("don't move too much").motion.amount < 1
    assert understand("nothing moves").motion.amount == 0


def test_wind() -> None:
    found = understand("gentle breeze, wind from the left").motion
    assert found.wind_degrees == 0
    assert 0 < found.wind < 0.7
    assert understand("wind from left to right").motion.wind_degrees == 0
    assert understand("wind blowing to the left").motion.wind_degrees == 180
    assert understand("storm").motion.wind == 2
    assert understand("no wind").motion.wind == 0
    assert understand("wind").motion.wind == 1
    assert understand("wind").understood == ("wind",)


@pytest.mark.parametrize(
    ("prompt", "people"),
    [
        ("her hair moves gently in the breeze", True),
        ("dress flutters", True),
        ("the woman breathes", True),
        ("flag flutters", False),
        ("portrait of a woman, soft light", False),
        ("trees move, keep the people still", False),
        ("don't move the face", False),
    ],
)
def test_people_hold_still_unless_asked(prompt: str, people: bool) -> None:
    assert understand(prompt).motion.people is people


@pytest.mark.parametrize(
    ("prompt", "grain", "said"),
    [
        ("film grain", 0.5, "light: film grain"),
        ("grainy", 0.5, "light: film grain"),
        ("a little grain", 0.25, "light: film grain, a little"),
        ("slight film grain", 0.25, "light: film grain, slight"),
        ("light grain", 0.25, "light: film grain, light"),
        ("strong film grain", 0.75, "light: film grain, strong"),
        ("very strong grain", 0.975, "light: film grain, very strong"),
        ("vintage look", 0.5, "light: film grain"),
        ("like an old film", 0.5, "light: film grain"),
        ("8mm", 0.5, "light: film grain"),
        ("shot on Super 8", 0.5, "light: film grain"),
        ("analog photo", 0.5, "light: film grain"),
        ("film grain, vintage look", 0.5, "light: film grain"),
        ("no grain", 0.0, "light: no film grain"),
        ("without film grain", 0.0, "light: no film grain"),
        ("no camera movement and film grain", 0.5, "light: film grain"),
        ("no zoom or grain", 0.0, "light: no film grain"),
        ("vintage car", 0.0, ""),
        ("her vintage dress flutters", 0.0, ""),
        ("the grain sways", 0.0, ""),
        ("grain field in the wind", 0.0, ""),
        ("brain", 0.0, ""),
        ("leaves move", 0.0, ""),
    ],
)
def test_grain(prompt: str, grain: float, said: str) -> None:
    found = understand(prompt)
    assert found.light.grain == grain
    assert found.light.kind is None
    assert [line for line in found.understood if "grain" in line and "light" in line] == (
        [said] if said else []
    )
    assert "grain" not in found.unused


def test_grain_leaves_light_and_motion_as_they_are() -> None:
    found = understand("soft golden light with film grain, slight leaf movement, slow zoom")
    assert (found.light.kind, found.light.strength, found.light.grain) == ("golden", 0.6, 0.5)
    assert found.motion.gains == only(plant=0.5)
    assert found.camera.move == "push"
    assert found.unused == ()
    assert understand("moonlight film grain leaves sway").light == LightIntent("moon", grain=0.5)
    assert understand("the grain sways in the wind").motion.gains["plant"] == 1


def test_words_that_mean_nothing_here_are_handed_back() -> None:
    found = understand("cinematic 4K masterpiece, gentle breeze, rain, rain in the golden reeds")
    assert found.unused == ("cinematic", "4K", "masterpiece", "rain", "golden")
    assert understand("please make it so that the camera zooms in").unused == ()


def test_slips_of_the_keyboard_are_forgiven_and_told() -> None:
    found = understand("goldn hour lihgting, slihgt leaf movment")
    assert found.light.kind == "golden"
    assert found.motion.gains == only(plant=0.5)
    assert 'read "movment" as "movement"' in found.understood
    assert found.unused == ()


@pytest.mark.parametrize(
    "word", ["black", "frame", "planet", "glass", "weather", "house", "mountain"]
)
def test_ordinary_words_are_not_bent(word: str) -> None:
    assert understand(word) == Understanding(unused=(word,))


def test_nearest_is_one_slip_away() -> None:
    assert nearest("flwer") == "flower"
    assert nearest("brnaches") == "branches"
    assert nearest("lef") is None
    assert nearest("qqqqqqq") is None


@pytest.mark.parametrize("prompt", [None, "", "   ", "\n\t", "...", ",,,,", "🌊🌊", "👨‍👩‍👧‍👦"])
def test_prompts_that_say_nothing(prompt: str | None) -> None:
    assert understand(prompt) == Understanding()


@pytest.mark.parametrize(
    "prompt",
    [
        "x" * 10_000,
        "wave " * 2_000,
        "no " * 3_000,
        "leaves, " * 1_500,
        "slow zoom golden leaves wind " * 400,
        "in in in in and and or or but but",
        "木々がそっと揺れる",
        "أوراق تتحرك",
        "\ud800 leaves",
        "\0\x1b[31m leaves",
        "zoom" + "\u0301" * 5_000,
        "ﬀ ﷺ Ǆ ß İ",
    ],
)
def test_no_text_is_an_error(prompt: str) -> None:
    found = understand(prompt)
    assert all(isinstance(word, str) for word in (*found.understood, *found.unused))


def test_any_words_in_any_order_stay_within_bounds() -> None:
    rng = random.Random(0)
    phrases = [*vocabulary().phrases, ",", ",", ".", "qux"]
    for _ in range(2_000):
        prompt = " ".join(rng.choices(phrases, k=rng.randint(1, 14)))
        found = understand(prompt)
        values: list[Any] = [found.camera.pace, found.camera.strength, found.light.strength]
        values += [found.motion.amount, found.motion.wind, *found.motion.gains.values()]
        assert 0 <= found.light.grain <= 1, prompt
        assert all(0 <= value <= 2 for value in values), prompt
        assert found == understand(prompt)


def test_the_lexicon_is_in_order() -> None:
    phrases = vocabulary().phrases
    assert set(lexicon.SUBJECTS) == set(MOVING)
    for phrase in phrases:
        assert phrase == phrase.lower().strip()
        assert phrase.isascii(), f"{phrase} must be written without accents"
    for much, fast, _ in lexicon.DEGREES.values():
        assert 0 < much <= 2
        assert 0 < fast <= 2


def test_a_prompt_is_part_of_the_settings() -> None:
    assert understand(Settings(prompt="zoom out").prompt).camera.move == "pull"


@pytest.mark.parametrize(
    ("prompt", "mood"),
    [
        ("wistful", "wistful"),
        ("a nostalgic old film look", "wistful"),
        ("tender memory", "tender"),
        ("tender", "tender"),
        ("tender, candlelight", "tender"),
        ("radiant morning", "radiant"),
        ("restless", "restless"),
        ("stillness", "still"),
        ("mood: melancholic", "wistful"),
        ("z\u00e4rtlich", "tender"),
        ("wistful and radiant", "wistful"),
        ("tender breeze in the leaves", None),
        ("restless sea", None),
        ("not restless", None),
        ("hold still", None),
    ],
)
def test_moods(prompt: str, mood: str | None) -> None:
    found = understand(prompt)
    assert found.mood == mood
    assert (f"mood: {mood}" in found.understood) == (mood is not None)


def test_one_mood_a_clip_and_the_other_is_reported() -> None:
    assert understand("wistful and radiant").unused == ("radiant",)
    assert understand("not restless").unused == ("restless",)
    assert understand("slightly wistful, zorp").unused == ("slightly", "zorp")


def test_restless_before_the_sea_is_how_the_sea_moves() -> None:
    found = understand("restless sea")
    assert found.motion.gains["water"] > 1
    assert found.unused == ()


def test_pauses_blur_and_stutters() -> None:
    found = understand("camera zooms in slowly, pauses, dreamy")
    assert (found.pause, found.blur, found.camera.move) == (True, 0.6, "push")
    assert found.understood == (
        "camera: push in, slow",
        "camera: pauses on its way",
        "focus: soft as a memory",
    )
    assert understand("soft focus").blur == 0.7
    assert understand("sharp, no stutter").blur == 0.0
    assert understand("no stutter").stutter is False
    assert understand("the picture stutters").stutter is True
    assert understand("no pause").pause is False
    assert understand("old film").grain == 0.5
    assert understand("no film grain").grain == 0.0
    assert understand("zoom in").grain is None
