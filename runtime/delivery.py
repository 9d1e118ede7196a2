"""How a film leaves: encoded, with its sound, its stills, and a statement of what it is.

`Delivery` is what is asked for, `check` refuses before anything is rendered what could only fail
later, `deliver` writes the frames as they come. Films of one photo and stories leave through here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import OutputError, SettingsError
from .choose_encoder import check_encoder
from .clip import Written, check_output, write_clip
from .formats import AUTO, Encoding, encoding_for
from .letters.label import with_label
from .posters import Posters, check_still
from .settings import SECONDS_RANGE
from .sound.sound import DUCK, DUCK_RANGE, LUFS, LUFS_RANGE, open_sound
from .stages import Stages

if TYPE_CHECKING:
    from .credentials.credentials import FilmClaims
    from .sound.sound import Sound

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Delivery:
    """How a film is to leave, beside its frames.

    Raises:
        SettingsError: a key without its certificates, or they without it; an impossible loudness.
    """

    codec: str | None = None
    """One of `formats.CODECS`; None means what the file's name says."""
    encoder: str = AUTO
    """"auto" (hardware where it works), "software", or FFmpeg's name of an encoder."""
    quality: str | None = None
    """"small", "good" or "best"; None means "good"."""
    music: Path | str | None = None
    """A file whose sound lies under the film, brought to its length and loudness."""
    voice: Path | str | None = None
    """A file with speech; the music steps back under it."""
    voice_after: float = 0.0
    """Seconds before the voice begins."""
    duck: float = DUCK
    """dB by which the music steps back, 0 to 40."""
    lufs: float = LUFS
    """Loudness of the whole, integrated (EBU R128), -40 to -8."""
    poster: Path | str | None = None
    """Where the film's best still goes, .jpg or .png."""
    sheet: Path | str | None = None
    """Where a page of twelve stills goes."""
    credentials: bool = True
    """Whether the film says in content credentials (C2PA) what it was made from, and by what."""
    signing_key: Path | str | None = None
    """A private key (PEM) to sign them with; None means one of this machine's own."""
    signing_cert: Path | str | None = None
    """The certificates (PEM) that go with the key."""

    def __post_init__(self) -> None:
        if (self.signing_key is None) != (self.signing_cert is None):
            raise SettingsError(
                "a signing key and its certificates go together: give both --signing-key and "
                "--signing-cert, or neither"
            )
        from .model import number

        ranges = {"lufs": LUFS_RANGE, "duck": DUCK_RANGE, "voice_after": (0, SECONDS_RANGE[1])}
        for name, (low, high) in ranges.items():
            object.__setattr__(self, name, number(name, getattr(self, name), low, high))

    def encoding(self, path: Path | str) -> Encoding:
        """How the film at a path is encoded.

        Raises:
            OutputError, SettingsError: as `formats.encoding_for`.
        """
        return encoding_for(path, self.codec, self.encoder, self.quality)


def divided(
    delivery: Delivery | None, options: Mapping[str, Any]
) -> tuple[Delivery, dict[str, Any]]:
    """Take the fields of Delivery out of options by name, and lay them over a delivery.

    Returns what is asked of the way out, and the other options. Raises SettingsError as Delivery.
    """
    own = Delivery.__dataclass_fields__.keys() & options.keys()
    others = {name: value for name, value in options.items() if name not in own}
    return replace(delivery or Delivery(), **{name: options[name] for name in own}), others


def check(
    path: Path | str,
    delivery: Delivery,
    *,
    force: bool = False,
    sources: Sequence[object] = (),
    board: Path | str | None = None,
) -> Path:
    """Return where the film goes, when all that can be known beforehand says that it can.

    sources: the photos it is made from; no more than music and voice are those written over.
    board: a picture that is written beside it, as a story's board is.

    Raises:
        OutputError: the film or a still cannot be written there.
        SettingsError: a format that is not known or does not go with the name, sound for a silent
            one.
        SoundError: the music or the voice cannot be used.
        EngineError: the encoder that is named does not work here.
    """
    encoding = delivery.encoding(path)
    target = check_output(path, force, encoding)
    check_encoder(encoding)
    for still in (delivery.poster, delivery.sheet):
        if still is not None:
            check_still(still, force)
    sounds = {"music": delivery.music, "voice": delivery.voice}
    for use, file in sounds.items():
        if file is not None:
            from .sound.recording import open_recording

            encoding.check_sound()
            open_recording(file, use)
    made_files = [file for file in (path, delivery.poster, delivery.sheet, board) if file]
    names = [os.path.realpath(file) for file in made_files]
    for made, name in zip(made_files, names, strict=True):
        if names.count(name) > 1:
            raise OutputError(f"{made} is to be two files at once: give them names of their own")
        spare_sources(made, (*sources, *sounds.values()))
    return target


