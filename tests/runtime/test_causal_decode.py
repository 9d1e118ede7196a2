"""A causal decoder whose memory stays on the device, beside the same through the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from reverie.engines.device import Device
from reverie.engines.engine import Launch
from reverie.engines.errors import DeviceMemoryError, EngineError
from reverie.engines.ort import OrtEngine
from reverie.engines.ort_bound import OrtBuffer
from reverie.runtime import causal_decode, resident
from reverie.runtime.causal_decode import decode_chunks, decode_tiles
from reverie.runtime.ladder import Rung, Sturdy, Ways

DECODER = """<ir_version: 9, opset_import: ["" : 18]>
decoder (float[1,2,1,h,w] latents, float[1] first, float[1,2,2,h,w] memory)
 => (float[1,3,2,h,w] frames, float[1,2,2,h,w] next)
 <int64[1] time = {2}, int64[1] channels = {1}, int64[5] many = {1, 3, 2, 1, 1},
  float half = {0.5}, int64[1] zero = {0}, int64[1] last = {1}, int64[1] end = {2}> {
    past = ReduceSum <keepdims = 1> (memory, time)
    kept = Mul(past, half)
    now = Add(latents, kept)
    told = Add(now, first)
    seen = Tanh(told)
    late = Slice(memory, last, end, time)
    next = Concat <axis = 2> (late, seen)
    grey = ReduceMean <keepdims = 1> (seen, channels)
    frames = Tile(grey, many)
}"""
CACHES = [(2, 1)]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "vae_decoder.onnx"
    onnx.save(parser.parse_model(DECODER), path)
    return path


@pytest.fixture
def latents() -> Any:
    return np.random.default_rng(0).standard_normal((1, 2, 5, 6, 8), dtype=np.float32)


def test_chunks_are_the_same(graph: Path, latents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[tuple[int, ...]] = []
    download = OrtBuffer.download
    monkeypatch.setattr(
        OrtBuffer, "download", lambda self: downloads.append(self.shape) or download(self)
    )
    with OrtEngine(graph, Device("cpu")) as engine:
        expected = list(decode_chunks(engine, latents, CACHES, chunk=(2, 1)))
        assert downloads == []  # on the processor there is nothing to keep anywhere else
        monkeypatch.setattr(resident, "ON_CPU", True)
        found = list(decode_chunks(engine, latents, CACHES, chunk=(2, 1)))
        tiles = list(decode_tiles(engine, latents, CACHES, tile=5, chunk=(2, 1)))
        monkeypatch.setattr(resident, "ON_CPU", False)
        plain = list(decode_tiles(engine, latents, CACHES, tile=5))
    assert [chunk.shape[2] for chunk in found] == [1, 2, 2, 2, 2]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(tiles, plain)
    assert set(downloads[:5]) == {(1, 3, 2, 6, 8)}  # frames alone come back


@pytest.mark.parametrize("kind", [EngineError, DeviceMemoryError])
def test_a_device_that_fails_goes_on_lower_down(
    graph: Path, latents: Any, monkeypatch: pytest.MonkeyPatch, kind: type[EngineError]
) -> None:
    class Fails(OrtEngine):
        left = 3

        def bind(self, inputs: Any, outputs: Any) -> Launch:
            launch = super().bind(inputs, outputs)

            def failing() -> None:
                self.left -= 1
                if self.left < 0:
                    raise kind("the device is gone")
                launch()

            return failing

    with OrtEngine(graph, Device("cpu")) as engine:
        expected = list(decode_chunks(engine, latents, CACHES))
    rungs = [
        Rung("tensorrt-rtx", Device("cuda"), "fp16"),
        Rung("onnxruntime", Device("cpu"), "fp32"),
    ]
    notes: list[str] = []
    monkeypatch.setattr(
        causal_decode,
        "residence",
        lambda engine: engine.engine if isinstance(engine.engine, Fails) else None,
    )
    with Sturdy(
        "vae_decoder",
        rungs,
        lambda rung: (Fails if rung is rungs[0] else OrtEngine)(graph, Device("cpu")),
        on_note=notes.append,
        ways=Ways(),
    ) as sturdy:
        chunks = decode_chunks(sturdy, latents, CACHES, chunk=(2, 1))
        if kind is DeviceMemoryError:  # smaller tiles may do: that is the caller's to try
            with pytest.raises(DeviceMemoryError):
                list(chunks)
            assert notes == []
            return
        for one, other in zip(chunks, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(notes) == 1
