"""Order of letters where directions meet: known cases, and Raqm's own order as reference."""

from __future__ import annotations

import random

import numpy as np
import pytest
from reverie.runtime.letters.bidi import base_level, levels, visual_order
from reverie.runtime.letters.typefaces import SHIPPED
from reverie.runtime.letters.typeset import Paragraph, can_shape

HEBREW = "אבגדהושם"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anna", [0, 0, 0, 0]),
        ("חנה", [1, 1, 1]),
        ("a אב", [0, 0, 1, 1]),
        ("אב 12", [1, 1, 1, 2, 2]),
        ("אב-12", [1, 1, 1, 2, 2]),
        ("אב (ab)", [1, 1, 1, 1, 2, 2, 1]),
        ("a (אב) b", [0, 0, 0, 1, 1, 0, 0, 0]),
        ("١٢", [2, 2]),
        ("ب 12", [1, 1, 2, 2]),
        ("5% ב", [2, 2, 1, 1]),
        ("", []),
        ("1947", [0, 0, 0, 0]),
        ("אָ", [1, 1]),
    ],
)
def test_levels(text: str, expected: list[int]) -> None:
    assert levels(text) == expected


def test_the_first_strong_letter_gives_the_direction() -> None:
    assert base_level("1947 חנה") == 1
    assert base_level("1947 Anna חנה") == 0
    assert base_level("1947") == 0


def test_visual_order() -> None:
    assert visual_order([0, 0]) == [0, 1]
    assert visual_order([1, 1, 2]) == [2, 1, 0]
    assert visual_order([0, 1, 2, 1, 0]) == [0, 3, 2, 1, 4]
    assert visual_order([1, 2, 2, 1]) == [3, 1, 2, 0]
    assert visual_order([]) == []


@pytest.mark.skipif(not can_shape(), reason="Pillow finds no Raqm with FriBiDi here")
def test_lines_are_ordered_as_raqm_orders_them() -> None:
    """The same line, drawn whole by Raqm and run by run by us, is the same picture."""
    from PIL import Image, ImageDraw, ImageFont

    face = SHIPPED[1]
    font = ImageFont.truetype(str(face.path), 24, layout_engine=ImageFont.Layout.RAQM)
    rng = random.Random(3)
    plain = ["-kern"]
    pieces = ("1947", "12.5", "3,000", "-5", "5%", "$20", "1/2", *'()[]!\u2013,.:"«»')
    for _ in range(300):
        words = [
            rng.choice(pieces)
            if kind == "N"
            else "".join(
                rng.choice("abcXYZ" if kind == "L" else HEBREW) for _ in range(rng.randint(1, 5))
            )
            for kind in rng.choices("LRRN", k=rng.randint(1, 7))
        ]
        text = "".join(word + rng.choice(["", " ", " "]) for word in words).strip()
        base = base_level(text)
        paragraph = Paragraph(text, (face,) * len(text), tuple(levels(text)))
        images = [Image.new("L", (1200, 60)) for _ in range(2)]
        whole, parts = (ImageDraw.Draw(image) for image in images)
        way = "rtl" if base else "ltr"
        whole.text((9, 40), text, 255, font, "ls", direction=way, features=plain)
        pen = 9.0
        for run in paragraph.runs(0, len(text)):
            way = "rtl" if run.leftward else "ltr"
            parts.text((pen, 40), run.text, 255, font, "ls", direction=way, features=plain)
            pen += font.getlength(run.text, direction=way, features=plain)
        one, other = (np.asarray(image, np.int64).sum(0) for image in images)
        assert np.abs(one - other).sum() <= 0.05 * one.sum() + 1, text
