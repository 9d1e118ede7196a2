"""What TensorRT and TensorRT-RTX say goes wrong, kept."""

from __future__ import annotations

from typing import Any


def make_log(library: Any) -> Any:
    """Return a logger of a library's module; its `errors` are the lines at error or above."""

    class Log(library.ILogger):  # type: ignore[misc]
        """Keeps what goes wrong."""

        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= library.ILogger.ERROR:
                self.errors.append(str(message))

    return Log()
