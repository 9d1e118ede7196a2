"""Products of whole numbers: what int8 layers compute with on a processor.

ONNX Runtime's CPU provider has fast kernels where activations are uint8 and weights int8, and slow
ones where both are int8, as engines for GPUs want them: measured on two cores of AVX-512 with VNNI,
billions of operations a second,

    product of 704 x 2048 x 8192      int8 x int8    93     uint8 x int8  1308     float32  462
    3x3 convolution of 320 channels   int8 x int8    94     uint8 x int8  1906     float32  491

So the same numbers are counted from 128 here, and one node reads them with the stored weights. x86
without VNNI would add pairs of products in 16 bits and clip: sessions are told not to (see
engines/ort.py), which nobody could try here.

Convolutions give whole numbers too, for which the range of their results must be known. Those over
time, height and width have no fast kernel either: the frames that each of them reads are laid
beside each other as channels, which are copies of bytes, and a convolution of pictures is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from .attention import DOMAIN
from .frames_as_channels import Frames, whole

RESULTS = "reverie.results"
"""Where a convolution's `meta` has the largest magnitude of what it gives."""

WHOLE = ("MatMulIntegerToFloat", "QLinearConv")
"""What multiplies whole numbers here; its weights are packed when a graph is opened."""

_MIDDLE = 128
_FLOAT, _INT8, _UINT8 = ir.DataType.FLOAT, ir.DataType.INT8, ir.DataType.UINT8


def multiply_integers(model: ir.Model) -> int:
    """Let products of int8 activations with int8 weights run in integers; returns how many do.

    The graph is one that `widen` made: it computes in float32 around them. Products that have no
    such kernel (Gemm with its weights turned, convolutions of unknown results) stay as they are.
    """
    made = Integers(model.graph)
    done = sum(made.activation(node) for node in list(model.graph) if _is_signed(node))
    if done:
        model.graph.opset_imports[DOMAIN] = 1
        passes.RemoveUnusedNodesPass()(model)
        _let_be_packed(model.graph)
    return done


def _let_be_packed(graph: ir.Graph) -> None:
    """Take back what `widen` did to weights that products read as they are: none can be folded."""
    for value in list(graph.inputs):
        uses = [use.node.op_type for use in value.uses()]
        if value.const_value is not None and uses and set(uses) <= set(WHOLE):
            graph.inputs.remove(value)


def _is_signed(node: ir.Node) -> bool:
    return node.op_type == "QuantizeLinear" and node.outputs[0].dtype == _INT8


