"""What quantised operators make of shapes; `operators` has the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .operator_windows import Attributes, Shape, Shapes, Values, conv


def _product(a: Shape, b: Shape) -> list[Any]:
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    return [(*np.broadcast_shapes(a[:-2], b[:-2]), *rows, *columns)]


def _second(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return _product(shapes[0] or (), shapes[1] or ())


def _fourth(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return _product(shapes[0] or (), shapes[3] or ())


def _gemm(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    a, b = shapes[0] or (), shapes[3] or ()
    return [(a[1 if attributes.get("transA") else 0], b[0 if attributes.get("transB") else 1])]


def _conv(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    if not attributes.get("channels_last"):
        return conv([shapes[0], shapes[3]], [], attributes, count)
    n, *space, channels = shapes[0] or ()
    found = conv([(n, channels, *space), shapes[3]], [], attributes, count)[0]
    return [(n, *found[2:], found[1])]


def _binary(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [np.broadcast_shapes(shapes[0] or (), shapes[3] or ())]


def _first(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    return [shapes[0]]


RULES: dict[str, Callable[[Shapes, Values, Attributes, int], list[Any]]] = {
    "DynamicQuantizeMatMul": _second,
    "MatMulIntegerToFloat": _second,
    "QLinearMatMul": _fourth,
    "QGemm": _gemm,
    "QLinearConv": _conv,
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _binary),
    **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"), _first),
}
