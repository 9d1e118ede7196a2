"""A bundle: a model as a folder of ONNX graphs and one JSON file that says all about them.

Format 1. `bundle.json` holds an object with

    format      1
    family      which code in runtime/families runs it: "ember", ...; "tool" makes no films
    name, version, description
    license     SPDX expression of the whole
    components  name -> {file, bytes, sha256, precision, inputs, outputs, license, license_file,
                         source, parity}; inputs and outputs are [{name, dtype, shape}], a name in a
                shape is a free size; a component with external weights lists them as
                "data": [{file, bytes, sha256}]; one in half precision, or with long attention, has
                a second graph on the same weights as "cpu": {file, bytes, sha256}, which computes
                in float32 and never holds a whole matrix of scores; "variants": the same network in
                other precisions, by name ("int8", "nvfp4", ...), each {file, bytes, sha256, data,
                cpu, precision} with figures of its own; "memory": what activations take, as
                export.memory says, and "cost": what a run computes and moves, as
                export.cost says, each for the graphs "main", "cpu" and "fused"
    files       other files of the bundle (licence texts, model card): name -> sha256
    latents     layout of the latents (channels, spatial stride, ...)
    schedule    what `schedule.schedule_from_manifest` reads
    defaults    the family's own settings where a call asks for none: {"motion": 0.5}
    motion      what the ember family needs beside: frequencies (Hz), classes
    pipeline    the reference pipeline whose frames a video model gives: "LTXConditionPipeline"
    timing      {fps, frames, most_frames, rule}: a video model's own rate and lengths, and what to
                do where a film is longer (see `timing.Timing`)
    text        how prompts become tokens and embeddings (see `text`)
    prompts     embeddings baked into the bundle (see `prompts`)
    limits      sizes the model can do; with further sections of a family's own (see its module)
    source      {origin, revision, license, loras}: the checkpoint that a bundle was exported from

It is enough to run: a new checkpoint of a known family is data, not code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ..engines.device import Device, choose_device
from ..engines.engine import Engine, open_engine
from ..engines.errors import BundleError

FORMAT = 1
MANIFEST = "bundle.json"
EMBEDDED = Path(__file__).resolve().parent / "bundles"
"""Where the bundles that ship with Reverie lie, one folder each."""
TOOLS = ("restore", "rife", "sface", "span")
"""Those of them that make no films: their networks work on frames and on faces."""

_HASH_LIMIT = 256 * 2**20
_MANIFEST_LIMIT = 16 * 2**20


@dataclass(frozen=True)
class DataFile:
    """One file of a bundle, with what proves that it is whole."""

    file: str
    """Path below the bundle's folder, with forward slashes."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Component:
    """One network of a bundle."""

    name: str
    graph: DataFile
    """The ONNX graph."""
    data: tuple[DataFile, ...] = ()
    """Its external weights."""
    cpu: DataFile | None = None
    """The graph that processors without half precision run instead, on the same weights."""
    precision: str = "fp32"
    """How the weights are stored: fp32, fp16, int8, ..."""
    license: str = ""
    source: str = ""
    variants: Mapping[str, Component] = field(default_factory=dict)
    """The same network in other precisions, by the precision's name."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Every precision that it is there in, its own first."""
        return (self.precision, *(name for name in self.variants if name != self.precision))

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Every file of it: graphs and weights, its variants' too."""
        own = (self.graph, *((self.cpu,) if self.cpu else ()), *self.data)
        return own + tuple(file for variant in self.variants.values() for file in variant.files)

    @property
    def stored_bytes(self) -> int:
        """What its graph and weights take on the disk."""
        return self.graph.bytes + sum(data.bytes for data in self.data)


class Opener(Protocol):
    """Opens a component by name; see `Bundle.open`."""

    def __call__(self, name: str, /, *, device: Device | str, threads: int | None) -> Engine: ...


