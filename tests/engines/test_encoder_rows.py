"""What is looked at before an encoder is tried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reverie.engines import encoder_rows
from reverie.engines.encoder_rows import ROWS, rows_for


def test_hardware_comes_first_and_the_processor_last() -> None:
    assert [row.name for row in rows_for("h264")] == [
        "h264_nvenc",
        "h264_v4l2m2m",
        "h264_videotoolbox",
        "h264_qsv",
        "h264_amf",
        "libx264",
    ]
    assert [row.name for row in rows_for("prores")] == ["prores_ks"]
    assert rows_for("unheard-of") == ()


def test_quality_is_an_option_of_its_own() -> None:
    row = ROWS["libx264"]
    assert [row.settings(quality)["crf"] for quality in ("small", "good", "best")] == [
        "23",
        "17",
        "14",
    ]
    assert row.bit_rate("good", 1e6) is None
    assert ROWS["h264_v4l2m2m"].bit_rate("good", 1e6) == 200_000


@pytest.mark.parametrize(
    ("system", "machine", "there", "works"),
    [
        ("linux", "aarch64", ["video10"], {"h264_v4l2m2m"}),
        ("linux", "x86_64", ["video0"], set()),  # a camera
        ("linux", "x86_64", ["nvidiactl"], {"h264_nvenc"}),
        ("linux", "aarch64", ["v4l2-nvenc", "nvidiactl"], {"h264_v4l2m2m", "h264_nvenc"}),
        ("darwin", "arm64", [], {"h264_videotoolbox"}),
    ],
)
def test_a_look_at_the_machine(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    system: str,
    machine: str,
    there: list[str],
    works: set[str],
) -> None:
    for name in there:
        (tmp_path / name).touch()

    def moved(*parts: str) -> Path:
        """As Path, with /dev and /sys in a folder of the test."""
        text = "/".join(parts)
        return tmp_path / text.removeprefix("/dev").strip("/") if text[:4] == "/dev" else Path(text)

    monkeypatch.setattr(encoder_rows, "Path", moved)
    monkeypatch.setattr(encoder_rows, "_vendor", lambda number: False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(encoder_rows.platform, "machine", lambda: machine)
    found = {row.name for row in rows_for("h264") if row.hardware and row.may_work()}
    assert found == works


def test_a_graphics_card_is_known_by_its_maker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for node, maker in [("renderD128", "0x8086"), ("renderD129", "0x10de")]:
        (tmp_path / node / "device").mkdir(parents=True)
        (tmp_path / node / "device" / "vendor").write_text(f"{maker}\n")
    (tmp_path / "renderD130" / "device").mkdir(parents=True)
    monkeypatch.setattr(encoder_rows, "Path", lambda *_: tmp_path)
    assert encoder_rows._vendor("0x8086")
    assert not encoder_rows._vendor("0x1002")
