"""Safetensors files, whole and broken, against the format's own writer."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from reverie.engines.errors import BundleError
from reverie.export.weights import Weights, find_weights
from safetensors.torch import save_file


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(3, 5),
        "b.weight": torch.randn(4, 2, 3).to(torch.bfloat16),
        "c": torch.arange(7, dtype=torch.int64),
        "half": torch.randn(2).to(torch.float16),
        "eight": torch.randn(6).to(torch.float8_e4m3fn),
        "flag": torch.tensor([True, False, True]),
        "number": torch.tensor(1000.0),
        "nothing": torch.zeros(0, 4),
    }


@pytest.fixture
def file(tensors: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    return path


def test_values_shapes_and_types(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    weights = Weights.open(file)
    assert set(weights) == set(weights.names()) == set(tensors)
    assert weights.metadata["format"] == "pt"
    for name, tensor in tensors.items():
        assert weights.shape(name) == tuple(tensor.shape)
        values = weights.read(name)
        assert values.shape == tuple(tensor.shape)
        assert not values.flags.writeable or not values.size
        np.testing.assert_array_equal(values.astype(np.float64), tensor.double().numpy())
    assert weights.read("b.weight").dtype == ml_dtypes.bfloat16
    assert weights.read("eight").dtype == ml_dtypes.float8_e4m3fn
    assert [weights.dtype(name) for name in ("a.weight", "half", "c", "flag")] == [
        "F32",
        "F16",
        "I64",
        "BOOL",
    ]


def test_places_are_absolute(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    tensor = Weights.open(file)["a.weight"]
    assert tensor.file == file
    data = file.read_bytes()[tensor.begin : tensor.end]
    assert data == tensors["a.weight"].numpy().tobytes()


def test_released_pages_read_again(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    weights = Weights.open(file)
    values = weights.read("a.weight")
    before = values.copy()
    weights.release()
    np.testing.assert_array_equal(values, before)


def test_renamed(file: Path) -> None:
    weights = Weights.open(file).renamed({"x": "a.weight"})
    assert weights.names() == ["x"]
    assert weights["x"].name == "a.weight"
    with pytest.raises(BundleError, match=r"'a\.weight' is missing"):
        weights.read("a.weight")
    with pytest.raises(BundleError, match="'y' is missing"):
        weights.renamed({"x": "y"})


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape: Any = (2,), begin: Any = 0, end: Any = 8, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"a": entry()}, 4, "is cut short: "),
        ({"a": entry()}, 9, "has 1 bytes after its last tensor"),
        ({"a": entry(), "b": entry(begin=4, end=12)}, 12, "'b' overlaps another"),
        ({"a": entry(), "b": entry(begin=12, end=20)}, 20, "'b' leaves a gap"),
        ({"a": entry(begin=4, end=12)}, 12, "'a' leaves a gap"),
        ({"a": entry(shape=[3])}, 8, "has 8 bytes, which do not fit"),
        ({"a": entry(shape=[-2], end=-8)}, 8, "no proper shape"),
        ({"a": entry(shape=[2.0])}, 8, "no proper shape"),
        ({"a": entry(shape=[True])}, 8, "no proper shape"),
        ({"a": entry(shape="2")}, 8, "no proper shape"),
        ({"a": entry(shape=[10**30], end=10**31)}, 8, "do not fit"),
        ({"a": entry(dtype="F4")}, 8, "has dtype 'F4', known are"),
        ({"a": entry(dtype=None)}, 8, "has dtype None"),
        ({"a": 7}, 8, "has dtype None"),
        ({"__metadata__": 3, "a": entry()}, 8, "__metadata__ is not an object"),
        ([1, 2], 0, "is no JSON object"),
        (b'{"a": ', 0, "is no JSON object"),
        (b'{"a": 1, "a": 2}', 0, "a name is there twice"),
        (b"\xff\xfe{}", 0, "is no JSON object"),
        (b"[" * 100_000, 0, "is no JSON object"),
    ],
)
def test_broken_headers_are_one_line(header: Any, data: int, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", header, bytes(data))
    with pytest.raises(BundleError, match=said) as caught:
        Weights.open(path)
    assert "\n" not in str(caught.value)
    assert "x.safetensors" in str(caught.value)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "is not a safetensors file"),
        (lambda path: path.write_bytes(b"abc"), "is not a safetensors file"),
        (lambda path: path.write_bytes(b"\xff" * 100), "is not a safetensors file"),
        (lambda path: write(path, {}, length=10_000), "cut short inside its header"),
        (lambda path: path.write_bytes(b"version https://git-lfs\n"), "Git LFS pointer"),
        (pickled, "pickles .* are refused"),
        (lambda path: torch.save({"a": torch.zeros(2)}, path), "pickles .* are refused"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "is missing"),
    ],
)
def test_other_files_are_one_line(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    make(tmp_path / "x.safetensors")
    with pytest.raises(BundleError, match=said) as caught:
        Weights.open(tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)


def test_every_cut_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(0, len(whole), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(BundleError):
            Weights.open(file)


def sharded(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    save_file({"a": torch.ones(2)}, folder / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(3)}, folder / "model-00002-of-00002.safetensors")
    return {
        "metadata": {"total_size": 20},
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        },
    }


def index(folder: Path, value: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_several_files_through_their_index(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    index(folder, sharded(folder))
    weights, note = find_weights(folder)
    assert weights is not None
    assert (weights.names(), note) == (["a", "b"], "")
    assert weights.read("b").tolist() == [0, 0, 0]
    assert weights["a"].file.name == "model-00001-of-00002.safetensors"


def test_broken_indices_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    good = sharded(folder)
    places = good["weight_map"]
    for broken, said in [
        ("{", "is no index"),
        ({"weight_map": {}}, "names no tensors"),
        ({"weight_map": places | {"c": places["a"]}}, "tensor 'c' is not in"),
        ({"weight_map": places | {"c": "../other.safetensors"}}, "which is not beside it"),
        ({"weight_map": places | {"c": "model-00003.safetensors"}}, "is missing"),
        ({"weight_map": places | {"c": "pytorch_model.bin"}}, "pickles"),
    ]:
        with pytest.raises(BundleError, match=said) as caught:
            Weights.open_index(index(folder, broken))
        assert "\n" not in str(caught.value)


def test_plain_weights_go_before_variants(tmp_path: Path) -> None:
    for name, value in (("", 1.0), (".fp16", 2.0), (".bf16", 3.0)):
        save_file(
            {"a": torch.tensor([value])}, tmp_path / f"diffusion_pytorch_model{name}.safetensors"
        )
    for left, value in (("", 1.0), (".fp16", 2.0), (".bf16", 3.0)):
        weights, note = find_weights(tmp_path)
        assert weights is not None
        assert weights.read("a").tolist() == [value]
        assert (f"{left[1:]} weights" in note) == bool(left)
        (tmp_path / f"diffusion_pytorch_model{left}.safetensors").unlink()
    assert find_weights(tmp_path) == (None, "")


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(BundleError, match=r"pickles .* are refused.*as \.safetensors"):
        find_weights(tmp_path)


def test_two_unnamed_files_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file({"a": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(BundleError, match="several weights"):
        find_weights(tmp_path)
