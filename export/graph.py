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
from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnx import version_converter
from onnxscript import optimizer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..engines.errors import BundleError
from . import fake, turing
from .recipe import Free, PartRecipe, Precision, ReadyRecipe, Recipe

OPSET = 21
IR_VERSION = 10
FOLD_BELOW = 1 << 16


def trace(recipe: Recipe, *, fold_below: int = FOLD_BELOW) -> ir.Model:
    """Export a recipe's module with torch.export; returns a checked graph with named sizes.

    Raises BundleError when the module gives another number of outputs than the recipe names.
    """
    module = recipe.module.eval()
    model = _export(recipe, module, recipe.examples, _dynamic_shapes(recipe))
    _optimise(model, fold_below)
    _name_sizes(
        model,
        {name: {k: f.name for k, f in axes.items()} for name, axes in recipe.free.items()},
        recipe.outputs,
    )
    return _check(_finish(model, recipe.name, recipe.origin.source))


def trace_part(
    recipe: PartRecipe, module: nn.Module, mode: FakeTensorMode, precision: Precision
) -> ir.Model:
    """Export a module whose parameters `fake.fill` made; returns its graph, as traced.

    Its initialisers have no values yet: `stream.attach` gives them, then `finish_part` follows.
    Inputs and outputs are float32 or int64 whatever the precision.
    Raises BundleError when torch cannot trace it; says where and why in one line.
    """
    dtype = fake.DTYPES[precision]
    examples = dict(recipe.examples())
    free = {
        name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in recipe.free.items()
    }
    with mode:
        inputs = {
            name: mode.from_tensor(
                value.to(dtype)
                if value.is_floating_point() and name not in recipe.plain_inputs
                else value
            )
            for name, value in examples.items()
        }
        try:
            model = _export(recipe, module, inputs, {name: free.get(name) for name in examples})
        except (KeyboardInterrupt, BundleError):
            raise
        except Exception as error:  # torch.export raises many unrelated types here
            raise BundleError(
                f"{recipe.name} cannot be traced ({_reason(error)}): its configuration asks for"
                " something that this version cannot export"
            ) from error
    _float32_borders(model)
    return model


def finish_part(
    model: ir.Model, recipe: PartRecipe, source: str, *, fold_below: int = FOLD_BELOW
) -> ir.Model:
    """Optimise a traced part, name its free sizes, and strip what only a tracer wants to know.

    Small weights are read for that: what reading raises comes out as it is.
    """
    try:
        _optimise(model, fold_below, rewrite=False)
    except ir.passes.PassError as error:
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, BundleError | OSError):
            reason = reason.__cause__
        raise reason or error from None
    _name_sizes(model, recipe.free, recipe.outputs)
    return _finish(model, recipe.name, source)


def _export(
    recipe: Recipe | PartRecipe,
    module: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    dynamic_shapes: Mapping[str, Any],
) -> ir.Model:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            kwargs=dict(inputs),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dict(dynamic_shapes),
            input_names=list(inputs),
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
    return model


def _name_sizes(
    model: ir.Model,
    free: Mapping[str, Mapping[int, str]],
    outputs: Mapping[str, tuple[int | str, ...]],
) -> None:
    for value in model.graph.inputs:
        shape = [size if isinstance(size, int) else str(size) for size in value.shape or ()]
        for axis, name in free.get(value.name or "", {}).items():
            shape[axis] = name
        value.shape = ir.Shape(shape)
    for value, sizes in zip(model.graph.outputs, outputs.values(), strict=True):
        value.shape = ir.Shape(sizes)


def _float32_borders(model: ir.Model) -> None:
    """Put a Cast behind each half-precision input, and before each such output."""
    half = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    graph = model.graph
    for value in graph.inputs:
        if value.dtype in half:
            cast = ir.node("Cast", [value], {"to": int(value.dtype)})
            inside = cast.outputs[0]
            inside.name, inside.shape = f"{value.name}.inside", value.shape
            inside.type = ir.TensorType(value.dtype)
            value.replace_all_uses_with(inside)
            cast.replace_input_with(0, value)
            value.type = ir.TensorType(ir.DataType.FLOAT)
            graph.insert_before(graph[0], cast)
    for index, value in enumerate(list(graph.outputs)):
        if value.dtype in half:
            cast = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
            outside = cast.outputs[0]
            outside.name, value.name = value.name, f"{value.name}.inside"
            outside.shape, outside.type = value.shape, ir.TensorType(ir.DataType.FLOAT)
            graph.append(cast)
            graph.outputs[index] = outside


def take_over(recipe: ReadyRecipe, *, fold_below: int = FOLD_BELOW) -> ir.Model:
    """Read another's ONNX file: brought to OPSET, pruned to the outputs asked for, renamed.

    Normalisations are folded into the convolutions before them.
    Raises BundleError when the file has no input or output of a name in the recipe.
    """
    proto = load_ready(recipe)
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
    if recipe.convolve:
        turing.as_convolutions(model)
        _optimise(model, fold_below)
    for values, names in (
        (model.graph.inputs, recipe.inputs),
        (model.graph.outputs, recipe.outputs),
    ):
        for value in values:
            value.name = names[value.name or ""]
            if value.name in recipe.shapes:
                value.shape = ir.Shape(recipe.shapes[value.name])
    return _check(_finish(model, recipe.name, recipe.origin.source))


def load_ready(recipe: ReadyRecipe) -> onnx.ModelProto:
    """Read a recipe's file; values inside its graph that the recipe asks for become outputs."""
    proto = onnx.load(str(recipe.file))
    inner = {name for node in proto.graph.node for name in node.output}
    given = {value.name for value in proto.graph.output}
    for name, new in recipe.outputs.items():
        if name in inner - given:
            port = onnx.helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, recipe.shapes.get(new)
            )
            proto.graph.output.append(port)
    return proto


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


def _optimise(model: ir.Model, fold_below: int, *, rewrite: bool = True) -> None:
    """Fold constants and drop what is not used; `rewrite` looks for patterns of nodes as well.

    Looking for them takes minutes on a graph of thousands of nodes, and saves nothing that the
    backends do not find again.
    """

    def should_fold(node: ir.Node) -> bool | None:
        large = (
            value is not None
            and value.const_value is not None
            and value.const_value.size > fold_below
            for value in node.inputs
        )
        return False if any(large) else None

    if rewrite:
        optimizer.optimize_ir(model, should_fold=should_fold, output_size_limit=fold_below)
        return
    optimizer.fold_constants(model, should_fold=should_fold, output_size_limit=fold_below)
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    ):
        step(model)


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
    return model


def _check(model: ir.Model) -> ir.Model:
    onnx.checker.check_model(ir.serde.serialize_model(model))
    return model


def _reason(error: BaseException) -> str:
    """The last line of text at the root of what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


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
