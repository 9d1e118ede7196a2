"""What an engine was built from and for: the key it is cached under."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Shape = tuple[int, ...]

_FORMAT = 1
"""Goes into every digest: a change of what an engine file is makes all old ones unknown."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that decides what is in an engine file.

    Two keys have one digest when nothing in them differs but `name`.
    """

    graph_sha256: str
    """Of the ONNX graph."""
    data_sha256: tuple[str, ...]
    """Of each file of weights."""
    precision: str
    profile: Mapping[str, tuple[Shape, Shape, Shape]]
    """Per input the smallest, the usual and the largest shape."""
    library: str
    """"rtx" or "tensorrt"."""
    library_version: str
    device: tuple[str, ...]
    """Architectures that the engine runs on; for one built in place also the GPU and the driver."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else changes the engine, as plain data."""
    name: str = ""
    """What a person calls it, "ltx denoiser"; no part of the digest."""

    def digest(self) -> str:
        """Return the sha256 of the key as canonical JSON, 64 hexadecimal digits."""
        plain = self.as_plain()
        del plain["name"]
        text = json.dumps({"format": _FORMAT, **plain}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_plain(self) -> dict[str, Any]:
        """Return the key as plain data that JSON can hold, the same for equal keys.

        Raises:
            TypeError: an option is no plain data.
            ValueError: a number in it is not finite.
        """
        return {
            "graph_sha256": self.graph_sha256.lower(),
            "data_sha256": [text.lower() for text in self.data_sha256],
            "precision": self.precision,
            "profile": {
                name: [[operator.index(size) for size in shape] for shape in shapes]
                for name, shapes in sorted(self.profile.items())
            },
            "library": self.library,
            "library_version": self.library_version,
            "device": self._devices(),
            "options": _plain(self.options),
            "name": self.name,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> EngineKey:
        """Return the key that `as_plain` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(
                graph_sha256=_text(plain["graph_sha256"]),
                data_sha256=tuple(map(_text, plain["data_sha256"])),
                precision=_text(plain["precision"]),
                profile={_text(name): _shapes(shapes) for name, shapes in plain["profile"].items()},
                library=_text(plain["library"]),
                library_version=_text(plain["library_version"]),
                device=tuple(map(_text, plain["device"])),
                options=dict(plain["options"]),
                name=_text(plain.get("name", "")),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no key of an engine ({error})") from error

    def same_but_for_version(self, other: EngineKey) -> bool:
        """Whether only the version of the library differs."""
        return (
            self.library_version != other.library_version
            and replace(self, library_version=other.library_version).digest() == other.digest()
        )

    def _devices(self) -> list[str]:
        return sorted(set(self.device), key=lambda name: (len(name), name))  # sm86 before sm120

    def __str__(self) -> str:
        words = (self.name or "engine", self.precision, "+".join(self._devices()))
        return f"{' '.join(filter(None, words))} [{self.digest()[:12]}]"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _shapes(value: Any) -> tuple[Shape, Shape, Shape]:
    smallest, usual, largest = (tuple(map(operator.index, shape)) for shape in value)
    return smallest, usual, largest


def _plain(value: Any) -> Any:
    """Return a value as what JSON gives back for it, so that a key read again has its digest."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{value} cannot be in the key of an engine")
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    return operator.index(value)  # whole numbers, numpy's too; a TypeError for all else
