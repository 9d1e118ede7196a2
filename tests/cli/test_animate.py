"""The command's own work, with a stand-in for the renderer."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reverie.cli.animate import describe
from reverie.cli.main import main
from reverie.cli.progress import progress
from reverie.runtime import pipeline
from reverie.runtime.delivery import Delivery
from reverie.runtime.letters.label import DEFAULT_LABEL
from reverie.runtime.pipeline import Rendered
from reverie.runtime.placement import Placement
from reverie.runtime.prompt import understand
from reverie.runtime.settings import Settings


class Renderer:
    """Stands in for `reverie.animate`: remembers what it was asked, and makes an empty clip."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def __call__(
        self,
        photo: str,
        out: str | None,
        *,
        settings: Settings,
        delivery: Delivery,
        model: str,
        placement: Placement,
        force: bool,
        on_progress: Callable[[str, int, int], None] | None,
    ) -> Rendered:
        self.asked = {"photo": photo, "out": out, "settings": settings, "model": model}
        self.asked |= {"force": force, "on_progress": on_progress, "placement": placement}
        self.asked["delivery"] = delivery
        if on_progress is not None:
            on_progress("photo", 1, 1)
            for done in range(5):
                on_progress("frames", done + 1, 5)
        path = Path(out or "photo.mp4")
        path.write_bytes(bytes(2_500_000))
        return Rendered(
            path=path,
            seconds=settings.seconds,
            frames=settings.frames,
            fps=settings.fps,
            width=1280,
            height=settings.height,
            model=model,
            seed=settings.seed,
            stages={"photo": 0.5, "frames": 7.25},
            peak_memory=321_000_000,
            bytes=2_500_000,
            understanding=understand(settings.prompt),
            notes=("rotated as its EXIF says",),
            steps=settings.steps or 10,
            guidance=settings.guidance,
        )


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Renderer:
    monkeypatch.chdir(tmp_path)
    stand_in = Renderer()
    monkeypatch.setattr(pipeline, "animate", stand_in)
    return stand_in


def test_defaults_are_those_of_the_settings(renderer: Renderer) -> None:
    assert main(["animate", "photo.jpg"]) == 0
    assert renderer.asked["settings"] == Settings()
    assert renderer.asked["photo"] == "photo.jpg"
    assert (renderer.asked["out"], renderer.asked["model"]) == (None, "ember")
    assert renderer.asked["force"] is False
    assert renderer.asked["delivery"] == Delivery()


def test_every_option_arrives(renderer: Renderer) -> None:
    words = "animate p.jpg --seconds 2.5 --aspect 9:16 --height 480 --fps 30 --motion 0.25"
    more = "--seed 7 --model toy --loop --out clip.mov --force --quiet"
    assert main([*words.split(), *more.split(), "--prompt", "zoom in"]) == 0
    assert renderer.asked["settings"] == Settings(
        seconds=2.5,
        aspect="9:16",
        height=480,
        fps=30,
        motion=0.25,
        seed=7,
        loop=True,
        prompt="zoom in",
    )
    assert (renderer.asked["out"], renderer.asked["model"]) == ("clip.mov", "toy")
    assert renderer.asked["force"] is True


def test_how_it_looks_arrives(renderer: Renderer) -> None:
    words = "animate p.jpg --mood wistful --camera off --light dusk --grain 0.2 --restore gentle"
    more = "--faces free --interpolation blend --upscaling plain --quiet --label"
    assert main([*words.split(), *more.split()]) == 0
    asked = Settings(
        mood="wistful",
        camera="off",
        light="dusk",
        grain=0.2,
        restore="gentle",
        faces="free",
        interpolation="blend",
        upscaling="plain",
        label=DEFAULT_LABEL,
    )
    assert renderer.asked["settings"] == asked
    assert main(["animate", "p.jpg", "--quiet", "--label", "made by a machine"]) == 0
    assert renderer.asked["settings"] == Settings(label="made by a machine")


def test_how_it_leaves_arrives(renderer: Renderer) -> None:
    words = "animate p.jpg --quiet --codec hevc --encoder software --quality best --music m.mp3"
    more = "--voice v.wav --poster p.png --sheet s.png --no-credentials"
    keys = "--signing-key k.pem --signing-cert c.pem"
    assert main([*words.split(), *more.split(), *keys.split()]) == 0
    assert renderer.asked["delivery"] == Delivery(
        codec="hevc",
        encoder="software",
        quality="best",
        music="m.mp3",
        voice="v.wav",
        poster="p.png",
        sheet="s.png",
        credentials=False,
        signing_key="k.pem",
        signing_cert="c.pem",
    )
    assert main(["animate", "p.jpg", "--signing-key", "k.pem", "--quiet"]) == 2


def test_what_a_network_is_told_arrives(renderer: Renderer) -> None:
    words = ["animate", "p.jpg", "--steps", "8", "--guidance", "3.5", "--frames", "33", "--quiet"]
    assert main([*words, "--negative-prompt", "blurry"]) == 0
    asked = Settings(steps=8, guidance=3.5, num_frames=33, negative_prompt="blurry")
    assert renderer.asked["settings"] == asked


