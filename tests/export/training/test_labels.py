"""Label maps drawn by hand: the file reads, and drawing and refining do what they say."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from reverie.export.training import labels

FOLDER = labels.SPEC.parent


def two_halves(edge: int = 150, height: int = 200, width: int = 300) -> np.ndarray:
    """A green left part and a blue right part that meet at column `edge`."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, :edge] = (40, 160, 40)
    picture[:, edge:] = (60, 90, 220)
    return picture


def test_every_drawing_in_the_file_reads_and_every_crop_has_its_parent():
    spec = json.loads(labels.SPEC.read_text(encoding="utf-8"))
    assert len(spec) >= 100
    for name, lines in spec.items():
        drawing = labels.parse_drawing(lines)
        for _, corners in drawing.shapes:
            assert corners.min() >= 0, name
            assert corners.max() <= 1, name
        if drawing.crop_of is not None:
            parent = labels.parse_drawing(spec[drawing.crop_of[0]])
            assert parent.crop_of is None, name


def test_every_finished_map_holds_classes_only_and_is_of_the_right_size():
    for path in sorted(FOLDER.glob("*.png"))[::10]:
        finished = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert finished.dtype == np.uint8
        assert finished.ndim == 2
        assert max(finished.shape) == labels.LONG_SIDE
        assert set(np.unique(finished)) <= {*range(labels.CLASSES), labels.UNKNOWN}


@pytest.mark.parametrize(
    "lines", [["6"], ["green"], ["0", "1 10 10 20"], ["0", "1 1 2 3 4 5 6 7"], ["crop a 1 2 3"]]
)
def test_a_drawing_that_makes_no_sense_is_refused(lines):
    with pytest.raises(ValueError, match=r"needs|class"):
        labels.parse_drawing(lines)


def test_polygons_are_painted_in_order():
    drawing = labels.parse_drawing(
        ["3", "2 0 50 100 50 100 100 0 100", "0 0 75 50 75 50 100 0 100"]
    )
    painted = labels.paint(drawing, 100, 200)
    assert painted[10, 100] == 3
    assert painted[60, 100] == 2
    assert painted[90, 20] == 0


def test_a_border_drawn_a_little_off_moves_to_the_edge():
    drawing = labels.parse_drawing(["1", "3 51.5 0 100 0 100 100 51.5 100", "band=3"])
    found = labels.label_picture(two_halves(), drawing)
    assert found.shape == (192, 288)
    edge = found.shape[1] // 2
    assert (found[10:-10, : edge - 3] == 1).all()
    assert (found[10:-10, edge + 3 :] == 3).all()
    assert (found[10:-10, edge - 1 : edge + 1] == labels.UNKNOWN).any()


def test_interleaved_classes_are_told_apart_by_colour():
    picture = two_halves()
    picture[40:160:20, 100:150] = (60, 90, 220)  # bars of sky among the leaves
    picture[41:160:20, 100:150] = (60, 90, 220)
    picture[42:160:20, 100:150] = (60, 90, 220)
    picture[43:160:20, 100:150] = (60, 90, 220)
    drawing = labels.parse_drawing(["13", "1 0 0 30 0 30 100 0 100", "3 60 0 100 0 100 100 60 100"])
    found = labels.label_picture(picture, drawing)
    column = found[:, 120]
    assert (column[40:150] == 3).any()
    assert (column[40:150] == 1).any()
    assert (found[:, :80] == 1).all()


def test_gaps_between_polygons_become_unknown():
    drawing = labels.parse_drawing(
        ["0", "1 0 0 49.6 0 49.6 100 0 100", "3 50 0 100 0 100 100 50 100"]
    )
    found = labels.label_picture(two_halves(), drawing)
    assert not (found == 0).any()


def test_a_part_takes_over_the_polygons_of_the_whole(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "whole.jpg"), two_halves()[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "part.jpg"), two_halves()[:, 75:225, ::-1])
    spec = {
        "part": ["crop whole 25 0 75 100"],
        "whole": ["1", "3 50 0 100 0 100 100 50 100"],
    }
    found = dict(labels.render(spec, tmp_path))
    assert found["part"].shape == (288, 216)
    assert (found["part"][:, :100] == 1).all()
    assert (found["part"][:, 116:] == 3).all()


def test_a_missing_photograph_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg"):
        dict(labels.render({"absent": ["0"]}, tmp_path))
