"""Options of the commands that write a film: its encoding, sound, stills and credentials."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..engines.encoder_rows import QUALITIES
from ..runtime.formats import AUTO, CODECS, SOFTWARE

if TYPE_CHECKING:
    from ..runtime.delivery import Delivery


def add_delivery(parser: argparse.ArgumentParser, *, sound: bool = True) -> None:
    """Add the options; without `sound` where the command has its own."""
    add = parser.add_argument
    add(
        "--codec",
        choices=tuple(CODECS),
        metavar="CODEC",
        help=f"{', '.join(CODECS)} (default: what the file's name asks for; h264 for .mp4)",
    )
    add(
        "--encoder",
        default=AUTO,
        metavar=f"{AUTO}|{SOFTWARE}|NAME",
        help="auto takes the hardware's where it works; or FFmpeg's name of one (default auto)",
    )
    add(
        "--quality",
        choices=QUALITIES,
        metavar="|".join(QUALITIES),
        help="how much is spent on the picture (default good; best for loops)",
    )
    if sound:
        add("--music", metavar="FILE", help="music, brought to the film's length and loudness")
        add("--voice", metavar="FILE", help="a voice over it; the music steps back while it speaks")
    add(
        "--voice-after",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="seconds before the voice begins (default 0)",
    )
    add(
        "--duck",
        type=float,
        default=12.0,
        metavar="DB",
        help="how far the music steps back under the voice, 0 to 40 dB (default 12)",
    )
    add(
        "--lufs",
        type=float,
        default=-16.0,
        metavar="LUFS",
        help="loudness of the whole, EBU R128, -40 to -8 (default -16)",
    )
    add("--poster", metavar="FILE", help="also save the film's best still, .jpg or .png")
    add("--sheet", metavar="FILE", help="also save a page of twelve stills with their times")
    add(
        "--credentials",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="sign the film with content credentials (C2PA): what it was made from, by which "
        "model (default on)",
    )
    add(
        "--signing-key",
        metavar="FILE",
        help="a private key in PEM (default: REVERIE_SIGNING_KEY, or one made here on first use)",
    )
    add("--signing-cert", metavar="FILE", help="the certificates that go with the key, in PEM")


def delivery_of(arguments: argparse.Namespace) -> Delivery:
    """Return what was asked for.

    Raises:
        SettingsError: a key without certificates, or they without it.
    """
    from ..runtime.delivery import Delivery

    return Delivery(
        codec=arguments.codec,
        encoder=arguments.encoder,
        quality=arguments.quality,
        music=arguments.music,
        voice=arguments.voice,
        voice_after=arguments.voice_after,
        duck=arguments.duck,
        lufs=arguments.lufs,
        poster=arguments.poster,
        sheet=arguments.sheet,
        credentials=arguments.credentials,
        signing_key=arguments.signing_key,
        signing_cert=arguments.signing_cert,
    )
