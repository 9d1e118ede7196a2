"""From a torch module, or another's ONNX file, to an ONNX graph that any backend here takes.

Opset 21 and IR version 10, so that ONNX Runtime 1.20 and TensorRT take the graphs. Sizes that
callers choose stay free. Weights larger than `fold_below` elements are left as the module has
them: folding a transpose into a large weight costs a copy of it in memory.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnx import version_converter
from onnxscript import optimizer

from ..engines.errors import BundleError
from .recipe import Free, ReadyRecipe, Recipe

OPSET = 21
IR_VERSION = 10
FOLD_BELOW = 1 << 16


def trace(recipe: Recipe, *, fold_below: int = FOLD_BELOW) -> ir.Model:
    """Export a recipe's module with torch.export; returns a checked graph with named sizes.

    Raises BundleError when the module gives another number of outputs than the recipe names.
    """
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            recipe.module.eval(),
            kwargs=dict(recipe.examples),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=_dynamic_shapes(recipe),
            input_names=list(recipe.examples),
            output_names=list(recipe.outputs),
            optimize=False,  # it would fold large weights too; `_optimise` does not
            verbose=False,
        )
    assert program is not None
    model = program.model
    if len(model.graph.outputs) != len(recipe.outputs):
        raise BundleError(
            f"{recipe.name} gives {len(model.graph.outputs)} outputs and its recipe names"
            f" {len(recipe.outputs)} ({', '.join(recipe.outputs)}); mend the recipe"
        )
    _optimise(model, fold_below)
    for value in model.graph.inputs:
        shape = [size if isinstance(size, int) else str(size) for size in value.shape or ()]
        for axis, free in recipe.free.get(value.name or "", {}).items():
            shape[axis] = free.name
        value.shape = ir.Shape(shape)
    for value, sizes in zip(model.graph.outputs, recipe.outputs.values(), strict=True):
        value.shape = ir.Shape(sizes)
    return _finish(model, recipe.name, recipe.origin.source)


def take_over(recipe: ReadyRecipe, *, fold_below: int = FOLD_BELOW) -> ir.Model:
    """Read another's ONNX file: brought to OPSET, pruned to the outputs asked for, renamed.

    Normalisations are folded into the convolutions before them.
    Raises BundleError when the file has no input or output of a name in the recipe.
    """
    proto = onnx.load(str(recipe.file))
    weights = {item.name for item in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    _check_names(recipe, "input", [value.name for value in inputs], recipe.inputs)
    _check_names(recipe, "output", [value.name for value in proto.graph.output], recipe.outputs)
    outputs = {value.name: value for value in proto.graph.output}
    del proto.graph.input[:], proto.graph.output[:]
    proto.graph.input.extend(inputs)
    proto.graph.output.extend(outputs[name] for name in recipe.outputs)
    proto.ir_version = max(proto.ir_version, 8)  # before 4, weights had to be inputs as well
    model = ir.serde.deserialize_model(version_converter.convert_version(proto, OPSET))
    passes.RemoveUnusedNodesPass()(model)  # before folding, which stops where a branch leaves
    _optimise(model, fold_below)
    _mend_resize(model)
    for values, names in (
        (model.graph.inputs, recipe.inputs),
        (model.graph.outputs, recipe.outputs),
    ):
        for value in values:
            value.name = names[value.name or ""]
    return _finish(model, recipe.name, recipe.origin.source)


def ports(values: list[ir.Value]) -> list[dict[str, object]]:
    """Inputs or outputs as a manifest has them: [{name, dtype, shape}]."""
    return [
        {
            "name": value.name,
            "dtype": str(value.dtype.numpy()) if value.dtype else "float32",
            "shape": [size if isinstance(size, int) else str(size) for size in value.shape or ()],
        }
        for value in values
    ]


def _dynamic_shapes(recipe: Recipe) -> dict[str, dict[int, object] | None]:
    made: dict[str, object] = {}

    def dimension(free: Free) -> object:
        if free.name not in made:
            identifier = re.sub(r"\W", "_", free.name) + "_"
            base = torch.export.Dim(identifier, min=free.least, max=free.most)
            made[free.name] = free.step * base if free.step > 1 else base
        return made[free.name]

    return {
        name: {axis: dimension(free) for axis, free in recipe.free[name].items()}
        if name in recipe.free
        else None
        for name in recipe.examples
    }


def _optimise(model: ir.Model, fold_below: int) -> None:
    def should_fold(node: ir.Node) -> bool | None:
        large = (
            value is not None
            and value.const_value is not None
            and value.const_value.size > fold_below
            for value in node.inputs
        )
        return False if any(large) else None

    optimizer.optimize_ir(model, should_fold=should_fold, output_size_limit=fold_below)


def _mend_resize(model: ir.Model) -> None:
    """Nearest neighbour by whole factors reads the same pixels in the mode that is not obsolete."""
    for node in model.graph:
        mode = node.attributes.get("coordinate_transformation_mode")
        if node.op_type != "Resize" or mode is None or mode.value != "tf_half_pixel_for_nn":
            continue
        scales = node.inputs[2].const_value if node.inputs[2] is not None else None
        if scales is None or any(scale != round(scale) for scale in scales.numpy().tolist()):
            raise BundleError(
                f"Resize {node.name!r} is nearest neighbour by a fraction, in a mode that newer"
                " graphs lack; convert the network again with another mode"
            )
        node.attributes["coordinate_transformation_mode"] = ir.AttrString(
            "coordinate_transformation_mode", "asymmetric"
        )
        node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _finish(model: ir.Model, name: str, source: str) -> ir.Model:
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)
    for node in model.graph:
        for value in node.outputs:
            # Sizes between the ends are not named; each backend infers them again.
            if not value.is_graph_output():
                value.shape = None
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "reverie", None
    model.graph.name = name
    model.metadata_props.update({"component": name, "source": source})
    onnx.checker.check_model(ir.serde.serialize_model(model))
    return model


def _check_names(
    recipe: ReadyRecipe, kind: str, found: list[str], wanted: Mapping[str, str]
) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BundleError(
            f"{recipe.file.name} has no {kind} {', '.join(missing)};"
            f" it has {', '.join(found)}; mend the recipe of {recipe.name}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter says about itself, and nothing else."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # "torchvision is not installed": it is not needed
    try:
        with warnings.catch_warnings():
            # torch copies its own deprecated tree specifications while it exports.
            warnings.filterwarnings(
                "ignore", message=r"`isinstance\(treespec", category=FutureWarning
            )
            # Two inputs that share a size get one name for it, as intended.
            warnings.filterwarnings("ignore", r"# The axis name", UserWarning)
            yield
    finally:
        registration.setLevel(level)
