"""Sounds made here: pulses, drones, speech-like bursts, a song; and files of any kind of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE = 48000

Samples = npt.NDArray[np.float32]
"""(n, channels), 1.0 at full scale."""

_CODECS = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "m4a": "aac",
    "flac": "flac",
    "ogg": "libopus",
    "opus": "libopus",
    "mka": "aac",
}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def clicks(
    tempo: float,
    seconds: float,
    *,
    first: float = 0.0,
    noise: float = 0.02,
    seed: int = 0,
    bar: int = 1,
) -> tuple[Samples, list[float]]:
    """Bursts of noise at a tempo, stressed once a bar, over noise; and when they begin."""
    draw = np.random.default_rng([seed, 1])
    sound = draw.normal(0, noise, round(seconds * RATE))
    at = np.arange(RATE // 20)
    burst = 0.5 * draw.normal(0, 1, len(at)) * np.exp(-at / (0.015 * RATE))
    times = [first + n * 60 / tempo for n in range(int(max(seconds - first, 0) * tempo / 60) + 1)]
    times = [time for time in times if time < seconds - 0.06]
    for beat, time in enumerate(times):
        start = round(time * RATE)
        sound[start : start + len(at)] += burst if beat % bar == 0 else 0.3 * burst
    return _stereo(sound), times


def drone(seconds: float, *, seed: int = 0) -> Samples:
    """A slowly breathing chord with a little hiss: music without a beat."""
    draw = np.random.default_rng([seed, 2])
    time = np.arange(round(seconds * RATE)) / RATE
    sound = draw.normal(0, 0.002, len(time))
    for pitch, level in ((110, 0.1), (164.8, 0.08), (220, 0.05), (277.2, 0.04), (329.6, 0.03)):
        phase, slow, swell = draw.uniform(0, 6), draw.uniform(0.05, 0.3), draw.uniform(0.03, 0.4)
        wander = 0.3 * np.sin(2 * np.pi * slow * time)
        breath = 1 + 0.4 * np.sin(2 * np.pi * swell * time + phase)
        sound += level * breath * np.sin(2 * np.pi * pitch * time + phase + wander)
    return _stereo(sound)


def speech(seconds: float, *, seed: int = 0, pause: tuple[float, float] | None = None) -> Samples:
    """Bursts of a buzzing voice of changing pitch and length; silent within `pause`."""
    draw = np.random.default_rng([seed, 3])
    sound = np.zeros(round(seconds * RATE))
    time = 0.0
    while time < seconds - 0.35:
        length, pitch = draw.uniform(0.08, 0.3), draw.uniform(100, 180)
        at = np.arange(round(length * RATE))
        wave = sum(np.sin(2 * np.pi * pitch * n * at / RATE) / n for n in range(1, 20))
        if pause is None or not pause[0] - length < time < pause[1]:
            start = round(time * RATE)
            sound[start : start + len(at)] += 0.15 * wave * np.sin(np.pi * at / len(at)) ** 0.5
        time += length + (draw.uniform(0.02, 0.12) if draw.random() < 0.9 else 0.35)
    return _stereo(sound)


def song(tempo: float, seconds: float, *, seed: int = 0) -> tuple[Samples, list[float]]:
    """Kick, snare, hats a little off the grid, chords and a drone; and the seconds of its beats."""
    draw = np.random.default_rng([seed, 4])
    sound = 0.5 * drone(seconds, seed=seed)[:, 0].astype(np.float64)
    short, long = np.arange(RATE // 10), np.arange(RATE)
    times = []
    for half in range(int(seconds * tempo / 30) - 4):
        time = max(half * 30 / tempo + draw.normal(0, 0.004), 0.0)
        start = round(time * RATE)
        hit = 0.05 * draw.normal(0, 1, len(short)) * np.exp(-short / 1000)
        if half % 2 == 0:
            kick = np.sin(2 * np.pi * 55 * short / RATE) * np.exp(-short / 2000)
            hit += (0.6 if half % 4 == 0 else 0.2) * kick
            times.append(time)
        if half % 4 == 2:
            hit += 0.2 * draw.normal(0, 1, len(short)) * np.exp(-short / 1500)
        sound[start : start + len(short)] += hit[: len(sound) - start]
        if half % 8 == 0:
            left = len(sound) - start
            for pitch in (220, 277, 330):
                note = np.sin(2 * np.pi * pitch * long / RATE) * np.exp(-long / 20000)
                sound[start : start + len(long)] += 0.08 * note[:left]
    return _stereo(sound), times


def rubato(seconds: float, *, seed: int = 0) -> Samples:
    """Struck notes at no steady pace."""
    draw = np.random.default_rng([seed, 5])
    sound = np.zeros(round(seconds * RATE))
    time = 0.2
    while time < seconds:
        start = round(time * RATE)
        at = np.arange(min(RATE, len(sound) - start))
        pitch = 220 * 2 ** (draw.integers(0, 24) / 12)
        sound[start : start + len(at)] += (
            0.2 * np.sin(2 * np.pi * pitch * at / RATE) * np.exp(-at / 15000)
        )
        time += draw.uniform(0.25, 1.1)
    return _stereo(sound)


def save(path: Path, sound: Samples, *, rate: int = RATE, codec: str | None = None) -> Path:
    """Write samples, taken to be at `rate`, in the form the file's suffix names."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec or _CODECS[path.suffix[1:]], rate=rate, layout=_LAYOUTS[sound.shape[1]]
        )
        for at in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[at : at + 1024], np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=_LAYOUTS[sound.shape[1]])
            frame.sample_rate, frame.pts = rate, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _stereo(sound: npt.NDArray[np.float64]) -> Samples:
    """Both sides nearly alike, as in a room."""
    return np.stack([sound, 0.9 * sound + 0.1 * np.roll(sound, 200)], axis=1).astype(np.float32)