@dataclass(frozen=True)
class Bundle:
    """A model, read and checked; its networks are opened when asked for."""

    folder: Path
    family: str
    name: str
    version: str
    components: Mapping[str, Component]
    manifest: Mapping[str, Any] = field(repr=False)
    """The whole of bundle.json."""

    opener: Opener | None = field(default=None, repr=False, compare=False)
    """What opens networks in place of `open_plainly`: a render's plan, engines of TensorRT."""

    def component(self, name: str, precision: str | None = None) -> Component:
        """Return a component by name, in one of its precisions; None is its own.

        Raises:
            BundleError: there is none of that name, or not in that precision.
        """
        try:
            found = self.components[name]
        except KeyError:
            raise BundleError(
                f"{self.folder / MANIFEST}: component {name!r} is missing "
                f"(there are {', '.join(self.components) or 'none'}): export the model again"
            ) from None
        if precision is None:
            return found
        if precision in found.variants:  # one of its own name also computes in it
            return found.variants[precision]
        if precision != found.precision:
            raise BundleError(
                f"{self.name}: {name} is not there in {precision}, only in "
                f"{', '.join(found.precisions)}: "
                f"`reverie quantize {self.folder} --precision {precision}` makes it"
            )
        return found

    def path(self, name: str, *, device: str = "cuda", precision: str | None = None) -> Path:
        """Return where a component's graph for a kind of device lies, after checking it.

        Sizes are always compared; hashes for files up to 256 MiB (`verify` checks all).

        Raises:
            BundleError: a file is missing, cut short or changed; says which and what was checked.
        """
        component = self.component(name, precision)
        graph = component.cpu if device == "cpu" and component.cpu else component.graph
        for data in (graph, *component.data):
            _check(self.folder, data, hashed=data.bytes <= _HASH_LIMIT)
        return self.folder / graph.file

    def open(
        self, name: str, *, device: Device | str = "auto", threads: int | None = None
    ) -> Engine:
        """Open a component's network on a device, or as `opener` has it.

        Raises:
            BundleError: its files are not whole.
            EngineError: the device cannot run it.
        """
        if self.opener is not None:
            return self.opener(name, device=device, threads=threads)
        return self.open_plainly(name, device=device, threads=threads)

    def open_plainly(
        self,
        name: str,
        *,
        device: Device | str = "auto",
        threads: int | None = None,
        precision: str | None = None,
    ) -> Engine:
        """Open a component's network, in one of its precisions, on ONNX Runtime.

        Raises:
            BundleError: its files are not whole, or it is not there in that precision.
            EngineError: the device cannot run it.
        """
        device = choose_device(device)
        return open_engine(
            self.path(name, device=device.kind, precision=precision),
            device=device,
            threads=threads,
            weight_bytes=sum(data.bytes for data in self.component(name, precision).data),
            precision=self.component(name, precision).precision,
        )

    def check_sizes(self) -> None:
        """Check that every network's files are there and of the right size; takes no time.

        Raises:
            BundleError: one is missing or cut short; says which.
        """
        for component in self.components.values():
            for data in component.files:
                _check(self.folder, data, hashed=False)

    def verify(self) -> None:
        """Check every file of the bundle against its hash, whatever its size.

        Raises:
            BundleError: a file is missing, cut short or changed.
        """
        for component in self.components.values():
            for data in component.files:
                _check(self.folder, data, hashed=True)
        for file, sha256 in self.section("files").items():
            path = self.folder / _inside(file)
            if not path.is_file():
                raise BundleError(f"{path} is missing: copy the bundle again")
            _check_hash(path, sha256)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one object of the manifest, empty where it has none of that name.

        Raises:
            BundleError: it is something else than an object.
        """
        value = self.manifest.get(name, {})
        if not isinstance(value, dict):
            raise BundleError(f"{self.folder / MANIFEST}: {name!r} must be an object")
        return value


def embedded_models() -> tuple[str, ...]:
    """Names of the models that ship with Reverie; tools make no films and are not among them."""
    here = (path.parent.name for path in EMBEDDED.glob(f"*/{MANIFEST}"))
    return tuple(sorted(name for name in here if name not in TOOLS))


def load_bundle(model: str | Path) -> Bundle:
    """Read a bundle's manifest: an embedded model's or tool's name, or a folder.

    Raises:
        BundleError: there is no such model, or its manifest is broken; says what and where.
    """
    folder = Path(model)
    if str(model) in (*embedded_models(), *TOOLS):
        folder = EMBEDDED / str(model)
    elif not folder.is_dir():
        raise BundleError(
            f"model {str(model)!r} is not known: use {', '.join(embedded_models())}, "
            "or the folder of a bundle"
        )
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MANIFEST_LIMIT:
            raise BundleError(f"{path} is far too large to be a manifest")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} is no valid JSON ({error}): copy the bundle again") from error
    return _parse(folder, path, manifest)


def _parse(folder: Path, path: Path, manifest: Any) -> Bundle:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise BundleError(
            f"{path}: format {found!r} is not known here (this version reads format {FORMAT}): "
            "update Reverie, or export the model again"
        )
    try:
        components = {
            str(name): _component(str(name), entry)
            for name, entry in manifest["components"].items()
        }
        return Bundle(
            folder=folder,
            family=str(manifest["family"]),
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            components=components,
            manifest=manifest,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise manifest_error(folder, error) from error


def _component(name: str, entry: Mapping[str, Any]) -> Component:
    variants = entry.get("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(v, dict) for v in variants.values()):
        raise TypeError(f"components.{name}.variants must be an object of objects")
    return Component(
        name=name,
        graph=_data_file(entry),
        data=tuple(_data_file(e) for e in entry.get("data", ())),
        cpu=_data_file(entry["cpu"]) if entry.get("cpu") else None,
        precision=str(entry.get("precision", "fp32")),
        license=str(entry.get("license", "")),
        source=str(entry.get("source", "")),
        variants={
            str(precision): _component(name, {"precision": precision, **variant})
            for precision, variant in variants.items()
        },
    )


def manifest_error(folder: Path, error: Exception, where: str = "") -> BundleError:
    """Return what to raise where reading a manifest, or its part `where`, raised something."""
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    place = f"{folder / MANIFEST}: {where}: " if where else f"{folder / MANIFEST}: "
    return BundleError(f"{place}{what}: export the model again")


def _data_file(entry: Mapping[str, Any]) -> DataFile:
    return DataFile(str(_inside(entry["file"])), int(entry["bytes"]), str(entry["sha256"]))


def _inside(file: str) -> PurePosixPath:
    """A path that cannot leave the bundle's folder."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file:
        raise BundleError(f"file {file!r} lies outside the bundle: this bundle is not safe to use")
    return path


def _check(folder: Path, data: DataFile, *, hashed: bool) -> None:
    path = folder / data.file
    try:
        size = path.stat().st_size
    except OSError:
        raise BundleError(f"{path} is missing: copy the bundle again") from None
    if size != data.bytes:
        raise BundleError(
            f"{path} has {size} bytes and should have {data.bytes} (size check): "
            "copy the bundle again"
        )
    if hashed:
        _check_hash(path, data.sha256)


def hash_file(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal text, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _check_hash(path: Path, sha256: str) -> None:
    try:
        actual = hash_file(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    if actual != sha256:
        raise BundleError(
            f"{path} is not the file that was exported (sha256 check): copy the bundle again"
        )
