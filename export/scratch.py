"""Opening a changed copy of a bundle's graph: on the bundle's own weights, and for a while only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import onnx_ir as ir
import psutil

from ..engines.device import Device
from ..engines.engine import Engine, open_engine
from ..engines.errors import OutputError
from ..runtime.bundle import Bundle


def open_model(
    bundle: Bundle,
    name: str,
    model: ir.Model,
    *,
    precision: str | None = None,
    device: Device | str = "cpu",
    threads: int | None = None,
) -> Engine:
    """Open a graph that was made from a component's, on its weights where they lie.

    The graph is a file for as long as opening takes: beside the weights, which ONNX Runtime takes
    from its own folder alone, or in a temporary folder where it has none.

    Raises:
        OutputError: the bundle's folder cannot be written.
        EngineError: the device cannot run it.
    """
    component = bundle.component(name, precision)
    weights = sum(data.bytes for data in component.data)
    if not component.data:
        with tempfile.TemporaryDirectory(prefix="reverie-") as folder:
            path = Path(folder) / component.graph.file
            path.write_bytes(_serialised(model))
            return open_engine(path, device=device, threads=threads, weight_bytes=0)
    beside = (bundle.folder / component.graph.file).parent
    path = beside / f".{name}.{os.getpid()}.onnx"
    try:
        _clear(beside, name)
        path.write_bytes(_serialised(model))
        return open_engine(path, device=device, threads=threads, weight_bytes=weights)
    except OSError as error:
        raise OutputError(
            f"{beside} cannot be written ({error.strerror or error}): a graph must lie beside its"
            " weights for a moment; copy the bundle to where it can"
        ) from error
    finally:
        path.unlink(missing_ok=True)


def _clear(folder: Path, name: str) -> None:
    """Remove what a process that was killed has left."""
    for left in folder.glob(f".{name}.*.onnx"):
        process = left.name.split(".")[-2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)


def _serialised(model: ir.Model) -> bytes:
    return bytes(ir.serde.serialize_model(model).SerializeToString())
