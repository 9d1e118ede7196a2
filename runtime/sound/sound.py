"""The sound of a film: music and a voice, brought to length and loudness, as a stream."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ...engines.errors import SettingsError
from .beats import Beats
from .bed import Bed, lay
from .ducking import duck_curve
from .loudness import Loudness, limited, measure
from .mix import Mix
from .recording import RATE, Block, Recording, between, even, open_recording
from .survey import Survey, open_survey

__all__ = ["RATE", "Sound", "open_sound"]

LUFS, CEILING = -16.0, -2.5
"""Integrated loudness of a film, and the dBTP at which its peaks are held. AAC at 320 kbit/s gave
back peaks up to 1.1 dB higher than it was given: so the file, too, stays under the usual -1 dBTP.
"""
DUCK = 12.0
"""dB by which music is lowered under speech."""
LUFS_RANGE, DUCK_RANGE = (-40, -8), (0, 40)

_MOST_GAIN = 30.0  # dB; more would raise hiss to music
_MOST_LIMITING = 20.0  # dB the limiter may take off the highest peak
_UNDER_VOICE = 3.0  # LU by which undisturbed music stays under a voice
_NEAR_GATE = -50.0  # LUFS
_ROUNDS = 4  # measurements of what the limiter gives, at most
_NEAR = 0.2  # LU from the target that are nothing to correct
_EDGE = 480  # samples: 10 ms at the film's very end, so that its last sample is silence
_LONGEST_COUNT = 3600  # seconds of a voice that are read to tell how long it is


@dataclass(frozen=True)
class Sound:
    """The finished sound of a film: 48 kHz stereo, as often as asked, the same every time."""

    seconds: float
    """Length of the film."""
    samples: int
    """How many samples a side `blocks` yields: round(seconds * 48000)."""
    mix: Mix = field(repr=False)
    """The mix it is made from."""
    gain: float
    """dB by which the mix is raised."""
    limit: bool
    """True where peaks are held down by the limiter."""
    loudness: Loudness
    """Of what `blocks` yields, measured before anything is played."""
    beats: Beats
    """The music's beats in seconds of the film."""
    voice_seconds: float | None = None
    """How long the voice needs, its lead-in included; None where there is none or nobody knows."""
    notes: tuple[str, ...] = ()
    """What a person should know: "the voice is longer than the film ..."."""

    def blocks(self) -> Iterator[Block]:
        """Yield float32 (n, 2) within -1 to 1, left and right, exactly `samples` in all.

        Raises SoundError where a file that was there has gone since.
        """
        at = 0
        for block in even(_finished(self.mix, self.gain, self.limit)):
            left = (self.samples - 1 - at - np.arange(len(block))) / _EDGE
            at += len(block)
            yield np.clip(block * np.clip(left, 0, 1).astype(np.float32)[:, None], -1, 1)


def open_sound(
    music: str | os.PathLike[str] | None,
    voice: str | os.PathLike[str] | None,
    seconds: float,
    *,
    lufs: float = LUFS,
    duck_db: float = DUCK,
    lead_in: float = 0.0,
) -> Sound | None:
    """Make the sound of a film ready: read what is given once, measure it, and fail now if at all.

    Args:
        music: a file with sound, trimmed or led back to its beginning to fill the film.
        voice: a file with speech, played once; the music goes down under it.
        seconds: the film's length.
        lufs: integrated loudness of the whole, ITU-R BS.1770 as in EBU R128.
        duck_db: dB by which the music is lowered under speech, 0 to 40.
        lead_in: seconds before the voice begins.

    Returns None where neither is given. Memory does not grow with the files.

    Raises:
        SoundError: a file cannot be used.
        SettingsError: an impossible length, loudness or lead-in.
    """
    if music is None and voice is None:
        return None
    _check(seconds, lufs, duck_db, lead_in)
    samples = round(seconds * RATE)
    notes: list[str] = []
    opened = spoken = said = bed = duck = voice_seconds = None
    beats = Beats()
    music_gain = voice_gain = 0.0
    # Both are opened before either is read through, so that what is wrong is said at once.
    for path, use in ((music, "music"), (voice, "voice")):
        if path is not None:
            open_recording(path, use)
    if voice is not None:
        spoken, said = open_survey(voice, "voice", seconds - lead_in, beats=False)
        voice_seconds = _length(spoken, said, lead_in)
        notes += [*said.notes, *_voice_notes(spoken, said, seconds, voice_seconds)]
    if music is not None:
        opened, found = open_survey(music, "music", seconds + 1.0, beats=True)
        bed = lay(opened, found, seconds)
        beats = bed.beats(found.beats, seconds)
        notes += [*found.notes, *_music_notes(opened, found, bed, seconds)]
        if said is not None and not (said.loudness.silent or found.loudness.silent):
            voice_gain = _bounded(lufs - said.loudness.lufs)
            music_gain = _bounded(lufs - _UNDER_VOICE - found.loudness.lufs)
            duck = duck_curve(said.levels, lead_in, seconds, duck_db)
    mix = Mix(
        samples=samples,
        music=bed,
        voice=spoken,
        music_gain=music_gain,
        voice_gain=voice_gain,
        voice_start=round(lead_in * RATE),
        duck=duck,
        fade_out=round(_fade_from(seconds, beats) * RATE),
    )
    sound = _levelled(mix, seconds, lufs)
    if not sound.loudness.silent and abs(sound.loudness.lufs - lufs) > 0.5:
        notes.append(_missed(sound, lufs))
    return replace(sound, beats=beats, voice_seconds=voice_seconds, notes=tuple(notes))


