"""ONNX Runtime's TensorRT-RTX plug-in: a provider in a package of its own, registered when asked.

`onnxruntime-ep-nv-tensorrt-rtx-cu13` (or -cu12) brings the library and TensorRT-RTX itself, for any
build of ONNX Runtime from 1.23 on. It takes whole ONNX graphs and compiles them as it opens them.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from .device import Device, import_onnxruntime
from .errors import EngineError, MissingPackageError
from .ort_bound import first_line

PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
PIP = (
    "`pip install onnxruntime-ep-nv-tensorrt-rtx-cu13` "
    "(-cu12 beside a driver that knows CUDA 12 only)"
)


def provider_options(
    *, cuda_graph: bool, weight_budget: int | None, cache_folder: Path | None
) -> dict[str, str]:
    """What the provider is told, by the names of its tensorrt_rtx_provider_options.h."""
    options = {"enable_cuda_graph": "1" if cuda_graph else "0"}
    if weight_budget is not None:
        # Bare 0 turns streaming off, 1 asks for the least: "B" makes any number one of bytes.
        options["nv_weight_streaming_budget"] = f"{weight_budget}B"
    if cache_folder is not None:
        options["nv_runtime_cache_path"] = str(cache_folder)
    return options


def add_provider(session_options: Any, device: Device, options: dict[str, str]) -> None:
    """Let a session run on the plug-in, on one GPU.

    Raises:
        MissingPackageError: the package is not installed, or ONNX Runtime is too old for it.
        EngineError: there is no such GPU.
    """
    found = provider_devices()
    if device.index >= len(found):
        raise EngineError(
            f"the TensorRT-RTX provider sees {len(found) or 'no'} GPU"
            f"{'s' if len(found) > 1 else ''} here, so there is no {device}: check the NVIDIA "
            "driver, or use the CPU"
        )
    try:
        session_options.add_provider_for_devices([found[device.index]], options)
    except Exception as error:  # ONNX Runtime raises many unrelated types
        raise EngineError(
            f"the TensorRT-RTX provider does not start ({first_line(error)}): update the NVIDIA "
            "driver, or use the CPU"
        ) from error


def provider_devices() -> list[Any]:
    """Return the GPUs that the plug-in sees; registers it.

    Raises:
        MissingPackageError: the package is not installed, or ONNX Runtime is too old for it.
        EngineError: it cannot be loaded.
    """
    name = _register()
    ort = import_onnxruntime()
    return [device for device in ort.get_ep_devices() if device.ep_name == name]


@cache
def _register() -> str:
    """Register the plug-in's library once a process; returns the provider's name."""
    ort = import_onnxruntime()
    if not hasattr(ort, "register_execution_provider_library"):
        raise MissingPackageError(
            f"ONNX Runtime {ort.__version__} takes no plug-in providers: update it to 1.23 or later"
        )
    try:
        package = import_module(PACKAGE)
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX Runtime's TensorRT-RTX provider is not installed: {PIP}"
        ) from error
    name = str(package.get_ep_name())
    try:
        ort.register_execution_provider_library(name, package.get_library_path())
    except Exception as error:
        raise EngineError(
            f"the TensorRT-RTX provider cannot be loaded ({first_line(error)}): update the NVIDIA "
            "driver and ONNX Runtime, or use the CPU"
        ) from error
    return name
