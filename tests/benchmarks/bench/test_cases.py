"""Options to cases: what multiplies, what a model is measured with, what is refused."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.bench.cases import Case, cases_of, command_of, plans_of, size_of
from reverie.benchmarks.bench.words import add_options
from reverie.cli.main import parser
from reverie.engines.errors import BundleError, PhotoError, SettingsError
from reverie.runtime.settings import Settings


def asked(*words: str) -> Namespace:
    options = ArgumentParser()
    add_options(options)
    return options.parse_args(list(words))


def test_a_plain_call_is_ember() -> None:
    (case,) = cases_of(asked())
    assert (case.name, case.width, case.height, case.frames, case.fps) == (
        "ember",
        1280,
        720,
        240,
        24,
    )
    assert case.id("cpu") == "ember 1280x720 240f cpu"
    assert Path(case.photo).is_file()


def test_lists_multiply() -> None:
    words = ("ember", "--size", "96x64", "128x96", "--frames", "12", "24", "--steps", "2", "4")
    cases = cases_of(asked(*words, "--threads", "1", "--precision", "auto", "fp16"))
    assert len(cases) == 16
    assert len({case.id("cpu") for case in cases}) == 16
    assert cases[0].id("cpu") == "ember 96x64 12f cpu 2 steps 1 threads"
    assert cases[-1].id("cuda:1") == "ember 128x96 24f cuda 4 steps fp16 1 threads"


def test_the_words_are_those_of_animate(case: Case) -> None:
    words = parser().parse_args(case.words("out.mp4"))
    assert (words.command, words.frames, words.height, words.aspect) == ("animate", 12, 64, "96:64")
    seconds = Case(**{**vars(case), "seconds": 2.5, "steps": 4, "prompt": "waves"})
    words = parser().parse_args(seconds.words("out.mp4"))
    assert (words.seconds, words.frames, words.steps, words.prompt) == (2.5, None, 4, "waves")
    guided = Case(**{**vars(case), "guidance": 1.0, "prompt": ""})
    words = parser().parse_args(guided.words("out.mp4"))
    assert (words.guidance, words.prompt) == (1.0, "")
    assert guided.id("cpu") == "ember 96x64 12f cpu guidance 1"
    assert command_of([case])[0][1] == "lake.jpg"  # not where it lies


def test_a_films_size_is_the_one_that_was_asked_for() -> None:
    from reverie.runtime.frame import frame_size

    for text in ("96x64", "1280x720", "1920x1080", "704x512", "832x480", "576x1024"):
        width, height = size_of(text)
        settings = Settings(height=height, aspect=f"{width}:{height}")
        assert frame_size(settings.aspect, settings.height, (4000, 3000)) == (width, height)


def test_a_video_model_has_its_own_size_and_rate(video_bundle: Path) -> None:
    (case,) = cases_of(asked(str(video_bundle)))
    manifest = json.loads((video_bundle / "bundle.json").read_text())
    defaults = manifest["defaults"]
    assert case.height >= 64
    assert case.width / case.height == defaults["width"] / defaults["height"]
    assert case.frames == defaults["num_frames"]
    assert case.fps == round(manifest["timing"]["fps"])
    assert case.label == video_bundle.name
    assert case.prompt
    assert not case.made_prompt


def test_a_bundle_without_its_encoder_is_given_embeddings(video_bundle: Path) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest["components"]["text_encoder"]
    manifest["prompts"] = {}
    path.write_text(json.dumps(manifest))
    (case,) = cases_of(asked(str(video_bundle)))
    assert case.made_prompt
    manifest["prompts"] = {"k": {"prompt": "golden hour", "max_tokens": 8}}
    path.write_text(json.dumps(manifest))
    (case,) = cases_of(asked(str(video_bundle)))
    assert (case.prompt, case.made_prompt) == ("golden hour", True)
    manifest["prompts"]["e"] = {"prompt": "", "max_tokens": 8}
    path.write_text(json.dumps(manifest))
    (case,) = cases_of(asked(str(video_bundle)))
    assert (case.prompt, case.made_prompt) == ("golden hour", False)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["nowhere"], BundleError, "nowhere"),
        (["rife"], BundleError, "makes no films"),
        (["--size", "720p"], SettingsError, "give WxH"),
        (["--size", "1280x10"], SettingsError, "64 to 4320"),
        (["--size", "97x64"], SettingsError, "even"),
        (["--size", "6400x64"], SettingsError, "1:4"),
        (["--frames", "1"], SettingsError, "--frames 1"),
        (["--steps", "0"], SettingsError, "--steps 0"),
        (["--threads", "0"], SettingsError, "--threads 0"),
        (["--threads", "100000"], SettingsError, "--threads 100000"),
        (["--seconds", "0.01"], SettingsError, "seconds"),
        (["--seconds", "nan"], SettingsError, "seconds"),
        (["--device", "tpu"], SettingsError, "tpu"),
        (["--guidance", "-1"], SettingsError, "guidance"),
        (["--photo", "nowhere.jpg"], PhotoError, "nowhere.jpg"),
    ],
)
def test_impossible_cases_are_refused(words: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        cases_of(asked(*words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--repeat", "0"], "--repeat 0"),
        (["--warmup", "-1"], "--warmup -1"),
        (["--minutes", "0"], "--minutes 0"),
        (["--minutes", "nan"], "--minutes nan"),
    ],
)
def test_impossible_counts_are_refused(words: list[str], said: Any) -> None:
    with pytest.raises(SettingsError, match=said):
        plans_of(asked(*words))
