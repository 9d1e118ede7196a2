"""What ONNX operators make of shapes; see `operator_values` for what they hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import operator_quantised
from .operator_windows import (
    Attributes,
    Shape,
    Shapes,
    Values,
    conv,
    conv_transpose,
    depth_to_space,
    global_pool,
    ints,
    pad,
    pool,
    reorder_in,
    reorder_out,
    resize,
    upsample,
)


def names(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


_SAME = names(
    "Abs Acos Asin Atan BatchNormalization BiasGelu Cast CastLike Ceil Celu Clip Cos CumSum "
    "DequantizeLinear Elu Erf Exp FastGelu Floor Gelu GroupNorm GroupNormalization "
    "HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN LayerNormalization "
    "LeakyRelu Log LogSoftmax LpNormalization Mish Neg Not QuantizeLinear QuickGelu "
    "RMSNormalization Reciprocal Relu Round Selu Sigmoid Sign Sin "
    "SimplifiedLayerNormalization SkipLayerNormalization Softmax Softplus Softsign Sqrt Swish "
    "Tan Tanh ThresholdedRelu Trilu ScatterND ScatterElements RotaryEmbedding"
)
_BROADCAST = names(
    "Add And BitwiseAnd BitwiseOr Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)
_REDUCE = names(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare"
)


def _same(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [shapes[0]] * count


def _broadcast(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [np.broadcast_shapes(*(s for s in shapes if s is not None))]


def _reshape(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    old, wanted = shapes[0] or (), [int(v) for v in values[1]]  # type: ignore[union-attr]
    if not attributes.get("allowzero"):
        wanted = [old[i] if size == 0 else size for i, size in enumerate(wanted)]
    if -1 in wanted:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(old) // max(rest, 1)
    if math.prod(wanted) != math.prod(old):
        raise ValueError(f"{old} cannot become {wanted}")
    return [wanted]


def _flatten(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape, axis = shapes[0] or (), attributes.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return [(math.prod(shape[:axis]), math.prod(shape[axis:]))]


def _squeeze(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape = shapes[0] or ()
    axes = ints(values, 1, attributes, "axes")
    gone = (
        {i for i, size in enumerate(shape) if size == 1}
        if axes is None
        else {axis % len(shape) for axis in axes}
    )
    return [[size for i, size in enumerate(shape) if i not in gone]]


def _unsqueeze(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape, axes = shapes[0] or (), ints(values, 1, attributes, "axes") or []
    rank = len(shape) + len(axes)
    new = {axis % rank for axis in axes}
    rest = iter(shape)
    return [[1 if i in new else next(rest) for i in range(rank)]]


def _transpose(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape = shapes[0] or ()
    order = attributes.get("perm") or range(len(shape))[::-1]
    return [[shape[axis] for axis in order]]


def _concat(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    present = [shape for shape in shapes if shape is not None]
    axis = attributes["axis"] % len(present[0])
    made = list(present[0])
    made[axis] = sum(shape[axis] for shape in present)
    return [made]


def slices(shape: Shape, values: Values, attributes: Attributes) -> tuple[slice, ...]:
    starts = ints(values, 1, attributes, "starts") or []
    ends = ints(values, 2, attributes, "ends") or []
    axes = ints(values, 3, attributes, "axes") or list(range(len(starts)))
    steps = ints(values, 4, attributes, "steps") or [1] * len(starts)
    cut = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        end_ = None if step < 0 and end < -shape[axis] else end
        cut[axis] = slice(start, end_, step)
    return tuple(cut)


def _slice(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape = shapes[0] or ()
    cuts = slices(shape, values, attributes)
    return [[len(range(*c.indices(size))) for c, size in zip(cuts, shape, strict=True)]]


def _gather(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    data, at = shapes[0] or (), shapes[1] or ()
    axis = attributes.get("axis", 0) % len(data)
    return [(*data[:axis], *at, *data[axis + 1 :])]


def _gather_nd(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    data, at, batch = shapes[0] or (), shapes[1] or (), attributes.get("batch_dims", 0)
    return [(*at[:-1], *data[batch + at[-1] :])]


def _gather_elements(
    shapes: Shapes, values: Values, attributes: Attributes, count: int
) -> list[Any]:
    return [shapes[1]]


def _split(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape = shapes[0] or ()
    axis = attributes.get("axis", 0) % len(shape)
    sizes = ints(values, 1, attributes, "split")
    if sizes is None:
        parts = attributes.get("num_outputs", count)
        each = -(-shape[axis] // parts)
        sizes = [each] * (parts - 1) + [shape[axis] - each * (parts - 1)]
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _expand(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [np.broadcast_shapes(shapes[0] or (), tuple(int(v) for v in values[1]))]  # type: ignore[union-attr]


def _tile(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    repeats = [int(v) for v in values[1]]  # type: ignore[union-attr]
    return [[size * times for size, times in zip(shapes[0] or (), repeats, strict=True)]]


def _constant_of_shape(
    shapes: Shapes, values: Values, attributes: Attributes, count: int
) -> list[Any]:
    return [[int(v) for v in values[0]]]  # type: ignore[union-attr]


def _range(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    start, stop, step = (float(np.asarray(v).ravel()[0]) for v in values)
    return [[max(math.ceil((stop - start) / step), 0)]]


def _matmul(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    a, b = shapes[0] or (), shapes[1] or ()
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    return [(*np.broadcast_shapes(a[:-2], b[:-2]), *rows, *columns)]


def _matmul_bits(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [(*(shapes[0] or ())[:-1], attributes["N"])]


def _gemm(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    a, b = shapes[0] or (), shapes[1] or ()
    return [(a[1 if attributes.get("transA") else 0], b[0 if attributes.get("transB") else 1])]


def _einsum(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    left, right = attributes["equation"].decode().replace(" ", "").split("->")
    sizes: dict[str, int] = {}
    for letters, shape in zip(left.split(","), shapes, strict=True):
        sizes.update(zip(letters, shape or (), strict=True))
    return [[sizes[letter] for letter in right]]


def _reduce(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape = shapes[0] or ()
    axes = ints(values, 1, attributes, "axes")
    if axes is None or (not axes and not attributes.get("noop_with_empty_axes")):
        axes = list(range(len(shape)))
    gone = {axis % len(shape) for axis in axes} if shape else set()
    keeps = attributes.get("keepdims", 1)
    return [[1 if i in gone else size for i, size in enumerate(shape) if keeps or i not in gone]]


def _arg(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return _reduce(shapes, [], {**attributes, "axes": [attributes.get("axis", 0)]}, count)


def _shape(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [[len((shapes[0] or ())[attributes.get("start", 0) : attributes.get("end", None)])]]


def _constant(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    from .operator_values import constant_value

    found = constant_value(attributes)
    return [found.shape]


def _attention(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    query = shapes[0] or ()
    if len(query) == 5:  # query, key and value in one
        return [(query[0], query[1], query[2] * query[4])]
    given = shapes[2] if len(shapes) > 2 else None
    if given is not None and len(given) == 3:
        return [(*query[:2], given[2])]
    if given is not None and len(given) == 4 and len(query) == 4:
        return [(*query[:3], given[3])]
    return [query]


def _fused_matmul(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    turned = []
    for shape, letter in zip(shapes[:2], "AB", strict=True):
        one = list(shape or ())
        if attributes.get(f"trans{letter}"):
            one[-1], one[-2] = one[-2], one[-1]
        turned.append(tuple(one))
    return _matmul(turned, values, attributes, count)


def _dynamic_quantize(
    shapes: Shapes, values: Values, attributes: Attributes, count: int
) -> list[Any]:
    return [shapes[0], (), ()][:count]


Rule = Callable[[Shapes, Values, Attributes, int], list[Any]]

RULES: dict[str, Rule] = {
    **operator_quantised.RULES,
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("MultiHeadAttention", "Attention"), _attention),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pool),
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger", "FusedConv"), conv),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "FusedGemm": _gemm,
    "FusedMatMul": _fused_matmul,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "MatMulNBits": _matmul_bits,
    "Pad": pad,
    "Range": _range,
    "ReorderInput": reorder_in,
    "ReorderOutput": reorder_out,
    "Reshape": _reshape,
    "Resize": resize,
    "Shape": _shape,
    "Size": lambda shapes, values, attributes, count: [()],
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": upsample,
}
"""(shapes, values, attributes, number of outputs) -> shapes of the outputs."""
