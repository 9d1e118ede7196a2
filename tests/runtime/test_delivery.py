"""How a film leaves: what is checked beforehand, what is written, what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import reverie
from reverie.engines.errors import OutputError, SettingsError, SoundError
from reverie.runtime import pipeline
from reverie.runtime.credentials import credentials
from reverie.runtime.credentials.credentials import photo_hash, read_credentials
from reverie.runtime.delivery import Delivery, check
from reverie.runtime.letters.label import told_label
from reverie.runtime.reading import film_facts

DATA = Path(__file__).resolve().parents[1] / "data"
PHOTO = DATA / "photos" / "lake-sherburne.jpg"
TOY = DATA / "bundles" / "toy-ember"


def write_tone(path: Path, seconds: float = 3.0) -> Path:
    """A steady tone as a WAV file."""
    import wave

    samples = 12_000 * np.sin(2 * np.pi * 330 * np.arange(int(seconds * 44_100)) / 44_100)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def render(out: Path, **options: Any) -> pipeline.Rendered:
    return reverie.animate(PHOTO, out, model=TOY, seconds=1, height=96, **options)


def test_everything_is_checked_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "stream", lambda *a, **k: pytest.fail("it was rendered"))
    out = tmp_path / "film.mp4"
    (tmp_path / "taken.png").write_bytes(b"precious")
    (tmp_path / "words.mp3").write_text("no music")
    bad: list[tuple[type[Exception], dict[str, Any]]] = [
        (SoundError, {"music": tmp_path / "nothing.mp3"}),
        (SoundError, {"music": tmp_path / "words.mp3"}),
        (SoundError, {"voice": tmp_path}),
        (SettingsError, {"codec": "vp8"}),
        (SettingsError, {"codec": "vp9"}),
        (SettingsError, {"encoder": "h264_magic"}),
        (SettingsError, {"quality": "perfect"}),
        (SettingsError, {"signing_key": tmp_path / "key.pem"}),
        (OutputError, {"poster": tmp_path / "taken.png"}),
        (OutputError, {"sheet": tmp_path / "sheet.bmp"}),
        (OutputError, {"poster": tmp_path / "no" / "poster.png"}),
        (SettingsError, {"label": "\U0001f469"}),
        (SettingsError, {"lufs": 3}),
        (SettingsError, {"duck": float("nan")}),
        (SettingsError, {"voice_after": -1}),
        (OutputError, {"poster": tmp_path / "a.png", "sheet": tmp_path / "a.png"}),
    ]
    for kind, options in bad:
        with pytest.raises(kind) as caught:
            render(out, **options)
        assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken.png", "words.mp3"]


def test_sound_goes_into_no_silent_format(tmp_path: Path) -> None:
    music = write_tone(tmp_path / "tone.wav")
    with pytest.raises(SettingsError, match="silent"):
        check(tmp_path / "film.gif", Delivery(music=music))
    assert check(tmp_path / "film.webm", Delivery(music=music)) == tmp_path / "film.webm"


def test_a_film_leaves_with_sound_stills_and_a_statement(tmp_path: Path) -> None:
    clip = render(
        tmp_path / "film.mp4",
        music=write_tone(tmp_path / "tone.wav"),
        poster=tmp_path / "still.jpg",
        sheet=tmp_path / "page.png",
        label="made by a machine",
        mood="still",
    )
    assert clip.sound
    assert clip.codec == "h264"
    facts = film_facts(clip.path)
    assert (facts.frames, facts.sound is not None) == (24, True)
    assert facts.seconds == pytest.approx(1.0, abs=1e-3)
    assert (tmp_path / "still.jpg").stat().st_size > 500
    assert (tmp_path / "page.png").stat().st_size > 500
    found = read_credentials(clip.path)
    assert found.valid
    assert found.photos == (photo_hash(PHOTO),)
    assert (found.model, found.label) == ("toy-ember", "made by a machine")
    with av.open(str(clip.path)) as container:
        assert told_label(container.metadata["comment"]) == "made by a machine"


def test_the_statement_can_be_left_out_and_never_stands_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = render(tmp_path / "bare.mp4", credentials=False)
    assert not read_credentials(bare.path).present
    assert not any("credentials" in note for note in bare.notes)
    other = render(tmp_path / "film.mkv")
    assert any("credentials" in note for note in other.notes)

    def fails(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the library has changed")

    monkeypatch.setattr(credentials, "_embed", fails)
    unsigned = render(tmp_path / "unsigned.mp4")
    assert unsigned.path.exists()
    assert sum("credentials" in note for note in unsigned.notes) == 1


def test_a_folder_of_frames_says_that_it_carries_no_statement(tmp_path: Path) -> None:
    clip = render(tmp_path / "frames", codec="png")
    assert len(list((tmp_path / "frames").glob("*.png"))) == 24
    assert any("credentials" in note for note in clip.notes)


def test_the_photo_is_told_whatever_it_came_as(tmp_path: Path) -> None:
    pixels = np.full((96, 128, 3), 90, np.uint8)
    pixels[20:60, 30:90] = 160
    clip = reverie.animate(pixels, tmp_path / "a.mp4", model=TOY, seconds=1, height=96)
    assert read_credentials(clip.path).photos == (photo_hash(pixels.tobytes()),)


def test_what_a_film_is_made_from_is_never_written_over(tmp_path: Path) -> None:
    photo, music = tmp_path / "mother.jpg", tmp_path / "song.mp4"
    photo.write_bytes(b"a photo")
    render(music, music=write_tone(tmp_path / "tone.wav"))
    here = tmp_path / "." / "mother.jpg"
    for path, delivery in (
        ("clip.mp4", Delivery(poster=here)),
        ("clip.mp4", Delivery(sheet=here)),
        ("song.mp4", Delivery(music=music)),
    ):
        with pytest.raises(OutputError, match="made from"):
            check(tmp_path / path, delivery, force=True, sources=[photo])
    assert photo.read_bytes() == b"a photo"
