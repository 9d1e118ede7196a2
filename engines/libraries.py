"""The two libraries that build and run engines, and all that is different between them.

Everything else is one path with the module passed in: where a version or a library lacks an
attribute, `hasattr` on the module tells, never its name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal

from .errors import MissingPackageError, SettingsError

Kind = Literal["rtx", "tensorrt"]


@dataclass(frozen=True)
class Library:
    """One library that turns graphs into engines."""

    kind: Kind
    title: str
    """What it is called in a sentence."""
    module: str
    """What is imported."""
    distributions: tuple[str, ...]
    """The packages that may bring it, as pip knows them."""
    pip: str
    """The line that installs it, with what to know about it."""
    ahead: bool
    """Whether it builds for GPUs that are not in this machine, and with none in it at all."""
    refuses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Architecture -> precisions that are not chosen for it, because the library builds few or no
    networks of them there: precision -> what it refuses. Some it does build: networks of plain
    convolutions in fp32, and those whose "int4" variant holds int8 alone."""


LIBRARIES: dict[str, Library] = {
    row.kind: row
    for row in (
        Library(
            "rtx",
            "TensorRT-RTX",
            "tensorrt_rtx",
            ("tensorrt-rtx",),
            "`pip install 'reverie[rtx]'`",
            ahead=True,
            refuses={
                "sm75": {
                    "fp32": "its float32 matrix products",
                    "bf16": "bfloat16",
                    "int4": "weights of 4 bits",
                }
            },
        ),
        Library(
            "tensorrt",
            "TensorRT",
            "tensorrt",
            ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
            "`pip install 'reverie[tensorrt]'` (on Jetson it comes with JetPack: "
            "`sudo apt install nvidia-jetpack`, in an environment with --system-site-packages)",
            ahead=False,
            refuses={"sm75": {"bf16": "bfloat16"}},
        ),
    )
}
"""By kind, as `Architecture.library` names it."""


def find_library(kind: str) -> Library:
    """Return a library's row by its kind, "rtx" or "tensorrt".

    Raises:
        SettingsError: there is none of that kind.
    """
    if kind not in LIBRARIES:
        raise SettingsError(f"library {kind!r} is not known: use one of {', '.join(LIBRARIES)}")
    return LIBRARIES[kind]


def load_library(kind: str) -> Any:
    """Import a library and return its module.

    Raises:
        MissingPackageError: it is not installed, or cannot be loaded here; holds the pip line.
        SettingsError: there is none of that kind.
    """
    library = find_library(kind)
    try:
        return importlib.import_module(library.module)
    except (ImportError, OSError) as error:  # OSError: its own libraries are not found
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise MissingPackageError(
            f"{library.title} cannot be imported ({why}): install it with {library.pip}"
        ) from error


def library_version(kind: str) -> str | None:
    """Return the installed version, None without one; nothing is imported.

    Raises:
        SettingsError: there is no library of that kind.
    """
    for distribution in find_library(kind).distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def need_library(kind: str) -> str:
    """Return the installed version.

    Raises:
        MissingPackageError: it is not installed; holds the pip line.
    """
    version = library_version(kind)
    if version is None:
        library = find_library(kind)
        raise MissingPackageError(
            f"{library.title} is not installed: install it with {library.pip}"
        )
    return version
