"""How much memory a build takes, before it begins: an upper bound of what was measured.

TensorRT-RTX 1.7.1, sm86   weights   peak of the build
SVD's VAE decoder, fp32    0.25 GB   1.01 GB
LTX's VAE decoder, fp16    1.11 GB   2.64 GB
CLIP-H, fp16               1.26 GB   2.57 GB
SVD's UNet, fp16           3.05 GB   6.85 GB
LTX-2B's denoiser, fp16    3.85 GB   6.07 GB
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_AT_REST = 400 * 2**20
"""Bytes that the library takes with a graph of a few nodes: 309 MiB were measured."""
_GRAPH_FACTOR, _LARGEST_GRAPH = 1100, 2**20  # bytes; beyond it, weights lie in the graph itself
_FACTORS = {
    "fp32": 2.1,  # SVD's VAE decoder 2.05
    "fp16": 2.0,  # SVD's UNet 1.85, LTX's VAE decoder 1.9
    "bf16": 2.0,
    "fp8": 3.0,
    "int8": 3.0,
    "int4": 2.6,
    "nvfp4": 2.6,
}
"""Most bytes beside that for each byte of weights."""
_OF_MATRICES = {"fp16": 1.55, "bf16": 1.55}  # LTX-2B 1.31, CLIP-H 1.5
"""The same where all but a few are of matrix products: those of convolutions are laid out anew."""
_FEW, _CONVOLUTION = 4, b"\x22\x04Conv"  # the kind of a node as ONNX files have it


def estimate_build_bytes(
    graph_bytes: int, weight_bytes: int, precision: str, *, graph: Path | None = None
) -> int:
    """Return how much memory a build takes at most, in bytes; an upper bound of measured builds.

    graph_bytes and weight_bytes are the sizes of the graph and of its external weights on the disk;
    graph is the file, for a closer bound where it holds no convolutions.
    """
    factor = _FACTORS.get(precision, max(_FACTORS.values()))
    if precision in _OF_MATRICES and graph is not None and graph_bytes <= _LARGEST_GRAPH:
        with contextlib.suppress(OSError):  # told when it is built
            if graph.read_bytes().count(_CONVOLUTION) < _FEW:
                factor = _OF_MATRICES[precision]
    nodes = _GRAPH_FACTOR * min(graph_bytes, _LARGEST_GRAPH)
    return _AT_REST + nodes + round(factor * weight_bytes)
