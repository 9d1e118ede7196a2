"""What ONNX operators that look through windows, or at pixels, make of shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
Values = Sequence[NDArray[Any] | None]
Attributes = dict[str, Any]


def ints(values: Values, index: int, attributes: Attributes, name: str) -> list[int] | None:
    """A list that is an attribute in older opsets and an input in newer ones."""
    if len(values) > index and values[index] is not None:
        return [int(v) for v in np.atleast_1d(values[index])]  # type: ignore[arg-type]
    found = attributes.get(name)
    return None if found is None else [int(v) for v in np.atleast_1d(found)]


def _window(
    size: int, kernel: int, stride: int, dilation: int, pads: int, automatic: str, ceil: bool
) -> int:
    if automatic.startswith("SAME"):
        return -(-size // stride)
    free = size + pads - dilation * (kernel - 1) - 1
    return (-(-free // stride) if ceil else free // stride) + 1


def _windows(shapes: Shapes, attributes: Attributes, kernel: Sequence[int]) -> list[int]:
    space = (shapes[0] or ())[2:]
    rank = len(space)
    strides = attributes.get("strides") or [1] * rank
    dilations = attributes.get("dilations") or [1] * rank
    pads = attributes.get("pads") or [0] * 2 * rank
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    return [
        _window(
            space[i],
            kernel[i],
            strides[i],
            dilations[i],
            pads[i] + pads[i + rank],
            automatic,
            bool(attributes.get("ceil_mode")),
        )
        for i in range(rank)
    ]


def conv(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    x, w = shapes[0] or (), shapes[1] or ()
    return [(x[0], w[0], *_windows(shapes, attributes, w[2:]))]


def conv_transpose(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    x, w = shapes[0] or (), shapes[1] or ()
    rank = len(x) - 2
    strides, pads = (
        attributes.get("strides") or [1] * rank,
        attributes.get("pads") or [0] * 2 * rank,
    )
    more = attributes.get("output_padding") or [0] * rank
    space = [
        strides[i] * (x[2 + i] - 1) + more[i] + w[2 + i] - pads[i] - pads[i + rank]
        for i in range(rank)
    ]
    return [(x[0], w[1] * attributes.get("group", 1), *space)]


def pool(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    made = [*(shapes[0] or ())[:2], *_windows(shapes, attributes, attributes["kernel_shape"])]
    return [made] * count


def global_pool(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    x = shapes[0] or ()
    return [(*x[:2], *[1] * (len(x) - 2))]


def resize(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    x = shapes[0] or ()
    axes = attributes.get("axes") or list(range(len(x)))
    made = list(x)
    sizes = values[3] if len(values) > 3 else None
    scales = values[2] if len(values) > 2 else None
    if sizes is not None and sizes.size:
        for axis, size in zip(axes, sizes, strict=True):
            made[axis] = int(size)
    elif scales is not None:
        for axis, scale in zip(axes, scales, strict=True):
            made[axis] = math.floor(x[axis] * float(scale))
    else:
        raise ValueError("neither its sizes nor its scales are known")
    return [made]


def pad(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    shape, pads = shapes[0] or (), ints(values, 1, attributes, "pads") or []
    axes = ints(values, 3, {}, "") or list(range(len(shape)))
    made = list(shape)
    for place, axis in enumerate(axes):
        made[axis] += pads[place] + pads[place + len(axes)]
    return [made]


def depth_to_space(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    (n, c, h, w), block = shapes[0] or (), attributes["blocksize"]
    return [(n, c // block**2, h * block, w * block)]


def reorder_in(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    """Channels filled up to whole blocks, of 16 where the processor has so wide registers."""
    n, *rest = shapes[0] or ()
    if attributes.get("channels_last"):
        rest = [rest[-1], *rest[:-1]]
    return [(n, -(-rest[0] // 8) * 8, *rest[1:])]


def reorder_out(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    n, _, *space = shapes[0] or ()
    channels = attributes["channels"]
    last = attributes.get("channels_last")
    return [(n, *space, channels) if last else (n, channels, *space)]


def upsample(shapes: Shapes, values: Values, attributes: Attributes, count: int) -> list[Any]:
    scales = attributes.get("scales") or [1] * 4
    return [[round(s * scale) for s, scale in zip(shapes[0] or (), scales, strict=True)]]
