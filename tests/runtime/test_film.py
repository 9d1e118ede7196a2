"""Films of video models: the toy's frames brought to what a clip asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reverie
from reverie.engines.errors import BundleError, EngineError, SettingsError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.film import Timing, model_size
from reverie.runtime.frame import frame_photo
from reverie.runtime.photo import load_photo
from reverie.runtime.pipeline import stream

DATA = Path(__file__).resolve().parents[1] / "data"
PHOTO = DATA / "photos" / "lake-sherburne.jpg"


def changed(folder: Path, **sections: Any) -> Path:
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **sections}))
    return folder


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def test_a_film_is_as_asked(video_bundle: Path) -> None:
    film = stream(PHOTO, model=video_bundle, seconds=1.5, fps=20, height=96, aspect="4:3")
    frames = list(film)
    assert len(frames) == film.frame_count == 30
    assert all(f.shape == (96, 128, 3) and f.dtype == np.uint8 for f in frames)
    assert (film.steps, film.guidance, film.model) == (3, 2.0, "toy-video")
    assert {"photo", "frame", "text", "denoise", "decode", "frames"} <= set(film.stages.seconds)


def test_the_first_frame_is_the_photo(video_bundle: Path) -> None:
    film = stream(PHOTO, model=video_bundle, seconds=1, height=96)
    first, second, *_ = list(film)
    shot = frame_photo(load_photo(PHOTO), aspect="photo", height=96)
    assert psnr(first, shot.picture) > 35
    assert psnr(second, shot.picture) < 35


def test_frames_are_those_of_the_model(video_bundle: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    defaults = {"height": 64, "width": 64, "num_frames": 9, "steps": 3, "guidance": 2.0}
    changed(video_bundle, defaults=defaults)
    options = {"prompt": "sea", "negative_prompt": "blurry", "steps": 2, "guidance": 3.0, "seed": 5}
    film = stream(photo, model=video_bundle, num_frames=9, fps=12, height=64, **options)
    own = list(reverie.load(video_bundle).frames(photo, num_frames=9, **options))
    drawn = list(film)
    np.testing.assert_array_equal(drawn[0], photo)
    np.testing.assert_array_equal(drawn[1:], own[1:])
    assert film.notes == ()
    assert (film.steps, film.guidance) == (2, 3.0)


def test_a_number_of_frames_is_brought_to_the_nearest(video_bundle: Path) -> None:
    film = stream(PHOTO, model=video_bundle, num_frames=10, fps=12, height=96)
    assert film.frame_count == len(list(film)) == 9
    fast = stream(PHOTO, model=video_bundle, num_frames=9, fps=24, height=96)
    assert any("2 times faster" in note for note in fast.notes)


@pytest.mark.parametrize(
    ("seconds", "fps", "made", "note"),
    [
        (1.0, 12, 13, None),
        (2.0, 24, 25, "blended, 12 to 24 fps"),
        (10.0, 12, 33, "played 3.72 times slower"),
        (0.75, 12, 9, None),
    ],
)
def test_native_films_have_as_many_frames_as_they_need(
    video_bundle: Path, seconds: float, fps: int, made: int, note: str | None, toy_video: Any
) -> None:
    asked = Timing.of(load_bundle(video_bundle)).frames_for(round(seconds * fps), fps)
    assert asked == made
    film = stream(PHOTO, model=video_bundle, seconds=seconds, fps=fps, height=96)
    assert len(list(film)) == round(seconds * fps)
    about_time = [n for n in film.notes if "slower" in n or "blended" in n]
    assert any(note in n for n in about_time) if note else not about_time


def test_a_rate_near_the_models_own_is_taken_for_it(video_bundle: Path) -> None:
    changed(video_bundle, timing={"fps": 24, "frames": 9, "most_frames": 33})
    film = stream(PHOTO, model=video_bundle, seconds=1, fps=25, height=96)
    assert len(list(film)) == 25
    assert any("1.04 times faster" in n for n in film.notes)
    assert not any("blended" in n for n in film.notes)


def test_a_model_that_can_be_told_the_rate_is_told(
    video_bundle: Path, toy_video: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, plan = [], toy_video.plan

    def told(*words: Any, frame_rate: float | None = None, **options: Any) -> Any:
        asked.append(frame_rate)
        return replace(plan(*words, **options), fps=12 if frame_rate is None else frame_rate)

    monkeypatch.setattr(toy_video, "SETTINGS", {"frame_rate": None})
    monkeypatch.setattr(toy_video, "plan", told)
    film = stream(PHOTO, model=video_bundle, seconds=1, fps=15, height=96)
    assert (asked[-1], len(list(film))) == (15.0, 15)
    assert not any("faster" in n or "slower" in n or "blended" in n for n in film.notes)
    stream(PHOTO, model=video_bundle, seconds=1, fps=30, height=96)
    assert asked[-1] is None
    stream(PHOTO, model=video_bundle, num_frames=9, fps=15, height=96)
    assert asked[-1] is None


def test_slow_films_have_the_models_own_number(video_bundle: Path) -> None:
    timing = {"fps": 7, "frames": 13, "rule": "slow"}
    changed(video_bundle, timing=timing)
    film = stream(PHOTO, model=video_bundle, seconds=10, height=96, fps=24)
    frames = list(film)
    assert len(frames) == 240
    assert any("times slower than the model means it: it makes 13 frames" in n for n in film.notes)
    short = Timing.of(load_bundle(video_bundle))
    assert short.frames_for(24, 24) == 13


def test_what_cannot_be_used_is_said(toy_video: Any, tmp_path: Path) -> None:
    folder = toy_video.make_bundle(tmp_path / "b", text=False)
    film = stream(
        PHOTO,
        model=folder,
        seconds=0.75,
        fps=12,
        height=96,
        loop=True,
        prompt="zoom in, slight leaf movement",
        negative_prompt="blurry",
    )
    said = " | ".join(film.notes)
    for words in ("loop was left out", "the prompt was left out", "the negative prompt was left"):
        assert words in said
    assert film.understanding.understood == ()


def test_guidance_that_is_off_makes_a_negative_prompt_idle(video_bundle: Path) -> None:
    options = {"seconds": 0.75, "fps": 12, "height": 96, "negative_prompt": "blurry"}
    film = stream(PHOTO, model=video_bundle, guidance=1.0, **options)
    assert any("no effect, because guidance is off" in note for note in film.notes)
    assert not any("effect" in n for n in stream(PHOTO, model=video_bundle, **options).notes)


def test_a_prompt_that_is_cut_is_told(video_bundle: Path) -> None:
    options = {"model": video_bundle, "seconds": 0.75, "fps": 12, "height": 96}
    film = stream(PHOTO, prompt="a cat " * 10, negative_prompt="sea wind", **options)
    assert [n for n in film.notes if "too long" in n] == [
        "the prompt is too long: its last 9 tokens were left out"
    ]
    film = stream(PHOTO, prompt="a cat " * 5 + "sea", **options)
    assert not any("too long" in note for note in film.notes)


def test_motion_reaches_a_model_that_knows_it(
    video_bundle: Path, toy_video: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, plan = [], toy_video.plan
    monkeypatch.setattr(toy_video, "plan", lambda *a, **k: asked.append(k) or plan(*a, **k))
    stream(PHOTO, model=video_bundle, seconds=1, height=96, motion=0.5)
    assert asked[-1]["motion_bucket_id"] == 127
    monkeypatch.setattr(toy_video, "SETTINGS", {})
    film = stream(PHOTO, model=video_bundle, seconds=1, height=96, motion=0.5)
    assert any("motion was left out" in note for note in film.notes)


def test_ember_says_what_it_cannot_use() -> None:
    film = stream(
        PHOTO,
        model=DATA / "bundles" / "toy-ember",
        num_frames=20,
        height=96,
        guidance=3.0,
        negative_prompt="rain",
    )
    assert film.frame_count == len(list(film)) == 20
    assert [n for n in film.notes if "left out" in n] == [
        f"guidance was left out: {film.model} knows none",
        f"a negative prompt was left out: {film.model} knows none",
    ]


def test_a_nan_stops_the_film_and_leaves_no_file(
    video_bundle: Path, toy_video: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = toy_video.plan
    monkeypatch.setattr(toy_video, "plan", lambda *a, **k: plan(*a, **k, fail=True))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(EngineError, match="step 2 of 3"):
        reverie.animate(PHOTO, out / "clip.mp4", model=video_bundle, seconds=1, height=96)
    assert list(out.iterdir()) == []


def test_stages_do_not_overlap(video_bundle: Path, tmp_path: Path) -> None:
    import time

    start = time.perf_counter()
    clip = reverie.animate(PHOTO, tmp_path / "c.mp4", model=video_bundle, seconds=1, height=96)
    whole = time.perf_counter() - start
    assert sum(clip.stages.values()) <= whole
    assert min(clip.stages.values()) >= 0
    assert (clip.frames, clip.steps, clip.guidance) == (24, 3, 2.0)


@pytest.mark.parametrize(
    ("frame", "limits", "size"),
    [
        ((128, 96), {"multiple": 16}, (64, 48)),
        ((64, 48), {"multiple": 16}, (64, 48)),
        ((32, 32), {"multiple": 16}, (32, 32)),
        ((1280, 720), {"multiple": 16}, (64, 32)),
        ((720, 1280), {"multiple": 16}, (32, 64)),
        ((1280, 720), {"multiple": 32, "area": 704 * 480}, (736, 416)),
        ((4000, 1000), {"multiple": 16, "area": 10**6, "most_width": 512}, (512, 128)),
        ((100, 100), {"multiple": 256}, (256, 256)),
    ],
)
def test_the_size_that_is_made(
    video_bundle: Path, frame: tuple[int, int], limits: dict[str, int], size: tuple[int, int]
) -> None:
    assert model_size(load_bundle(changed(video_bundle, limits=limits)), frame) == size


@pytest.mark.parametrize("multiple", [8, 16, 32])
@pytest.mark.parametrize("height", [64, 90, 480, 720, 1080])
@pytest.mark.parametrize("ratio", [0.3, 0.5625, 1.0, 1.5, 1.78, 3.5])
def test_every_size_keeps_the_area_and_nearly_the_shape(
    video_bundle: Path, multiple: int, height: int, ratio: float
) -> None:
    limits = {"multiple": multiple, "area": 704 * 480}
    frame = 2 * round(height * ratio / 2), height
    width, tall = model_size(load_bundle(changed(video_bundle, limits=limits)), frame)
    assert width % multiple == tall % multiple == 0
    assert width * tall <= 704 * 480
    if min(frame) >= 6 * multiple:
        assert abs(np.log(width / tall / (frame[0] / frame[1]))) < 0.13
        assert width * tall >= 0.7 * min(frame[0] * frame[1], 704 * 480)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"timing": {"frames": 9}}, "'fps' is missing"),
        ({"timing": {"fps": 0, "frames": 9}}, "above 0"),
        ({"timing": {"fps": 24, "frames": 9, "rule": "often"}}, "native, slow, windows"),
        ({"timing": {"fps": "fast", "frames": 9}}, "timing"),
        ({"defaults": {"width": 64}}, "defaults.height is missing"),
        ({"limits": {"multiple": 0}}, "above 0"),
    ],
)
def test_a_broken_manifest_is_told(video_bundle: Path, sections: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError) as caught:
        stream(PHOTO, model=changed(video_bundle, **sections), seconds=1, height=96)
    assert said in str(caught.value)


def test_an_impossible_prompt_is_told_before_a_file_is_there(
    video_bundle: Path, tmp_path: Path
) -> None:
    path = video_bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest["components"]["text_encoder"]
    path.write_text(json.dumps(manifest))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SettingsError, match="'sea' is not known to toy-video"):
        reverie.animate(PHOTO, out / "c.mp4", model=video_bundle, prompt="sea", seconds=1)
    assert list(out.iterdir()) == []


MEMORY = """
import importlib.util, sys
name = "reverie.runtime.families.toyvideo"
spec = importlib.util.spec_from_file_location(name, sys.argv[4])
sys.modules[name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import reverie
film = reverie.stream(sys.argv[1], model=sys.argv[2], seconds=float(sys.argv[3]), height=240)
for frame in film: pass
from reverie.runtime.memory import peak_memory
print(peak_memory())
"""


def test_memory_does_not_grow_with_length(video_bundle: Path) -> None:
    def peak(seconds: int) -> int:
        toy = DATA / "toy_video.py"
        command = [sys.executable, "-c", MEMORY, PHOTO, video_bundle, str(seconds), toy]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert peak(60) <= 1.05 * peak(5)
