"""A machine in a JSON file, in place of the one that runs the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reverie.engines.probe import LIMIT, MARK, Answer, Probes

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


class Recorded(Probes):
    """Answers as such a machine would, from `<name>.json`; see README.md for its keys."""

    def __init__(self, name: str, **changes: Any) -> None:
        self.about: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text()) | changes

    def _section(self, name: str) -> dict[str, Any]:
        section: dict[str, Any] = self.about.get(name, {})
        return section

    def read(self, path: str) -> str | None:
        return self._section("files").get(path)

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/"
        files = self._section("files")
        return sorted({p.removeprefix(start).split("/")[0] for p in files if p.startswith(start)})

    def run(self, words: Sequence[str], limit: float = LIMIT) -> Answer:
        commands = self._section("commands")
        return _answer(commands.get(" ".join(words)) or commands.get(words[0]), "is not there")

    def child(self, module: str, *words: str, limit: float = LIMIT) -> Answer:
        children = self._section("children")
        found = children.get(" ".join((module, *words[:1]))) or children.get(module)
        return _answer(found, "failed (nothing was recorded)")

    def system(self) -> tuple[str, str, str]:
        name, release, kind = self.about.get("system", ("Linux", "6.8.0", "x86_64"))
        return name, release, kind

    def memory(self) -> tuple[int, int]:
        total, available = self.about.get("memory", (32 * 2**30, 24 * 2**30))
        return total, available

    def cores(self) -> int:
        return int(self.about.get("cores", 8))

    def found(self, module: str) -> bool:
        return any(f"{name}.".startswith(f"{module}.") for name in self.about.get("modules", ()))

    def version(self, distribution: str) -> str | None:
        return self._section("installed").get(distribution)

    def requirements(self, distribution: str) -> list[str]:
        return list(self._section("requirements").get(distribution, ()))

    def variable(self, name: str) -> str | None:
        return self._section("variables").get(name)


def _answer(recorded: Any, otherwise: str) -> Answer:
    if recorded is None:
        return Answer(problem=otherwise)
    if isinstance(recorded, str):
        return Answer(recorded)
    facts = "".join(f"{MARK}{json.dumps(fact)}\n" for fact in recorded.get("facts", ()))
    return Answer(facts + recorded.get("out", ""), recorded.get("problem", ""))
