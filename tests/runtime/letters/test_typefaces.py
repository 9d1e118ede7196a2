"""Which font has which characters, on the fonts that ship and on broken ones."""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path

import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.letters import typefaces
from reverie.runtime.letters.typefaces import FONTS, SHIPPED, Face, face_of, found_for

VIETNAMESE = "ăâđêôơưẠẢẤẦẨẪẬắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "Kraków łŁßœŒğİșțåøÆ\u2019\u2018“”\u2013—…·0123456789"),
        (0, VIETNAMESE),
        (0, "ΑΒΓαβγάέήίόύώϊΐςἀἁἂᾳῶ"),
        (0, "АБВабвёїєґљњћђўқғәөұ"),
        (1, "אבגםןץשׁ״־ָּֿ"),
        (2, "ابتثجحخدذرزسشصضطظعغفقكلمنهويپچژگکی۱۲٣؟،ًّٰ"),
    ],
)
def test_what_ships_has_its_scripts(index: int, text: str) -> None:
    assert [c for c in text if not SHIPPED[index].has(c)] == []


@pytest.mark.parametrize("index", [0, 1, 2])
def test_it_has_not_what_it_has_not(index: int) -> None:
    assert not any(SHIPPED[index].has(c) for c in "水กक한\U0001f600\U0010fffd\ue000\ufffe")


def test_the_map_agrees_with_the_glyphs() -> None:
    """A character that the map denies is drawn as the box for unknown ones, and others are not."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(SHIPPED[0].path), 40)

    def drawn(character: str) -> bytes:
        image = Image.new("L", (100, 80))
        ImageDraw.Draw(image).text((20, 60), character, 255, font, "ls")
        return image.tobytes()

    unknown = drawn("\ue123")
    for character in "aﬁЖωễ水אع☃♥☙0\u2011₂":
        assert SHIPPED[0].has(character) == (drawn(character) != unknown), character


def test_the_readme_names_the_files_as_they_are() -> None:
    readme = (FONTS / "README.md").read_text(encoding="utf-8")
    for face in SHIPPED:
        row = next(line for line in readme.splitlines() if line.startswith(f"| {face.path.name} "))
        assert hashlib.sha256(face.path.read_bytes()).hexdigest() in row
        licence = FONTS / f"OFL-{face.path.stem.split('-')[0]}.txt"
        assert "SIL OPEN FONT LICENSE" in licence.read_text(encoding="utf-8").upper()
    assert sum(path.stat().st_size for path in FONTS.iterdir()) < 1_500_000


def test_a_font_given() -> None:
    face = face_of(SHIPPED[1].path)
    assert face.has("א")
    assert 0.7 <= face.scale <= 1.3


def _collection(*fonts: bytes) -> bytes:
    """Fonts put into one file (a TrueType collection)."""
    start = 12 + 4 * len(fonts)
    offsets, bodies = [], b""
    for font in fonts:
        base = start + len(bodies)
        offsets.append(base)
        body = bytearray(font)
        for entry in range(struct.unpack_from(">H", font, 4)[0]):
            place = 12 + 16 * entry + 8
            struct.pack_into(">I", body, place, struct.unpack_from(">I", font, place)[0] + base)
        bodies += bytes(body)
    head = struct.pack(f">4sII{len(fonts)}I", b"ttcf", 0x10000, len(fonts), *offsets)
    return head + bodies


def test_faces_of_a_collection(tmp_path: Path) -> None:
    path = tmp_path / "both.ttc"
    path.write_bytes(_collection(SHIPPED[1].path.read_bytes(), SHIPPED[2].path.read_bytes()))
    assert Face(path, 0).has("א")
    assert not Face(path, 0).has("ب")
    assert Face(path, 1).has("ب")
    assert face_of(path).has("א")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no font at all" * 20,
        lambda data: data[:3000],
        lambda data: b"\0" * len(data),
        lambda data: data[:12] + b"\xff" * 400 + data[412:],
        lambda data: data.replace(b"cmap", b"xmap", 1),
    ],
)
def test_a_broken_font_given_is_refused(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "broken.ttf"
    path.write_bytes(damage(SHIPPED[1].path.read_bytes()))
    with pytest.raises(SettingsError, match=r"broken\.ttf cannot be used, it cannot be read"):
        face_of(path)


def test_a_missing_font_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        face_of(tmp_path / "none.ttf")
    with pytest.raises(SettingsError, match="cannot be read as a font"):
        face_of(tmp_path)


def test_fonts_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "AAA-broken.ttf").write_bytes(b"junk")
    shutil.copy(SHIPPED[2].path, tmp_path / "deep" / "SomeSans-Bold.ttf")
    shutil.copy(SHIPPED[2].path, tmp_path / "deep" / "SomeSerif-Regular.ttf")
    monkeypatch.setattr(typefaces, "folders", lambda: [tmp_path, tmp_path / "missing"])
    face = found_for("سلام")
    assert face is not None
    assert face.path.name == "SomeSerif-Regular.ttf"
    assert found_for("水") is None
    assert found_for("سلام水") is None


def test_every_system_has_its_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for system in ("linux", "darwin", "win32"):
        monkeypatch.setattr(typefaces.sys, "platform", system)
        assert len(list(typefaces.folders())) >= 2


@pytest.mark.parametrize(
    ("text", "region"),
    [("こん水", "JP"), ("한水", "KR"), ("汉语", "SC"), ("漢語", "TC"), ("abc", None)],
)
def test_whose_characters_they_are(text: str, region: str | None) -> None:
    assert typefaces._regions(text) == (() if region is None else (region,))
