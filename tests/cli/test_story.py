from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.cli.main import main
from reverie.cli.story_report import in_words
from reverie.runtime.reading import film_facts
from reverie.runtime.story.plan import Change, StoryPlan, StoryShot

TOY = Path(__file__).parents[1] / "data" / "bundles" / "toy-ember"
SMALL = ["--height", "64", "--fps", "8"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two photos, to run in."""
    across = np.linspace(0, 255, 128, dtype=np.uint8)
    for name, level in (("one", 40), ("two", 200)):
        plane = np.tile(across, (96, 1))
        pixels = np.stack([plane, np.full_like(plane, level), plane[:, ::-1]], -1)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def story(*words: str) -> int:
    return main(["story", *words])


def test_photos_to_a_film_and_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["one.png", "two.png", "--seconds", "3", *SMALL, "--model", str(TOY)]
    assert story(*line, "--out", "film.mp4") == 0
    out, err = capsys.readouterr()
    assert out.startswith("film.mp4  114x64, 3 s at 8 fps")
    assert "2 shots rendered, 0 kept" in out
    assert "2 shots, 3 s at 8 fps, 16:9, ends in a cut" in err
    assert "one.png" in err
    assert "note: the shots are kept in film.mp4.shots" in err
    assert film_facts(folder / "film.mp4").frames == 24
    assert story(*line, "--out", "film.mp4") == 5
    assert "--force" in capsys.readouterr().err
    assert story(*line, "--out", "film.mp4", "--force", "--json") == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert err == ""
    assert (facts["shots_rendered"], facts["shots_kept"], facts["frames"]) == (0, 2, 24)
    assert [shot["photo"] for shot in facts["plan"]["shots"]] == ["one.png", "two.png"]
    assert story(*line, "--out", "film.mp4", "--force", "--quiet", "--no-keep-shots") == 0
    assert capsys.readouterr() == ("", "")
    assert not (folder / "film.mp4.shots").exists()


def test_a_plan_is_written_and_nothing_rendered(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story("one.png", "two.png", "--write-plan", "story.toml", "--seconds", "9") == 0
    assert capsys.readouterr().out == "story.toml\n"
    assert sorted(p.name for p in folder.iterdir()) == ["one.png", "story.toml", "two.png"]
    assert 'photo = "one.png"' in (folder / "story.toml").read_text()
    assert story("--plan", "story.toml", "--storyboard", "board.png", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["storyboard"] == str(folder / "board.png")
    assert facts["seconds"] == 9.0
    assert not list(folder.glob("*.mp4"))
    assert story("--plan", "story.toml", "--write-plan", "story.toml") == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "needs photos or --plan"),
        (["one.png", "--plan", "story.toml"], 2, "not both"),
        (["--plan", "gone.toml"], 9, "--write-plan"),
        (["one.png", "gone.png"], 3, "gone.png"),
        (["one.png", "--seconds", "0"], 2, "0 seconds"),
        (["one.png", "--seconds", "x"], 2, "--seconds"),
        (["one.png", "--mood", "happy"], 2, "tender"),
        (["one.png", "--music", "gone.mp3"], 8, "gone.mp3"),
        (["one.png", "--out", "film.txt"], 5, "must end in"),
        (["one.png"] * 501, 9, "501 shots"),
        (["one.png", "--model", "gone"], 4, "gone"),
    ],
)
def test_bad_input_is_one_line_and_its_code(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    (folder / "story.toml").write_text('[[shot]]\nphoto = "one.png"\n')
    before = sorted(folder.iterdir())
    assert story(*words, *SMALL) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert sorted(folder.iterdir()) == before


def test_a_mistake_in_a_plan_is_told_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "story.toml").write_text('[[shot]]\nphoto = "one.png"\nmooood = "tender"\n')
    assert story("--plan", "story.toml") == 9
    assert capsys.readouterr().err.startswith("reverie: story.toml:3: ")


def test_ctrl_c_says_what_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reverie.runtime.story import story as told

    def stopped(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(told, "story", stopped)
    assert story("one.png") == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_the_rhythm_in_words() -> None:
    shots = (
        StoryShot("a.jpg", 3.0, {"camera": "push", "mood": "tender"}, change=Change("cut", 0.0)),
        StoryShot(
            "b.jpg",
            4.5,
            {"camera": "off", "mood": None, "light": "dusk"},
            ("Ana", "1962"),
            Change("dissolve", 1.2),
            hold=1.0,
        ),
    )
    lines = in_words(StoryPlan(shots, aspect="16:9", end=Change("fade", 2.0)))
    assert lines[0] == "2 shots, 7.5 s at 24 fps, 16:9, ends in a fade 2"
    assert lines[1].split() == ["1", "a.jpg", "3.0", "s", "cut", "push,", "tender"]
    assert lines[2].endswith('off, dusk light, stands still for 1 s, "Ana / 1962"')


def test_no_plan_and_no_board_takes_a_photos_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "one.png").read_bytes()
    for option in ("--write-plan", "--storyboard"):
        assert story("one.png", "two.png", option, "one.png", "--force") == 5
        assert "choose another name" in capsys.readouterr().err
    assert (folder / "one.png").read_bytes() == before
