"""Every error Reverie raises on purpose, in one tree, each with the exit code of the command line.

    ReverieError             1  something went wrong that no other row names
    +-- SettingsError        2  an option or argument has an impossible value
    +-- PhotoError           3  the photo cannot be used
    +-- BundleError          4  the model is missing, broken or not of a known family
    +-- OutputError          5  the clip or the bundle cannot be written
    +-- EngineError          6  a network could not be opened or run on this device
    |   +-- DeviceMemoryError  6  ... because its memory did not suffice
    +-- MissingPackageError  7  an optional package is not installed
    +-- SoundError           8  the music or the voice cannot be used
    +-- StoryError           9  the plan of a story cannot be used

A message says what happened, why, and what to do about it, in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ReverieError(Exception):
    """Base of every error raised on purpose; `str(error)` is one line for a person."""

    exit_code = 1

    def __init__(self, message: str = "", facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.facts = dict(facts or {})
        """Plain data beside the line, for whoever reads JSON."""


class SettingsError(ReverieError):
    """An option or argument has an impossible value."""

    exit_code = 2


class PhotoError(ReverieError):
    """The photo cannot be used; nor can a film that is to be looked at be read."""

    exit_code = 3


class BundleError(ReverieError):
    """The model is missing, broken, or not of a family known here."""

    exit_code = 4


class OutputError(ReverieError):
    """The clip or the bundle cannot be written where it was asked for."""

    exit_code = 5


class EngineError(ReverieError):
    """A network could not be opened or run on this device."""

    exit_code = 6


class DeviceMemoryError(EngineError):
    """The device had not the memory; smaller pieces, or another way of running, may do."""


class MissingPackageError(ReverieError):
    """An optional package is needed and not installed; the message holds the pip line."""

    exit_code = 7


class SoundError(ReverieError):
    """The music or the voice cannot be read, decoded or used."""

    exit_code = 8


class StoryError(ReverieError):
    """The plan of a story cannot be used; the message names the file and the line."""

    exit_code = 9
