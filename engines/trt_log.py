"""What TensorRT and TensorRT-RTX say goes wrong, kept."""

from __future__ import annotations

from typing import Any


def make_log(module: Any) -> Any:
    """Return a logger of the library in a module; its `errors` are the lines at error or above."""

    class Log(module.ILogger):  # type: ignore[misc]
        """Keeps what goes wrong."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= module.ILogger.ERROR:
                self.errors.append(str(message))

    return Log()
