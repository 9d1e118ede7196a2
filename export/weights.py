"""The tensors of a checkpoint: headers in memory, values mapped from safetensors files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..engines.errors import BundleError
from .header import PICKLES, Tensor, numpy_dtype, read_header, read_index, refuse_pickle

__all__ = ["Tensor", "Weights", "find_weights"]

_ALL_AGAIN = "get the checkpoint again"


class Weights(Mapping[str, Tensor]):
    """Tensors by name, from one or several files, their values left on disk."""

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None):
        self._tensors = dict(tensors)
        self.metadata: Mapping[str, str] = dict(metadata or {})
        """What the file says about itself, strings only."""
        self._maps: dict[Path, mmap.mmap] = {}

    @classmethod
    def open(cls, file: Path) -> Weights:
        """Read the header of one safetensors file and check it against the file.

        Raises:
            BundleError: it is missing, a pickle, cut short, or not what its header says.
        """
        tensors, metadata = read_header(Path(file))
        return cls(tensors, metadata)

    @classmethod
    def open_index(cls, index: Path) -> Weights:
        """Read the headers of all files that a `*.safetensors.index.json` names.

        Raises:
            BundleError: the index is broken, a file is missing or broken, or lacks a tensor.
        """
        places = read_index(index)
        files: dict[str, dict[str, Tensor]] = {}
        for file in dict.fromkeys(places.values()):
            if not (index.parent / file).is_file():
                raise BundleError(
                    f"{index.parent / file} is missing, which {index.name} names: {_ALL_AGAIN}"
                )
            files[file] = read_header(index.parent / file)[0]
        for name, file in places.items():
            if name not in files[file]:
                raise BundleError(f"{index}: tensor {name!r} is not in {file}: {_ALL_AGAIN}")
        return cls({name: files[file][name] for name, file in places.items()})

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def names(self) -> list[str]:
        """Return all names, in the order of the files."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape; BundleError where there is none of that name."""
        return self._find(name).shape

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype as the format names it; BundleError as in `shape`."""
        return self._find(name).dtype

    def read(self, name: str) -> np.ndarray:
        """Return a tensor's values as a read-only view of the mapped file; nothing is copied.

        bfloat16 and 8-bit floats come as the types of `ml_dtypes`.

        Raises:
            BundleError: there is no tensor of that name.
        """
        tensor = self._find(name)
        count = tensor.end - tensor.begin
        if not count:
            return np.empty(tensor.shape, numpy_dtype(tensor.dtype))
        if (mapped := self._maps.get(tensor.file)) is None:
            with tensor.file.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._maps[tensor.file] = mapped
        values = np.frombuffer(mapped, np.uint8, count, tensor.begin)
        return values.view(numpy_dtype(tensor.dtype)).reshape(tensor.shape)

    def release(self) -> None:
        """Let the kernel take back the pages that were read; views stay valid and read again."""
        for mapped in self._maps.values():
            if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
                mapped.madvise(mmap.MADV_DONTNEED)

    def renamed(self, mapping: Mapping[str, str]) -> Weights:
        """Return the same tensors under other names: new name -> name here; others are left out.

        Raises:
            BundleError: a name here does not exist.
        """
        return Weights({new: self._find(old) for new, old in mapping.items()}, self.metadata)

    def _find(self, name: str) -> Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            files = sorted({tensor.file.name for tensor in self._tensors.values()})
            where = f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else "".join(files)
            raise BundleError(
                f"tensor {name!r} is missing in {where or 'the checkpoint'}: "
                f"the weights do not fit their config.json, {_ALL_AGAIN}"
            ) from None


def find_weights(folder: Path) -> tuple[Weights | None, str]:
    """Return the weights that lie in a part's folder, and a note on which, "" for the usual ones.

    Plain files come first, then fp16, bf16 and any other variant; several files through their
    index. None where the folder holds no weights at all.

    Raises:
        BundleError: there are only pickles, or the files are broken.
    """
    stems = ("diffusion_pytorch_model", "model")
    indices = sorted(folder.glob("*.safetensors.index*.json"))
    files = sorted(folder.glob("*.safetensors"))
    for variant in ("", ".fp16", ".bf16"):
        for stem in stems:
            single = folder / f"{stem}{variant}.safetensors"
            note = f"{folder.name}: {variant[1:]} weights, there are no others" if variant else ""
            if single.is_file():
                return Weights.open(single), note
            for index in (  # the second as older versions wrote it
                folder / f"{stem}.safetensors.index{variant}.json",
                folder / f"{stem}{variant}.safetensors.index.json",
            ):
                if index.is_file():
                    return Weights.open_index(index), note
    if len(indices) == 1:
        return Weights.open_index(indices[0]), f"{folder.name}: weights of {indices[0].name}"
    if len(files) == 1:
        return Weights.open(files[0]), f"{folder.name}: weights of {files[0].name}"
    if files or indices:
        names = ", ".join(path.name for path in (*indices, *files)[:4])
        raise BundleError(f"{folder} holds several weights ({names}): keep one of them")
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in PICKLES and file.name != "training_args.bin":
            refuse_pickle(file)
    return None, ""
