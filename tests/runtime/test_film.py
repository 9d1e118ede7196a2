"""Films of video models: the toy's frames brought to what a clip asks for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import reverie
from PIL import Image
from reverie.engines.errors import BundleError, EngineError, SettingsError
from reverie.runtime.bundle import load_bundle
from reverie.runtime.film import latent_film, plan_film
from reverie.runtime.frame import frame_photo
from reverie.runtime.model import Model
from reverie.runtime.model_size import model_size
from reverie.runtime.photo import load_photo
from reverie.runtime.pipeline import Film
from reverie.runtime.placement import Placement
from reverie.runtime.placing import Place
from reverie.runtime.settings import Settings
from reverie.runtime.stages import Stages
from reverie.runtime.take import Take, find_family
from reverie.runtime.ways import FrameWays

DATA = Path(__file__).resolve().parents[1] / "data"
PHOTO = DATA / "photos" / "lake-sherburne.jpg"


def stream(photo: Any, **asked: Any) -> Film:
    """A film without the networks that work on frames, which have tests of their own."""
    plain = {"interpolation": "blend", "upscaling": "plain", "faces": "free"}
    return reverie.stream(photo, **{**plain, **asked})


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


def test_nothing_jumps_where_the_model_takes_the_photo_over(
    video_bundle: Path, toy_video: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photo's detail and colours, which a soft and dark model lacks, fade with what moves."""
    drawn = []

    def soft(bundle: Any, picture: np.ndarray, plan: Any, **_: Any) -> Any:
        blurred = cv2.GaussianBlur(picture, (0, 0), 2.0)
        for index in range(plan.num_frames):
            drawn.append(np.roll(np.clip(blurred * 0.95, 0, 255).astype(np.uint8), index, 1))
            yield drawn[-1]

    monkeypatch.setattr(toy_video, "frames", soft)
    defaults = {"height": 96, "width": 128, "num_frames": 9, "steps": 3, "guidance": 2.0}
    changed(video_bundle, timing={"fps": 24, "frames": 9, "most_frames": 33}, defaults=defaults)
    picture = cv2.resize(np.asarray(Image.open(PHOTO).convert("RGB")), (128, 96))
    frames = list(stream(picture, model=video_bundle, seconds=1.2, fps=24, height=96))
    np.testing.assert_array_equal(frames[0], picture)

    def unlike(before: np.ndarray, after: np.ndarray) -> float:
        """How far a frame is from the one before it, moved on."""
        return float(np.abs(np.roll(before, 1, 1).astype(float) - after)[8:-8, 16:-16].mean())

    steps = [unlike(before, after) for before, after in pairwise(frames)]
    bare = unlike(picture, drawn[1])
    assert bare > 7, "or there is nothing to hide"
    assert max(steps) < 0.3 * bare
    assert max(steps[14:]) == 0


@pytest.mark.parametrize("loop", [False, True])
def test_a_caller_brings_ways_between_and_beyond(video_bundle: Path, loop: bool) -> None:
    calls: dict[str, list[Any]] = {"between": [], "enlarge": []}

    def between(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
        calls["between"].append((before.shape, share))
        return before if share < 0.5 else after

    def enlarge(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        calls["enlarge"].append(size)
        return np.asarray(np.resize(frame, (size[1], size[0], 3)), np.uint8)

    take = film_of(video_bundle, FrameWays(between, enlarge), seconds=1, fps=24, loop=loop)
    assert len(list(take.frames)) == take.frame_count == 24
    assert set(calls["enlarge"]) == {(128, 96)}
    assert len(calls["enlarge"]) == 24
    assert len(calls["between"]) == 12
    assert calls["between"][0] == ((48, 64, 3), 0.5)  # before it is enlarged
    said = " | ".join(take.notes)
    assert "drawn by a network, 12 to 24 fps" in said
    assert "brought to 128x96 by a network" in said


def film_of(folder: Path, ways: FrameWays, **asked: Any) -> Take:
    bundle = load_bundle(folder)
    return latent_film(
        find_family(bundle),
        bundle,
        load_photo(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)),
        Settings(height=96, **asked),
        place=Place(bundle, Placement("cpu")),
        stages=Stages(),
        ways=ways,
    )


def test_frames_are_those_of_the_model(video_bundle: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    defaults = {"height": 64, "width": 64, "num_frames": 9, "steps": 3, "guidance": 2.0}
    changed(video_bundle, defaults=defaults)
    options = {"prompt": "sea", "negative_prompt": "blurry", "steps": 2, "guidance": 3.0, "seed": 5}
    film = stream(photo, model=video_bundle, num_frames=9, fps=12, height=64, **options)
    own = list(reverie.load(video_bundle).frames(photo, num_frames=9, **options))
    drawn = list(film)
    np.testing.assert_array_equal(drawn[0], photo)
    np.testing.assert_array_equal(drawn[7:], own[7:])  # half a second after the photo
    assert film.notes == (
        "0.75 s at 12 fps are 9 frames: one window, for toy-video makes 9 frames at 12 fps",
    )
    assert (film.steps, film.guidance) == (2, 3.0)


def test_a_number_of_frames_is_brought_to_the_nearest(video_bundle: Path) -> None:
    film = stream(PHOTO, model=video_bundle, num_frames=10, fps=12, height=96)
    assert film.frame_count == len(list(film)) == 9
    long = stream(PHOTO, model=video_bundle, num_frames=80, fps=12, height=96, loop=True)
    assert long.frame_count == len(list(long)) == 80  # windows joined have any number
    fast = stream(PHOTO, model=video_bundle, num_frames=9, fps=24, height=96)
    assert any("2 times faster" in note for note in fast.notes)


@pytest.mark.parametrize(
    ("seconds", "fps", "made", "note"),
    [
        (1.0, 12, 13, None),
        (2.0, 24, 25, "blended, 12 to 24 fps"),
        (3.0, 12, 33, "played 1.09 times slower"),
        (10.0, 12, 33, "windows of 33 frames are joined"),
        (0.75, 12, 9, None),
    ],
)
def test_native_films_have_as_many_frames_as_they_need(
    video_bundle: Path, seconds: float, fps: int, made: int, note: str | None, toy_video: Any
) -> None:
    settings = Settings(seconds=seconds, fps=fps)
    bundle = load_bundle(video_bundle)
    asked = plan_film(Model(bundle, find_family(bundle)), settings, (64, 48))
    assert asked.plan.num_frames == asked.length.window_frames == made
    film = stream(PHOTO, model=video_bundle, seconds=seconds, fps=fps, height=96)
    assert len(list(film)) == round(seconds * fps)
    about_time = [n for n in film.notes if re.search("slower|blended|windows of", n)]
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
    film = stream(PHOTO, model=video_bundle, seconds=3, height=96, fps=24)
    frames = list(film)
    assert len(frames) == 72
    assert any("times slower than the model means it: it makes 13 frames" in n for n in film.notes)
    assert "blended, 4.06 to 24 fps" in " ".join(film.notes)


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
    for words in (
        "so that the film loops",
        "toy-video reads no prompt",
        "the negative prompt was left",
    ):
        assert words in said
    assert "camera: push in" in film.understanding.understood  # laid on the frames


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
film = reverie.stream(sys.argv[1], model=sys.argv[2], seconds=float(sys.argv[3]), height=240,
                      interpolation="blend", upscaling="plain", faces="free")
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
