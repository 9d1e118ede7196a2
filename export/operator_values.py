"""What ONNX operators make of the small whole numbers that shapes are made of, and of types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from .operator_windows import Attributes, Values
from .operators import RULES, names, slices

_BOOLEAN = names("And Or Xor Not Equal Greater GreaterOrEqual Less LessOrEqual IsInf IsNaN")


def constant_value(attributes: Attributes) -> NDArray[Any]:
    """What a Constant node holds."""
    from onnx import numpy_helper

    if "value" in attributes:
        return np.asarray(numpy_helper.to_array(attributes["value"]))
    for name in ("value_int", "value_ints"):
        if name in attributes:
            return np.asarray(attributes[name], np.int64)
    for name in ("value_float", "value_floats"):
        if name in attributes:
            return np.asarray(attributes[name], np.float32)
    raise ValueError("a constant of text, or of few values among many")


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": lambda x: x,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": lambda *xs: np.max(np.broadcast_arrays(*xs), axis=0),
    "Min": lambda *xs: np.min(np.broadcast_arrays(*xs), axis=0),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
}
_CASTS = {TensorProto.INT64: np.int64, TensorProto.INT32: np.int32, TensorProto.FLOAT: np.float32}


def value_of(kind: str, values: Values, attributes: Attributes) -> NDArray[Any] | None:
    """What an operator's first output holds, where its inputs' values are known."""
    if kind == "Constant":
        return constant_value(attributes)
    if kind in ("Slice", "Gather", "Squeeze", "Unsqueeze", "Reshape", "Cast") and (
        not values or values[0] is None
    ):
        return None
    if kind not in ("Resize", "Pad") and any(value is None for value in values):
        return None
    known: list[NDArray[Any]] = [value for value in values if value is not None]
    if kind in _ARITHMETIC and known:
        return np.asarray(_ARITHMETIC[kind](*known))
    if kind == "Div":
        whole = all(np.issubdtype(value.dtype, np.integer) for value in known)
        return np.asarray(known[0] // known[1] if whole else known[0] / known[1])
    if kind == "Cast":
        wanted = _CASTS.get(attributes["to"])
        return None if wanted is None else known[0].astype(wanted)
    if kind == "Concat":
        return np.concatenate(known, axis=attributes["axis"])
    if kind == "Slice":
        return known[0][slices(known[0].shape, values, attributes)]
    if kind == "Gather":
        return np.asarray(np.take(known[0], known[1], axis=attributes.get("axis", 0)))
    if kind in ("Squeeze", "Unsqueeze", "Reshape"):
        shape = RULES[kind]([v.shape for v in known], values, attributes, 1)[0]
        return known[0].reshape([int(size) for size in shape])
    if kind == "ConstantOfShape":
        shape = [int(size) for size in known[0]]
        given = attributes.get("value")
        fill = 0.0 if given is None else constant_value({"value": given}).ravel()[0]
        return np.full(shape, fill) if math.prod(shape) <= 4096 else None
    if kind == "Range":
        return np.arange(*(value.ravel()[0] for value in known))
    if kind == "Expand":
        shape = np.broadcast_shapes(known[0].shape, tuple(int(size) for size in known[1]))
        return np.broadcast_to(known[0], shape) if math.prod(shape) <= 4096 else None
    if kind == "ReduceProd":
        return np.asarray(np.prod(known[0], keepdims=bool(attributes.get("keepdims", 1))))
    return None


def kind_of(kind: str, kinds: Sequence[int], attributes: Attributes) -> int:
    """The element type of an operator's first output."""
    if kind == "Cast":
        return int(attributes["to"])
    if kind in _BOOLEAN:
        return int(TensorProto.BOOL)
    if kind in ("Shape", "Size", "ArgMax", "ArgMin", "NonZero"):
        return int(TensorProto.INT64)
    if kind == "Constant":
        import onnx

        value = attributes.get("value")
        if value is not None:
            return int(value.data_type)
        return int(onnx.helper.np_dtype_to_tensor_dtype(constant_value(attributes).dtype))
    if kind == "ConstantOfShape":
        value = attributes.get("value")
        return int(TensorProto.FLOAT if value is None else value.data_type)
    if kind in ("CastLike", "Where", "DequantizeLinear") and len(kinds) > 1:
        return kinds[1]
    if kind == "QuantizeLinear":
        return kinds[2] if len(kinds) > 2 and kinds[2] else int(attributes.get("output_dtype", 2))
    if kind in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul"):
        return int(TensorProto.FLOAT)
    if kind == "DynamicQuantizeLinear":
        return int(TensorProto.UINT8)
    if kind in ("MatMulInteger", "ConvInteger"):
        return int(TensorProto.INT32)
    return kinds[0] if kinds else int(TensorProto.FLOAT)
