"""Predictions: plain arithmetic, never better on a worse device, and no time where nothing fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reverie.benchmarks.manifest_only import FOLDER
from reverie.engines.calibration import Calibration, Error, HostTask, Reached
from reverie.engines.devices import Hardware, devices, find_device
from reverie.runtime import predict as module
from reverie.runtime.bundle import load_bundle
from reverie.runtime.cost import PhaseCost, Work
from reverie.runtime.durations import (
    computed_in,
    host_seconds,
    run_parts,
    run_seconds,
    streamed_seconds,
)
from reverie.runtime.predict import Prediction, predict
from reverie.runtime.shapes import plan_for

REACHED = Reached(
    {"matmul": 0.5, "convolution": 0.25, "attention": 0.2, "elementwise": 0.1}, 0.8, 0.5, 1e-5
)
KNOWN = Calibration(
    reached={"cpu": REACHED, "gpu": REACHED},
    host_clock_mhz=2000.0,
    tasks={"draw": HostTask(4e-8, 0.5), "encode": HostTask(1e-8, 1.0)},
    start_seconds=1.0,
    open_seconds=1e-4,
    errors={
        name: Error(factor, f"because of {name}")
        for name, factor in (
            ("measured", 1.5),
            ("processor", 3.0),
            ("published", 2.0),
            ("unseen", 4.0),
            ("host", 2.5),
        )
    },
    seen=("ampere-datacentre", "ada-datacentre"),
    fitted_on=("epyc-2core",),
)
GPU = find_device("a100-80gb")


def made(device: Hardware, model: str = "ember", **given: Any) -> Prediction:
    bundle = load_bundle(model)
    plan = plan_for(bundle, height=360, seconds=2.0)
    asked = {"film": (640, 360), "frames": 48, "fps": 24.0, "known": KNOWN} | given
    return predict(bundle, plan, device, **asked)


def cost(*work: Work, precision: str = "fp16", weights: int = 0, runs: int = 1) -> PhaseCost:
    return PhaseCost("denoise", "denoiser", runs, work, weights, precision)


def test_a_run_takes_the_longer_of_computing_and_moving() -> None:
    computing = cost(Work("matmul", 312e12, 1.0, 0))
    peak = GPU.peaks["fp16"]
    assert run_seconds(computing, GPU, REACHED) == pytest.approx(312e12 / (peak * 0.5))
    moving = cost(Work("matmul", 1.0, 1e12, 0))
    assert run_seconds(moving, GPU, REACHED) == pytest.approx(1e12 / (GPU.bandwidth * 0.8))
    small = cost(Work("elementwise", 1.0, 1.0, 1000))
    assert run_parts(small, GPU, REACHED)["nodes"] == pytest.approx(0.01)
    both = cost(*computing.work, *moving.work)
    apart = [run_seconds(one, GPU, REACHED) for one in (computing, moving)]
    assert run_seconds(both, GPU, REACHED) == pytest.approx(sum(apart))


def test_attention_waits_for_its_softmax_too() -> None:
    products = 1e12 / (GPU.peaks["fp16"] * 0.5)
    softmax = 1e12 / (GPU.peaks["fp32"] * 0.2)
    told = run_seconds(cost(Work("attention", 1e12, 1.0, 0)), GPU, REACHED)
    assert told == pytest.approx(products + softmax)


def test_attention_of_a_quantised_network_stays_in_half_precision() -> None:
    work = Work("attention", 1e12, 1.0, 0)
    half, eighth = (run_seconds(cost(work, precision=p), GPU, REACHED) for p in ("fp16", "int8"))
    assert half == pytest.approx(eighth)
    product = Work("matmul", 1e12, 1.0, 0)
    half, eighth = (run_seconds(cost(product, precision=p), GPU, REACHED) for p in ("fp16", "int8"))
    assert half == pytest.approx(2 * eighth)


def test_the_host_scales_with_clock_and_cores() -> None:
    one = find_device("epyc-1core")
    slow = replace(one, host=replace(one.host, cores=1, clock_mhz=1000.0))
    assert host_seconds("draw", 1e6, slow, KNOWN) == pytest.approx(4e-8 * 1e6 * 2)
    many = replace(slow, host=replace(slow.host, cores=4))
    assert host_seconds("draw", 1e6, many, KNOWN) == pytest.approx(4e-8 * 1e6 * 2 * (0.5 + 0.125))
    assert host_seconds("encode", 1e6, many, KNOWN) == pytest.approx(1e-8 * 1e6 * 2 / 4)


@pytest.mark.parametrize("name", list(devices()))
def test_every_device_is_predicted_with_a_range(name: str) -> None:
    told = made(find_device(name))
    assert told.fits
    assert told.total is not None
    assert 0 < told.total.low < told.total.seconds < told.total.high
    assert [one.name for one in told.phases] == [
        "start",
        "look",
        "maps",
        "denoise",
        "frames",
        "encode",
    ]
    assert sum(one.span.seconds for one in told.phases) == pytest.approx(told.total.seconds)
    assert told.real_time_factor == pytest.approx(2.0 / told.total.seconds)
    assert told.notes[0].startswith("predicted for ")


def faster(device: Hardware, times: float) -> Hardware:
    return replace(
        device,
        peaks={kind: peak * times for kind, peak in device.peaks.items()},
        bandwidth=device.bandwidth * times,
        host=replace(device.host, clock_mhz=device.host.clock_mhz * times),
        clock_mhz=device.clock_mhz * times,
        disk_bandwidth=device.disk_bandwidth * times,
    )


@pytest.mark.parametrize("name", list(devices()))
def test_a_faster_device_is_never_slower(name: str) -> None:
    device = find_device(name)
    before, after = made(device), made(faster(device, 1.3))
    for slow, quick in zip(before.phases, after.phases, strict=True):
        assert quick.span.seconds <= slow.span.seconds
    assert after.total is not None
    assert before.total is not None
    assert after.total.seconds < before.total.seconds


@pytest.mark.parametrize("name", ["rtx3060-12gb", "orin-agx-64gb"])
def test_more_memory_is_never_worse(name: str) -> None:
    bundle = load_bundle(FOLDER / "ltx")
    plan = plan_for(bundle, height=512, aspect="3:2", num_frames=25)
    device = find_device(name)
    seconds = []
    for size in (10**8, 4 * 10**9, 8 * 10**9, 12 * 10**9, 40 * 10**9):
        told = predict(
            bundle, plan, device, film=(768, 512), frames=25, fps=24, memory=size, known=KNOWN
        )
        seconds.append(float("inf") if told.total is None else told.total.seconds)
    assert seconds[0] == float("inf")
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] < float("inf")


def test_what_does_not_fit_has_no_time() -> None:
    told = made(find_device("rtx4090"), memory=10**7)
    assert not told.fits
    assert (told.total, told.phases, told.real_time_factor) == (None, (), None)
    assert "does not fit" in told.render.verdict


def test_ranges_follow_from_the_stated_errors() -> None:
    cases = {
        "epyc-2core": ("measured", "measured"),
        "ryzen7-5800u": ("processor", "host"),
        "a100-80gb": ("published", "host"),
        "orin-nano-8gb": ("unseen", "host"),
    }
    for name, (networks, host) in cases.items():
        told = {one.name: one for one in made(find_device(name)).phases}
        assert told["maps"].error == networks
        assert told["frames"].error == told["encode"].error == host
        factor = KNOWN.errors[networks].factor
        span = told["maps"].span
        assert span.high == pytest.approx(span.seconds * factor)
        assert span.low == pytest.approx(span.seconds / factor)


def test_a_precision_that_nobody_timed_is_less_sure() -> None:
    assert module.error_of(GPU, ["fp16", "bf16"], KNOWN) == "published"
    assert module.error_of(GPU, ["fp16", "int8"], KNOWN) == "unseen"
    assert module.error_of(find_device("l4"), ["fp16"], KNOWN) == "published"
    assert module.error_of(find_device("rtx4090"), ["fp16"], KNOWN) == "unseen"


def test_windows_are_rendered_one_after_another() -> None:
    bundle = load_bundle(FOLDER / "ltx")
    plan = plan_for(bundle, height=512, aspect="3:2", num_frames=9)

    def phases(windows: int) -> dict[str, float]:
        told = predict(
            bundle,
            plan,
            GPU,
            film=(768, 512),
            frames=9,
            fps=24,
            windows=windows,
            known=replace(KNOWN, reached={"gpu": replace(REACHED, node_seconds=1.0)}),
        )
        return {one.name: one.span.seconds for one in told.phases}

    once, thrice = phases(1), phases(3)
    assert thrice["denoise"] == pytest.approx(3 * once["denoise"], rel=1e-3)
    assert thrice["encode"] == once["encode"]


def test_streamed_weights_wait_for_the_link() -> None:
    placed = made(GPU).render.components[0]
    streamed = replace(placed, residency="streamed", weights_bytes=10**9)
    heavy = cost(Work("matmul", 1.0, 1.0, 1), weights=5 * 10**9)
    device = find_device("rtx4090")
    assert device.link_bandwidth is not None
    seconds = streamed_seconds(streamed, heavy, device)
    assert seconds == pytest.approx(4e9 / device.link_bandwidth)
    assert streamed_seconds(placed, heavy, device) == 0.0
    unified = find_device("orin-agx-64gb")
    assert streamed_seconds(streamed, heavy, unified) == pytest.approx(8e9 / unified.bandwidth)


def test_weights_alone_in_int8_are_computed_in_halves(toy_bundle: Path) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entry = manifest["components"]["maps"]
    variant = {key: entry[key] for key in ("file", "bytes", "sha256", "data") if key in entry}
    for layers, expected in (
        ({"int8 weights": 3}, "fp16"),
        ({"int8 weights": 1, "int8 weights and activations": 2}, "int8"),
        ({}, "int8"),
    ):
        entry["variants"] = {"int8": variant | {"quantised": {"layers": layers}}}
        path.write_text(json.dumps(manifest), encoding="utf-8")
        assert computed_in(load_bundle(toy_bundle), "maps", "int8") == expected


def test_a_processor_computes_whole_numbers_only_where_its_graph_does(toy_bundle: Path) -> None:
    path = toy_bundle / "bundle.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entry = manifest["components"]["maps"]
    variant = {key: entry[key] for key in ("file", "bytes", "sha256", "data") if key in entry}
    figures = {"sizes": [], "peaks": [[[1000]]], "weights": 10, "folded": 0}
    packed = figures | {"packed": True}
    for memory, expected in (
        (None, "fp32"),
        ({"cpu": figures}, "fp32"),
        ({"cpu": packed}, "int8"),
        ({"main": packed}, "int8"),
        ({"main": packed, "cpu": figures}, "fp32"),
    ):
        layers = {"int8 weights and activations": 2}
        entry["variants"] = {"int8": variant | {"quantised": {"layers": layers}}}
        if memory is not None:
            entry["variants"]["int8"]["memory"] = memory
        path.write_text(json.dumps(manifest), encoding="utf-8")
        bundle = load_bundle(toy_bundle)
        assert computed_in(bundle, "maps", "int8", processor=True) == expected
        assert computed_in(bundle, "maps", "int8") == "int8"
