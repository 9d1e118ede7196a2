"""What a film's sound measures once it is a file: loudness, true peak and length, as written.

    python -m reverie.benchmarks.sound_check [--seconds 10] [--music FILE...] [--json FILE]

Without files, sounds made here are used: a song as MP3, a drone, music looped many times, clicks,
quiet and clipped music, a voice, a voice over music. Each is laid under a grey film in every kind
of container, the file is opened again, and its sound measured by FFmpeg's ebur128.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from ..runtime.clip import write_clip
from ..runtime.formats import Encoding, encoding_for
from ..runtime.sound.loudness import Meter
from ..runtime.sound.recording import RATE, even, open_recording
from ..runtime.sound.sound import Sound, open_sound
from .machine import describe_machine
from .made_sounds import clicks, drone, save, song, speech

FPS, WIDTH, HEIGHT = 24, 64, 64
CONTAINERS = (
    ("mp4", None),
    ("mov", None),
    ("mkv", None),
    ("webm", None),
    ("mov", "prores"),
    ("mkv", "ffv1"),
)


def made(folder: Path) -> dict[str, tuple[Path | None, Path | None]]:
    """Write the sounds, and return music and voice of each case."""
    beat = save(folder / "song.mp3", song(100, 40)[0])
    voice = save(folder / "voice.mp3", speech(7))
    return {
        "song, mp3": (beat, None),
        "drone, flac": (save(folder / "drone.flac", drone(40)), None),
        "short loop, wav": (save(folder / "loop.wav", song(120, 6)[0]), None),
        "clicks, opus": (save(folder / "clicks.opus", clicks(107, 40)[0]), None),
        "quiet, m4a": (save(folder / "quiet.m4a", 0.05 * drone(40, seed=1)), None),
        "clipped, wav": (save(folder / "loud.wav", np.clip(6 * drone(40), -1, 1)), None),
        "voice": (None, voice),
        "voice over song": (beat, voice),
    }


def grey(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield frames that cost nothing to encode."""
    for _ in range(count):
        yield np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def check(sound: Sound, path: Path, encoding: Encoding, count: int) -> dict[str, Any]:
    """Write a film with the sound and measure the file."""
    write_clip(
        grey(count),
        path,
        fps=FPS,
        width=WIDTH,
        height=HEIGHT,
        frame_count=count,
        force=True,
        encoding=encoding,
        sound=sound.blocks(),
    )
    meter, samples = Meter(), 0
    for block in even(open_recording(path, "music").blocks()):
        meter.hear(block)
        samples += len(block)
    found = meter.read()
    with av.open(str(path)) as film:
        audio = film.streams.audio[0]
        length = float(film.duration or 0) / 1e6
        codec, start = audio.codec_context.name, float((audio.start_time or 0) * audio.time_base)
    return {
        "codec": codec,
        "lufs": round(found.lufs, 2),
        "true_peak_db": round(found.peak, 2),
        "sound_seconds": samples / RATE,
        "sound_starts": start,
        "file_seconds": length,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--music", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    count = round(asked.seconds * FPS)
    seconds = count / FPS
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = {path.name: (path, None) for path in asked.music} or made(folder)
        print(f"film {seconds:.3f} s, aim -16 LUFS, at most -1 dBTP")
        for title, (music, voice) in cases.items():
            sound = open_sound(music, voice, seconds, lead_in=1.0 if voice else 0.0)
            assert sound is not None
            print(f"{title}: gain {sound.gain:+.1f} dB{', limited' if sound.limit else ''}")
            for note in sound.notes:
                print(f"  ({note})")
            for suffix, codec in CONTAINERS:
                path = folder / f"film.{suffix}"
                row = check(sound, path, encoding_for(path, codec), count)
                rows.append({"sound": title, "container": suffix, **row})
                print(
                    f"  .{suffix:5s}{row['codec']:10s} {row['lufs']:7.2f} LUFS "
                    f"{row['true_peak_db']:6.2f} dBTP  sound {row['sound_seconds']:.4f} s from "
                    f"{row['sound_starts']:.4f}, file {row['file_seconds']:.4f} s"
                )
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": describe_machine(), "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
