"""Small films, sounds and encoders for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from reverie.engines import encoder_rows
from reverie.engines.encoder_rows import ROWS, Row
from reverie.runtime import choose_encoder, formats
from reverie.runtime.clip import Written, write_clip
from reverie.runtime.formats import encoding_for

WIDTH, HEIGHT = 160, 128


def moving(count: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[npt.NDArray[np.uint8]]:
    """A soft colourful picture that wanders a pixel a frame."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for index in range(count):
        waves = [np.sin((x + index) / 9), np.sin((y - index) / 13), np.sin((x + y + index) / 17)]
        yield np.stack([128 + 90 * wave for wave in waves], 2).astype(np.uint8)


def tone(samples: int, block: int = 7001, volume: float = 0.3) -> Iterator[npt.NDArray[np.float32]]:
    """A steady 440 Hz, in blocks."""
    wave = volume * np.sin(2 * np.pi * 440 * np.arange(samples) / 48_000)
    both = np.repeat(wave.astype(np.float32)[:, None], 2, 1)
    for start in range(0, samples, block):
        yield both[start : start + block]


def film(
    path: Path | str,
    count: int = 24,
    *,
    fps: int = 24,
    codec: str | None = None,
    encoder: str = "auto",
    quality: str | None = None,
    **more: Any,
) -> Written:
    """Write a small film."""
    encoding = encoding_for(path, codec, encoder, quality)
    size = {"width": WIDTH, "height": HEIGHT}
    frames = more.pop("frames", None) or moving(count, **size)
    return write_clip(
        frames, path, fps=fps, frame_count=count, encoding=encoding, **{**size, **more}
    )


def left_in(folder: Path) -> list[str]:
    """Every name in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def only_rows(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    """Let these be all the encoders there are."""
    for module in (encoder_rows, choose_encoder, formats):
        monkeypatch.setattr(module, "ROWS", {row.name: row for row in rows})


def hardware(base: str, **changes: Any) -> Row:
    """A real encoder that passes for hardware."""
    return replace(ROWS[base], hardware=True, title="a pretended one", **changes)
