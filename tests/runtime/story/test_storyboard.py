from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reverie.engines.errors import OutputError
from reverie.runtime.story.measure import Measure
from reverie.runtime.story.plan import Change, StoryPlan, StoryShot
from reverie.runtime.story.storyboard import board, draw_storyboard


def story(count: int, aspect: str = "16:9") -> tuple[StoryPlan, list[Measure]]:
    pixels = np.full((96, 128, 3), (200, 90, 30), np.uint8)
    shot = StoryShot(
        Image.fromarray(pixels),
        3.0,
        {"camera": "push", "mood": "tender", "light": "dusk"},
        ("Ana", "Porto, 1962"),
        Change("dissolve", 1.0),
        0.5,
    )
    plan = StoryPlan((shot,) * count, aspect=aspect, end=Change("fade", 1.0))
    return plan, [Measure(128, 96)] * count


@pytest.mark.parametrize(("count", "aspect"), [(1, "16:9"), (5, "16:9"), (5, "9:16"), (3, "1:1")])
def test_every_shot_is_on_the_page(count: int, aspect: str) -> None:
    page = np.asarray(board(*story(count, aspect)))
    assert page.shape[1] == 1920
    orange = (np.abs(page.astype(int) - (200, 90, 30)) < 6).all(-1)
    rows = np.flatnonzero(np.diff(orange.any(1).astype(int)) == 1)
    seen = 0
    for row in rows:
        line = orange[row + 4]
        seen += int((np.diff(line.astype(int), prepend=0) == 1).sum())
    assert seen == count


def test_a_page_of_five_hundred_shots_can_still_be_opened() -> None:
    from reverie.runtime.story.storyboard import _columns

    for ratio in (0.25, 9 / 16, 1.0, 16 / 9, 4.0):
        across = _columns(500, ratio)
        cell = (1920 - (across + 1) * 28) / across
        assert cell > 40
        assert -(-500 // across) * cell / ratio < 32_000


def test_the_board_is_a_png_file(tmp_path: Path) -> None:
    path = draw_storyboard(*story(2), tmp_path / "board.png")
    with Image.open(path) as page:
        assert page.format == "PNG"
    with pytest.raises(OutputError, match="--force"):
        draw_storyboard(*story(2), path)
    draw_storyboard(*story(2), path, force=True)
    with pytest.raises(OutputError, match=r"\.png"):
        draw_storyboard(*story(2), tmp_path / "board.jpg")
    with pytest.raises(OutputError, match="does not exist"):
        draw_storyboard(*story(2), tmp_path / "no" / "board.png")
    assert [p.name for p in tmp_path.iterdir()] == ["board.png"]
