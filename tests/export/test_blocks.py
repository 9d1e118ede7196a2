"""Small numbers: rounding as the formats have it, scales, and what is refused."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from reverie.engines.errors import BundleError
from reverie.export import blocks, formats
from reverie.export import stored as reading
from reverie.export.blocks import Blocks
from reverie.export.stored import Stored

HALF = np.dtype(np.float16)


def stored(values: np.ndarray, inner: int, name: str = "w") -> Stored:
    flat = np.asarray(values)
    return Stored(name, ir.Tensor(flat, name=name), flat.shape, inner)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unpacked(pieces: list[np.ndarray], count: int) -> np.ndarray:
    packed = np.concatenate(pieces)
    codes = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)
    return codes[:count]


def test_fp8_rounds_as_the_format_says() -> None:
    edges = [0, -0.0, 448, 470, -1e9, 2**-9, 2**-10, 3 * 2**-10, 2**-6, 1.5 * 2**-6, 17, 19]
    values = np.concatenate([normal(4000) * np.exp(normal(4000, seed=1) * 4), edges])
    values = values.astype(np.float32)
    wanted = np.clip(values, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    work = values.copy()
    numbers = formats.round_fp8(work)
    np.testing.assert_array_equal(numbers.astype(np.float32), wanted)
    np.testing.assert_array_equal(work, wanted)


def test_fp4_rounds_as_the_format_says() -> None:
    edges = [0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -5, 7, -9, 0.2500001]
    values = np.concatenate([normal(4000) * 3, edges]).astype(np.float32)
    wanted = np.clip(values, -6, 6).astype(ml_dtypes.float4_e2m1fn)
    codes, rounded = formats.round_fp4(values.copy())
    np.testing.assert_array_equal(rounded, wanted.astype(np.float32))
    np.testing.assert_array_equal(formats.fp4_values()[codes], wanted.astype(np.float32))


@pytest.mark.parametrize("inner", [0, 1])
@pytest.mark.parametrize(("precision", "least"), [("int8", 40), ("fp8", 30)])
@pytest.mark.parametrize("shape", [(96, 40), (1, 1), (7, 5), (64, 3000)])
def test_channels(shape: tuple[int, int], precision: str, least: float, inner: int) -> None:
    weight = stored(normal(*shape), inner)
    scales = blocks.channel_scales(weight.absmax(), precision, HALF)
    assert scales.shape == (shape[1 - inner],)
    np.testing.assert_array_equal(scales, scales.astype(np.float16).astype(np.float32))
    numbers = np.concatenate(
        [p.astype(np.float32) for p in blocks.per_channel(weight, scales, precision)]
    )
    wide = numbers.reshape(shape) * np.expand_dims(scales, inner)
    lost = np.linalg.norm(wide - normal(*shape)) / np.linalg.norm(normal(*shape))
    assert 10 ** (-weight.error.decibels / 20) == pytest.approx(lost, rel=1e-3, abs=1e-6)
    assert weight.error.decibels > least


@pytest.mark.parametrize("inner", [0, 1])
@pytest.mark.parametrize(("precision", "block"), [("int4", 32), ("int4", 128), ("nvfp4", 16)])
def test_blocks_say_what_they_mean(precision: str, block: int, inner: int) -> None:
    values = normal(256, 384)
    values[:, 7] *= 40  # an outlying channel
    weight = stored(values.astype(np.float16), inner)
    parts = Blocks(weight, precision, block, HALF)
    if precision == "nvfp4":
        parts.whole = blocks.whole_scale(float(np.abs(values).max()), HALF)
    scales = np.concatenate(list(parts.scales())).astype(np.float32) * np.float32(parts.whole)
    scales = scales.reshape(parts.scale_shape)
    codes = unpacked(list(parts.numbers()), values.size).reshape(values.shape)
    table = formats.fp4_values() if precision == "nvfp4" else (np.arange(16) ^ 8) - 8.0
    wide = table[codes] * np.repeat(scales, block, axis=inner)
    lost = np.linalg.norm(wide - values.astype(np.float16)) / np.linalg.norm(values)
    assert lost < 0.21
    assert 10 ** (-weight.error.decibels / 20) == pytest.approx(lost, rel=1e-3)


def test_the_search_beats_the_largest_value() -> None:
    values = normal(512, 64)
    searched = Blocks(stored(values, 0), "int4", 128, HALF)
    list(searched.scales())
    list(searched.numbers())
    largest = np.abs(values.reshape(4, 128, 64)).max(axis=1, keepdims=True) / 7
    plain = np.clip(np.rint(values.reshape(4, 128, 64) / largest), -8, 7) * largest
    noise = np.sum((plain - values.reshape(4, 128, 64)) ** 2)
    assert searched.weight.error.noise < 0.9 * noise


@pytest.mark.parametrize("precision", ["int8", "fp8", "int4", "nvfp4"])
def test_zeros_stay_zeros(precision: str) -> None:
    weight = stored(np.zeros((64, 32), np.float32), 0)
    if precision in ("int8", "fp8"):
        scales = blocks.channel_scales(weight.absmax(), precision, HALF)
        numbers = list(blocks.per_channel(weight, scales, precision))
    else:
        parts = Blocks(weight, precision, 16 if precision == "nvfp4" else 64, HALF)
        parts.whole = blocks.whole_scale(0.0, HALF)
        assert all(np.isfinite(p.astype(np.float32)).all() for p in parts.scales())
        numbers = list(parts.numbers())
    assert not any(piece.astype(np.float32).any() for piece in numbers)
    assert weight.error.decibels == float("inf")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_what_is_no_number_is_refused(bad: float, dtype: type) -> None:
    values = normal(40, 16)
    values[33, 3] = bad
    with pytest.raises(BundleError, match=r"^weight blocks.3.to_q holds NaN or infinity"):
        stored(values.astype(dtype), 1, "blocks.3.to_q").absmax()


def test_large_values_are_no_infinity() -> None:
    values = np.full((4, 4), 3e30, np.float32)
    assert stored(values, 0).absmax().tolist() == [values[0, 0]] * 4


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_file_is_read_in_pieces(
    dtype: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = normal(130, 24).astype(dtype)
    (tmp_path / "w").write_bytes(b"before" + values.tobytes())
    tensor = ir.ExternalTensor(
        "w",
        6,
        values.nbytes,
        ir.DataType.from_numpy(values.dtype),
        shape=ir.Shape(values.shape),
        name="w",
        base_dir=tmp_path,
    )
    monkeypatch.setattr(reading, "TILE", 24 * 16)
    weight = Stored("w", tensor, values.shape, 0)
    pieces = list(weight.pieces(multiple=2))
    assert [len(piece) for piece in pieces] == [16] * 8 + [2]
    np.testing.assert_array_equal(np.concatenate(pieces), values.astype(np.float32))
    np.testing.assert_array_equal(weight.absmax(), np.abs(values.astype(np.float32)).max(axis=0))
    (tmp_path / "w").write_bytes(b"before" + values.tobytes()[:-3])
    with pytest.raises(BundleError, match="ends within w: copy the bundle again"):
        list(weight.pieces())


@pytest.mark.parametrize("inner", [0, 1])
def test_smoothing_multiplies_input_channels(inner: int) -> None:
    values, factor = normal(12, 12), np.linspace(0.5, 2, 12, dtype=np.float32)
    weight = stored(values, inner)
    channels = weight.inner_absmax(12)
    np.testing.assert_allclose(channels, np.abs(values).max(axis=1 - inner))
    weight.smooth = factor
    smoothed = values * np.expand_dims(factor, 1 - inner)
    np.testing.assert_allclose(np.concatenate(list(weight.pieces())), smoothed, rtol=1e-6)


def test_block_sizes() -> None:
    found = {depth: blocks.block_size(depth) for depth in (4096, 192, 96, 48, 1)}
    assert found == {4096: 128, 192: 64, 96: 32, 48: None, 1: None}
