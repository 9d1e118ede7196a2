"""Attention as one node for ONNX Runtime's CPU provider, which never holds all scores at once.

A traced graph has attention as MatMul, Softmax, MatMul, and the scores between take heads x queries
x keys floats, twice. com.microsoft's MultiHeadAttention computes them block by block where it gets
no mask and no bias, and queries, keys and values of three axes: given keys and values of four, it
writes the whole scores as well (onnxruntime/contrib_ops/cpu/bert/multihead_attention.cc).

Measured by benchmarks/attention_cost.py with ONNX Runtime 1.31 on two cores, seconds and MiB beside
the inputs, 8 heads of 64:

    tokens     as traced        fused
    2048       0.33    277      0.09     45
    4096       1.05   1073      0.28     97
    8192       4.67   4209      1.03    177

Many short sequences gain nothing (9216 of 14 tokens, 5 heads: 0.78 s and 669 MiB as traced, 1.11 s
and 1103 MiB fused), one key neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

DOMAIN = "com.microsoft"
FEW = 1024
"""Fixed numbers of keys below this stay as they are: the scores are small."""

_PLAIN = "reverie.plain"
_FLOAT = ir.TensorType(ir.DataType.FLOAT)
_INT64 = ir.TensorType(ir.DataType.INT64)


@dataclass(frozen=True)
class Attention:
    """One attention without a mask, as it was found."""

    queries: ir.Value
    """(..., queries, channels)"""
    keys: ir.Value
    """(..., keys, channels), or what is to be transposed by `perm` to have these axes."""
    perm: list[int] | None
    values: ir.Value
    """(..., keys, channels)"""
    scale: float
    output: ir.Value


def keep_short_plain(model: ir.Model) -> None:
    """Mark attention that gains nothing, in a graph that still has its tracer's shapes.

    That is few keys, and many short sequences beside each other, as in attention over frames at
    each place of a picture. `fuse_attention` leaves both as they are.
    """
    for softmax in _softmaxes(model):
        mix = _mix(softmax)
        shape = mix.inputs[1].shape if mix is not None and mix.inputs[1] is not None else None
        if shape is not None and _is_short(shape):
            softmax.meta[_PLAIN] = True


def fuse_attention(model: ir.Model) -> int:
    """Put MultiHeadAttention in place of attention in a float32 graph; returns how often.

    Attention with an additive mask stays. Heads become part of the batch, so that their number
    need not be known.
    """
    found = [
        attention
        for softmax in _softmaxes(model)
        if _PLAIN not in softmax.meta and (attention := _match(softmax)) is not None
    ]
    for attention in found:
        _replace(attention)
    if found:
        model.graph.opset_imports[DOMAIN] = 1
        passes.RemoveUnusedNodesPass()(model)
    return len(found)


def fused_in(path: Path) -> set[str]:
    """Return which attentions of a graph `fuse_attention` put one node in the place of."""
    return {
        str(node.outputs[0].name).removesuffix(".mixed")
        for node in ir.load(path).graph.all_nodes()
        if node.op_type == "MultiHeadAttention"
    }


def keep_others_plain(model: ir.Model, fused: Collection[str]) -> None:
    """Mark all attentions but these, as `fused_in` names them, to stay as they are."""
    for softmax in _softmaxes(model):
        mix = _mix(softmax)
        if mix is None or mix.outputs[0].name not in fused:
            softmax.meta[_PLAIN] = True


def _softmaxes(model: ir.Model) -> Iterator[ir.Node]:
    for node in list(model.graph.all_nodes()):
        axis = node.attributes.get("axis")
        if node.op_type == "Softmax" and (axis is None or axis.as_int() == -1):
            yield node


def _is_short(shape: ir.Shape) -> bool:
    *batch, length, _ = shape
    if isinstance(length, int):
        return length < FEW
    return not _is_product(length) and any(_is_product(size) for size in batch)


def _is_product(size: int | ir.SymbolicDim) -> bool:
    return "*" in str(size)


def _mix(softmax: ir.Node) -> ir.Node | None:
    """Return the MatMul that weighs the values, behind what may stand between."""
    value = softmax.outputs[0]
    while True:
        users = [use.node for use in value.uses()]
        guards = [user for user in users if _is_nan_guard(user, value)]
        if len(users) == 2 and len(guards) == 1:
            users = guards
        if len(users) != 1:
            return None
        (user,) = users
        if user.op_type == "MatMul":
            return user if user.inputs[0] is value else None
        if user.op_type != "Cast" and user not in guards:
            return None
        value = user.outputs[0]


def _is_nan_guard(node: ir.Node, value: ir.Value) -> bool:
    """Whether a node puts 0 where a value, which it is tested for, is not a number."""
    if node.op_type != "Where":
        return False
    condition, zero, otherwise = node.inputs
    test = condition.producer() if condition is not None else None
    return (
        test is not None
        and test.op_type == "IsNaN"
        and test.inputs[0] is value
        and zero is not None
        and _scalar(zero) == 0.0
        and otherwise is value
    )


def _match(softmax: ir.Node) -> Attention | None:
    mix = _mix(softmax)
    scores, scale = _unscaled(softmax.inputs[0])
    dot = scores.producer()
    if mix is None or dot is None or dot.op_type != "MatMul":
        return None
    if mix.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    queries, query_scale = _unscaled(dot.inputs[0])
    turned, key_scale = _unscaled(dot.inputs[1])
    keys = _untransposed(turned)
    values = mix.inputs[1]
    if keys is None or values is None:
        return None
    scale *= query_scale * key_scale
    return Attention(queries, *keys, values, scale, mix.outputs[0])


def _unscaled(value: ir.Value | None) -> tuple[ir.Value, float]:
    """Return a value before it was multiplied by constants, and their product."""
    assert value is not None
    scale = 1.0
    factor: float | None
    while (node := value.producer()) is not None:
        if node.op_type == "Cast" and _is_float32(node.inputs[0]) and _is_float32(value):
            factor, before = 1.0, node.inputs[0]
        elif node.op_type == "Mul":
            first, second = node.inputs
            before = first
            if (factor := _scalar(second)) is None:
                factor, before = _scalar(first), second
        elif node.op_type == "Div":
            divisor = _scalar(node.inputs[1])
            factor, before = 1.0 / divisor if divisor else None, node.inputs[0]
        else:
            break
        if factor is None or before is None:
            break
        scale, value = scale * factor, before
    return value, scale


def _is_float32(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.FLOAT


def _scalar(value: ir.Value | None) -> float | None:
    """Return a constant's only element, None where it is no constant or has more."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type not in ("Cast", "CastLike", "Identity"):
            break
        value = node.inputs[0]
    numbers = _constant(value)
    return float(numbers.item()) if numbers is not None and numbers.size == 1 else None