def _finished(mix: Mix, gain: float, limit: bool) -> Iterator[Block]:
    if limit:
        yield from limited(mix.blocks(), gain, CEILING)
        return
    factor = np.float32(10 ** (gain / 20))
    for block in mix.blocks():
        yield block * factor


def _levelled(mix: Mix, seconds: float, lufs: float) -> Sound:
    """Find the gain that brings the mix to `lufs`, through the limiter where its peaks need it."""
    raw = measure(mix.blocks())
    gain, limit, result = 0.0, False, raw
    if not raw.silent:
        highest = min(CEILING - raw.peak + _MOST_LIMITING, _MOST_GAIN)
        gain = min(lufs - raw.lufs, highest)
        result = Loudness(raw.lufs + gain, raw.peak + gain)
        limit = result.peak > CEILING
        # What the limiter takes is given back by more gain, as far as the last step was worth it.
        # Very quiet sound is measured again too: raised, more of it is above R128's gate.
        slope, before = 1.0, (raw.lufs, 0.0)
        for more in range(_ROUNDS if limit or raw.lufs < _NEAR_GATE else 0):
            result = measure(_finished(mix, gain, limit))
            if abs(gain - before[1]) > 0.1:
                slope = min(max((result.lufs - before[0]) / (gain - before[1]), 0.25), 1.0)
            before = (result.lufs, gain)
            wanted = min(gain + (lufs - result.lufs) / slope, highest)
            limit = limit or raw.peak + wanted > CEILING
            near = abs(lufs - result.lufs) <= _NEAR or abs(wanted - gain) < 0.1
            if near or more == _ROUNDS - 1:
                break
            gain = wanted
    return Sound(seconds, mix.samples, mix, gain, limit, result, Beats())


def _check(seconds: float, lufs: float, duck_db: float, lead_in: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise SettingsError(f"sound of {seconds} seconds cannot be made: give more than 0")
    least, most = LUFS_RANGE
    if not least <= lufs <= most:
        raise SettingsError(f"a loudness of {lufs} LUFS is not to be had: give {least} to {most}")
    least, most = DUCK_RANGE
    if not least <= duck_db <= most:
        raise SettingsError(f"music cannot be lowered by {duck_db} dB: give {least} to {most}")
    if not 0 <= lead_in < seconds:
        raise SettingsError(
            f"a voice cannot begin {lead_in} s into a film of {seconds:g} s: give 0 to its length"
        )


def _bounded(gain: float) -> float:
    return min(max(gain, -120.0), _MOST_GAIN)


def _length(spoken: Recording, said: Survey, lead_in: float) -> float | None:
    if said.ended:
        return lead_in + said.samples / RATE
    longest = _LONGEST_COUNT * RATE
    samples = sum(len(block) for block in between(spoken.blocks(), 0, longest))
    return lead_in + samples / RATE if samples < longest else spoken.stated


def _fade_from(seconds: float, beats: Beats) -> float:
    """Return when the music begins to fade: a beat where they are clear, else a whole second."""
    usual = min(2.5, seconds / 4)
    longest, shortest = min(4.0, seconds * 0.4), min(1.5, seconds / 6)
    if beats.clear:
        places = np.asarray(beats.times)
        bar = min(beats.bar * 60 / (beats.tempo or 120), longest)
        usual = max(min(bar, longest), shortest)
    else:
        places = np.arange(math.floor(seconds) + 1, dtype=np.float64)
    left = seconds - places
    fitting = places[(left >= shortest - 1e-6) & (left <= longest + 1e-6)]
    if not len(fitting):
        return seconds - usual
    return float(fitting[np.argmin(np.abs(seconds - fitting - usual))])


def _voice_notes(
    spoken: Recording, said: Survey, seconds: float, needed: float | None
) -> list[str]:
    if said.loudness.silent:
        return [f"{spoken.name} is silent: nothing of it is to be heard"]
    if said.ended or (needed is not None and needed <= seconds + 0.05):
        return []
    long = f"it needs {needed:.1f} s" if needed else "it goes on after the film's end"
    return [f"{spoken.name} is longer than the film ({seconds:g} s): {long}, its end is left out"]


def _music_notes(opened: Recording, found: Survey, bed: Bed, seconds: float) -> list[str]:
    if found.loudness.silent:
        return [f"{opened.name} is silent: nothing of it is to be heard"]
    notes = []
    if bed.start:
        notes.append(f"the silence at the music's beginning ({bed.start / RATE:.1f} s) is left out")
    lasts = (found.heard[1] - bed.start) / RATE
    if bed.join is not None:
        how = "on the beat" if bed.join.musical else "by a cross-fade"
        notes.append(
            f"the music lasts {lasts:.1f} s: it is led back every "
            f"{bed.join.period / RATE:.1f} s, {how}"
        )
    elif found.ended and lasts < seconds - 0.1:
        notes.append(f"the music ends {seconds - lasts:.1f} s before the film")
    return notes


def _missed(sound: Sound, lufs: float) -> str:
    why = (
        "its peaks leave no more room"
        if sound.limit
        else f"more than {_MOST_GAIN:g} dB of gain would raise its noise"
    )
    return f"the sound comes to {sound.loudness.lufs:.1f} LUFS, not {lufs:g}: {why}"
