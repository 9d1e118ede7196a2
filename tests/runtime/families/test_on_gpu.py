"""A whole film on a GPU of numpy arrays: engines built, cached, run, and left when they fail.

No GPU takes part: what is shown is the way through Reverie, not what a real device does.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import BuildRequest
from reverie.engines.cache import EngineCache
from reverie.engines.device import Device
from reverie.engines.errors import DeviceMemoryError, EngineError
from reverie.engines.gpus import Gpu
from reverie.engines.machine import Driver, Machine
from reverie.export import assemble
from reverie.export.source import open_source
from reverie.runtime.bundle import Bundle, load_bundle
from reverie.runtime.families import svd
from reverie.runtime.gpu_engines import GpuEngines, covering
from reverie.runtime.model import Model
from reverie.runtime.noise import Noise
from reverie.runtime.orders import order_engine
from reverie.runtime.placement import Placement
from reverie.runtime.placing import Place, Spot
from reverie.runtime.shapes import component_shapes
from reverie.runtime.stages import Stages

from ...engines.fake_gpu import FakeCuda, library, write_engine
from . import svd_tiny as tiny

SM86 = ARCHITECTURES["sm86"]
GPU = Gpu(0, "GeForce RTX 3060", SM86, (8, 6), 12 * 10**9, 11 * 10**9, False, "581.0", "13.0")
MACHINE = Machine("Linux", "x86", 8, 32 * 10**9, 30 * 10**9, (GPU,), None, Driver("581.0", "13.0"))
SPOT = Spot(Device("cuda"), "tensorrt-rtx", SM86, MACHINE)
ASKED: dict[str, Any] = {"height": 32, "width": 40, "num_frames": 4, "steps": 3}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny pipeline in half precision, its VAE in float32."""
    folder = tmp_path_factory.mktemp("gpu")
    source = open_source(tiny.save(tiny.build(tiny.SMALL), folder / "checkpoint"))
    assemble.export(source, folder / "bundle", precision="fp16")
    return load_bundle(folder / "bundle")


class Workshop:
    """Builds engines for the fake library, and counts them."""

    def __init__(self, folder: Path, memory: int = 2**40) -> None:
        self.cuda = FakeCuda(memory)
        self.cache = EngineCache(folder)
        self.built: list[str] = []
        self.spec: dict[str, Any] = {"activations": 8, "weights": 1000}
        self.refuses: tuple[str, ...] = ()

    def build(self, request: BuildRequest, out: Path, *, on_progress: Any) -> None:
        name = request.graph.name.partition(".")[0]
        self.built.append(name)
        if name in self.refuses:
            raise EngineError(f"{name} was refused")
        profile = {name: [list(s) for s in shapes] for name, shapes in request.profile.items()}
        write_engine(out, request.graph, profile=profile, **self.spec)

    def place(self, bundle: Bundle, **asked: Any) -> Place:
        engines = GpuEngines(
            cache=self.cache,
            machine=MACHINE,
            open_device=lambda index: self.cuda,
            load=lambda kind: library(self.cuda),
            build=self.build,
        )
        return Place(bundle, Placement(**asked), spot=SPOT, gpu_engines=engines)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path / "engines")
    yield made
    gc.collect()
    assert made.cuda.used == 0, "memory was left on the device"


def film(bundle: Bundle, place: Place, **asked: Any) -> tuple[np.ndarray[Any, Any], list[str]]:
    model, stages = Model(bundle, svd, "cpu"), Stages()
    plan = model.plan(**{**ASKED, **asked})
    photo = np.random.default_rng(5).integers(0, 256, (plan.height, plan.width, 3), np.uint8)
    placed = place.follow(plan, stages)
    drawn = model.render(
        photo,
        plan,
        prompt=None,
        negative_prompt=None,
        noise=Noise(1),
        stages=stages,
        placed=placed,
    )
    try:
        return np.stack(list(drawn)), stages.notes
    finally:
        place.close()


def on_cpu(bundle: Bundle, **asked: Any) -> np.ndarray[Any, Any]:
    return film(bundle, Place(bundle, Placement("cpu")), **asked)[0]


def psnr(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255.0**2 / max(error, 1e-9)))


def test_a_film_is_made_by_engines_that_are_built_once(bundle: Bundle, workshop: Workshop) -> None:
    frames, notes = film(bundle, workshop.place(bundle))
    assert psnr(frames, on_cpu(bundle)) > 40
    steps = {"step_svd_before", "step_svd_after"}
    assert set(workshop.built) == set(bundle.components) | steps
    assert len(workshop.built) == len(set(workshop.built))
    assert [note for note in notes if "built now" not in note] == []
    assert "capture" in workshop.cuda.calls
    assert workshop.cuda.calls.count("play") >= 1
    before = len(workshop.built)
    again, notes = film(bundle, workshop.place(bundle))
    assert np.array_equal(again, frames)
    assert len(workshop.built) == before
    assert not any("built now" in note for note in notes)