class Integers:
    """The products of one graph, as they are replaced."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._zero: ir.Value | None = None

    def activation(self, node: ir.Node) -> int:
        """Replace the products that read what a QuantizeLinear gives; returns how many."""
        value, step = node.inputs[:2]
        assert value is not None
        assert step is not None
        products = [
            (use.node, wide.node)
            for wide in node.outputs[0].uses()
            if wide.node.op_type == "DequantizeLinear" and wide.idx == 0
            for use in wide.node.outputs[0].uses()
            if use.idx == 0 and self._fits(use.node, step)
        ]
        if not products:
            return 0
        numbers = self._node(
            "QuantizeLinear", [value, step, self._middle()], f"{node.outputs[0].name}.whole", _UINT8
        )
        self.graph.insert_after(node, numbers)
        for product, _ in products:
            if product.op_type == "Conv":
                self._convolve(product, numbers.outputs[0], step)
            else:
                self._multiply(product, numbers.outputs[0], step)
        return len(products)

    def _fits(self, product: ir.Node, step: ir.Value) -> bool:
        """Whether a node has a form in integers."""
        weight = _dequantised(product.inputs[1]) if len(product.inputs) > 1 else None
        if weight is None:
            return False
        if product.op_type == "MatMul":
            return len(_shape(weight.inputs[0])) == 2
        if product.op_type != "Conv" or not product.meta.get(RESULTS):
            return False
        bias = product.inputs[2] if len(product.inputs) > 2 else None
        known = _values(step) is not None and (bias is None or _holds(weight, step, bias))
        size = len(_shape(weight.inputs[0]))
        return known and (size < 5 or (size == 5 and _stacks(product, weight)))

    def _multiply(self, product: ir.Node, numbers: ir.Value, step: ir.Value) -> None:
        weight = _dequantised(product.inputs[1])
        assert weight is not None
        inputs = [numbers, weight.inputs[0], step, weight.inputs[1], self._middle()]
        bias, behind = self._bias(product, _shape(weight.inputs[0])[1])
        if bias is not None:
            inputs += [None, bias]
        result = behind.outputs[0]
        whole = self._node("MatMulIntegerToFloat", inputs, f"{result.name}.product", _FLOAT, DOMAIN)
        self._put(whole, behind, whole.outputs[0])
        if behind is not product:
            self.graph.remove(product, safe=True)

    def _bias(self, product: ir.Node, size: int) -> tuple[ir.Value | None, ir.Node]:
        """A bias that is added right behind a product, and the last node of the two."""
        uses = list(product.outputs[0].uses())
        if len(uses) != 1 or uses[0].node.op_type != "Add" or product.outputs[0].is_graph_output():
            return None, product
        behind = uses[0].node
        bias = behind.inputs[1 - uses[0].idx]
        stored = _values(bias)
        if bias is None or stored is None or stored.shape != (size,):
            return None, product
        return bias, behind

    def _convolve(self, product: ir.Node, numbers: ir.Value, step: ir.Value) -> None:
        weight = _dequantised(product.inputs[1])
        stored_step = _values(step)
        assert weight is not None
        assert stored_step is not None
        name = str(product.outputs[0].name)
        scale = _values(weight.inputs[1])
        assert scale is not None
        frames = None
        if len(_shape(weight.inputs[0])) == 5:
            frames = Frames(self, product, _shape(weight.inputs[0]))
        if frames is not None:
            numbers = frames.stack(numbers, self._middle())
            _as_pictures(weight.inputs[0])
        result_step = self.constant(
            f"{name}.result_step", np.array(float(product.meta[RESULTS]) / 127, np.float32)
        )
        inputs: list[ir.Value | None] = [
            numbers,
            step,
            self._middle(),
            weight.inputs[0],
            weight.inputs[1],
            self.constant(f"{name}.zeros", np.zeros(scale.shape, np.int8)),
            result_step,
            self._middle(),
        ]
        bias = _values(product.inputs[2]) if len(product.inputs) > 2 else None
        if bias is not None:
            unit = float(stored_step) * scale.astype(np.float64)
            whole = np.clip(np.rint(bias / unit), -(2**31), 2**31 - 1).astype(np.int32)
            inputs.append(self.constant(f"{name}.whole_bias", whole))
        attributes = {key: one.value for key, one in product.attributes.items()}
        if frames is not None:
            attributes = frames.attributes
        found = self.add(product, "QLinearConv", inputs, f"{name}.convolved", attributes)
        if frames is not None:
            found = frames.apart(found)
        wide = self._node(
            "DequantizeLinear", [found, result_step, self._middle()], f"{name}.result", _FLOAT
        )
        self._put(wide, product, wide.outputs[0])

    def add(
        self,
        before: ir.Node,
        kind: str,
        inputs: list[ir.Value | None],
        name: str,
        attributes: dict[str, Any] | None = None,
    ) -> ir.Value:
        """Add a node that gives uint8 ahead of another one; returns what it gives."""
        node = ir.node(kind, inputs, attributes or {}, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(_UINT8)
        self.graph.insert_before(before, node)
        return node.outputs[0]

    def _put(self, node: ir.Node, last: ir.Node, value: ir.Value) -> None:
        """Put a node in the place of another one, whose name its value takes."""
        old = last.outputs[0]
        value.shape = old.shape
        name = old.name
        self.graph.insert_before(last, node)
        for number, output in enumerate(self.graph.outputs):
            if output is old:
                self.graph.outputs[number] = value
        old.replace_all_uses_with(value)
        old.name, value.name = f"{name}.before", name
        self.graph.remove(last, safe=True)

    def _node(
        self,
        kind: str,
        inputs: list[ir.Value | None] | list[ir.Value],
        name: str,
        dtype: ir.DataType,
        domain: str = "",
    ) -> ir.Node:
        node = ir.node(kind, inputs, domain=domain, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(dtype)
        return node

    def _middle(self) -> ir.Value:
        """What stands for zero."""
        if self._zero is None:
            self._zero = self.constant("zero.whole", np.array(_MIDDLE, np.uint8))
        return self._zero

    def constant(self, name: str, values: NDArray[Any]) -> ir.Value:
        """Return a stored value; one of a name is made once."""
        if name in self.graph.initializers:
            return self.graph.initializers[name]
        tensor = ir.tensor(values, name=name)
        value = ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype))
        value.const_value = tensor
        self.graph.register_initializer(value)
        return value


def _holds(weight: ir.Node, step: ir.Value, bias: ir.Value) -> bool:
    """Whether a bias is a whole number of 32 bits, with room for the products beside it."""
    scale, one, added = _values(weight.inputs[1]), _values(step), _values(bias)
    if scale is None or one is None or added is None:
        return False
    return bool((np.abs(added) < 2.0**30 * float(one) * scale.astype(np.float64)).all())


def _stacks(product: ir.Node, weight: ir.Node) -> bool:
    """Whether a convolution over frames can be one over pictures."""
    padding = product.attributes.get("auto_pad")
    return (
        (padding is None or padding.as_string() == "NOTSET")
        and whole(product, "group", 1) == 1
        and len(weight.outputs[0].uses()) == 1
    )


def _as_pictures(numbers: ir.Value | None) -> None:
    """Let stored weights (O, C, taps, h, w) be (O, C times taps, h, w), in place."""
    assert numbers is not None
    stored = numbers.const_value
    outer, channels, taps, *kernel = _shape(numbers)
    shape = ir.Shape([outer, channels * taps, *kernel])
    if isinstance(stored, ir.ExternalTensor):
        numbers.const_value = ir.ExternalTensor(
            stored.location,
            stored.offset,
            stored.length,
            stored.dtype,
            shape=shape,
            name=str(numbers.name),
            base_dir=stored.base_dir,
        )
    else:
        assert stored is not None
        numbers.const_value = ir.tensor(
            stored.numpy().reshape(shape.numpy()), name=str(numbers.name)
        )
    numbers.shape = shape


def _dequantised(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that makes a weight of stored int8 numbers, None where there is none."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear" or "block_size" in node.attributes:
        return None
    numbers, scale = node.inputs[:2]
    if numbers is None or numbers.const_value is None or numbers.dtype != _INT8:
        return None
    return node if scale is not None and _values(scale) is not None else None


def _values(value: ir.Value | None) -> NDArray[Any] | None:
    """What a stored value, or one that is cast from it, holds; None for any other."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type != "Cast":
            return None
        value = node.inputs[0]
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy().astype(np.float32)


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    assert value is not None
    assert value.const_value is not None
    return tuple(int(size) for size in value.const_value.shape.numpy())
