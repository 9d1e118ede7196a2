from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reverie
from PIL import Image
from reverie.engines.errors import (
    OutputError,
    PhotoError,
    SettingsError,
    SoundError,
    StoryError,
)
from reverie.runtime.output import _explain
from reverie.runtime.reading import film_facts, read_frames
from reverie.runtime.story import render as story_render
from reverie.runtime.story.story import plan_story, story
from reverie.runtime.story.write import plan_text, write_plan

DATA = Path(__file__).resolve().parents[2] / "data"
TOY = DATA / "bundles" / "toy-ember"
SMALL: dict[str, Any] = {"model": TOY, "height": 64, "fps": 8}

PLAN = """\
fps = 8
height = 64
aspect = "4:3"
mood = "none"
motion = 1.0
end = "cut"
[[shot]]
photo = "one.png"
seconds = 1.5
camera = "push"
transition = "cut"
hold = 0
[[shot]]
photo = "two.png"
seconds = 1.5
camera = "left"
transition = "dissolve 0.5"
hold = 0
[[shot]]
photo = "one.png"
light = "dusk"
seconds = 1.5
camera = "pull"
transition = "fade 0.5"
hold = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two photos, a plan, and some music."""
    y, x = np.mgrid[0:96, 0:128]
    for name, colour in (("one", (210, 150, 90)), ("two", (60, 110, 200))):
        waves = 0.6 + 0.4 * np.sin(x / 9 + (y / 7 if name == "two" else 0))
        pixels = (waves[..., None] * np.array(colour)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "story.toml").write_text(PLAN)
    t = np.arange(48000 * 2) / 48000
    tone = 0.4 * np.sin(2 * np.pi * 220 * t) * np.exp(-(t % 0.5) * 8)
    with wave.open(str(tmp_path / "music.wav"), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes((tone * 32000).astype("<i2").tobytes())
    return tmp_path


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos of the shots that are rendered while the test runs."""
    names: list[str] = []
    stream = story_render.stream

    def counted(photo: Any, *args: Any, **options: Any) -> Any:
        names.append(Path(photo).name if isinstance(photo, str | Path) else "a picture")
        return stream(photo, *args, **options)

    monkeypatch.setattr(story_render, "stream", counted)
    return names


def alike(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Whether two films are the same; x264 itself differs by a level now and then."""
    return all(
        float(np.abs(a.astype(int) - b).mean()) < 1.0 for a, b in zip(one, other, strict=True)
    )


def test_two_photos_become_one_film(folder: Path) -> None:
    told = reverie.story(
        [folder / "one.png", folder / "two.png"], folder / "film.mp4", seconds=4, **SMALL
    )
    assert (told.frames, told.seconds, told.fps, told.width, told.height) == (32, 4.0, 8, 114, 64)
    assert (told.rendered, told.kept) == (2, 0)
    assert sum(1 for _ in read_frames(told.path)) == 32
    assert told.plan is not None
    assert told.plan.total == 4.0
    assert {"photos", "frames", "film"} <= set(told.stages)
    assert any("shots are kept" in note for note in told.notes)
    assert sorted(p.name for p in folder.iterdir() if p.name[:1] == ".") == []


@pytest.mark.parametrize(("seconds", "fps"), [(2.5, 10), (4.0, 25), (3.1, 7)])
def test_the_film_has_exactly_the_frames_asked(folder: Path, seconds: float, fps: int) -> None:
    told = story(
        [], folder / "f.mp4", plan=folder / "story.toml", seconds=seconds, fps=fps, model=TOY
    )
    facts = film_facts(told.path)
    assert facts.frames == round(seconds * fps)
    assert facts.seconds == pytest.approx(round(seconds * fps) / fps, abs=1e-3)


def test_one_changed_line_renders_one_shot(folder: Path, rendered: list[str]) -> None:
    plan, out = folder / "story.toml", folder / "film.mp4"

    def tell(text: str) -> list[str]:
        plan.write_text(text)
        rendered.clear()
        told = story([], out, plan=plan, model=TOY, force=True)
        assert (told.rendered, told.rendered + told.kept) == (len(rendered), 3)
        return list(rendered)

    assert tell(PLAN) == ["one.png", "two.png", "one.png"]
    assert tell(PLAN) == []
    assert tell(PLAN.replace('"left"', '"right"')) == ["two.png"]
    assert tell(PLAN.replace('"left"', '"right"').replace('"dusk"', '"moon"')) == ["one.png"]
    now = PLAN.replace('"left"', '"right"').replace('"dusk"', '"moon"')
    assert tell(now + 'caption = "Porto"\n') == []
    assert tell(now.replace("dissolve 0.5", "dissolve 0.4")) == []
    assert tell(now.replace("dissolve 0.5", "cut")) == ["one.png", "two.png"]  # both are shorter
    (folder / "two.png").write_bytes((folder / "one.png").read_bytes())
    assert tell(now.replace("dissolve 0.5", "cut")) == ["two.png"]
    assert len(list((folder / "film.mp4.shots").glob("*.mkv"))) == 3  # the others were swept


def test_a_cut_or_changed_shot_is_made_again(folder: Path, rendered: list[str]) -> None:
    plan, out = folder / "story.toml", folder / "film.mp4"
    story([], out, plan=plan, model=TOY)
    first = list(read_frames(out))
    one, two, three = sorted((folder / "film.mp4.shots").glob("*.mkv"))
    one.write_bytes(one.read_bytes()[:-200])
    damaged = bytearray(two.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    two.write_bytes(damaged)
    three.with_suffix(".json").write_text("{}")
    rendered.clear()
    story([], out, plan=plan, model=TOY, force=True)
    assert len(rendered) == 3
    assert alike(first, read_frames(out))


def test_a_photo_again_in_another_light_gives_other_frames(folder: Path) -> None:
    text = (
        PLAN.replace('"pull"', '"push"').replace("fade 0.5", "cut").replace("dissolve 0.5", "cut")
    )
    text = text.replace("hold = 0.5", "hold = 0").replace("[[shot]]", "[[shot]]\nseed = 4")
    (folder / "story.toml").write_text(text)
    told = story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    assert told.rendered == 3
    frames = list(read_frames(told.path))
    assert np.abs(frames[11].astype(int) - frames[35]).mean() > 3
    plain = text.replace('light = "dusk"\n', 'light = "none"\n').replace(
        'photo = "one.png"\nseconds', 'photo = "one.png"\nlight = "none"\nseconds'
    )
    (folder / "story.toml").write_text(plain)
    told = story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY, force=True)
    assert (told.rendered, told.kept) == (1, 1)  # the same twice over is rendered once
    frames = list(read_frames(told.path))
    assert np.abs(frames[11].astype(int) - frames[35]).mean() < 1.6


def test_captions_appear_where_they_belong(folder: Path) -> None:
    text = PLAN + 'caption = "Porto"\n'
    (folder / "story.toml").write_text(
        text.replace("hold = 0.5", "hold = 0").replace("fade 0.5", "cut")
    )

    def frames(captions: bool) -> list[Any]:
        out = folder / "film.mp4"
        told = story([], out, plan=folder / "story.toml", captions=captions, model=TOY, force=True)
        return list(read_frames(told.path))

    apart = [np.abs(a.astype(int) - b) for a, b in zip(frames(True), frames(False), strict=True)]
    assert max(float(one.mean()) for one in apart[:24]) < 1.5  # the encoder alone
    assert apart[31][40:].max() > 60  # letters at the foot of the last shot
    assert np.percentile(apart[31][:30], 99) < 12


def test_music_is_heard_for_exactly_the_film(folder: Path) -> None:
    told = story(
        [], folder / "film.mp4", plan=folder / "story.toml", music=folder / "music.wav", model=TOY
    )
    facts = film_facts(told.path)
    assert facts.sound == "aac"
    assert facts.frames == 36
    assert facts.sound_seconds == pytest.approx(4.5, abs=0.05)
    with (
        wave.open(str(folder / "music.wav"), "rb") as short,
        wave.open(str(folder / "long.wav"), "wb") as long,
    ):
        long.setparams(short.getparams())
        long.writeframes(short.readframes(short.getnframes()) * 6)
    text = 'music = "long.wav"\n' + (folder / "story.toml").read_text()
    (folder / "story.toml").write_text(text)
    told = story([], told.path, plan=folder / "story.toml", model=TOY, force=True)
    assert told.rendered == 0  # other music costs no shot
    facts = film_facts(told.path)
    assert facts.frames == 36
    assert facts.sound_seconds == pytest.approx(4.5, abs=0.05)


def test_a_plan_is_written_and_gives_the_same_film(folder: Path) -> None:
    photos = [folder / "one.png", folder / "two.png", folder / "one.png"]
    plan, _ = plan_story(photos, seconds=5, height=64, fps=8, captions=True)
    written = write_plan(plan, folder / "made.toml")
    text = written.read_text()
    assert 'photo = "two.png"' in text
    assert 'caption = "Two"' in text
    assert text.startswith("# The plan of a story.")
    again, _ = plan_story(plan=written)
    assert plan_text(again, folder) == plan_text(plan, folder)
    one = story(photos, folder / "a.mp4", seconds=5, captions=True, **SMALL)
    two = story(plan=written, out=folder / "b.mp4", model=TOY, shots=folder / "a.mp4.shots")
    assert (two.rendered, two.kept) == (0, one.rendered)
    assert alike(read_frames(one.path), read_frames(two.path))
    with pytest.raises(OutputError, match="exists"):
        write_plan(plan, written)


def test_pictures_need_no_files(folder: Path) -> None:
    with Image.open(folder / "one.png") as picture:
        pixels = np.asarray(picture)
        told = story([picture, pixels], folder / "film.mp4", seconds=2, **SMALL)
    assert told.frames == 16
    assert told.plan is not None
    with pytest.raises(StoryError, match="no file"):
        plan_text(told.plan, folder)


def test_shots_need_not_be_kept(folder: Path) -> None:
    told = story([folder / "one.png"], folder / "film.mp4", seconds=1, keep_shots=False, **SMALL)
    assert told.shots_folder is None
    assert not (folder / "film.mp4.shots").exists()


def test_bad_photos_are_named(folder: Path) -> None:
    good, out = folder / "one.png", folder / "film.mp4"
    (folder / "film.jpg").write_bytes(b"\0\0\0\x20ftypisom" + bytes(64))
    (folder / "cut.png").write_bytes(good.read_bytes()[:300])
    cases = [
        (folder, "is a folder"),
        (folder / "gone.jpg", "not there"),
        (folder / "film.jpg", "a video"),
    ]
    for photo, words in [*cases, (folder / "cut.png", "damaged")]:
        with pytest.raises(PhotoError, match=words):
            story([photo, good], out, **SMALL)
    (folder / "story.toml").write_text(PLAN.replace("two.png", "film.jpg"))
    with pytest.raises(StoryError, match=r"story\.toml:14: .*film\.jpg.*a video"):
        story([], out, plan=folder / "story.toml", model=TOY)
    assert not out.exists()
    assert not (folder / "film.mp4.shots").exists()


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (StoryError, {"photos": []}, "at least one photo"),
        (StoryError, {"photos": ["nowhere.jpg"] * 10_000}, "10,000 shots are more than the 500"),
        (SettingsError, {"seconds": 0}, "0 seconds"),
        (SettingsError, {"seconds": 601}, "601 seconds"),
        (SettingsError, {"seconds": "ten"}, "'ten'"),
        (SettingsError, {"seconds": float("nan")}, "nan"),
        (SettingsError, {"mood": "happy"}, "tender"),
        (SettingsError, {"colour": "red"}, "no setting of a shot"),
        (SettingsError, {"fps": 0}, "fps"),
        (SettingsError, {"aspect": "9"}, "16:9"),
        (SettingsError, {"plan": "story.toml"}, "not both"),
        (OutputError, {"out": "film.txt"}, "must end in"),
        (OutputError, {"storyboard": "board.jpg"}, "png"),
        (SoundError, {"music": "gone.mp3"}, "gone.mp3"),
        (SoundError, {"music": "one.png"}, "one.png"),
        (SettingsError, {"out": "film.gif", "music": "music.wav"}, "silent"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    rendered: list[str],
    kind: type[Exception],
    options: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(kind, match=words) as caught:
        story(**{"photos": ["one.png", "two.png"], "out": "film.mp4", **SMALL, **options})
    assert "\n" not in str(caught.value)
    assert rendered == []
    assert sorted(folder.iterdir()) == before


CHILD = """
import signal, sys, reverie
# Whoever runs the tests in the background has Ctrl-C ignored, and hands that down.
signal.signal(signal.SIGINT, signal.default_int_handler)
def told(stage, done, total):
    if stage == "shots" and done >= 70:
        print("in the second shot", flush=True)
reverie.story(
    [], sys.argv[1] + "/film.mp4", plan=sys.argv[1] + "/story.toml", model=sys.argv[2],
    on_progress=told,
)
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
@pytest.mark.skipif(os.name == "nt", reason="a matter of POSIX signals")
def test_a_killed_story_goes_on_where_it_was(folder: Path, rendered: list[str], how: str) -> None:
    long = PLAN.replace('seconds = 1.5\ncamera = "left"', 'seconds = 10\ncamera = "left"')
    (folder / "story.toml").write_text(long.replace("fps = 8", "fps = 30"))
    shots = folder / "film.mp4.shots"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(TOY)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in the second shot\n"
        child.send_signal(getattr(signal, how))
        assert child.wait(60) != 0
    assert not (folder / "film.mp4").exists()
    assert len(list(shots.glob("*.mkv"))) == 1
    left = list(shots.glob(".reverie-*.part"))
    assert bool(left) == (how == "SIGKILL")
    told = story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    assert rendered == ["two.png", "one.png"]
    assert (told.rendered, told.kept, told.frames) == (2, 1, 390)
    assert list(shots.glob(".reverie-*")) == []


def test_a_disk_that_fills_in_the_middle_loses_one_shot(
    folder: Path, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reverie.runtime.story import shots as story_shots

    write = story_shots.write_clip

    def filling(frames: Iterator[Any], path: Path, **options: Any) -> Any:
        if len(rendered) == 2:
            list(frames)
            raise OutputError(_explain(path, OSError(errno.ENOSPC, "full")))
        return write(frames, path, **options)

    monkeypatch.setattr(story_shots, "write_clip", filling)
    with pytest.raises(OutputError, match=r"disk is full.*are kept, the same command goes on"):
        story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    monkeypatch.setattr(story_shots, "write_clip", write)
    rendered.clear()
    story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    assert rendered == ["two.png", "one.png"]


def test_a_disk_too_small_is_told_before_anything_is_rendered(
    folder: Path, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reverie.runtime.story import shots as story_shots

    monkeypatch.setattr(story_shots.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match=r"need about .* GB and .* GB are free"):
        story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    assert rendered == []


def test_one_story_at_a_time_in_a_folder(folder: Path) -> None:
    from reverie.runtime.story.shots import ShotStore

    with (
        ShotStore(folder / "film.mp4.shots"),
        pytest.raises(OutputError, match="another story is being made"),
    ):
        story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    assert not (folder / "film.mp4.shots").exists()


def test_kept_shots_tell_what_they_are(folder: Path) -> None:
    story([], folder / "film.mp4", plan=folder / "story.toml", model=TOY)
    words = sorted((folder / "film.mp4.shots").glob("*.json"))
    said = [json.loads(path.read_text()) for path in words]
    assert sorted(one["title"] for one in said) == ["1. one.png", "2. two.png", "3. one.png"]
    assert all(one["made of"]["settings"]["motion"] == 1.0 for one in said)


def test_a_video_model_tells_stories_too(folder: Path, video_bundle: Path) -> None:
    (folder / "story.toml").write_text(PLAN.split('[[shot]]\nphoto = "two.png"')[0])
    told = story([], folder / "film.mp4", plan=folder / "story.toml", model=video_bundle)
    facts = film_facts(told.path)
    assert (facts.frames, facts.width, facts.height) == (12, 86, 64)
    assert told.rendered == 1


def test_the_film_says_what_it_is(folder: Path) -> None:
    from reverie.runtime.credentials.credentials import photo_hash, read_credentials

    plan = folder / "story.toml"
    plan.write_text(PLAN.replace("height = 64", "height = 160"))
    told = story([], folder / "film.mp4", plan=plan, label="AI", model=TOY)
    said = read_credentials(told.path)
    assert said.valid, (said.problems, told.notes)
    assert set(said.photos) == {photo_hash(folder / "one.png"), photo_hash(folder / "two.png")}
    assert (said.model, said.label, said.settings["shots"]) == ("toy-ember", "AI", 3)
    plain = story([], folder / "plain.mp4", plan=plan, model=TOY, shots=told.shots_folder)
    assert plain.rendered == 0  # a label costs no shot
    apart = [
        np.abs(a.astype(int) - b).max()
        for a, b in zip(read_frames(told.path), read_frames(plain.path), strict=True)
    ]
    assert min(apart[:20]) > 40  # it lies over every frame
    with pytest.raises(SettingsError):
        story([], folder / "x.mp4", plan=plan, label="\ue000", model=TOY)


def test_options_of_the_delivery_go_by_name(folder: Path) -> None:
    told = story(
        [],
        folder / "film.mkv",
        plan=folder / "story.toml",
        codec="ffv1",
        poster=folder / "poster.png",
        credentials=False,
        model=TOY,
    )
    assert film_facts(told.path).codec == "ffv1"
    assert (folder / "poster.png").exists()
