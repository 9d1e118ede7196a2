"""The file that a command is to make, for what is told where it is stopped."""

from __future__ import annotations

from pathlib import Path


class Awaited:
    """A file that is to come, perhaps in place of another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = self._state()

    def came(self) -> bool:
        """True when the file was made or replaced since."""
        now = self._state()
        return now is not None and now != self._before

    def _state(self) -> tuple[int, int, int] | None:
        try:
            state = self.path.stat()
        except (OSError, ValueError):  # not there, or no name at all
            return None
        return state.st_ino, state.st_mtime_ns, state.st_size
