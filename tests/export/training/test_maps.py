"""The maps network: shapes at any size, gating, gains, and the encoder read from ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from reverie.export.training.backbone import _LAYERS, Encoder, read_fastdepth
from reverie.export.training.checkpoint import load_checkpoint, save_checkpoint
from reverie.export.training.denoiser import EmberDenoiser
from reverie.export.training.maps import FEATURES, EmberMaps


@pytest.fixture(scope="module")
def maps() -> EmberMaps:
    torch.manual_seed(0)
    return EmberMaps().eval()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (32, 160)])
def test_any_size_that_32_divides(maps: EmberMaps, height: int, width: int) -> None:
    with torch.no_grad():
        classes, amplitude, drift, features = maps(torch.rand(2, 3, height, width))
    assert classes.shape == (2, 6, height // 2, width // 2)
    assert amplitude.shape == (2, 8, height // 2, width // 2)
    assert drift.shape == (2, 1, height // 2, width // 2)
    assert features.shape == (2, FEATURES, height // 8, width // 8)
    assert torch.allclose(classes.sum(1), torch.ones(()), atol=1e-5)
    assert amplitude.min() >= 0
    assert drift.min() >= 0


def test_what_is_surely_static_does_not_move(maps: EmberMaps) -> None:
    image = torch.rand(1, 3, 64, 64)
    bias = maps.heads.bias.detach().clone()
    try:
        with torch.no_grad():
            maps.heads.bias[0] += 50
            _, amplitude, drift, _ = maps(image)
    finally:
        with torch.no_grad():
            maps.heads.bias.copy_(bias)
    assert amplitude.max() < 1e-9
    assert drift.max() < 1e-9


def test_gains_multiply_the_outputs(maps: EmberMaps) -> None:
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        _, before, drift_before, _ = maps(image)
        maps.amplitude_gain[:, 2] = 3.0
        maps.drift_gain.fill_(2.0)
        _, after, drift_after, _ = maps(image)
        maps.amplitude_gain.fill_(1.0)
        maps.drift_gain.fill_(1.0)
    assert torch.allclose(after[:, 2], 3 * before[:, 2])
    assert torch.equal(after[:, 3], before[:, 3])
    assert torch.allclose(drift_after, 2 * drift_before)


def fastdepth_like(path: Path) -> None:
    """An ONNX file laid out as FastDepth's, with random weights."""
    random = np.random.default_rng(0)
    nodes, values = [], []
    name = "image"
    for index, (inner, outer, kernel, stride, depthwise) in enumerate(_LAYERS):
        shape = (outer, 1 if depthwise else inner, kernel, kernel)
        arrays = {
            f"w{index}": random.normal(0, 0.2, shape),
            f"scale{index}": random.uniform(0.5, 2, outer),
            f"shift{index}": random.normal(0, 0.3, outer),
            f"mean{index}": random.normal(0, 0.1, outer),
            f"variance{index}": random.uniform(0.3, 2, outer),
        }
        values += [
            numpy_helper.from_array(array.astype(np.float32), key) for key, array in arrays.items()
        ]
        nodes += [
            helper.make_node(
                "Conv",
                [name, f"w{index}"],
                [f"c{index}"],
                pads=[kernel // 2] * 4,
                strides=[stride] * 2,
                group=inner if depthwise else 1,
            ),
            helper.make_node(
                "BatchNormalization",
                [f"c{index}", *list(arrays)[1:]],
                [f"b{index}"],
                epsilon=1e-5,
            ),
            helper.make_node("Clip", [f"b{index}", "low", "high"], [f"r{index}"]),
        ]
        name = f"r{index}"
    values += [
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def test_the_encoder_is_the_onnx_file(tmp_path: Path) -> None:
    import onnxruntime

    path = tmp_path / "encoder.onnx"
    fastdepth_like(path)
    encoder = Encoder()
    encoder.load_state_dict(read_fastdepth(path))
    image = np.random.default_rng(1).random((1, 3, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(path)
    expected = session.run(None, {"image": image})[0]
    with torch.no_grad():
        taps = encoder(torch.from_numpy(image))
    assert [tap.shape[2] for tap in taps] == [32, 16, 8, 4, 2]
    assert np.abs(taps[-1].numpy() / 20 - expected).max() < 1e-4


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    fastdepth_like(path)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.zeros((32, 3, 3, 3), np.float32), "w0")
    )
    onnx.save(model, path)
    with pytest.raises(ValueError, match="not the pruned FastDepth encoder"):
        read_fastdepth(path)


def test_a_checkpoint_brings_back_both_networks(maps: EmberMaps, tmp_path: Path) -> None:
    denoiser = EmberDenoiser().eval()
    save_checkpoint(tmp_path / "ember.safetensors", maps, denoiser)
    again, other = load_checkpoint(tmp_path / "ember.safetensors")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for one, two in zip(maps(image), again(image), strict=True):
            assert torch.equal(one, two)
    assert all(
        torch.equal(one, two)
        for one, two in zip(
            denoiser.state_dict().values(), other.state_dict().values(), strict=True
        )
    )
    assert not again.training
    assert not other.training