def test_an_engine_for_more_sizes_does_for_this_one(bundle: Bundle, workshop: Workshop) -> None:
    plan = Model(bundle, svd, "cpu").plan(**ASKED)
    shapes = component_shapes(bundle, plan)["denoiser"]
    order = order_engine(bundle, "denoiser", "fp16", shapes, SM86)
    wider = {
        name: (tuple(max(n // 2, 1) for n in low), best, tuple(2 * n for n in high))
        for name, (low, best, high) in order.key.profile.items()
    }
    both = replace(order.key, profile=wider, device=("sm86", "sm89"))
    assert covering(workshop.cache, order.key) is None
    path = workshop.cache.get(both, lambda out: write_engine(out, order.request.graph) and None)
    assert covering(workshop.cache, order.key) == path
    assert covering(workshop.cache, replace(order.key, precision="int8")) is None
    assert covering(workshop.cache, replace(order.key, device=("sm120",))) is None
    assert covering(workshop.cache, replace(order.key, library_version="0")) is None
    sizes = order.key.profile
    longer = {
        name: (low, best, tuple(9 * n for n in high)) for name, (low, best, high) in sizes.items()
    }
    assert covering(workshop.cache, replace(order.key, profile=longer)) is None


def test_a_refused_engine_is_not_the_end(bundle: Bundle, workshop: Workshop) -> None:
    workshop.refuses = ("denoiser",)
    frames, notes = film(bundle, workshop.place(bundle))
    assert np.array_equal(frames.shape, on_cpu(bundle).shape)
    told = [note for note in notes if note.startswith("denoiser: denoiser was refused")]
    assert told == ["denoiser: denoiser was refused; goes on as fp16 on cpu by onnxruntime"]
    with pytest.raises(EngineError, match="was refused"):
        film(bundle, workshop.place(bundle, strict=True))


def test_memory_that_runs_out_in_the_loop_does_not_lose_the_film(
    bundle: Bundle, workshop: Workshop
) -> None:
    workshop.cuda.limit = 100_000  # small networks fit, the loop does not
    one = {"decode_chunk_size": 1}  # there are no smaller pieces, that would give other frames
    frames, notes = film(bundle, workshop.place(bundle), **one)
    assert psnr(frames, on_cpu(bundle, **one)) > 40
    assert any("weights streamed" in note for note in notes)
    assert any("goes on as fp16 on cpu" in note for note in notes)
    with pytest.raises(DeviceMemoryError):
        film(bundle, workshop.place(bundle, strict=True))


def test_a_cache_that_cannot_be_written_is_done_without(
    bundle: Bundle, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    workshop.cache = EngineCache(tmp_path / "a file" / "engines")
    frames, notes = film(bundle, workshop.place(bundle))
    assert psnr(frames, on_cpu(bundle)) > 40
    assert any("for this render alone" in note for note in notes)


def test_what_the_bundle_has_not_is_told_at_once(bundle: Bundle, workshop: Workshop) -> None:
    place = workshop.place(bundle, memory=1000, strict=True)
    with pytest.raises(DeviceMemoryError, match="does not fit"):
        film(bundle, place)
    _, notes = film(bundle, workshop.place(bundle, memory=1000))
    assert "does not fit" in notes[0]


def test_the_memory_that_was_seen_is_told(bundle: Bundle, workshop: Workshop) -> None:
    place = workshop.place(bundle)
    film(bundle, place)
    assert 1000 <= place.device_peak <= workshop.cuda.peak
    assert json.dumps(place.device_peak)


def test_an_engine_that_can_stream_its_weights_does_for_a_render_that_need_not(
    bundle: Bundle, workshop: Workshop
) -> None:
    plan = Model(bundle, svd, "cpu").plan(**ASKED)
    shapes = component_shapes(bundle, plan)["denoiser"]
    plain, streams = (
        order_engine(bundle, "denoiser", "fp16", shapes, SM86, weight_streaming=able)
        for able in (False, True)
    )
    write = lambda out: write_engine(out, plain.request.graph) and None  # noqa: E731
    path = workshop.cache.get(streams.key, write)
    assert covering(workshop.cache, plain.key) == path
    workshop.cache.clear()
    workshop.cache.get(plain.key, write)
    assert covering(workshop.cache, streams.key) is None