@pytest.mark.parametrize(("own", "rate"), [(7, 7), (23.976, 24), (None, 24), ("fast", 24)])
def test_a_number_of_frames_plays_at_the_models_own_rate(
    renderer: Renderer, toy_bundle: Path, own: object, rate: int
) -> None:
    path = toy_bundle / "bundle.json"
    timing = {} if own is None else {"fps": own}
    path.write_text(json.dumps({**json.loads(path.read_text()), "timing": timing}))
    words = ["animate", "p.jpg", "--quiet", "--model", str(toy_bundle)]
    assert main([*words, "--frames", "14"]) == 0
    assert renderer.asked["settings"] == Settings(num_frames=14, fps=rate)
    assert main([*words, "--frames", "14", "--fps", "30"]) == 0
    assert renderer.asked["settings"].fps == 30
    assert main(words) == 0
    assert renderer.asked["settings"].fps == 24


def test_what_is_left_of_a_prompt_goes_to_a_network_that_reads(
    renderer: Renderer, toy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = toy_bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "text": {"max_tokens": 8}}))
    words = ["animate", "p.jpg", "--prompt", "slow zoom in, purple rain", "--model"]
    assert main([*words, str(toy_bundle)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("camera: ")
    assert lines[-2:] == ["left to the model: purple, rain", "note: rotated as its EXIF says"]


def test_frames_and_seconds_exclude_each_other(
    renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", "p.jpg", "--frames", "9", "--seconds", "2"]) == 2
    assert "--frames" in capsys.readouterr().err


def test_a_person_hears_what_was_understood_and_where_the_clip_is(
    renderer: Renderer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", "p.jpg", "--prompt", "slow zoom in, purple rain"]) == 0
    out, err = capsys.readouterr()
    about = "1280x720, 10 s at 24 fps, 2.5 MB, made in 7.8 s with 321 MB of memory"
    assert out == f"photo.mp4  {about}\n"
    assert err.splitlines() == [
        "camera: push in, slow",
        "not used: purple, rain",
        "note: rotated as its EXIF says",
    ]
    assert renderer.asked["on_progress"] is None  # no terminal, no live line


def test_quiet_says_nothing(renderer: Renderer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["animate", "p.jpg", "--prompt", "slow zoom, purple rain", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json_is_one_object(renderer: Renderer, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "slow zoom in, purple rain, slight leaf movement, slight film grain"
    assert main(["animate", "p.jpg", "--prompt", prompt, "--json", "--seed", "9"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    told = json.loads(out)
    asked = told.pop("prompt")
    assert told == {
        "path": str(Path("photo.mp4").absolute()),
        "seconds": 10.0,
        "frames": 240,
        "fps": 24,
        "width": 1280,
        "height": 720,
        "model": "ember",
        "seed": 9,
        "steps": 10,
        "guidance": None,
        "stages": {"photo": 0.5, "frames": 7.25},
        "peak_memory_bytes": 321_000_000,
        "predicted_memory_bytes": None,
        "device_memory_bytes": None,
        "memory": None,
        "codec": "h264",
        "encoder": "",
        "sound": False,
        "guards": None,
        "notes": ["rotated as its EXIF says"],
    }
    assert asked["understood"] == [
        "camera: push in, slow",
        "motion: leaf, slight",
        "light: film grain, slight",
    ]
    assert asked["unused"] == ["purple", "rain"]
    assert asked["camera"]["move"] == "push"
    assert asked["light"] == {"kind": None, "strength": 1.0, "grain": 0.25}
    assert asked["motion"]["gains"]["plant"] == 0.5


def test_many_unused_words_are_counted() -> None:
    lines = describe(understand(" ".join(f"qx{n}" for n in range(30))))
    assert len(lines) == 1
    assert lines[0].endswith("qx11 and 18 more")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_live_line(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["animate", "p.jpg"]) == 0
    shown = terminal.getvalue()
    assert "drawing frames" in shown
    assert "5/5" in shown
    assert shown.count("note:") == 1


@pytest.mark.parametrize("flag", ["--quiet", "--json"])
def test_a_terminal_that_wants_silence_gets_it(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["animate", "p.jpg", flag]) == 0
    assert terminal.getvalue() == ""


def test_the_live_line_goes_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", terminal)

    def interrupted() -> None:
        with progress() as on_progress:
            assert on_progress is not None
            on_progress("frames", 1, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    shown = terminal.getvalue()
    assert shown.rfind("\x1b[?25h") > shown.rfind("drawing frames")  # the cursor is back
    assert shown.endswith("\x1b[2K")  # and the line is empty


def test_what_is_asked_of_the_machine(renderer: Renderer) -> None:
    words = ["--device", "cuda:1", "--backend", "tensorrt-rtx", "--precision", "int8"]
    assert main(["animate", "photo.jpg", *words, "--memory", "6GB", "--strict"]) == 0
    wanted = Placement("cuda:1", "tensorrt-rtx", "int8", 6 * 10**9, strict=True)
    assert renderer.asked["placement"] == wanted
    assert main(["animate", "photo.jpg"]) == 0
    assert renderer.asked["placement"] == Placement()


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--device", "gpu", "cuda"),
        ("--device", "cuda:x", "cuda"),
        ("--backend", "openvino", "onnxruntime"),
        ("--precision", "int3", "int4"),
        ("--memory", "much", "6GB"),
        ("--memory", "0", "6GB"),
    ],
)
def test_what_cannot_be_asked_of_a_machine(
    option: str, value: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", "photo.jpg", option, value]) == 2
    told = capsys.readouterr().err
    assert value in told
    assert word in told
    assert told.count("\n") == 1
