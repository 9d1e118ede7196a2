from __future__ import annotations

from pathlib import Path

import pytest
from reverie.engines.errors import StoryError
from reverie.runtime.story.plan import Change
from reverie.runtime.story.plan_file import parse_plan, read_plan

GOOD = """\
# A comment = with an equals sign, and [[shot]] in it
seconds = 20
fps = 12
height = 96
mood = "tender"
captions = true
end = "fade 2"

[[shot]]
photo = "a.jpg"
seconds = 4.5
camera = "push"
caption = { name = "Ana", place = "Porto", year = 1962 }

[[shot]]   # again
photo = "b.jpg"
"light" = "dusk"
mood = "none"
transition = "dissolve 1.2"
hold = 1
prompt = \"\"\"
photo = "in a text"
[[shot]]
\"\"\"
caption = ["One", "Two"]

[[shot]]
photo = "a.jpg"
seed = 7
transition = "cut"
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"a photo, for all that a plan knows")
    return tmp_path / "story.toml"


def test_a_plan_is_read(plan: Path) -> None:
    plan.write_text(GOOD, encoding="utf-8")
    read = read_plan(plan)
    assert (read.seconds, read.fps, read.height, read.captions) == (20, 12, 96, True)
    assert read.end == Change("fade", 2.0)
    first, second, third = read.shots
    assert first.photo == plan.parent / "a.jpg"
    assert first.seconds == 4.5
    assert first.caption == ("Ana", "Porto, 1962")
    assert read.settings(first) == {"mood": "tender", "camera": "push"}
    assert read.settings(second)["mood"] is None
    assert second.asks["light"] == "dusk"
    assert second.change == Change("dissolve", 1.2)
    assert second.hold == 1.0
    assert second.caption == ("One", "Two")
    assert (third.asks, third.change) == ({"seed": 7}, Change("cut", 0.0))
    assert [shot.where.rsplit(":", 1)[1] for shot in read.shots] == ["10", "16", "28"]


S = '[[shot]]\nphoto = "a.jpg"\n'

BAD = [
    # text of the plan, the line that is named (None: the file alone), words of the message
    ("seconds = \n" + S, 1, "no TOML"),
    (S + 'caption = "open\n', 3, "no TOML"),
    (S + S + 'photo = "twice.jpg"\n', 5, "no TOML"),
    ("secconds = 3\n" + S, 1, "did you mean seconds"),
    (S + '\ncamrea = "push"\n', 4, "did you mean camera"),
    (S + "xyzzy = 1\n", 3, "use photo"),
    (S + 'camera = "zoom"\n', 3, "push, pull"),
    (S + 'mood = "happy"\n', 3, "tender, wistful"),
    (S + "light = 3\n", 3, "golden"),
    (S + "seconds = 0\n", 3, "0 seconds"),
    (S + "seconds = -2\n", 3, "-2 seconds"),
    (S + 'seconds = "4"\n', 3, "number of seconds"),
    (S + "seconds = nan\n", 3, "number of seconds"),
    (S + "seconds = true\n", 3, "number of seconds"),
    ("seconds = 0\n" + S, 1, "0 seconds"),
    ("\nseconds = 601\n" + S, 2, "601 seconds"),
    ("fps = 24.5\n" + S, 1, "whole number"),
    ("height = 10\n" + S, 1, "64 to 4320"),
    ('aspect = "wide"\n' + S, 1, "16:9"),
    (S + 'transition = "wipe 2"\n', 3, "dissolve 1.2"),
    (S + 'transition = "dissolve 40"\n', 3, "0.1 to 10"),
    (S + "hold = -1\n", 3, "hold -1"),
    (S + "motion = 2\n", 3, "0 to 1"),
    (S + "caption = 5.5\n", 3, "caption"),
    (S + "caption = { nane = 'Ana' }\n", 3, "did you mean name"),
    (S + 'caption = ["1", "2", "3", "4", "5"]\n', 3, "4 lines"),
    ("# nothing\n\n[[shot]]\nseconds = 3\n", 3, "names no photo"),
    (S + '[[shot]]\n\nphoto = "gone.jpg"\n', 5, "is not there"),
    (S + '[[shot]]\nphoto = "."\n', 4, "folder"),
    (S + "[[shot]]\nphoto = 7\n", 4, "quotes"),
    ('music = "gone.mp3"\n' + S, 1, "is not there"),
    ('captions = "yes"\n' + S, 1, "true or false"),
    ('end = "dissolve 1"\n' + S, 1, "cannot end in a dissolve"),
    ("[shot]\nphoto = 'a.jpg'\n", 1, "[[shot]]"),
    ("[storry]\nx = 1\n" + S, 1, "no entry of a story"),
    ("", None, "at least one photo"),
    ("shot = []\n", None, "at least one photo"),
    (S * 501, None, "501 shots"),
]


@pytest.mark.parametrize(("text", "line", "words"), BAD)
def test_a_mistake_is_named_with_its_line(
    plan: Path, text: str, line: int | None, words: str
) -> None:
    plan.write_text(text, encoding="utf-8")
    with pytest.raises(StoryError) as caught:
        read_plan(plan)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert message.startswith(f"{plan}:{line}: " if line else f"{plan}: ")


def test_a_plan_that_is_no_text(plan: Path) -> None:
    plan.write_bytes(b"# fine\nmood = '\xff\xfe'\n")
    with pytest.raises(StoryError, match=r"story\.toml:2: .*UTF-8"):
        read_plan(plan)
    with pytest.raises(StoryError, match="folder"):
        read_plan(plan.parent)
    with pytest.raises(StoryError, match="--write-plan"):
        read_plan(plan.parent / "other.toml")


def test_a_plan_from_windows(plan: Path) -> None:
    plan.write_bytes(b"\xef\xbb\xbf" + (S + "hold = 1\n").replace("\n", "\r\n").encode())
    assert read_plan(plan).shots[0].hold == 1.0


def test_shots_as_inline_tables_are_read_too(plan: Path) -> None:
    text = 'shot = [{photo = "a.jpg", seconds = 2}, {photo = "b.jpg", hold = 1}]'
    assert [shot.seconds for shot in parse_plan(text, plan).shots] == [2.0, None]
    with pytest.raises(StoryError, match=r"story\.toml:1: .*did you mean hold"):
        parse_plan(text.replace("hold", "holdd"), plan)
