from __future__ import annotations

from typing import Any

from reverie.benchmarks.build_table import markdown

MACHINE = {"processor": "A processor", "cores": 2, "memory_bytes": 25 * 10**9}


def row(gpu: str, precision: str, **more: Any) -> dict[str, Any]:
    what = {"family": "ltx", "component": "denoiser", "precision": precision, "gpu": gpu}
    return what | {"weight_bytes": 38 * 10**8} | more


def test_a_row_a_network_and_precision_and_a_number_a_reason() -> None:
    refused = "denoiser.onnx cannot be built for sm75: Cannot compile operation 'a/b'"
    built = {
        "result": "built",
        "seconds": 76.04,
        "peak_bytes": 6 * 10**9,
        "engine_bytes": 4 * 10**8,
    }
    report = {
        "machine": MACHINE,
        "library": "1.7.1",
        "rows": [
            row("sm75", "int8", result="refused", why=refused.replace("a/b", "c")),
            row("sm75", "fp16", result="refused", why=refused),
            row("sm86", "fp16", **built),
            {**row("sm75", "bf16", result="not there")},
        ],
    }
    assert markdown(report).splitlines() == [
        "| network | precision | weights | sm75 | sm86 |",
        "|---|---|---|---|---|",
        "| ltx denoiser | fp16 | 3.80 GB | refused (1) | 76.0 s / 6.00 GB / 400 MB |",
        "| ltx denoiser | int8 | 3.80 GB | refused (1) | - |",
        "",
        "TensorRT-RTX 1.7.1, A processor, 2 cores, 25.00 GB; seconds / peak resident memory of the "
        "build / engine.",
        "- refused (1): Cannot compile operation '...'",
    ]
