"""What is exported: a checkpoint with its parts, opened without reading its weights.

A checkpoint is a folder as diffusers saves it, one safetensors file in LTX's original layout, or
the name of a repository on the Hugging Face Hub, which is fetched first.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..engines.errors import BundleError, MissingPackageError, SettingsError
from .header import refuse_pickle
from .licence import find_licence
from .part import INDEX, Part, open_part, own_class, read_object

OnProgress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""

PIP_LINE = "`pip install 'reverie[cpu,export]'` brings all that export needs"

_TEXT = ("text_encoder", "tokenizer")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class Source:
    """A checkpoint, ready to be exported."""

    name: str
    """Its last name, for people: "LTX-Video-0.9.5"."""
    family: str
    """Which module of export/families exports it."""
    pipeline: str
    """Class in diffusers that runs it, such as "LTXConditionPipeline"."""
    parts: Mapping[str, Part]
    index: Mapping[str, Any] = field(default_factory=dict)
    """model_index.json, {} for a single file."""
    license: str = ""
    """SPDX expression, or "" where nothing says."""
    license_files: tuple[Path, ...] = ()
    origin: str = ""
    """Hub name or the folder's name, never an absolute path."""
    revision: str | None = None
    """The commit that was fetched, None for what was already here."""
    notes: tuple[str, ...] = ()
    """What a person should know: which variant was taken, that there is no licence."""

    def part(self, name: str) -> Part:
        """Return a part by name.

        Raises:
            BundleError: there is none of that name.
        """
        try:
            return self.parts[name]
        except KeyError:
            raise BundleError(
                f"{self.name} has no {name} (there are {', '.join(self.parts)}): "
                "give the whole checkpoint"
            ) from None


def open_source(
    where: str | Path,
    *,
    revision: str | None = None,
    family: str = "auto",
    text_encoder: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Source:
    """Open a checkpoint: `where` is a folder, a .safetensors file or `owner/name[@revision]`.

    `text_encoder` is a folder with text_encoder/ and tokenizer/ in it, whose parts take the place
    of the checkpoint's own; a single file has none. Only a Hub name leads to the network.

    Raises:
        BundleError: there is no such checkpoint, it is broken, or of no known family.
        SettingsError: the family or the revision is impossible.
        MissingPackageError: a package that export needs is not installed.
    """
    if family != "auto" and family not in (known := families()):
        raise SettingsError(f"there is no family {family!r}: known are auto, {', '.join(known)}")
    hub_name, path = _place(where)
    without = _TEXT if text_encoder is not None else ()
    if hub_name is None and revision is not None:
        raise SettingsError(f"a revision is for names on the Hub, and {path} is already here")
    if hub_name is not None:
        from .hub import fetch  # huggingface_hub, only for those who ask for it

        name, _, asked = hub_name.partition("@")
        if asked and revision not in (None, asked):
            raise SettingsError(f"two revisions were given, {asked!r} and {revision!r}: give one")
        folder, commit = fetch(
            name, revision=revision or asked or None, without=without, on_progress=on_progress
        )
        source = replace(_open_folder(folder, without), name=name.split("/")[-1], origin=name)
        source = replace(source, revision=commit)
    elif path.is_dir():
        source = _open_folder(path, without)
    else:
        from .single_file import open_single_file

        source = open_single_file(path)
    if text_encoder is not None:
        source = _with_text_encoder(source, Path(text_encoder))
    return replace(source, family=_family(source, family, families()))


def families() -> dict[str, tuple[str, ...]]:
    """Return every family that exports checkpoints, with the pipelines that it knows.

    Raises:
        MissingPackageError: torch or another package that export needs is not installed.
    """
    from . import families as package

    known = {}
    for module in pkgutil.iter_modules(package.__path__):
        try:
            found = importlib.import_module(f"{package.__name__}.{module.name}")
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"{error.name} is not installed: {PIP_LINE}") from None
        if hasattr(found, "PIPELINES"):
            known[module.name] = tuple(found.PIPELINES)
    return known


