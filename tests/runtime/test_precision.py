"""Which precision is chosen, for a GPU and for an amount of memory, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.runtime.bundle import Bundle, Component, DataFile
from reverie.runtime.precision import (
    build_bytes,
    choose_precision,
    gpu_bytes,
    short_of_memory,
    usable_precisions,
)

GB = 10**9
SIZES = {"fp32": 16, "fp16": 8, "bf16": 8, "fp8": 4, "int8": 4, "int4": 2, "nvfp4": 2}


def component(*precisions: str) -> Component:
    """A network of four billion weights; the first precision is its own."""

    def make(precision: str, **more: Any) -> Component:
        data = (DataFile(f"net.{precision}.onnx.data", SIZES[precision] * GB, ""),)
        graph = DataFile(f"net.{precision}.onnx", 1000, "")
        return Component("net", graph, data, precision=precision, **more)

    return make(precisions[0], variants={name: make(name) for name in precisions[1:]})


@pytest.mark.parametrize(
    ("there", "gpu", "memory", "precision"),
    [
        (("fp16",), "sm86", None, "fp16"),
        (("fp16", "int8", "int4"), "sm86", None, "fp16"),
        (("fp16", "int8", "int4"), "sm86", 6 * GB, "int8"),
        (("fp16", "fp8", "int8", "int4"), "sm86", 6 * GB, "int8"),
        (("fp16", "fp8", "int8", "int4"), "sm89", 6 * GB, "fp8"),
        (("fp16", "int8", "int4"), "sm86", 3 * GB, "int4"),
        (("fp16", "int4", "nvfp4"), "sm120", 3 * GB, "nvfp4"),
        (("fp16", "int4", "nvfp4"), "sm89", 3 * GB, "int4"),
        (("bf16", "int8"), "sm75", None, "int8"),
        (("bf16", "fp16"), "sm75", None, "fp16"),
        (("bf16",), "sm75", None, None),
        (("fp16", "int4"), "sm75", 3 * GB, "fp16"),
        (("fp32",), "sm75", None, None),
        (("fp32",), "sm86", None, "fp32"),
        (("fp32", "fp16"), "sm86", None, "fp16"),
        (("fp32", "fp16"), "sm75", None, "fp16"),
    ],
)
def test_the_least_error_that_fits(
    there: tuple[str, ...], gpu: str, memory: int | None, precision: str | None
) -> None:
    choice = choose_precision(component(*there), ARCHITECTURES[gpu], memory=memory)
    assert choice.precision == precision
    assert choice.why
    assert "\n" not in choice.why


def test_every_choice_is_one_that_the_library_builds() -> None:
    everything = component(*SIZES)
    for gpu in ARCHITECTURES.values():
        for memory in (None, 20 * GB, 9 * GB, 5 * GB, GB):
            choice = choose_precision(everything, gpu, memory=memory)
            assert choice.precision in usable_precisions(everything, gpu)
    assert "int4" not in usable_precisions(everything, ARCHITECTURES["sm75"])


@pytest.mark.parametrize(
    ("there", "gpu", "said"),
    [
        (("fp32",), "sm75", "it is there in fp32 alone, and TensorRT-RTX refuses its float32"),
        (("bf16",), "sm75", "there in bf16, and sm75 computes in fp16, int8"),
        (("fp16",), "sm86", "the only one it is there in"),
        (("bf16", "int8"), "sm75", "the only one here that sm75 computes in"),
        (("fp16", "int8"), "sm86", "the least error of fp16, int8"),
    ],
)
def test_why(there: tuple[str, ...], gpu: str, said: str) -> None:
    assert said in choose_precision(component(*there), ARCHITECTURES[gpu]).why


def test_memory_of_the_gpu_and_what_a_run_takes_beside_the_weights() -> None:
    net, gpu = component("fp16", "int8", "int4"), ARCHITECTURES["sm86"]
    choice = choose_precision(net, gpu, memory=5 * GB)
    assert choice.precision == "int8"
    assert choice.why == "the least error that the GPU's memory holds: fp16 has 8.0 GB of weights"
    assert choose_precision(net, gpu, memory=5 * GB, working_bytes=2 * GB).precision == "int4"
    assert gpu_bytes(net, "int8", 7) == 4 * GB + 1000 + 7


def test_weights_stream_where_even_the_smallest_are_too_large() -> None:
    choice = choose_precision(component("fp16", "int8"), ARCHITECTURES["sm86"], memory=GB)
    assert (choice.precision, choice.streamed) == ("int8", True)
    assert "its weights (4.0 GB) stream, for 1.0 GB do not hold it" in choice.why


def test_memory_to_build_with() -> None:
    net, gpu = component("fp16", "int4"), ARCHITECTURES["sm86"]
    assert build_bytes(net, "int4") < 10 * GB < build_bytes(net, "fp16")
    choice = choose_precision(net, gpu, ram=10 * GB)
    assert (choice.precision, choice.short) == ("int4", False)
    assert "the least error there is memory to build: fp16 takes up to" in choice.why
    choice = choose_precision(net, gpu, ram=GB)
    assert (choice.precision, choice.short) == (None, True)


def test_the_refusal_names_what_would_fit() -> None:
    gpu = ARCHITECTURES["sm86"]

    def said(there: tuple[str, ...], ram: int) -> str:
        bundle = Bundle(Path("ltx"), "ltx", "LTX", "1", {"net": component(*there)}, {})
        return short_of_memory(bundle, "net", gpu, "fp16", ram)

    assert said(("fp16",), 100 * GB) == ""
    assert said(("fp16", "int4"), 10 * GB).startswith("building it in fp16 takes up to 1")
    assert "GB of memory and there are 10.0 GB: int4 would fit (" in said(("fp16", "int4"), 10 * GB)
    assert said(("fp16",), 10 * GB).endswith(
        "`reverie quantize ltx --precision int4` makes one that takes less"
    )
    assert said(("fp16", "int8", "int4"), GB).endswith("with more; the engine is the same")
