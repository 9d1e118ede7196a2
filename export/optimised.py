"""A small graph as ONNX Runtime's CPU provider rewrites it when it opens it.

It folds constants, fuses nodes, and lays convolutions out in blocks of channels, which puts values
of another layout beside the plain ones. Graphs whose weights are many run almost as written.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx

from ..engines.device import import_onnxruntime

SMALL_GRAPH = 128 * 2**20
"""Bytes of weights up to which a graph is rewritten to see; more would take memory to."""


@contextlib.contextmanager
def optimised(
    path: Path, weight_bytes: int, *, layouts: bool = True
) -> Iterator[tuple[onnx.ModelProto, Path]]:
    """Give the graph that runs and the folder of its weights; the written one where it is large.

    layouts: whether values are laid out anew as well, which differs between processors.
    """
    written = onnx.load(str(path), load_external_data=False)
    if weight_bytes > SMALL_GRAPH:
        yield written, path.parent
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "optimised.onnx"
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 4  # that it fits no other processor is known
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.qdqisint8allowed", "1")  # as engines/ort.py
        if not layouts:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(out)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            model = onnx.load(str(out))
        except Exception:  # what it cannot open or write is counted as it was written
            yield written, path.parent
            return
        yield model, Path(folder)
