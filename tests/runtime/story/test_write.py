from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from reverie.engines.errors import StoryError
from reverie.runtime.story.plan import Change, StoryPlan, StoryShot
from reverie.runtime.story.plan_file import read_plan
from reverie.runtime.story.write import plan_text, write_plan

ODD = ['a "quoted".jpg', "back\\slash.jpg", "Großmutter 祖母.jpg", "tab\tbed.jpg", "del\x7f.jpg"]


@pytest.mark.parametrize("name", ODD)
def test_any_file_name_comes_back(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).write_bytes(b"photo")
    except OSError:
        pytest.skip("this file system has no such names")
    shot = StoryShot(tmp_path / name, 2.0, {"camera": "push"}, ("One", 'Two "2"'))
    written = write_plan(StoryPlan((shot,)), tmp_path / "story.toml")
    (read,) = read_plan(written).shots
    assert read.photo == tmp_path / name
    assert read.caption == ("One", 'Two "2"')


def test_what_is_said_is_written_and_read_again(tmp_path: Path) -> None:
    for name in ("a.jpg", "waltz.mp3"):
        (tmp_path / name).write_bytes(b"x")
    asks = {"camera": "off", "mood": None, "light": "moon", "motion": 0.5, "seed": 3}
    shot = StoryShot(
        tmp_path / "a.jpg", 2.25, asks, change=Change("fade", 1.5), hold=0.0, caption=("Ana",)
    )
    plan = StoryPlan(
        (shot, StoryShot(tmp_path / "a.jpg")),
        seconds=9.5,
        fps=30,
        height=480,
        aspect="4:3",
        seed=4,
        music=tmp_path / "waltz.mp3",
        captions=False,
        end=Change("cut", 0.0),
        asks={"restore": "gentle"},
    )
    read = read_plan(write_plan(plan, tmp_path / "story.toml"))
    for name in ("seconds", "fps", "height", "aspect", "seed", "music", "captions", "end", "asks"):
        assert getattr(read, name) == getattr(plan, name), name
    first, second = read.shots
    for name in ("photo", "seconds", "asks", "change", "hold", "caption"):
        assert getattr(first, name) == getattr(shot, name), name
    assert (second.seconds, second.hold, second.change, second.asks) == (None, None, None, {})


def test_photos_are_named_as_seen_from_the_plan(tmp_path: Path) -> None:
    shot = StoryShot(tmp_path / "photos" / "a.jpg")
    assert tomllib.loads(plan_text(StoryPlan((shot,)), tmp_path))["shot"][0] == {
        "photo": "photos/a.jpg"
    }
    near = plan_text(StoryPlan((shot,)), tmp_path / "plans")
    assert tomllib.loads(near)["shot"][0]["photo"] == "../photos/a.jpg"
    far = plan_text(StoryPlan((StoryShot("/a.jpg"),)), tmp_path / "1" / "2" / "3" / "4" / "5")
    assert tomllib.loads(far)["shot"][0]["photo"] == "/a.jpg"


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match="not UTF-8"):
        plan_text(StoryPlan((StoryShot("bad\udcff.jpg"),)), tmp_path)
