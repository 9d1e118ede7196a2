"""The committed results, and which of them a table was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DEVICES = ROOT / "benchmarks" / "devices"


class MissingResult(LookupError):
    """A result that a table is made from is not there; the message names its file."""


class Results:
    """JSON files by their names without ending, read once; remembers which were asked for."""

    def __init__(self, folder: Path = RESULTS, devices: Path = DEVICES) -> None:
        self._folder = folder
        self._devices = devices
        self.used: dict[str, Any] = {}
        self.paths: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a result.

        Raises:
            MissingResult: there is no such file, or it is no JSON.
        """
        return self._read(name, self._folder / f"{name}.json")

    def every(self, prefix: str) -> list[Any]:
        """Return the results whose names begin so, one at least, sorted by name."""
        names = [path.stem for path in sorted(self._folder.glob(f"{prefix}*.json"))]
        return [self[name] for name in names or [prefix]]

    def devices(self) -> list[Any]:
        """Return the records that readers handed in, by the names of their files."""
        files = sorted(self._devices.glob("*.json"))
        return [self._read(f"devices/{file.stem}", file) for file in files]

    def _read(self, name: str, path: Path) -> Any:
        if name not in self.used:
            try:
                self.used[name] = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError as error:
                raise MissingResult(f"{path.name} is not in {path.parent}") from error
            except ValueError as error:
                raise MissingResult(f"{path} is no JSON: {error}") from error
            self.paths[name] = path
        return self.used[name]

    def hold_predictions(self) -> bool:
        """Whether anything that was read holds figures that were not measured.

        The result called "prediction" does, and any that has a key with "predicted" in it.
        """
        return any(
            name == "prediction" or any("predicted" in key for key in _keys(report))
            for name, report in self.used.items()
        )


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
