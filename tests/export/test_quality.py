"""What a precision costs: measures against known values, and reports of hand-made variants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from reverie.engines.errors import BundleError
from reverie.export.layer_error import compare_layers
from reverie.export.likeness import psnr, relative, squared_error, ssim
from reverie.export.quality import measure, write_error
from reverie.export.rounding import half_values, load_rounded
from reverie.export.samples import drawn_picture
from reverie.runtime.bundle import Bundle, Component, DataFile, hash_file, load_bundle

PHOTOS = [drawn_picture(seed, (96, 128)) for seed in range(2)]
SHORT = {"height": 96, "seconds": 1.0, "fps": 3, "steps": 3}


def variant(folder: Path, name: str, precision: str, change: Any) -> None:
    """Give a component a variant: its own graph with each weight passed through `change`."""
    manifest = json.loads((folder / "bundle.json").read_text())
    entry = manifest["components"][name]
    model = ir.load(folder / entry["file"])
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and len(tensor.shape) > 1:
            changed = change(tensor.numpy().astype(np.float32)).astype(tensor.dtype.numpy())
            value.const_value = ir.tensor(changed, name=value.name)
    path = folder / f"{name}.{precision}.onnx"
    path.write_bytes(ir.serde.serialize_model(model).SerializeToString())
    files = {"file": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
    entry.setdefault("variants", {})[precision] = {**files, "error": {"weights": "stays"}}
    (folder / "bundle.json").write_text(json.dumps(manifest))


def rounded_to(levels: int) -> Any:
    def change(weights: np.ndarray) -> np.ndarray:
        step = np.abs(weights).max() / levels
        return np.asarray(np.rint(weights / step) * step)

    return change


def test_psnr_of_a_known_difference() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert squared_error(black, black + np.uint8(10)) == 100.0
    assert psnr(100.0) == pytest.approx(28.1308, abs=1e-4)
    assert psnr(255.0**2) == 0.0
    assert psnr(squared_error(black, black)) is None
    assert squared_error(np.uint8([[0]]), np.uint8([[255]])) == 255.0**2  # no wrapping around


def naive_ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Wang et al. (2004), section III, window by window."""
    x, y = (np.asarray(p, np.float64) @ [0.299, 0.587, 0.114] for p in (one, other))
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (v[top : top + 11, left : left + 11] for v in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a = (window * (a - mean_a) ** 2).sum()
            var_b = (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            index = (2 * mean_a * mean_b + c1) * (2 * both + c2)
            found.append(index / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return float(np.mean(found))


def test_ssim_is_that_of_the_paper() -> None:
    one = drawn_picture(1, (24, 31))
    noise = np.random.default_rng(0).normal(0, 12, one.shape)
    other = np.clip(one + noise, 0, 255).astype(np.uint8)
    assert ssim(one, other) == pytest.approx(naive_ssim(one, other), abs=1e-9)
    assert ssim(one, one) == pytest.approx(1.0)
    flat = np.full((20, 20, 3), 100, np.uint8)
    light = (2 * 100 * 130 + 6.5025) / (100**2 + 130**2 + 6.5025)
    assert ssim(flat, flat + np.uint8(30)) == pytest.approx(light, abs=1e-6)


def test_relative_error() -> None:
    assert relative(np.array([3.0, 4.4]), np.array([3.0, 4.0])) == pytest.approx(0.08)
    assert relative(np.zeros(3), np.zeros(3)) == 0.0


def test_a_coarser_variant_is_further_away(toy_bundle: Path) -> None:
    variant(toy_bundle, "denoiser", "int8", rounded_to(127))
    variant(toy_bundle, "denoiser", "int4", rounded_to(7))
    fine, coarse = (
        measure(toy_bundle, precision, photos=PHOTOS, settings=SHORT)
        for precision in ("int8", "int4")
    )
    assert fine["against"] == "fp16"
    assert len(fine["predictions"]) == len(fine["latents"]) == 3
    assert fine["latents"][0] == 0.0  # the same noise goes in
    assert 0 < fine["predictions"][0] < coarse["predictions"][0]
    assert 0 < fine["latents"][-1] < coarse["latents"][-1]
    rows = [report["components"]["denoiser"] for report in (fine, coarse)]
    assert [row["layers"] for row in rows] == [1, 1]
    assert rows[0]["worst"][0]["snr_db"] > rows[1]["worst"][0]["snr_db"] + 15
    assert 0 < rows[0]["outputs"]["velocity"] < rows[1]["outputs"]["velocity"]
    frames = fine["frames"]
    assert [row["photo"] for row in frames["photos"]] == ["picture 0", "picture 1"]
    assert frames["ssim"] >= coarse["frames"]["ssim"]
    json.dumps(fine, allow_nan=False)


def test_the_same_weights_are_no_error(toy_bundle: Path) -> None:
    variant(toy_bundle, "denoiser", "int8", lambda weights: weights)
    report = measure(toy_bundle, "int8", photos=PHOTOS, settings=SHORT)
    assert report["latents"] == report["predictions"] == [0.0] * 3
    assert report["frames"]["psnr"] is report["frames"]["least_psnr"] is None
    assert report["frames"]["ssim"] == 1.0
    assert report["components"]["denoiser"]["worst"] == []
    assert report["components"]["denoiser"]["outputs"] == {"velocity": 0.0}


def test_a_layers_ratio_is_that_of_its_values(toy_bundle: Path) -> None:
    variant(toy_bundle, "denoiser", "int8", rounded_to(7))
    bundle, random = load_bundle(toy_bundle), np.random.default_rng(0)
    inputs = {
        port.name: random.random(
            [1 if size == 1 else known.get(size, size) for size in port.shape]
        ).astype(np.float32)
        for known in [{"height/8": 8, "width/8": 12}]
        for port in bundle.open_plainly("denoiser", device="cpu").inputs
    }
    found = compare_layers(bundle, bundle, "denoiser", "int8", [inputs])
    exact, ours = (
        bundle.open_plainly("denoiser", device="cpu", precision=p).run(inputs)["velocity"]
        for p in (None, "int8")
    )
    assert found["outputs"]["velocity"] == pytest.approx(relative(ours, exact), rel=1e-3)
    weights = [
        next(
            onnx.numpy_helper.to_array(tensor).astype(np.float32)[..., 0, 0]
            for tensor in onnx.load(toy_bundle / file).graph.initializer
            if list(tensor.dims) == [34, 34, 1, 1]
        )
        for file in ("denoiser.onnx", "denoiser.int8.onnx")
    ]
    product, other = (np.einsum("oc,nchw->nohw", w, inputs["latents"]) for w in weights)
    ratio = 10 * np.log10((product**2).sum() / ((product - other) ** 2).sum())
    assert found["layers"] == 1
    assert found["worst"][0]["snr_db"] == pytest.approx(ratio, abs=0.02)


def test_a_report_goes_to_its_variant_alone(toy_bundle: Path) -> None:
    variant(toy_bundle, "denoiser", "int8", rounded_to(127))
    variant(toy_bundle, "people", "int8", rounded_to(127))
    variant(toy_bundle, "people", "int4", rounded_to(7))
    report = measure(toy_bundle, "int8", photos=PHOTOS[:1], settings=SHORT)
    write_error(toy_bundle, "int8", report)
    bundle = load_bundle(toy_bundle)
    rows = bundle.section("components")
    denoiser = rows["denoiser"]["variants"]["int8"]["error"]
    assert denoiser["with"] == ["denoiser", "people"]
    assert denoiser["frames"] == report["frames"]
    assert denoiser["outputs"].keys() == {"velocity"}
    assert denoiser["weights"] == "stays"
    assert rows["people"]["variants"]["int4"]["error"] == {"weights": "stays"}
    assert not list(toy_bundle.glob("*.part"))


def test_a_video_model_is_measured_too(video_bundle: Path) -> None:
    variant(video_bundle, "text_encoder", "int8", rounded_to(7))
    report = measure(video_bundle, "int8", photos=PHOTOS[:1], settings={"steps": 2})
    assert report["settings"]["steps"] == 2
    assert report["components"].keys() == {"text_encoder"}


def test_what_cannot_be_compared_is_one_line(toy_bundle: Path, video_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"reverie quantize .* --precision int8"):
        measure(toy_bundle, "int8", photos=PHOTOS)
    with pytest.raises(BundleError, match="only in"):
        measure(toy_bundle, "int8", components=["denoiser"], photos=PHOTOS)
    variant(toy_bundle, "denoiser", "int8", rounded_to(127))
    with pytest.raises(BundleError, match="another model") as told:
        measure(toy_bundle, "int8", reference=video_bundle, photos=PHOTOS)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("kind", "numpy"),
    [(TensorProto.FLOAT16, np.float16), (TensorProto.BFLOAT16, None)],
)
def test_a_processor_rounds_where_a_gpu_would(tmp_path: Path, kind: int, numpy: Any) -> None:
    """The main graph squares in half precision, the one for processors in float32."""

    def write(name: str, *nodes: onnx.NodeProto) -> DataFile:
        graph = helper.make_graph(
            list(nodes),
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        )
        opset = [helper.make_opsetid("", 21)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / name)
        path = tmp_path / name
        return DataFile(name, path.stat().st_size, hash_file(path))

    main = write(
        "net.onnx",
        helper.make_node("Cast", ["x"], ["h"], to=kind),
        helper.make_node("Mul", ["h", "h"], ["square"]),
        helper.make_node("Cast", ["square"], ["y"], to=TensorProto.FLOAT),
    )
    wide = write(
        "net.cpu.onnx",
        helper.make_node("Identity", ["x"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["square"]),
        helper.make_node("Identity", ["square"], ["y"]),
    )
    component = Component("net", main, cpu=wide)
    bundle = Bundle(tmp_path, "none", "none", "1", {"net": component}, {})
    assert half_values(tmp_path / "net.onnx").keys() == {"h", "square"}
    path = tmp_path / "rounded.onnx"
    path.write_bytes(ir.serde.serialize_model(load_rounded(bundle, "net")).SerializeToString())
    from reverie.engines.engine import open_engine

    x = np.array([1.0009, 3.1, 300.0, -7.77], np.float32)
    with open_engine(path, device="cpu") as engine:
        found = engine.run({"x": x})["y"]
    if numpy is None:
        import ml_dtypes

        numpy = ml_dtypes.bfloat16
    with np.errstate(over="ignore"):
        half = x.astype(numpy).astype(np.float32)
        expected = (half * half).astype(numpy).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    assert np.isinf(found[2]) == (kind == TensorProto.FLOAT16)
