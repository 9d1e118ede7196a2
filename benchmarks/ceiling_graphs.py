"""Graphs of one operator each, at sizes typical for video models, to measure what a machine can do.

Building them needs onnx, which comes with the extra `export`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engines.errors import MissingPackageError

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
_MICROSOFT = "com.microsoft"
_SCALE, _ZERO = np.float32(0.02), np.uint8(128)
BLOCK = 32
"""Weights to a scale in MatMulNBits, as the runtime's bundles have it."""


@dataclass(frozen=True)
class Case:
    """One operator at one size."""

    kind: str
    """"gemm", "convolution", "attention" or "elementwise"."""
    operator: str
    precision: str
    size: str
    """"1536x2048x8192": rows, inner, columns; of a convolution, see `convolutions`."""
    flops: float
    bytes: float
    """Of its inputs, weights and outputs."""
    build: Callable[[], tuple[onnx.ModelProto, dict[str, Array]]] = field(repr=False)
    """Makes the graph and what it is given."""
    mapped: bool = False
    """Whether weights are read as they lie in their file, as those of large bundles are."""

    @property
    def name(self) -> str:
        """What tells it from other cases."""
        way = " mapped" if self.mapped else ""
        return f"{self.kind} {self.operator} {self.precision} {self.size}{way}"


GEMMS = ((1536, 2048, 2048), (1536, 2048, 8192), (1536, 8192, 2048), (5760, 320, 1280))
"""Rows, inner size and columns: LTX-2B's projections and feed-forwards, SVD's at 576x320."""
CONVOLUTIONS = (
    # batch, channels in, channels out, size, kernel
    (2, 320, 320, (40, 72), (3, 3)),
    (2, 1280, 1280, (10, 18), (3, 3)),
    (1, 128, 128, (320, 576), (3, 3)),
    (1, 320, 320, (14, 40, 72), (3, 1, 1)),
    (1, 512, 512, (4, 20, 36), (3, 3, 3)),
    (1, 128, 128, (8, 80, 144), (3, 3, 3)),
)
"""SVD's blocks, its decoder's, its steps through time; LTX's decoder."""
ATTENTIONS = ((32, 1536, 1536, 64), (5, 2880, 2880, 64), (32, 1536, 128, 64))
"""Heads, queries, keys, size of a head: LTX-2B with itself, SVD's first level, LTX with text."""
ELEMENTS = 16 * 2**20
"""Of a value that elementwise work is measured on: 64 MiB of float32."""


def processor_cases() -> Iterator[Case]:
    """Yield what a processor is measured with."""
    for rows, inner, columns in GEMMS:
        for mapped in (False, True):
            yield _gemm(rows, inner, columns, "fp32", mapped)
        yield _dynamic(rows, inner, columns)
        yield _static(rows, inner, columns)
        yield _to_float(rows, inner, columns)
        for bits in (8, 4):
            yield _few_bits(rows, inner, columns, bits)
    for convolution in CONVOLUTIONS:
        yield _convolution(*convolution, "fp32")
        yield _static_convolution(*convolution)
    for attention in ATTENTIONS:
        yield _attention(*attention, "fp32")
    yield from _elementwise()


def gpu_cases() -> Iterator[Case]:
    """Yield what a GPU is measured with."""
    for precision in ("fp16", "bf16"):
        for rows, inner, columns in (*GEMMS, (8192, 8192, 8192)):
            yield _gemm(rows, inner, columns, precision)
    for convolution in CONVOLUTIONS:
        yield _convolution(*convolution, "fp16")
    for attention in ATTENTIONS:
        yield _attention(*attention, "fp16")
    yield from _elementwise()


def _gemm(rows: int, inner: int, columns: int, precision: str, mapped: bool = False) -> Case:
    width = 4 if precision == "fp32" else 2

    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        given = {"x": _random(rows, inner)}
        return _graph([_node("MatMul", "x w")], given, {"w": _random(inner, columns)}, precision)

    moved = width * (rows * inner + inner * columns + rows * columns)
    size = f"{rows}x{inner}x{columns}"
    flops = 2.0 * rows * inner * columns
    return Case("gemm", "MatMul", precision, size, flops, moved, build, mapped)


def _dynamic(rows: int, inner: int, columns: int) -> Case:
    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("DynamicQuantizeMatMul", "x w s", domain=_MICROSOFT)
        weights = {"w": _whole(inner, columns), "s": np.full(columns, _SCALE)}
        return _graph([node], {"x": _random(rows, inner)}, weights)

    moved = 4 * rows * (inner + columns) + inner * columns
    return _int8_case("DynamicQuantizeMatMul", rows, inner, columns, moved, build)


