"""Baked prompts: embeddings that lie in the bundle, so that a known prompt needs no text encoder.

They lie in `prompts/KEY.npz` (float32 embeddings, int64 mask), their hashes with those of the
bundle's other files, and the manifest's "prompts" says what each is: KEY -> {prompt, max_tokens}.
KEY is the sha256 of the cleaned text and the number of tokens it was brought to.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import BundleError, OutputError, SettingsError
from .bundle import MANIFEST, Bundle, hash_file, load_bundle

Embedded: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Embeddings float32 (1, L, C) and mask int64 (1, L), 1 for the prompt's own tokens."""

FOLDER = "prompts"
_TOLD = 20


def prompt_key(text: str, max_tokens: int) -> str:
    """Return the name under which a cleaned prompt's embeddings lie."""
    return hashlib.sha256(f"{max_tokens}\n{text}".encode()).hexdigest()


def known_prompts(bundle: Bundle) -> tuple[str, ...]:
    """Return the prompts that are baked into a bundle, sorted."""
    entries = bundle.section("prompts").values()
    return tuple(sorted({str(e.get("prompt", "")) for e in entries if isinstance(e, dict)}))


def list_known(bundle: Bundle) -> str:
    """Return the baked prompts as words for a message: '"a breeze", "golden hour"'."""
    known = known_prompts(bundle)
    if not known:
        return "none"
    more = f" and {len(known) - _TOLD} more" if len(known) > _TOLD else ""
    return ", ".join(json.dumps(text, ensure_ascii=False) for text in known[:_TOLD]) + more


def find_prompt(bundle: Bundle, text: str, max_tokens: int) -> Embedded | None:
    """Return a cleaned prompt's baked embeddings, or None where there are none.

    Raises:
        BundleError: the file is missing, or not what was baked.
    """
    key = prompt_key(text, max_tokens)
    if key not in bundle.section("prompts"):
        return None
    path = checked_file(bundle, f"{FOLDER}/{key}.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            used, mask = stored["embeddings"], stored["mask"]
        embeddings = np.zeros((1, mask.shape[1], used.shape[2]), np.float32)
        embeddings[:, : used.shape[1]] = used
    except (KeyError, ValueError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} holds no embeddings ({error}): bake the prompt again") from error
    return embeddings, np.asarray(mask, np.int64)


def checked_file(bundle: Bundle, name: str) -> Path:
    """Return the path of one of the bundle's other files, after checking that it is whole.

    Raises:
        BundleError: the file is missing, unknown to the manifest, or changed.
    """
    path = bundle.folder / name
    expected = bundle.section("files").get(name)
    if expected is None or not path.is_file():
        raise BundleError(f"{path} is missing: copy the bundle again, or export it again")
    if hash_file(path) != expected:
        raise BundleError(
            f"{path} is not the file that the bundle names (sha256 check): copy the bundle again"
        )
    return path


def store_prompts(bundle: Bundle, baked: Iterable[tuple[str, Embedded]]) -> Bundle:
    """Write (cleaned text, embeddings) one by one into a bundle; return it read anew.

    Each file is written beside and renamed, the manifest last: stopped at any moment, the bundle is
    valid, with the prompts that were done.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = bundle.folder / FOLDER
    with _writing(bundle):
        for text, (embeddings, mask) in baked:
            max_tokens = int(mask.shape[1])
            key = prompt_key(text, max_tokens)
            folder.mkdir(exist_ok=True)
            path = folder / f"{key}.npz"
            part = path.with_suffix(".part")
            try:
                with part.open("wb") as file:
                    np.savez(file, embeddings=_without_zeros(embeddings), mask=mask)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            entry = {"prompt": text, "max_tokens": max_tokens}
            _change_manifest(bundle.folder, partial(_enter, key, entry, hash_file(path)))
    return load_bundle(bundle.folder)


def remove_prompts(bundle: Bundle, texts: Iterable[str]) -> Bundle:
    """Take baked prompts (cleaned texts) out of a bundle; return it read anew.

    Raises:
        SettingsError: a prompt is not baked here.
        OutputError: the folder cannot be written.
    """
    wanted = set(texts)
    unknown = wanted - set(known_prompts(bundle))
    if unknown:
        told = ", ".join(json.dumps(text, ensure_ascii=False) for text in sorted(unknown))
        raise SettingsError(
            f"prompt {told} is not baked into {bundle.name}: it knows {list_known(bundle)}"
        )
    entries = bundle.section("prompts").items()
    gone = [k for k, e in entries if isinstance(e, dict) and e.get("prompt") in wanted]

    def leave_out(manifest: dict[str, Any]) -> None:
        for key in gone:
            manifest.get("prompts", {}).pop(key, None)
            manifest.get("files", {}).pop(f"{FOLDER}/{key}.npz", None)

    with _writing(bundle):
        _change_manifest(bundle.folder, leave_out)
        for key in gone:
            if re.fullmatch("[0-9a-f]{64}", key):
                (bundle.folder / FOLDER / f"{key}.npz").unlink(missing_ok=True)
    return load_bundle(bundle.folder)


def _without_zeros(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows up to the last that is not all zero: padding of zeros takes no space."""
    used = np.flatnonzero(np.abs(embeddings).max(axis=(0, 2)))
    return embeddings[:, : int(used[-1]) + 1 if used.size else 0]


def _enter(key: str, entry: Mapping[str, Any], sha256: str, manifest: dict[str, Any]) -> None:
    manifest.setdefault("prompts", {})[key] = entry
    manifest.setdefault("files", {})[f"{FOLDER}/{key}.npz"] = sha256


def _change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    part = folder / f"{MANIFEST}.part"
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(bundle: Bundle) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{bundle.folder} cannot be written ({error.strerror or error}): "
            "copy the bundle to a folder of your own"
        ) from error
