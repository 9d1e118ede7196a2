"""The label: on every frame, in a corner without faces, and told in the comment."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.letters.label import (
    DEFAULT_LABEL,
    draw_label,
    label_frames,
    told_label,
    with_label,
)

SIZE = (640, 360)


def test_every_frame_carries_it() -> None:
    frames = [np.full((360, 640, 3), level, np.uint8) for level in (0, 120, 255)]
    labelled = list(label_frames(iter(frames), DEFAULT_LABEL, SIZE))
    assert len(labelled) == 3
    for before, after in zip(frames, labelled, strict=True):
        changed = (before != after).any(-1)
        assert changed.any()
        assert not changed[:, :300].any()
        assert not changed[:250].any()
        assert changed.mean() < 0.05


@pytest.mark.parametrize(
    ("faces", "right", "bottom"),
    [
        ([], True, True),
        ([(0, 0, 300, 360)], True, True),
        ([(330, 180, 640, 360)], False, True),
        ([(0, 180, 640, 360)], True, False),
        ([(0, 180, 640, 360), (330, 0, 640, 180)], False, False),
    ],
)
def test_it_keeps_off_faces(
    faces: list[tuple[float, float, float, float]], right: bool, bottom: bool
) -> None:
    letters = draw_label(DEFAULT_LABEL, SIZE, faces=faces)
    assert (letters.left > 200) == right
    assert (letters.top > 180) == bottom


def test_where_faces_are_everywhere_it_hides_least() -> None:
    letters = draw_label("AI", SIZE, faces=[(0, 0, 640, 355), (0, 0, 640, 200)])
    assert letters.top > 180


def test_bad_text_is_refused_before_the_first_frame() -> None:
    with pytest.raises(SettingsError, match="empty"):
        label_frames(iter([]), "  ", SIZE)


def test_the_comment_tells_it() -> None:
    comment = with_label("Reverie, model ember, seed 7", "Made by\nAI; label: yes")
    assert told_label(comment) == "Made by AI; label: yes"
    assert told_label(with_label("Reverie", None)) is None
    assert told_label(None) is None