def _constant(value: ir.Value | None) -> np.ndarray | None:
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return tensor.numpy() if tensor is not None and tensor.size <= 8 else None


def _untransposed(value: ir.Value) -> tuple[ir.Value, list[int] | None] | None:
    """Return what was transposed, and the permutation that keys still lack."""
    node = value.producer()
    if node is not None and node.op_type == "Transpose":
        before, perm = node.inputs[0], _perm(node)
        if before is None or len(perm) < 3:
            return None
        perm[-2:] = reversed(perm[-2:])
        return before, None if perm == sorted(perm) else perm
    # torch's exporter: (..., keys, channels) -> three axes -> transposed -> all axes again
    if node is None or node.op_type != "Reshape":
        return None
    turn = _producer(node, 0)
    if turn is None or turn.op_type != "Transpose" or _perm(turn) != [0, 2, 1]:
        return None
    flat = _producer(turn, 0)
    if flat is None or flat.op_type != "Reshape" or turn.inputs[0] is None:
        return None
    ends, other_ends = _last_sizes(flat.inputs[1]), _last_sizes(node.inputs[1])
    if ends is None or other_ends is None or ends != other_ends[::-1]:
        return None
    return turn.inputs[0], None


def _producer(node: ir.Node, index: int) -> ir.Node | None:
    value = node.inputs[index]
    return value.producer() if value is not None else None


def _perm(node: ir.Node) -> list[int]:
    perm = node.attributes.get("perm")
    return list(perm.as_ints()) if perm is not None else []


def _last_sizes(shape: ir.Value | None) -> list[object] | None:
    """Return the last two sizes that a Reshape is told: numbers, or the values that hold them."""
    numbers = _constant(shape)
    if numbers is not None:
        return [int(number) for number in numbers[-2:]]
    node = shape.producer() if shape is not None else None
    if node is None or node.op_type != "Concat" or len(node.inputs) < 3:
        return None
    return [
        int(size.item()) if (size := _constant(value)) is not None and size.size == 1 else value
        for value in node.inputs[-2:]
    ]


def _replace(attention: Attention) -> None:
    output = attention.output
    mix = output.producer()
    assert mix is not None
    assert mix.graph is not None
    name = output.name
    nodes: list[ir.Node] = []

    def add(kind: str, inputs: list[ir.Value], ending: str, **attributes: object) -> ir.Value:
        domain = DOMAIN if kind == "MultiHeadAttention" else ""
        node = ir.node(kind, inputs, attributes, domain=domain)  # type: ignore[arg-type]
        made = node.outputs[0]
        made.name = f"{name}.{ending}"
        made.type = _INT64 if kind in ("Shape", "Concat", "Constant") else _FLOAT
        nodes.append(node)
        return made

    rest = add("Constant", [], "rest", value_ints=[-1])

    def three_axes(value: ir.Value, what: str) -> ir.Value:
        sizes = add("Shape", [value], f"{what}.sizes", start=-2)
        shape = add("Concat", [rest, sizes], f"{what}.shape", axis=0)
        return add("Reshape", [value, shape], what)

    keys = attention.keys
    if attention.perm is not None:
        keys = add("Transpose", [keys], "keys.turned", perm=attention.perm)
    mixed = add(
        "MultiHeadAttention",
        [
            three_axes(attention.queries, "queries"),
            three_axes(keys, "keys"),
            three_axes(attention.values, "values"),
        ],
        "mixed",
        num_heads=1,
        scale=attention.scale,
    )
    sizes = add("Shape", [attention.queries], "sizes", end=-1)
    shape = add("Concat", [sizes, rest], "shape", axis=0)
    result = add("Reshape", [mixed, shape], "result")
    result.shape = output.shape
    mix.graph.insert_before(mix, nodes)
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    mix.graph.remove(mix, safe=True)
    result.name, output.name = name, None
