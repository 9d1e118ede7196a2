"""What an unfinished export remembers: which components are done, and what they were made from.

BUNDLE/.export/<component>.json holds {"made_from": fingerprint, "entry": the component's entry in
the manifest}. A component counts as done when its fingerprint is that of today's checkpoint and its
files are there with their sizes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engines.errors import SettingsError
from ..runtime.bundle import MANIFEST

if TYPE_CHECKING:
    from .part import Part
    from .weights import Tensor

FOLDER = ".export"
PART = ".part"
"""Ending of what is not finished."""

_PROMPTS = "prompts"
_MADE_WITH = ("reverie", "torch", "diffusers", "transformers", "onnxscript")


def prepare(out: Path) -> None:
    """Make the folder of a bundle, or check that it may be one, and clear what was left half done.

    Raises:
        SettingsError: it holds things that no export wrote.
    """
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file: name a folder for the bundle")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise SettingsError(
            f"{out} holds other things than a bundle: name a new folder, or empty this one"
        )
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    for left in (*(out / FOLDER).glob(f"*{PART}"), *out.glob(f"*{PART}")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def fingerprint(
    part: Part, precision: str, loras: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Say what a component is made from: the part's files and headers, how, and with what."""
    digest = hashlib.sha256(json.dumps(dict(part.config), sort_keys=True, default=str).encode())
    tensors: Mapping[str, Tensor] = part.weights or {}
    for name, tensor in sorted(tensors.items()):
        row = (name, tensor.name, tensor.dtype, tensor.shape, tensor.begin, tensor.end)
        digest.update(repr(row).encode())
    stats = {}
    for file in sorted({tensor.file for tensor in tensors.values()}):
        stat = file.stat()
        stats[file.name] = [stat.st_size, stat.st_mtime_ns]
    return {
        "class": part.class_name,
        "headers": digest.hexdigest(),
        "files": stats,
        "precision": precision,
        "loras": [dict(lora) for lora in loras],
        "versions": {name: _version(name) for name in _MADE_WITH},
    }


def write(out: Path, name: str, made_from: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Record a component that is done."""
    path = out / FOLDER / f"{name}.json"
    beside = path.with_name(path.name + PART)
    beside.write_text(json.dumps({"made_from": made_from, "entry": entry}, indent=1) + "\n")
    beside.replace(path)


def still_true(
    out: Path, wanted: Mapping[str, Mapping[str, Any]], exact: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the records of components that are done and need not be made again, by name.

    Those in `exact` must have been made just as wanted now; for others the same checkpoint is
    enough, so that one component may have another precision.
    """
    exact, done = set(exact), {}
    for path in sorted((out / FOLDER).glob("*.json")):
        record = _read(path)
        name = path.stem
        if record and name in wanted and _whole(out, record["entry"]):
            now, then = dict(wanted[name]), record["made_from"]
            if name not in exact:
                for key in ("precision", "loras", "versions"):
                    now[key] = then.get(key)
            if now == then:
                done[name] = record
    return done


def clear(out: Path, keep: Collection[str], *, keep_prompts: bool) -> None:
    """Remove the manifest, and all components but those to keep: no bundle until all is done.

    Baked prompts stay where their text encoder does: `prompts` finds them again.
    """
    aside = out / FOLDER / _PROMPTS
    if keep_prompts:
        found = _manifest(out).get(_PROMPTS) or prompts(out)
        aside.write_text(json.dumps(found), encoding="utf-8")
    else:
        aside.unlink(missing_ok=True)
        shutil.rmtree(out / _PROMPTS, ignore_errors=True)
    (out / MANIFEST).unlink(missing_ok=True)
    for path in sorted((out / FOLDER).glob("*.json")):
        if path.stem not in keep:
            record = _read(path)
            path.unlink()
            for file in files(record["entry"] if record else {}):
                (out / file).unlink(missing_ok=True)


def prompts(out: Path) -> dict[str, Any]:
    """Return the prompts that were baked into the bundle before and whose files are still there."""
    try:
        found = json.loads((out / FOLDER / _PROMPTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: row for key, row in found.items() if (out / prompt_file(key)).is_file()}


def prompt_file(key: str) -> str:
    """Return where a baked prompt lies in a bundle."""
    return f"{_PROMPTS}/{key}.npz"


def _is_ours(out: Path) -> bool:
    """Whether an export wrote into this folder before."""
    return (out / FOLDER).is_dir() or {"format", "family", "components"} <= set(_manifest(out))


def _manifest(out: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if {"made_from", "entry"} <= set(record) and files(record["entry"]) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _whole(out: Path, entry: Mapping[str, Any]) -> bool:
    sizes = files(entry)
    return all((out / f).is_file() and (out / f).stat().st_size == n for f, n in sizes.items())


def files(entry: Mapping[str, Any]) -> dict[str, int]:
    """Return the files of a component, its variants' first, and their sizes; its graph last."""
    rows = [*entry.get("data", ()), *filter(None, [entry.get("cpu")]), entry] if entry else []
    variants: dict[str, int] = {}
    for variant in entry.get("variants", {}).values():
        variants |= files(variant)
    return variants | {Path(row["file"]).name: int(row["bytes"]) for row in rows}


def set_variants(out: Path, name: str, variants: Mapping[str, Any]) -> None:
    """Let the record of a component know its variants, so that another export keeps them."""
    record = _read(out / FOLDER / f"{name}.json")
    if record is not None:
        write(out, name, record["made_from"], {**record["entry"], "variants": dict(variants)})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
