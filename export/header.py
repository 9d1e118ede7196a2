"""Headers of safetensors files, read and checked against the files themselves.

The format: a length as eight little-endian bytes, that many bytes of JSON with dtype, shape and
place of every tensor, then the values without gaps. Pickles are never opened: reading one may run
whatever code it holds.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.errors import BundleError

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Endings of files that only Python's pickle reads."""

_ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
_NUMPY = {"BOOL": "bool", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_HEADER_LIMIT = 100_000_000  # as the format's own reader has it
_AGAIN = "get the file again"
_ALL_AGAIN = "get the checkpoint again"


@dataclass(frozen=True)
class Tensor:
    """One tensor's place in a file."""

    name: str
    """Its name in the file, whatever it is called outside."""
    file: Path
    dtype: str
    """As the format names it: F32, F16, BF16, F8_E4M3, I64, ..."""
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the beginning of the file."""
    end: int
    """One past the last byte."""


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Return numpy's type for a dtype as the format names it."""
    name = _NUMPY.get(dtype)
    if name is None:
        kind = {"F": "f", "I": "i", "U": "u"}[dtype[0]]
        return np.dtype(f"<{kind}{_ITEM_BYTES[dtype]}")
    if name == "bool":
        return np.dtype(bool)
    import ml_dtypes  # comes with onnx

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found


def refuse_pickle(file: Path) -> None:
    """Raise BundleError where a file's name or first bytes say that it is a pickle."""
    beginning = b""
    if file.is_file():
        with file.open("rb") as opened:
            beginning = opened.read(9)
    zipped = beginning[:4] == b"PK\x03\x04"
    pickled = beginning[:1] == b"\x80" and beginning[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if file.suffix.lower() in PICKLES or zipped or (pickled and beginning[8:] != b"{"):
        raise BundleError(
            f"{file}: pickles (.bin, .pt, .ckpt) are refused, because opening one may run any code:"
            " get the checkpoint as .safetensors"
        )


def read_header(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of one file, after checking them against its length."""
    refuse_pickle(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(8)
            length = struct.unpack("<Q", beginning)[0] if len(beginning) == 8 else 0
            text = file.read(length) if length <= min(_HEADER_LIMIT, size) else b""
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: {_ALL_AGAIN}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error})") from None
    if beginning == b"version ":
        raise BundleError(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull`")
    if len(beginning) < 8 or length < 2 or length > _HEADER_LIMIT:
        raise BundleError(f"{path} is not a safetensors file: {_AGAIN}")
    if 8 + length > size:
        raise BundleError(f"{path} is cut short inside its header ({size} bytes): {_AGAIN}")
    entries = _object(path, text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise BundleError(f"{path}: the header's __metadata__ is not an object: {_AGAIN}")
    tensors = {name: _entry(path, name, entry, 8 + length) for name, entry in entries.items()}
    _check_places(path, tensors, 8 + length, size)
    return tensors, {key: value for key, value in metadata.items() if isinstance(value, str)}


def _object(path: Path, text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("a name is there twice")
        return entries

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise BundleError(f"{path}: the header is no JSON object ({reason}): {_AGAIN}") from None
    if not isinstance(entries, dict):
        raise BundleError(f"{path}: the header is no JSON object: {_AGAIN}")
    return entries


def _entry(path: Path, name: str, entry: Any, data: int) -> Tensor:
    """Return one entry of the header, whose values begin `data` bytes into the file."""

    def whole(numbers: Any) -> bool:
        return isinstance(numbers, list) and all(type(n) is int and n >= 0 for n in numbers)

    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        known = ", ".join(_ITEM_BYTES)
        raise BundleError(f"{path}: tensor {name!r} has dtype {dtype!r}, known are {known}")
    if not whole(shape) or not whole(offsets) or len(offsets) != 2:
        raise BundleError(f"{path}: tensor {name!r} has no proper shape and place: {_AGAIN}")
    begin, end = offsets
    if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise BundleError(
            f"{path}: tensor {name!r} of shape {shape} in {dtype} has {end - begin} bytes, "
            f"which do not fit: {_AGAIN}"
        )
    return Tensor(name, path, dtype, tuple(shape), data + begin, data + end)


def _check_places(path: Path, tensors: Mapping[str, Tensor], data: int, size: int) -> None:
    """Check that tensors follow one another without gap or overlap and fill the file."""
    at = data
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != at:
            what = "overlaps another" if tensor.begin < at else "leaves a gap before it"
            raise BundleError(f"{path}: tensor {tensor.name!r} {what}: {_AGAIN}")
        at = tensor.end
    if at > size:
        raise BundleError(f"{path} is cut short: {size} bytes of {at} are there: {_AGAIN}")
    if at < size:
        raise BundleError(f"{path} has {size - at} bytes after its last tensor: {_AGAIN}")


def read_index(index: Path) -> dict[str, str]:
    """Return tensor name -> file name of an index."""
    try:
        places = json.loads(index.read_bytes())["weight_map"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"{index} is no index of safetensors files: {_AGAIN}") from None
    if not isinstance(places, dict) or not places:
        raise BundleError(f"{index} names no tensors: {_AGAIN}")
    for file in set(map(str, places.values())):
        if Path(file).name != file or "\\" in file:
            raise BundleError(f"{index} names {file!r}, which is not beside it: {_AGAIN}")
        refuse_pickle(index.parent / file)
    return {str(name): str(file) for name, file in places.items()}
