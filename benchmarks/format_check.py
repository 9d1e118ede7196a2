"""Every format a film is written in, opened again and measured.

    python -m reverie.benchmarks.format_check [PHOTO] [--seconds 3] [--height 480] [--json FILE]

Renders the photo once with ember and writes its frames, with a tone, in each container and codec.
Prints what is found in the file: codec, pixels, frames, seconds, sound, size, the loss (PSNR of RGB
against what was written), milliseconds a frame of the process's own time, and whether the content
credentials verify, and show a changed byte.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.clip import write_clip
from ..runtime.credentials.credentials import FilmClaims, photo_hash, read_credentials, sign_film
from ..runtime.formats import CONTAINERS, encoding_for
from ..runtime.pipeline import stream
from ..runtime.reading import film_facts, read_frames
from ..runtime.sound.recording import RATE
from .machine import describe_machine

DEMO = Path(__file__).resolve().parents[1] / "tests" / "data" / "demo.jpg"

Frame = NDArray[np.uint8]


def tone(seconds: float) -> Iterator[NDArray[np.float32]]:
    """A steady 440 Hz, a second a block, float32 (n, 2)."""
    wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)
    both = np.repeat(wave.astype(np.float32)[:, None], 2, 1)
    for start in range(0, len(both), RATE):
        yield both[start : start + RATE]


def psnr(written: list[Frame], path: Path) -> float | None:
    """Loss of a film against the frames it was written from, dB; None where nothing is lost."""
    squares = [
        float(np.square(one.astype(np.float32) - other).mean())
        for one, other in zip(written, read_frames(path), strict=True)
    ]
    mean = float(np.mean(squares))
    return None if mean == 0 else 10 * float(np.log10(255**2 / mean))


def check(
    folder: Path, suffix: str, codec: str, frames: list[Frame], photo: Path
) -> dict[str, Any]:
    """Write one format and measure it."""
    name = str(folder / f"film-{codec}") + suffix
    encoding = encoding_for(name, codec)
    seconds = len(frames) / 24
    claims = FilmClaims("ember", "1.0.0", [photo_hash(photo)], 0)
    signed: list[bool] = []

    def finish(part: Path, mime: str) -> None:
        signed.append(sign_film(part, mime, claims, folder=folder / "keys").done)

    start = time.process_time()
    height, width = frames[0].shape[:2]
    written = write_clip(
        frames,
        name,
        fps=24,
        width=width,
        height=height,
        frame_count=len(frames),
        encoding=encoding,
        sound=tone(seconds) if encoding.sound is not None else None,
        finish=finish,
    )
    spent = time.process_time() - start
    path = Path(name)
    facts = film_facts(path)
    row = {
        "name": f"{suffix} {codec}",
        "encoder": written.encoder,
        "pixels": facts.pixels,
        "frames": facts.frames,
        "seconds": facts.seconds,
        "sound": facts.sound,
        "sound_seconds": facts.sound_seconds,
        "bytes": facts.bytes,
        "psnr": psnr(frames, path),
        "milliseconds_a_frame": 1000 * spent / len(frames),
        "credentials": None,
        "changed_byte": None,
    }
    if any(signed):
        row["credentials"] = read_credentials(path, folder=folder / "keys").valid
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        found = read_credentials(path, folder=folder / "keys")
        row["changed_byte"] = "missed" if found.valid else "shown"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    film = stream(arguments.photo, seconds=arguments.seconds, height=arguments.height)
    frames = [frame.copy() for frame in film]
    pairs = [(suffix, codec) for suffix, kind in CONTAINERS.items() for codec in kind.codecs]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in [*pairs, ("/", "png")]:
            rows.append(row := check(Path(folder), suffix, codec, frames, arguments.photo))
            loss = "exact" if row["psnr"] is None else f"{row['psnr']:.1f} dB"
            heard = f"{row['sound']} {row['sound_seconds']:.3f} s" if row["sound"] else "silent"
            signed = {None: "-", True: "valid", False: "BROKEN"}[row["credentials"]]
            print(
                f"{row['name']:<13} {row['encoder']:<12} {row['pixels']:<13} {row['frames']:>4} "
                f"{row['seconds']:.4f} s  {heard:<14} {row['bytes'] / 1e6:8.2f} MB  {loss:>8}  "
                f"{row['milliseconds_a_frame']:6.1f} ms  {signed} {row['changed_byte'] or ''}"
            )
    if arguments.json:
        size = f"{film.width}x{film.height}"
        report = {"size": size, "rows": rows, "machine": describe_machine()}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
