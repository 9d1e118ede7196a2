"""A component beside its twin: figures in the manifest, and that a difference is caught."""

from __future__ import annotations

import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from reverie.engines.errors import BundleError
from reverie.export import assemble, store, stream, verify
from reverie.runtime.bundle import load_bundle


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("fp16", 1e-2), ("bf16", 5e-2)])
def test_figures_go_into_the_manifest(
    precision: Any, limit: float, small: SimpleNamespace, family: types.ModuleType, tmp_path: Path
) -> None:
    source = small.source(tmp_path / "from")
    assemble.export(source, tmp_path / "to", precision=precision)
    assert "parity" not in load_bundle(tmp_path / "to").section("components")["net"]
    assemble.export(source, tmp_path / "to", precision=precision, verify=True)
    parity = load_bundle(tmp_path / "to").section("components")["net"]["parity"]
    assert 0 < parity["outputs"]["logits"]["relative_l2"] < limit
    assert parity["tolerance"] == limit
    assert [sizes["x"] for sizes in parity["sizes"]] == [[1, 5, 24], [1, 9, 24]]


def test_a_difference_is_one_line_and_no_bundle(
    small: SimpleNamespace,
    family: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = store.write

    def wrong(model: Any, path: Path, told: Any) -> Any:
        entry = write(model, path, told)
        data = np.fromfile(path, np.float32)
        (data * np.float32(1.01)).tofile(path)
        return entry

    monkeypatch.setattr(store, "write", wrong)
    with pytest.raises(BundleError, match=r"^net: logits differs from its original by"):
        assemble.export(
            small.source(tmp_path / "from"), tmp_path / "to", precision="fp32", verify=True
        )
    assert not list((tmp_path / "to").glob("*"))[1:]


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_a_twin_reads_its_weights_when_it_needs_them(
    large: int, small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_LARGE", large)
    source = small.source(tmp_path / "from")
    weights = stream.Stream("net", source.parts["net"].weights)
    twin = verify.twin(small.recipe(), weights)
    assert twin.network.mix.weight.device.type == ("meta" if large == 1 else "cpu")
    with torch.no_grad():
        (ours,) = twin(**small.examples())
    np.testing.assert_allclose(ours.numpy(), small.reference(small.tensors()), rtol=1e-5, atol=1e-6)