def _place(where: str | Path) -> tuple[str | None, Path]:
    """Return (name on the Hub or None, path)."""
    path = Path(where).expanduser()
    text = str(where)
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if there:
        return None, path
    if isinstance(where, Path) or path.suffix == ".safetensors" or not _HUB_NAME.fullmatch(text):
        raise BundleError(
            f"there is no file or folder {text!r}: give a diffusers folder, a .safetensors file, "
            "or the name of a checkpoint on the Hub (owner/name)"
        )
    refuse_pickle(path)
    if set(text.split("/")) & {".", ".."} or path.parent.is_dir():
        raise BundleError(f"there is no file or folder {text!r} in {path.parent}: check its name")
    return text, path


def _open_folder(folder: Path, without: tuple[str, ...] = ()) -> Source:
    """Open a folder as diffusers saves it, some parts left out; its family is still to be found."""
    if not (folder / INDEX).is_file():
        raise BundleError(_no_index(folder))
    index = read_object(folder / INDEX)
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise BundleError(f"{folder / INDEX} does not name its _class_name: get the file again")
    parts, notes = {}, []
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, list) or len(entry) != 2:
            continue  # a setting of the pipeline, such as expand_timesteps
        if isinstance(entry[1], str) and name not in without:
            parts[name], note = open_part(folder / name, name, entry[1])
            notes += [note] if note else []
    name, revision = _cached(folder.resolve())
    licence = find_licence(folder)
    return Source(
        name=name.split("/")[-1],
        family="",
        pipeline=pipeline,
        parts=parts,
        index=index,
        license=licence.expression,
        license_files=licence.files,
        origin=name,
        revision=revision,
        notes=(*notes, *licence.notes),
    )


def _with_text_encoder(source: Source, folder: Path) -> Source:
    """Return a source whose text encoder and tokenizer come from another folder."""
    parts = dict(source.parts)
    index = read_object(folder / INDEX) if (folder / INDEX).is_file() else {}
    for name in _TEXT:
        if not (folder / name).is_dir():
            raise BundleError(
                f"{folder} has no folder {name}: --text-encoder takes a folder with text_encoder/ "
                "and tokenizer/ in it, as in a diffusers checkpoint"
            )
        entry = index.get(name)
        class_name = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if not isinstance(class_name, str):
            class_name = own_class(folder / name)
        parts[name], _ = open_part(folder / name, name, class_name)
    return replace(source, parts=parts)


def _family(source: Source, asked: str, known: Mapping[str, tuple[str, ...]]) -> str:
    """Return the family of a source's pipeline, checked against the one asked for."""
    found = next((name for name, classes in known.items() if source.pipeline in classes), None)
    if found is None and asked == "auto":
        rows = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in known.items())
        raise BundleError(
            f"{source.origin} is a {source.pipeline}, which is of no known family ({rows})"
        )
    if found is not None and asked not in ("auto", found):
        raise BundleError(
            f"{source.origin} is a {source.pipeline}, of the family {found} and not {asked}: "
            "leave --family out"
        )
    return found or asked


def _cached(folder: Path) -> tuple[str, str | None]:
    """Return (name, commit) of a folder; both come from its path in the Hub's cache."""
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        name = folder.parent.parent.name.removeprefix("models--").replace("--", "/")
        return name, folder.name
    return folder.name, None


def _no_index(folder: Path) -> str:
    """Return a line on a folder that is no checkpoint."""
    files = sorted(folder.glob("*"))
    if not files:
        return f"{folder} is empty: give a folder with {INDEX}, as diffusers saves a pipeline"
    if (folder / "config.json").is_file():
        class_name = read_object(folder / "config.json").get("_class_name", "a network")
        return (
            f"{folder} is one part of a checkpoint ({class_name}), not a whole one: "
            f"give the folder above, which holds {INDEX}"
        )
    single = [file.name for file in files if file.suffix == ".safetensors"]
    if single:
        return f"{folder} has no {INDEX}: give one of its files ({', '.join(single[:3])})"
    for file in files:
        if file.is_file():
            try:
                refuse_pickle(file)
            except BundleError as error:
                return str(error)
    return f"{folder} has no {INDEX}: give a folder as diffusers saves a pipeline"