def _static(rows: int, inner: int, columns: int) -> Case:
    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("QLinearMatMul", "x s z w s0 z0 s z")
        weights = {"s": _SCALE, "z": _ZERO, "w": _whole(inner, columns), "s0": _SCALE}
        weights["z0"] = np.int8(0)
        return _graph([node], {"x": _bytes(rows, inner)}, weights)

    moved = rows * (inner + columns) + inner * columns
    return _int8_case("QLinearMatMul", rows, inner, columns, moved, build)


def _to_float(rows: int, inner: int, columns: int) -> Case:
    """The product of quantised graphs on a processor, which gives float32."""

    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("MatMulIntegerToFloat", "x w s s0 z z0", domain=_MICROSOFT)
        weights = {"w": _whole(inner, columns), "s": _SCALE, "s0": np.full(columns, _SCALE)}
        weights |= {"z": _ZERO, "z0": np.zeros(columns, np.int8)}
        return _graph([node], {"x": _bytes(rows, inner)}, weights, whole=False)

    moved = rows * (inner + 4 * columns) + inner * columns
    return _int8_case("MatMulIntegerToFloat", rows, inner, columns, moved, build)


def _int8_case(
    operator: str,
    rows: int,
    inner: int,
    columns: int,
    moved: int,
    build: Callable[[], tuple[onnx.ModelProto, dict[str, Array]]],
) -> Case:
    size, flops = f"{rows}x{inner}x{columns}", 2.0 * rows * inner * columns
    return Case("gemm", operator, "int8", size, flops, moved, build)


