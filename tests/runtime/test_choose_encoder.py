"""Encoders that pass for hardware: chosen when they work, left when they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest
from reverie.engines import encoder_rows
from reverie.engines.encoder_rows import ROWS
from reverie.engines.errors import EngineError
from reverie.runtime import choose_encoder, film_file
from reverie.runtime.formats import encoding_for
from reverie.runtime.reading import film_facts, read_frames

from .film_tries import film, hardware, left_in, only_rows

SOFT = ROWS["libx264"]


def test_without_hardware_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in list(ROWS.items()):
        if row.hardware:
            monkeypatch.setitem(ROWS, name, replace(row, may_work=lambda: False))
    monkeypatch.setattr(choose_encoder, "try_encoder", lambda *_: pytest.fail("tried"))
    for codec in ("h264", "hevc", "av1"):
        rows, notes = choose_encoder.choose(encoding_for("a.mp4", codec), 64, 64, 24)
        assert [row.codec for row in rows] == [codec]
        assert not rows[0].hardware
        assert notes == ()


def test_hardware_that_works_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_rows(monkeypatch, SOFT, hardware("libx264", name="libx264rgb", pixels="rgb24", options={}))
    written = film(tmp_path / "a.mp4")
    assert (written.encoder, written.notes) == ("libx264rgb", ())
    written = film(tmp_path / "b.mp4", encoder="software")
    assert (written.encoder, written.notes) == ("libx264", ())


def test_the_format_of_most_hardware_keeps_colours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only_rows(monkeypatch, SOFT, hardware("libx264", name="libx264", pixels="nv12"))
    colours = np.random.default_rng(1).integers(0, 256, (6, 3), dtype=np.uint8)
    picture = colours.reshape(2, 3, 3).repeat(64, 0).repeat(64, 1)
    film(tmp_path / "a.mp4", 4, frames=[picture] * 4, width=192, height=128)
    for frame in read_frames(tmp_path / "a.mp4"):
        assert np.abs(frame[32::64, 32::64].astype(int) - picture[32::64, 32::64]).max() <= 2


def test_it_can_be_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.mp4", "a.gif", "frames/"):
        choose_encoder.check_encoder(encoding_for(name, encoder="auto"))
    only_rows(monkeypatch, hardware("libx264", options={"profile": "no such"}))
    with pytest.raises(EngineError, match="libx264 does not work here"):
        choose_encoder.check_encoder(encoding_for("a.mp4", encoder="libx264"))


def test_boards_are_asked_for_a_bit_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    board = hardware("libx264", options={"preset": "veryfast"}, rate=None, bits=(0.1, 0.2, 1.6))
    only_rows(monkeypatch, board)
    assert board.bit_rate("good", 160 * 128 * 24) == round(0.2 * 160 * 128 * 24)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (128, 160, 3), dtype=np.uint8) for _ in range(48)]
    small, best = (
        film(tmp_path / f"{quality}.mp4", 48, quality=quality, frames=noise).bytes
        for quality in ("small", "best")
    )
    assert best > 5 * small


def test_hardware_that_does_not_open_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = hardware("libx264", name="libx264rgb", pixels="yuv420p")  # it takes RGB alone
    only_rows(monkeypatch, SOFT, broken)
    written = film(tmp_path / "a.mp4")
    assert written.encoder == "libx264"
    assert written.notes[0].startswith("libx264rgb was left out: ")
    assert film_facts(tmp_path / "a.mp4").frames == 24
    with pytest.raises(EngineError, match="libx264rgb does not work here at 160x128") as caught:
        film(tmp_path / "b.mp4", encoder="libx264rgb")
    assert "--encoder software" in str(caught.value)
    assert left_in(tmp_path) == ["a.mp4"]


def test_hardware_that_gives_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = hardware("libx264", options={"preset": "veryfast", "x264-params": "frames=0"})
    context = av.CodecContext.create("libx264", "w")

    class Mute:
        """Takes frames and gives no packet."""

        options: dict[str, str] = {}  # noqa: RUF012  what set_up adds to

        def encode(self, frame: object) -> list[object]:
            return []

    monkeypatch.setattr(choose_encoder, "set_up", lambda *_: None)
    monkeypatch.setattr(av.CodecContext, "create", lambda *_: Mute(), raising=False)
    why = choose_encoder.try_encoder(silent, encoding_for("a.mp4"), 64, 64, 24)
    assert why == "it gave 0 packets for 4 frames"
    assert context is not None


@pytest.mark.parametrize("moment", ["open", "first frame"])
def test_hardware_that_fails_after_its_trial_gives_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str
) -> None:
    """As when another program takes the last session between the trial and the film."""
    only_rows(monkeypatch, SOFT, hardware("libx264", name="libx264rgb", pixels="rgb24", options={}))
    _fail(monkeypatch, moment, 0)
    drawn = []
    written = film(tmp_path / "a.mp4", on_frame=drawn.append)
    assert written.encoder == "libx264"
    assert "libx264rgb was left out" in written.notes[0]
    assert drawn == list(range(1, 25))
    facts = film_facts(tmp_path / "a.mp4")
    assert (facts.frames, facts.pixels) == (24, "yuv420p")


def test_hardware_that_fails_in_the_middle_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only_rows(monkeypatch, SOFT, hardware("libx264", name="libx264rgb", pixels="rgb24", options={}))
    _fail(monkeypatch, "frame", 7)
    with pytest.raises(EngineError, match="libx264rgb failed at frame 7") as caught:
        film(tmp_path / "a.mp4")
    assert "--encoder software" in str(caught.value)
    assert left_in(tmp_path) == []


def _fail(monkeypatch: pytest.MonkeyPatch, moment: str, at: int) -> None:
    """Make the pretended hardware fail where it is used for the film."""
    start, encode = film_file.FilmFile._start, film_file.FilmFile._encode

    def lost() -> None:
        raise av.error.ExternalError(0x20545845, "no session is left")

    def opened(self: Any) -> None:
        start(self)
        if moment == "open" and self._row.hardware:
            lost()

    def encoded(self: Any, frame: Any, index: int) -> Any:
        if moment != "open" and self._row.hardware and index == at:
            lost()
        return encode(self, frame, index)

    monkeypatch.setattr(film_file.FilmFile, "_start", opened)
    monkeypatch.setattr(film_file.FilmFile, "_encode", encoded)


def test_a_build_without_an_encoder_tells_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"libx264", "ffv1"})
    with pytest.raises(EngineError, match=r"has no .*libx265: write another codec, h264, ffv1"):
        choose_encoder.choose(encoding_for("a.mp4", "hevc"), 64, 64, 24)
    rows, _ = choose_encoder.choose(encoding_for("a.mp4"), 64, 64, 24)
    assert [row.name for row in rows] == ["libx264"]
    monkeypatch.setattr(av, "codecs_available", {"libx264", "hevc_nvenc", "ffv1"})
    monkeypatch.setitem(ROWS, "hevc_nvenc", replace(ROWS["hevc_nvenc"], may_work=lambda: False))
    with pytest.raises(EngineError, match=r"no encoder of hevc works here .no hardware.: write"):
        choose_encoder.choose(encoding_for("a.mp4", "hevc"), 64, 64, 24)


def test_a_missing_driver_is_told_in_a_line() -> None:
    if encoder_rows._nvidia() or "h264_nvenc" not in av.codecs_available:
        pytest.skip("there is a driver, or no such encoder in this build")
    with pytest.raises(EngineError, match="h264_nvenc does not work here") as caught:
        choose_encoder.choose(encoding_for("a.mp4", encoder="h264_nvenc"), 256, 256, 24)
    assert "\n" not in str(caught.value)
