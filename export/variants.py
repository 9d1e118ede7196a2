"""Putting variants of components into a bundle so that it is whole at every moment.

Each variant is made in BUNDLE/.quantize/COMPONENT.PRECISION.part, and that folder loses its ending
when it is done; a record inside says what it was made from, so that a run that was stopped goes on
with the next component. When all are there the files move into the bundle and the manifest is
renamed into place; a variant that is replaced leaves the manifest before its files go.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..engines.errors import BundleError, OutputError
from ..runtime.bundle import MANIFEST
from .records import PART, files, set_variants

FOLDER = ".quantize"
_RECORD = "record.json"
_LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Staging:
    """The folder below a bundle where variants are made."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.folder = bundle / FOLDER

    def begin(self, component: str, precision: str) -> Path:
        """Return an empty folder to make a variant in."""
        folder = self.folder / f"{component}.{precision}{PART}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def finish(
        self,
        component: str,
        precision: str,
        made_from: str,
        entry: Mapping[str, Any],
    ) -> None:
        """Say that a variant is whole; it stays until it is published."""
        part = self.folder / f"{component}.{precision}{PART}"
        record = {"made_from": made_from, "entry": entry}
        (part / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        done = self.folder / f"{component}.{precision}"
        shutil.rmtree(done, ignore_errors=True)
        part.replace(done)

    def done(self, component: str, precision: str, made_from: str) -> dict[str, Any] | None:
        """Return the entry of a variant that an earlier run finished just so, or None."""
        folder = self.folder / f"{component}.{precision}"
        try:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            entry: dict[str, Any] = record["entry"]
            if record["made_from"] != made_from:
                return None
            if all((folder / f).stat().st_size == size for f, size in files(entry).items()):
                return entry
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None

    def publish(self, precision: str, entries: Mapping[str, Mapping[str, Any]]) -> Path:
        """Move variants into the bundle and name them in its manifest; returns its path."""
        manifest = read_manifest(self.bundle)
        replaced = [
            name for name in entries if precision in _variants(manifest["components"][name])
        ]
        if replaced:
            for name in replaced:
                _variants(manifest["components"][name]).pop(precision)
            write_manifest(self.bundle, manifest)
        for name, entry in entries.items():
            folder = self.folder / f"{name}.{precision}"
            for file in files(entry):
                if (folder / file).exists():
                    (folder / file).replace(self.bundle / file)
            component = manifest["components"][name]
            component["variants"] = {**_variants(component), precision: dict(entry)}
        path = write_manifest(self.bundle, manifest)
        for name in entries:
            set_variants(self.bundle, name, _variants(manifest["components"][name]))
            shutil.rmtree(self.folder / f"{name}.{precision}", ignore_errors=True)
        return path

    def clear(self, component: str, precision: str) -> None:
        """Take away what was half done."""
        shutil.rmtree(self.folder / f"{component}.{precision}{PART}", ignore_errors=True)


@contextmanager
def staging(bundle: Path) -> Iterator[Staging]:
    """Hold a bundle for this process while its variants change.

    Raises:
        OutputError: it cannot be written, the disk is full, or another process holds it.
    """
    folder = bundle / FOLDER
    with writing(bundle):
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{bundle} is being quantised by another process: wait until it is done"
            ) from None
        try:
            for left in folder.glob(f"*{PART}"):
                shutil.rmtree(left, ignore_errors=True)
            (bundle / f"{MANIFEST}{PART}").unlink(missing_ok=True)
            yield Staging(bundle)
        finally:
            lock.release()
            with suppress(OSError):  # more may be waiting in there for another run
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


@contextmanager
def writing(bundle: Path) -> Iterator[None]:
    """Turn what the system says against writing into one line."""
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
        raise OutputError(
            f"{bundle} cannot be written ({what}); it is as it was, so run it again when that is"
            " mended"
        ) from error


def read_manifest(bundle: Path) -> dict[str, Any]:
    """Return the whole of a bundle's manifest."""
    try:
        manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{bundle / MANIFEST} is no valid JSON: copy the bundle again") from error
    return manifest


def write_manifest(bundle: Path, manifest: Mapping[str, Any]) -> Path:
    """Write a bundle's manifest, beside and then renamed."""
    path = bundle / MANIFEST
    beside = path.with_name(f"{path.name}{PART}")
    try:
        beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


def _variants(component: Mapping[str, Any]) -> dict[str, Any]:
    variants: dict[str, Any] = component.get("variants", {})
    return variants