def _few_bits(rows: int, inner: int, columns: int, bits: int) -> Case:
    blocks = -(-inner // BLOCK)

    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node(
            "MatMulNBits",
            "x w s",
            domain=_MICROSOFT,
            K=inner,
            N=columns,
            bits=bits,
            block_size=BLOCK,
            accuracy_level=4,
        )
        weights = {
            "w": _bytes(columns, blocks, BLOCK * bits // 8),
            "s": np.full((columns, blocks), _SCALE),
        }
        return _graph([node], {"x": _random(rows, inner)}, weights)

    moved = 4 * rows * (inner + columns) + inner * columns * bits // 8 + 4 * columns * blocks
    size, flops = f"{rows}x{inner}x{columns}", 2.0 * rows * inner * columns
    return Case("gemm", "MatMulNBits", f"int{bits}", size, flops, moved, build)


def _convolution(
    batch: int, given: int, made: int, size: tuple[int, ...], kernel: tuple[int, ...], kind: str
) -> Case:
    width = 4 if kind == "fp32" else 2

    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("Conv", "x w b", pads=_pads(kernel))
        weights = {"w": _random(made, given, *kernel), "b": _random(made)}
        return _graph([node], {"x": _random(batch, given, *size)}, weights, kind)

    flops, values = _of_convolution(batch, given, made, size, kernel)
    name = _convolution_size(batch, given, made, size, kernel)
    return Case("convolution", "Conv", kind, name, flops, width * values, build)


def _static_convolution(
    batch: int, given: int, made: int, size: tuple[int, ...], kernel: tuple[int, ...]
) -> Case:
    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("QLinearConv", "x s z w s0 z0 s z", pads=_pads(kernel))
        weights = {"s": _SCALE, "z": _ZERO, "w": _whole(made, given, *kernel)}
        weights |= {"s0": np.full(made, _SCALE), "z0": np.zeros(made, np.int8)}
        return _graph([node], {"x": _bytes(batch, given, *size)}, weights)

    flops, values = _of_convolution(batch, given, made, size, kernel)
    name = _convolution_size(batch, given, made, size, kernel)
    return Case("convolution", "QLinearConv", "int8", name, flops, values, build)


def _attention(heads: int, queries: int, keys: int, size: int, precision: str) -> Case:
    width = 4 if precision == "fp32" else 2

    def build() -> tuple[onnx.ModelProto, dict[str, Array]]:
        node = _node("MultiHeadAttention", "q k v", domain=_MICROSOFT, num_heads=heads)
        given = {"q": _random(1, queries, heads * size)}
        given |= {name: _random(1, keys, heads * size) for name in "kv"}
        return _graph([node], given, {}, precision)

    flops = 4.0 * heads * queries * keys * size
    moved = width * 2 * heads * size * (queries + keys)
    name = f"{heads}x{queries}x{keys}x{size}"
    return Case("attention", "MultiHeadAttention", precision, name, flops, moved, build)


def _elementwise() -> Iterator[Case]:
    nodes = {
        "Add": (_add, 12.0),
        "Concat": (_concat, 8.0),  # of one input: ONNX Runtime copies it
        "Transpose": (_transpose, 8.0),
        "Sigmoid": (_sigmoid, 8.0),
    }
    for operator, (build, moved) in nodes.items():
        name = f"{ELEMENTS // 2**20}Mi"
        flops = {"Add": 1.0, "Sigmoid": 4.0}.get(operator, 0.0) * ELEMENTS
        yield Case("elementwise", operator, "fp32", name, flops, moved * ELEMENTS, build)


def _add() -> tuple[onnx.ModelProto, dict[str, Array]]:
    return _graph([_node("Add", "x z")], {"x": _ones(ELEMENTS), "z": _ones(ELEMENTS)}, {})


def _concat() -> tuple[onnx.ModelProto, dict[str, Array]]:
    return _graph([_node("Concat", "x", axis=0)], {"x": _ones(ELEMENTS)}, {})


def _transpose() -> tuple[onnx.ModelProto, dict[str, Array]]:
    return _graph([_node("Transpose", "x", perm=[1, 0])], {"x": _ones(2048, ELEMENTS // 2048)}, {})


def _sigmoid() -> tuple[onnx.ModelProto, dict[str, Array]]:
    return _graph([_node("Sigmoid", "x")], {"x": _ones(ELEMENTS)}, {})


def _of_convolution(
    batch: int, given: int, made: int, size: Sequence[int], kernel: Sequence[int]
) -> tuple[float, int]:
    """Operations, and values in, out and of the weights."""
    places, window = batch * int(np.prod(size)), int(np.prod(kernel))
    return 2.0 * places * given * made * window, places * (given + made) + given * made * window


def _convolution_size(
    batch: int, given: int, made: int, size: Sequence[int], kernel: Sequence[int]
) -> str:
    return "x".join(map(str, (batch, given, made, *size))) + " k" + "x".join(map(str, kernel))


def _pads(kernel: Sequence[int]) -> list[int]:
    return [size // 2 for size in kernel] * 2


def _random(*shape: int) -> Array:
    made = np.random.default_rng(0).random(shape, np.float32)
    made -= np.float32(0.5)
    return made


def _ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


def _whole(*shape: int) -> Array:
    return np.random.default_rng(0).integers(-127, 128, shape, np.int8)


def _bytes(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _node(kind: str, inputs: str, **attributes: Any) -> onnx.NodeProto:
    helper = _onnx().helper
    found: onnx.NodeProto = helper.make_node(kind, inputs.split(), ["y"], **attributes)
    return found


def _graph(
    nodes: list[onnx.NodeProto],
    given: Mapping[str, Array],
    weights: Mapping[str, Any],
    precision: str = "fp32",
    *,
    whole: bool = True,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The graph of a node; bfloat16, which NumPy has not, between Casts.

    whole: whether it gives the type that it is given, else float32.
    """
    onnx = _onnx()
    helper, types = onnx.helper, onnx.TensorProto
    half = {"fp16": types.FLOAT16, "bf16": types.BFLOAT16}.get(precision)
    made = []
    for name, one in weights.items():
        tensor = onnx.numpy_helper.from_array(np.asarray(one), name)
        if half is not None:
            values = np.asarray(one, np.float32).astype(helper.tensor_dtype_to_np_dtype(half))
            tensor = onnx.numpy_helper.from_array(values, name)
        made.append(tensor)
    if precision == "fp16":
        given = {name: one.astype(np.float16) for name, one in given.items()}
    ports = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for name, one in given.items()
    ]
    if precision == "bf16":
        nodes = _between_casts(nodes[0], tuple(given), half)
    kind = next(iter(given.values())).dtype if whole else np.dtype(np.float32)
    out = helper.np_dtype_to_tensor_dtype(kind)
    outputs = [helper.make_tensor_value_info("y", out, None)]
    graph = helper.make_graph(nodes, "ceiling", ports, outputs, made)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), dict(given)


def _between_casts(node: Any, given: Sequence[str], half: int) -> list[Any]:
    helper = _onnx().helper
    casts = [helper.make_node("Cast", [name], [f"{name}.half"], to=half) for name in given]
    for place, name in enumerate(node.input):
        if name in given:
            node.input[place] = f"{name}.half"
    node.output[0] = "wide"
    return [*casts, node, helper.make_node("Cast", ["wide"], ["y"], to=1)]


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph to a file."""
    _onnx().save(model, str(path))


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingPackageError(
            "onnx is not installed, which building the graphs needs: "
            "`pip install 'reverie[export]'`"
        ) from None
    return onnx
