"""Networks without values: parameters that cost nothing, and the types they are given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from reverie.export import fake
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode


def test_parameters_have_shapes_and_buffers_have_values(small: SimpleNamespace) -> None:
    with fake.parameters_without_values():
        network = small.Net()
        huge = nn.Linear(30000, 30000)  # 3.6 GB
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assert huge.weight.shape == (30000, 30000)
    torch.testing.assert_close(network.waves, torch.linspace(0, 1, 24))
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_the_way_parameters_register_is_mended_after_a_failure() -> None:
    before = nn.Module.register_parameter
    with pytest.raises(RuntimeError), fake.parameters_without_values():
        raise RuntimeError
    assert nn.Module.register_parameter is before


def filled(small: SimpleNamespace, dtype: torch.dtype, **keep: str):  # type: ignore[no-untyped-def]
    module = fake.build(small.recipe())
    kept = fake.fill(module, FakeTensorMode(allow_non_fake_inputs=True), dtype, keep)
    return module.network, kept


def test_a_class_says_what_stays_in_float32(small: SimpleNamespace) -> None:
    network, kept = filled(small, torch.float16, norm="a test")
    assert {name: p.dtype for name, p in network.named_parameters()} == {
        "table.weight": torch.float16,
        "mix.weight": torch.float16,
        "mix.bias": torch.float16,
        "norm.weight": torch.float32,
        "norm.bias": torch.float32,
        "last.weight": torch.float32,
        "last.bias": torch.float32,
        "shift": torch.float16,
    }
    assert all(isinstance(p.data, FakeTensor) for p in network.parameters())
    assert kept["last"] == fake.Kept("Net asks for it", 2)
    assert kept["norm"] == fake.Kept("a test", 2)
    assert network.waves.dtype == torch.float32
    assert filled(small, torch.float32)[1] == {}


def test_transformers_asks_for_float32_against_float16_alone() -> None:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    counts = {}
    for dtype in (torch.float16, torch.bfloat16):
        with fake.parameters_without_values():
            model = T5EncoderModel(config)
        counts[dtype] = fake.fill(model, FakeTensorMode(), dtype, {})
    assert counts[torch.float16]["wo"].count == 1
    assert counts[torch.bfloat16] == {}


def test_what_is_shared_stays_shared(small: SimpleNamespace) -> None:
    network, _ = filled(small, torch.float16)
    assert network.tied.weight is network.table.weight
    assert fake.names(network)["tied.weight"] == ("tied.weight", "table.weight")
    assert fake.names(network)["mix.bias"] == ("mix.bias",)
    assert "waves" not in fake.names(network)
