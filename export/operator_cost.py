"""Floating-point operations of ONNX nodes, from the shapes of what goes in and out.

Each term of a product counts two, a multiplication and an addition; a bias is the addition that the
first term has no need of. Attention counts its two products alone. Elsewhere each elementary step
(add, multiply, divide, exp, erf, square root) counts one for each element; data movement counts 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..runtime.cost import Kind
from .operators import names

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Sequence[Shape | None]
Attributes: TypeAlias = Mapping[str, Any]

VIEWS = frozenset(names("Reshape Squeeze Unsqueeze Flatten Identity Dropout Shape Size Constant"))
"""Operators that move nothing: what they give is their input seen otherwise, or a few numbers."""
PARTIAL = frozenset(names("Slice Gather GatherND GatherElements GatherBlockQuantized"))
"""Operators that read of their first input as much as they give."""

_MOVES = frozenset(
    names(
        "Cast CastLike Concat ConstantOfShape DepthToSpace EyeLike Expand Pad Range ReorderInput "
        "ReorderOutput ScatterElements ScatterND SpaceToDepth Split Tile Transpose Trilu Where"
    )
)
_STEPS = {
    **dict.fromkeys(names("Softmax LogSoftmax"), 5),
    **dict.fromkeys(names("LayerNormalization InstanceNormalization GroupNorm"), 7),
    **dict.fromkeys(names("GroupNormalization SkipLayerNormalization"), 7),
    **dict.fromkeys(names("RMSNormalization SimplifiedLayerNormalization LpNormalization"), 4),
    **dict.fromkeys(names("Gelu BiasGelu FastGelu"), 5),
    **dict.fromkeys(names("Sigmoid HardSigmoid"), 4),
    **dict.fromkeys(names("Swish QuickGelu HardSwish Mish"), 5),
    **dict.fromkeys(names("BatchNormalization LeakyRelu PRelu QuantizeLinear"), 2),
    **dict.fromkeys(names("DequantizeLinear Clip RotaryEmbedding"), 2),
    "DynamicQuantizeLinear": 4,
    "GridSample": 11,
}
_LINEAR = 7  # a sample between four pixels: three mixtures of two


def of_node(
    kind: str, domain: str, given: Shapes, made: Shapes, attributes: Attributes
) -> tuple[Kind, float]:
    """Return a node's kind of work and its operations.

    kind, domain: the operator's. given, made: shapes of its inputs and outputs.
    """
    product = _PRODUCTS.get(kind)
    if product is not None:
        group, rule = product
        if kind == "Attention" and domain == "com.microsoft":
            rule = _attention_with_weights
        return group, float(rule(given, made, attributes))
    size = math.prod(made[0] or ()) if made else 0
    if kind in VIEWS or kind in PARTIAL or kind in _MOVES:
        return "elementwise", 0.0
    if kind.startswith(("Reduce", "Arg", "Global", "CumSum")):
        size = math.prod(given[0] or ())
    elif kind.endswith("Pool"):
        size *= math.prod(attributes.get("kernel_shape", ()))
    elif kind == "Resize":
        size *= 0 if attributes.get("mode", b"nearest") == b"nearest" else _LINEAR
    return "elementwise", float(size * _STEPS.get(kind, 1))


def is_product(kind: str) -> bool:
    """Whether an operator is a matrix product, a convolution or attention."""
    return kind in _PRODUCTS


def _matmul(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    inner = (given[0] or (1,))[-1]
    return 2 * math.prod(made[0] or ()) * inner


def _fused_matmul(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    inner = (given[0] or (1, 1))[-2 if attributes.get("transA") else -1]
    return 2 * math.prod(made[0] or ()) * inner


def _gemm(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    inner = (given[0] or (1, 1))[0 if attributes.get("transA") else 1]
    return 2 * math.prod(made[0] or ()) * inner


def _matmul_bits(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    return 2 * math.prod(made[0] or ()) * int(attributes["K"])


def _einsum(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    left = attributes["equation"].decode().replace(" ", "").split("->")[0]
    sizes: dict[str, int] = {}
    for letters, shape in zip(left.split(","), given, strict=True):
        sizes.update(zip(letters, shape or (), strict=True))
    return (2 if len(given) > 1 else 1) * math.prod(sizes.values())


def _conv(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    return 2 * math.prod(made[0] or ()) * math.prod((given[1] or ())[1:])


def _quantised_conv(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    return 2 * math.prod(made[0] or ()) * math.prod((given[3] or ())[1:])


def _conv_transpose(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    return 2 * math.prod(given[0] or ()) * math.prod((given[1] or ())[1:])


def _multi_head(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    """MultiHeadAttention of ONNX Runtime: (B, L, C) each, keys and values by head, or packed."""
    query, key, value = (*given[:3], None, None)[:3]
    assert query is not None
    batch, length, width = query[:3]
    if len(query) == 5:  # (B, L, heads, 3, size), all in one
        width = query[2] * query[4]
        return 4 * batch * length * length * width
    if key is not None and len(key) == 5:  # (B, S, heads, 2, size), key and value in one
        return 4 * batch * length * key[1] * width
    if key is not None and len(key) == 4:  # (B, heads, S, size)
        wide = width if value is None else value[1] * value[3]
        return 2 * batch * length * key[2] * (width + wide)
    keys = length if key is None else key[1]
    past = given[6] if len(given) > 6 else None
    keys += past[2] if past is not None else 0
    return 2 * batch * length * keys * (width + (width if value is None else value[2]))


def _attention(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    """Attention of ONNX: (B, heads, L, size), or (B, L, heads x size) with numbers of heads."""
    query, key, value = given[:3]
    assert query is not None
    assert key is not None
    assert value is not None
    if len(query) == 4:
        batch, heads, length, size = query
        keys, wide = key[2], value[3]
    else:
        heads, others = int(attributes["q_num_heads"]), int(attributes["kv_num_heads"])
        batch, length, size = query[0], query[1], query[2] // heads
        keys, wide = key[1], value[2] // others
    past = given[4] if len(given) > 4 else None
    keys += past[2] if past is not None else 0
    return 2 * batch * heads * length * keys * (size + wide)


def _attention_with_weights(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    """Attention of ONNX Runtime, which makes query, key and value of one input first."""
    seen, weights = given[:2]
    assert seen is not None
    assert weights is not None
    batch, length, width = seen
    parts: list[int] = attributes.get("qkv_hidden_sizes") or [weights[1] // 3] * 3
    made_of = 2 * batch * length * width * sum(parts)
    return made_of + 2 * batch * length * length * (parts[1] + parts[2])


def _grouped(given: Shapes, made: Shapes, attributes: Attributes) -> int:
    """GroupQueryAttention of ONNX Runtime: (B, L, heads x size), fewer heads of keys and values."""
    query, key = given[:2]
    assert query is not None
    heads, others = int(attributes["num_heads"]), int(attributes["kv_num_heads"])
    packed = key is None
    size = query[2] // (heads + 2 * others if packed else heads)
    keys = query[1] if key is None else key[1]
    past = given[3] if len(given) > 3 else None
    keys += past[2] if past is not None else 0
    return 4 * query[0] * heads * query[1] * keys * size


_Rule: TypeAlias = Callable[[Shapes, Shapes, Attributes], int]
_PRODUCTS: dict[str, tuple[Kind, _Rule]] = {
    **dict.fromkeys(names("MatMul MatMulInteger MatMulIntegerToFloat"), ("matmul", _matmul)),
    **dict.fromkeys(names("DynamicQuantizeMatMul QLinearMatMul"), ("matmul", _matmul)),
    **dict.fromkeys(names("FusedMatMul FusedMatMulActivation"), ("matmul", _fused_matmul)),
    **dict.fromkeys(names("Gemm FusedGemm QGemm"), ("matmul", _gemm)),
    **dict.fromkeys(names("Conv FusedConv ConvInteger NhwcFusedConv"), ("convolution", _conv)),
    "QLinearConv": ("convolution", _quantised_conv),
    "ConvTranspose": ("convolution", _conv_transpose),
    "MatMulNBits": ("matmul", _matmul_bits),
    "Einsum": ("matmul", _einsum),
    "MultiHeadAttention": ("attention", _multi_head),
    "Attention": ("attention", _attention),
    "GroupQueryAttention": ("attention", _grouped),
}