def spare_sources(made: Path | str, sources: Iterable[object]) -> None:
    """Refuse to write over a file that the film is made from, whatever name it is given by.

    Raises:
        OutputError: `made` is one of them.
    """
    for source in sources:
        with contextlib.suppress(OSError, ValueError):  # one is not there
            if isinstance(source, str | Path) and Path(made).samefile(source):
                raise OutputError(f"{made} is what the film is made from: choose another name")


def hear(delivery: Delivery, seconds: float, stages: Stages) -> Sound | None:
    """Make the sound of a film of so many seconds ready; None where none is asked for.

    Raises:
        SoundError: a file cannot be used.
    """
    if delivery.music is None and delivery.voice is None:
        return None
    with stages.stage("sound"):
        sound = open_sound(
            delivery.music,
            delivery.voice,
            seconds,
            lufs=delivery.lufs,
            duck_db=delivery.duck,
            lead_in=delivery.voice_after,
        )
    if sound is not None:
        for note in sound.notes:
            stages.note(note)
    return sound


def deliver(
    frames: Iterable[Frame],
    path: Path | str,
    delivery: Delivery,
    *,
    fps: int,
    width: int,
    height: int,
    frame_count: int,
    claims: FilmClaims,
    stages: Stages,
    sound: Sound | None = None,
    force: bool = False,
    stage: str = "frames",
) -> Written:
    """Write a film's frames as they come, and its stills; sign it; tell what went otherwise.

    Args:
        frames: uint8 RGB (height, width, 3), exactly `frame_count`.
        claims: what the film says of itself.
        stages: told of each frame under the name `stage`, and of notes.
        sound: of `hear`.

    Raises:
        OutputError: the film or a still cannot be written.
        EngineError: a named encoder does not work here.
    """
    encoding = delivery.encoding(path)
    stills = Posters(
        poster=delivery.poster, sheet=delivery.sheet, count=frame_count, fps=fps, force=force
    )

    def finish(part: Path, mime: str) -> None:
        from .credentials.credentials import sign_film

        signed = sign_film(
            part, mime, claims, key=delivery.signing_key, certificate=delivery.signing_cert
        )
        if signed.note is not None:
            stages.note(signed.note)

    written = write_clip(
        stills.over(frames),
        path,
        fps=fps,
        width=width,
        height=height,
        frame_count=frame_count,
        force=force,
        metadata={"comment": with_label(_comment(claims), claims.label)},
        on_frame=lambda done: stages.tell(stage, done, frame_count),
        encoding=encoding,
        sound=None if sound is None else sound.blocks(),
        finish=finish if delivery.credentials else None,
    )
    if delivery.credentials and encoding.is_folder:
        stages.note("a folder of frames carries no content credentials: write .mp4, .mov or .gif")
    for note in written.notes:
        stages.note(note)
    for still in stills.save():
        stages.note(f"{still} was saved too")
    return written


def _comment(claims: FilmClaims) -> str:
    """What a film says in its container's own words; `reverie check` reads mood and light there."""
    words = [f"Reverie, model {claims.model}"]
    for name in ("mood", "light"):
        if claims.settings.get(name) is not None:
            words.append(f"{name} {claims.settings[name]}")
    return ", ".join(words)


def asked(*owners: object) -> Mapping[str, Any]:
    """The fields of settings and the like that were asked for, by name, for `FilmClaims`."""
    return {
        name: value
        for owner in owners
        for name, value in vars(owner).items()
        if value is not None and name not in ("prompt", "negative_prompt", "label")
    }
