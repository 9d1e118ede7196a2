"""A convolution over frames, height and width as one over pictures, in whole numbers.

(B, C, F, H, W) becomes (B F', C taps, H, W): for each of the F' results, the frames that it reads
lie beside each other as channels, in the order that weights (O, C, taps, h, w) have when the two
axes are read as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from .integers import Integers

_END = np.iinfo(np.int64).max


class Frames:
    """The way into pictures and back, around one convolution."""

    def __init__(self, graph: Integers, product: ir.Node, weight: tuple[int, ...]) -> None:
        """product: the Conv. weight: the shape of its weights, (O, C, taps, h, w)."""
        self._graph, self._product = graph, product
        self._name = str(product.outputs[0].name)
        _, channels, self._taps, *self._kernel = weight
        self._channels = channels * self._taps
        self._strides = whole(product, "strides", [1, 1, 1])
        self._dilations = whole(product, "dilations", [1, 1, 1])
        self._pads = whole(product, "pads", [0] * 6)
        self._counts: ir.Value | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """Those of the convolution over pictures."""
        return {
            "kernel_shape": self._kernel,
            "strides": self._strides[1:],
            "dilations": self._dilations[1:],
            "pads": [*self._pads[1:3], *self._pads[4:]],
        }

    def stack(self, numbers: ir.Value, zero: ir.Value) -> ir.Value:
        """Lay what each result reads beside each other."""
        frames = self._add("Transpose", [numbers], "frames", perm=[0, 2, 1, 3, 4])
        if self._pads[0] or self._pads[3]:
            pads = self._numbers(0, self._pads[0], 0, 0, 0, 0, self._pads[3], 0, 0, 0)
            frames = self._add("Pad", [frames, pads, zero], "padded")
        reach = (self._taps - 1) * self._dilations[0]
        taps: list[ir.Value | None] = []
        for tap in range(self._taps):
            begin = tap * self._dilations[0]
            bounds = (begin, begin - reach or _END, 1, self._strides[0])
            frame = self._add("Slice", [frames, *map(self._numbers, bounds)], f"slice{tap}")
            taps.append(self._add("Unsqueeze", [frame, self._numbers(3)], f"tap{tap}"))
        stacked = self._add("Concat", taps, "taps", axis=3)
        self._counts = self._sizes(stacked, "counts", start=0, end=2)
        into = [self._numbers(-1, self._channels), self._sizes(stacked, "size", start=4)]
        return self._add("Reshape", [stacked, self._joined(into, "into")], "pictures")

    def apart(self, pictures: ir.Value) -> ir.Value:
        """Bring results (B F', O, H, W) back to (B, O, F', H, W)."""
        assert self._counts is not None
        back = self._joined([self._counts, self._sizes(pictures, "found", start=1)], "back")
        results = self._add("Reshape", [pictures, back], "results")
        return self._add("Transpose", [results], "turned", perm=[0, 2, 1, 3, 4])

    def _sizes(self, value: ir.Value, ending: str, **attributes: int) -> ir.Value:
        return _integer(self._add("Shape", [value], ending, **attributes))

    def _joined(self, values: list[ir.Value], ending: str) -> ir.Value:
        return _integer(self._add("Concat", [*values], ending, axis=0))

    def _add(
        self, kind: str, inputs: list[ir.Value | None], ending: str, **attributes: Any
    ) -> ir.Value:
        name = f"{self._name}.{ending}"
        return self._graph.add(self._product, kind, inputs, name, attributes)

    def _numbers(self, *values: int) -> ir.Value:
        name = "whole." + ".".join(map(str, values))
        return self._graph.constant(name, np.array(values, np.int64))


def whole(node: ir.Node, name: str, default: Any) -> Any:
    """Return a node's whole number, or its list of them."""
    attribute = node.attributes.get(name)
    if attribute is None:
        return default
    return list(attribute.as_ints()) if isinstance(default, list) else attribute.as_int()


def _integer(value: ir.Value) -> ir.Value:
    value.type = ir.TensorType(ir.DataType.INT64)
    return value
