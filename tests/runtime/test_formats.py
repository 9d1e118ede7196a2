from __future__ import annotations

import os
from pathlib import Path

import pytest
from reverie.engines.encoder_rows import ROWS, rows_for
from reverie.engines.errors import OutputError, SettingsError
from reverie.runtime.formats import CODECS, CONTAINERS, encoding_for, suffix_for


@pytest.mark.parametrize(
    ("name", "codec", "muxer", "sound"),
    [
        ("a.mp4", "h264", "mp4", "aac"),
        ("a.MOV", "h264", "mov", "aac"),
        ("a.mkv", "h264", "matroska", "aac"),
        ("a.webm", "vp9", "webm", "opus"),
        ("a.gif", "gif", "gif", None),
        ("frames/", "png", "png", None),
    ],
)
def test_a_name_says_how(name: str, codec: str, muxer: str, sound: str | None) -> None:
    encoding = encoding_for(name)
    assert (encoding.codec, encoding.container.muxer) == (codec, muxer)
    assert (encoding.sound.title if encoding.sound else None) == sound
    assert (encoding.encoder, encoding.quality) == ("auto", "good")


def test_what_goes_into_what() -> None:
    """Every pair is either written or refused with what there is instead."""
    fits = {(s, c) for s, kind in CONTAINERS.items() for c in kind.codecs}
    assert {c for _, c in fits} | {"png"} == set(CODECS)
    for suffix, kind in CONTAINERS.items():
        for codec in CODECS:
            if (suffix, codec) in fits:
                assert encoding_for(f"film{suffix}", codec).codec == codec
                continue
            with pytest.raises(SettingsError) as caught:
                encoding_for(f"film{suffix}", codec)
            message = str(caught.value)
            assert "\n" not in message
            if codec != "png":
                assert ", ".join(kind.codecs) in message
                assert any(other in message for other, c in fits if c == codec)


def test_sound_of_intermediates_is_not_lossy() -> None:
    for name, codec in [("a.mov", "prores"), ("a.mkv", "ffv1")]:
        sound = encoding_for(name, codec).sound
        assert sound is not None
        assert sound.title == "pcm"


def test_a_folder_of_frames() -> None:
    assert encoding_for("frames", "png").is_folder
    assert encoding_for(Path("frames"), "png").is_folder
    assert encoding_for("odd.mp4/").is_folder
    with pytest.raises(SettingsError, match="name a folder, film/"):
        encoding_for("film.mp4", "png")
    with pytest.raises(SettingsError, match=r"name a file, film\.mov"):
        encoding_for(f"film{os.sep}", "prores")


def test_an_encoder_names_its_codec() -> None:
    assert encoding_for("a.mp4", encoder="hevc_nvenc").codec == "hevc"
    with pytest.raises(SettingsError, match="makes hevc, not h264: use auto, h264_nvenc"):
        encoding_for("a.mp4", "h264", "hevc_nvenc")
    with pytest.raises(SettingsError, match=r"h264 goes into .mp4, .mov, .mkv"):
        encoding_for("a.webm", encoder="libx264")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"codec": "divx"}, "use one of h264, hevc, av1"),
        ({"encoder": "magic"}, "use auto, software or one of libx264"),
        ({"quality": "superb"}, "use one of small, good, best"),
    ],
)
def test_unknown_words_list_the_known(words: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        encoding_for("a.mp4", **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.avi", "a", ".mp4", "a.mp4.txt"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(OutputError, match="must end in"):
        encoding_for(name)


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder: name a file in it"):
        encoding_for(tmp_path)
    assert encoding_for(tmp_path, "png").is_folder


def test_a_default_ending_for_each_codec() -> None:
    for codec in CODECS:
        assert encoding_for(f"clip{suffix_for(codec)}", codec).codec == codec
    assert (suffix_for(None), suffix_for("prores"), suffix_for("png")) == (".mp4", ".mov", "/")


def test_silent_formats_refuse_sound() -> None:
    with pytest.raises(SettingsError, match="gif is silent"):
        encoding_for("a.gif").check_sound()
    encoding_for("a.mp4").check_sound()


def test_every_codec_of_films_has_an_encoder_on_the_processor() -> None:
    for codec in set(CODECS) - {"gif", "png"}:
        rows = rows_for(codec)
        assert not rows[-1].hardware
        assert [row.hardware for row in rows] == sorted((r.hardware for r in rows), reverse=True)
    for row in ROWS.values():
        assert (row.rate is None) or len(row.rate) == 4
        for quality in ("small", "good", "best"):
            assert all(isinstance(value, str) for value in row.settings(quality).values())
