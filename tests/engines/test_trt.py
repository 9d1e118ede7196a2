"""Engines of TensorRT on a GPU of numpy arrays: what is allocated, bound, recorded and given back.

No GPU takes part: what a real one does is not shown here, only what it is asked to do.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from reverie.engines.cuda_memory import Arena
from reverie.engines.device import Device
from reverie.engines.engine import Resident, Shape
from reverie.engines.errors import DeviceMemoryError, EngineError
from reverie.engines.trt import TrtEngine
from reverie.engines.trt_ports import from_brain, to_brain
from reverie.runtime import resident
from reverie.runtime.bundle import load_bundle
from reverie.runtime.model import Model
from reverie.runtime.take import find_family

from . import fake_gpu
from .fake_gpu import Diagnostics, FakeCuda, library, write_engine

AFFINE = (
    '<ir_version: 9, opset_import: ["" : 18]>'
    + """
affine (float[n, 3] x, int64[n, 1] shift) => (float[n, 3] y) <float two = {2.0}> {
    moved = Cast <to = 1> (shift)
    twice = Mul(x, two)
    y = Add(twice, moved)
}"""
)


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    device = FakeCuda()
    yield device
    gc.collect()
    assert device.used == 0, "memory was left on the device"
    assert not device.graphs, "recorded work was left on the device"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "affine.onnx"
    onnx.save(parser.parse_model(AFFINE), path)
    return path


@pytest.fixture
def opened(cuda: FakeCuda, graph: Path, tmp_path: Path) -> Callable[..., TrtEngine]:
    """Opens the affine graph as an engine; what the file says can be given."""

    def make(
        *, classic: bool = False, options: Mapping[str, Any] | None = None, **spec: Any
    ) -> TrtEngine:
        file = write_engine(tmp_path / "affine.engine", graph, **{"weights": 1000, **spec})
        return TrtEngine(file, library(cuda, classic=classic), cuda, **(options or {}))

    return make


def given(rows: int = 2, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.standard_normal((rows, 3), dtype=np.float32),
        "shift": rng.integers(0, 9, (rows, 1)),
    }


def expected(inputs: dict[str, Any]) -> Any:
    return 2 * inputs["x"] + inputs["shift"].astype(np.float32)


@pytest.mark.parametrize("classic", [False, True])
def test_runs_from_host_to_host(opened: Any, classic: bool) -> None:
    with opened(classic=classic, activations=8) as engine:
        assert isinstance(engine, Resident)
        assert [(p.name, p.dtype, p.shape) for p in engine.inputs] == [
            ("x", np.float32, ("x.0", 3)),
            ("shift", np.int64, ("shift.0", 1)),
        ]
        for rows in (2, 5, 5, 2):
            inputs = given(rows, seed=rows)
            np.testing.assert_array_equal(engine.run(inputs)["y"], expected(inputs))


def test_shapes_and_addresses_are_set_once(opened: Any, cuda: FakeCuda) -> None:
    with opened() as engine:
        for seed in range(4):
            engine.run(given(3, seed))
        seen = engine._library.seen
    assert [seen.count(f"shape {n}") for n in ("x", "shift")] == [1, 1]
    assert [seen.count(f"address {n}") for n in ("x", "shift", "y")] == [1, 1, 1]
    assert seen.count("run") == 4


def test_bound_tensors_stay_on_the_device(opened: Any, cuda: FakeCuda) -> None:
    inputs = given()
    with opened() as engine:
        x, y = (engine.allocate((2, 3), np.float32) for _ in range(2))
        shift = engine.allocate((2, 1), np.int64)
        shift.upload(inputs["shift"])
        x.upload(inputs["x"])
        there = engine.bind({"x": x, "shift": shift}, {"y": y})
        back = engine.bind({"x": y, "shift": shift}, {"y": x})
        before = len(cuda.calls)
        there()
        back()
        there()
        assert cuda.calls[before:] == []
        once = expected(inputs)
        again = expected({"x": once, "shift": inputs["shift"]})
        np.testing.assert_array_equal(x.download(), again)
        np.testing.assert_array_equal(
            y.download(), expected({"x": again, "shift": inputs["shift"]})
        )


def test_bindings_of_two_shapes_live_side_by_side(opened: Any) -> None:
    with opened(activations=4) as engine:
        sets = []
        for rows in (2, 5):
            inputs = given(rows, seed=rows)
            buffers = {n: engine.allocate(a.shape, a.dtype) for n, a in inputs.items()}
            for name, buffer in buffers.items():
                buffer.upload(inputs[name])
            y = engine.allocate((rows, 3), np.float32)
            sets.append((inputs, y, engine.bind(buffers, {"y": y})))
            sets[0][2]()  # the first again, after the second was bound
        for place in (1, 0, 0, 1):
            inputs, y, launch = sets[place]
            y.upload(np.zeros(y.shape, np.float32))
            launch()
            np.testing.assert_array_equal(y.download(), expected(inputs))


def test_recorded_launches_are_played_back(opened: Any, cuda: FakeCuda) -> None:
    inputs = given()
    with opened() as engine:
        x, y = (engine.allocate((2, 3), np.float32) for _ in range(2))
        shift = engine.allocate((2, 1), np.int64)
        shift.upload(inputs["shift"])
        launch = engine.bind({"x": x, "shift": shift}, {"y": y})
        x.upload(inputs["x"])
        launch()
        play = engine.capture(launch)
        x.upload(inputs["x"] + 1)
        for _ in range(3):
            play()
        engine.synchronize()
        np.testing.assert_allclose(y.download(), expected(inputs) + 2, rtol=1e-6)
        assert engine._library.seen.count("run") == 2  # one plain, one recorded
        assert [cuda.calls.count(name) for name in ("capture", "play")] == [1, 3]


@pytest.mark.parametrize("why", ["library", "device", "streaming"])
def test_what_cannot_be_recorded_is_launched_plainly(opened: Any, cuda: FakeCuda, why: str) -> None:
    cuda.refuses_capture = why == "device"
    streaming = {"streamable": 800, "options": {"weight_budget": 100}}
    with opened(capturable=why != "library", **(streaming if why == "streaming" else {})) as engine:
        launch = engine.bind(
            {"x": engine.allocate((1, 3), np.float32), "shift": engine.allocate((1, 1), np.int64)},
            {"y": engine.allocate((1, 3), np.float32)},
        )
        assert engine.capture(launch) is launch


def test_recorded_work_is_recorded_anew_where_the_arena_moved(
    cuda: FakeCuda, graph: Path, tmp_path: Path
) -> None:
    arena, inputs = Arena(cuda), given()
    module = library(cuda)
    small = write_engine(tmp_path / "small.engine", graph, activations=4)
    large = write_engine(tmp_path / "large.engine", graph, activations=400)
    with TrtEngine(small, module, cuda, arena=arena) as engine:
        buffers = {n: engine.allocate(a.shape, a.dtype) for n, a in inputs.items()}
        for name, buffer in buffers.items():
            buffer.upload(inputs[name])
        y = engine.allocate((2, 3), np.float32)
        launch = engine.bind(buffers, {"y": y})
        launch()
        play = engine.capture(launch)
        with TrtEngine(large, module, cuda, arena=arena) as other:
            other.run(inputs)
        play()  # on the fake, activations that were given back are an error
        play()
        np.testing.assert_array_equal(y.download(), expected(inputs))
        assert cuda.calls.count("capture") == 2
    arena.close()


def test_one_arena_is_as_large_as_the_largest_needs(
    cuda: FakeCuda, graph: Path, tmp_path: Path
) -> None:
    arena, module = Arena(cuda), library(cuda)
    rows = 4
    numbers = rows * 3 + rows
    needs = (10, 1000, 100)
    for need in needs:
        file = write_engine(tmp_path / f"{need}.engine", graph, activations=need, weights=500)
        with TrtEngine(file, module, cuda, arena=arena) as engine:
            engine.run(given(rows))
    assert arena.nbytes == 1000 * numbers
    tensors = rows * 3 * 4 * 2 + rows * 8
    assert cuda.peak == 1000 * numbers + 500 + tensors  # one arena, one network's weights
    arena.close()
    assert arena.address == 0


def test_room_that_another_gave_back_is_taken_again(opened: Any, cuda: FakeCuda) -> None:
    arena = Arena(cuda)
    with opened(activations=100, options={"arena": arena}) as engine:
        first = engine.run(given())
        arena.close()
        assert np.array_equal(engine.run(given())["y"], first["y"])
        arena.close()
        arena.reserve(8)
        assert np.array_equal(engine.run(given())["y"], first["y"])
    arena.close()


def test_what_did_not_fit_at_first_is_not_taken_for_settled(opened: Any, cuda: FakeCuda) -> None:
    with opened(activations=100) as engine:
        cuda.limit = 1100
        for _ in range(2):
            with pytest.raises(DeviceMemoryError):
                engine.run(given())
        cuda.limit = 2**40
        engine.run(given())


def test_tensors_that_fit_half_are_given_back(opened: Any, cuda: FakeCuda) -> None:
    with opened() as engine:
        before = cuda.used
        cuda.limit = before + 200
        with pytest.raises(DeviceMemoryError):
            engine.run(given(rows=8))
        assert cuda.used == before


def test_an_arena_grows_without_holding_old_and_new(cuda: FakeCuda) -> None:
    arena = Arena(cuda)
    arena.reserve(100)
    arena.reserve(50)
    assert arena.version == 1
    arena.reserve(300)
    assert cuda.peak == 300
    arena.close()
    arena.close()


@pytest.mark.parametrize(
    ("asked", "automatic", "kept"),
    [(None, 300, 300), (None, 5000, 800), (200, 300, 200), (0, 300, 0), (9000, 300, 800)],
)
def test_weights_stream_within_a_budget(
    opened: Any, cuda: FakeCuda, asked: int | None, automatic: int, kept: int
) -> None:
    options = {"weight_budget": asked}
    with opened(streamable=800, automatic=automatic, options=options) as engine:
        assert engine._engine.weight_streaming_budget_v2 == kept
        assert cuda.used == 1000 - 800 + kept


def test_engines_without_streaming_are_left_alone(opened: Any, cuda: FakeCuda) -> None:
    with opened(options={"weight_budget": 10}):
        assert cuda.used == 1000


@pytest.mark.parametrize(
    ("spec", "kind", "says"),
    [
        ({"invalid": Diagnostics.VERSION_MISMATCH}, EngineError, "another version"),
        ({"invalid": Diagnostics.UNSUPPORTED_CC}, EngineError, "another GPU.*reverie build"),
        ({"invalid": Diagnostics.OLD_CUDA_DRIVER}, EngineError, "driver is too old"),
        ({"invalid": Diagnostics.INSUFFICIENT_GPU_MEMORY}, DeviceMemoryError, "too little memory"),
        ({"invalid": 0, "logged": "no\ndriver"}, EngineError, r"\(no driver\)"),
        ({"no_context": True}, EngineError, "no context for you"),
        ({"host": ["shift"]}, EngineError, "shift must lie in the host's memory"),
        ({"types": {"x": "FP8"}}, EngineError, "type FP8"),
    ],
)
def test_engines_that_do_not_suit_are_refused_in_one_line(
    opened: Any, cuda: FakeCuda, spec: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        opened(**spec)
    assert "\n" not in str(caught.value)
    assert "affine.engine" in str(caught.value)


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.parametrize("content", [b"", b"this is no engine"])
def test_files_that_are_no_engine_are_refused_in_one_line(
    cuda: FakeCuda, tmp_path: Path, content: bytes, classic: bool
) -> None:
    file = tmp_path / "x.engine"
    file.write_bytes(content)
    with pytest.raises(EngineError, match="reverie build") as caught:
        TrtEngine(file, library(cuda, classic=classic), cuda)
    assert "\n" not in str(caught.value)


def test_shapes_it_was_not_built_for_are_refused(opened: Any) -> None:
    profile = {"x": [(1, 3), (2, 3), (4, 3)], "shift": [(1, 1), (2, 1), (4, 1)]}
    with opened(profile=profile) as engine:
        engine.run(given(4))
        with pytest.raises(EngineError, match=r"takes x of \[1, 3\] to \[4, 3\], given \[5, 3\]"):
            engine.run(given(5))
        engine.run(given(2))


def test_inputs_that_do_not_fit_are_refused(opened: Any) -> None:
    with opened() as engine:
        with pytest.raises(EngineError, match="takes x, shift"):
            engine.run({"x": given()["x"]})
        with pytest.raises(EngineError, match="given float64"):
            engine.run({**given(), "x": np.zeros((2, 3))})
        buffers = {
            "x": engine.allocate((2, 3), np.float32),
            "shift": engine.allocate((2, 1), np.int64),
        }
        with pytest.raises(EngineError, match="has x, shift, y"):
            engine.bind(buffers, {})
        with pytest.raises(EngineError, match=r"has y as float32 \[2, 3\]; given"):
            engine.bind(buffers, {"y": engine.allocate((4, 3), np.float32)})
        with pytest.raises(EngineError, match="a buffer of float32"):
            buffers["x"].upload(np.zeros((3, 2), np.float32))


def test_outputs_of_unknown_size_are_refused(opened: Any) -> None:
    with opened(unknown="y") as engine, pytest.raises(EngineError, match="size of y is known only"):
        engine.run(given())


@pytest.mark.parametrize(
    ("logged", "kind"),
    [("CUDA out of memory in conv_3", DeviceMemoryError), ("Myelin says no", EngineError)],
)
def test_a_failed_run_says_what_was_logged(opened: Any, logged: str, kind: type[Exception]) -> None:
    with opened(fails=logged) as engine, pytest.raises(EngineError, match=logged) as caught:
        engine.run(given())
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_out_of_memory_leaves_nothing_behind(graph: Path, tmp_path: Path) -> None:
    cuda = FakeCuda(memory=2000)
    file = write_engine(tmp_path / "a.engine", graph, weights=1000, activations=200)
    with (
        pytest.raises(DeviceMemoryError),
        TrtEngine(file, library(cuda), cuda) as engine,
    ):
        engine.run(given())
    gc.collect()
    assert cuda.used == 0


def test_closing_gives_everything_back(opened: Any, cuda: FakeCuda) -> None:
    engine = opened(activations=4)
    engine.run(given())
    buffer = engine.allocate((10,), np.float32)
    engine.close()
    engine.close()
    gc.collect()
    assert cuda.used == 0
    for call in (lambda: engine.run(given()), lambda: engine.allocate((1,), np.float32)):
        with pytest.raises(EngineError, match="was closed"):
            call()
    with pytest.raises(EngineError, match="was freed"):
        buffer.download()


@pytest.mark.parametrize(("kind", "tolerance"), [("HALF", 1e-3), ("BF16", 2e-2)])
def test_half_precision_ports(opened: Any, kind: str, tolerance: float) -> None:
    with opened(types={"x": kind, "y": kind}) as engine:
        dtype = np.dtype(np.float16 if kind == "HALF" else np.float32)
        assert engine.inputs[0].dtype == engine.outputs[0].dtype == dtype
        inputs = given()
        found = engine.run({**inputs, "x": inputs["x"].astype(dtype)})["y"]
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected(inputs), rtol=tolerance, atol=tolerance)


def test_bfloat16_is_rounded_as_it_should_be() -> None:
    import ml_dtypes

    rng = np.random.default_rng(0)
    values = (rng.standard_normal(1000) * 10.0 ** rng.integers(-30, 30, 1000)).astype(np.float32)
    values[:5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    found = from_brain(to_brain(values))
    np.testing.assert_array_equal(found, values.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_compiled_kernels_are_kept_beside(opened: Any, tmp_path: Path) -> None:
    jit = tmp_path / "affine.jit"
    opened(options={"jit_cache": jit}).close()
    kept = hashlib.sha256(b"kernels").digest() + b"kernels"
    assert jit.read_bytes() == kept
    other = b"of another GPU"
    for broken in (hashlib.sha256(other).digest() + other, kept[:-1], kept + b"!", b"", b"kernels"):
        jit.write_bytes(broken)
        opened(options={"jit_cache": jit}).close()
        assert jit.read_bytes() == kept
    stamp = jit.stat().st_mtime_ns
    opened(options={"jit_cache": jit}).close()
    assert jit.stat().st_mtime_ns == stamp
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "affine.engine", "affine.jit", "affine.onnx",
    ]  # fmt: skip


def test_kernels_that_cannot_be_kept_are_no_error(opened: Any, tmp_path: Path) -> None:
    opened(options={"jit_cache": tmp_path / "no" / "such.jit"}).close()
    opened(classic=True, options={"jit_cache": tmp_path / "classic.jit"}).close()
    assert not (tmp_path / "classic.jit").exists()


def test_without_a_builder_nothing_opens_beside(opened: Any, graph: Path) -> None:
    with opened() as engine, pytest.raises(EngineError, match="build="):
        engine.beside(graph, {})


class Render:
    """A tiny bundle whose every network is an engine on the fake GPU."""

    def __init__(self, folder: Path, cuda: FakeCuda, tmp_path: Path, classic: bool) -> None:
        self.plain = load_bundle(folder)
        self.bundle = replace(self.plain, opener=self._open)
        self.cuda, self._tmp = cuda, tmp_path
        self.library, self.arena = library(cuda, classic=classic), Arena(cuda)
        self.weights: dict[str, int] = {}
        self.engines: list[TrtEngine] = []

    def _open(self, name: str, /, *, device: Device | str, threads: int | None) -> TrtEngine:
        component = self.plain.component(name)
        stored = sum(data.bytes for data in component.data) or component.graph.bytes
        self.weights[name] = 1000 * stored  # as heavy beside its tensors as those of real models
        file = write_engine(
            self._tmp / f"{name}.engine",
            self.plain.path(name, device="cpu"),
            weights=self.weights[name],
            activations=4,
            name=name,
        )
        gc.collect()
        assert self.cuda.used <= self.arena.nbytes, f"something is still there as {name} opens"
        made = TrtEngine(file, self.library, self.cuda, arena=self.arena, build=self._build)
        self.engines.append(made)
        return made

    def _build(self, graph: Path, inputs: Mapping[str, Shape]) -> Path:
        profile = {name: [shape] * 3 for name, shape in inputs.items()}
        file = self._tmp / f"{graph.stem}.engine"
        return write_engine(file, graph, profile=profile, name=graph.stem)

    def plan(self, **asked: Any) -> Any:
        return Model(self.plain, find_family(self.plain), "cpu").plan(**asked)

    def frames(self, bundle: Any, **asked: Any) -> Any:
        photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        model = Model(bundle, find_family(bundle), "cpu")
        return np.stack(list(model.frames(photo, seed=3, **asked)))


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.parametrize(
    ("name", "asked", "runs"),
    [
        ("svd", {"height": 32, "width": 32, "num_frames": 3, "steps": 5, "guidance": 3.0}, 2),
        ("ltx", {"height": 64, "width": 64, "num_frames": 9, "steps": 4, "guidance": 1.0}, 1),
        ("wan", {"height": 64, "width": 64, "num_frames": 9, "steps": 4, "guidance": 4.0}, 2),
    ],
)
def test_a_whole_render_stays_on_the_device(
    tiny_bundles: Any,
    cuda: FakeCuda,
    tmp_path: Path,
    name: str,
    asked: dict[str, Any],
    runs: int,
    classic: bool,
) -> None:
    render = Render(tiny_bundles[name], cuda, tmp_path, classic)
    found = render.frames(render.bundle, **asked)
    difference = np.abs(found.astype(int) - render.frames(render.plain, **asked))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3

    # Recorded once, played for every step but the first.
    assert cuda.calls.count("capture") == 1
    assert cuda.calls.count("play") == asked["steps"] - 1
    # Between the steps nothing but the clock comes back.
    played = [place for place, call in enumerate(cuda.calls) if call == "play"]
    between = cuda.calls[played[0] : played[-1]]
    assert set(between) <= {"play", "synchronize", "download", "upload"}
    drawn = find_family(render.plain).noise_shapes(render.plain, render.plan(**asked))
    per_step = len({"steps", "condition"} & drawn.keys())  # fresh noise is all that goes there
    assert between.count("upload") == per_step * (len(played) - 1)
    assert between.count("download") < asked["steps"]
    # The denoiser's shapes are set once; its two runs a step share one context.
    denoising = render.library.seen[render.library.seen.index("open denoiser") :]
    denoising = denoising[: denoising.index("open vae_decoder")]
    assert denoising.count("shape text" if name != "svd" else "shape embedding") == 1
    around = 2 * (1 + 1)  # before and after, plainly and recorded
    assert denoising.count("run") == 2 * runs + around

    if name == "wan":  # the decoder's memory stays there: a latent frame in, a chunk out
        chunks = (asked["num_frames"] - 1) // 2 + 1
        after = cuda.calls[cuda.calls.index("synchronize", played[-1]) :]
        assert after.count("download") <= 2 + chunks

    # What is staged is freed before the next is opened: see `Render._open`. One network's weights
    # and one arena make the peak, tensors aside.
    assert cuda.used == render.arena.nbytes
    *_, second, most = sorted(render.weights.values())
    tensors = 16 * 2**20
    assert second > tensors
    assert most < cuda.peak < most + render.arena.nbytes + tensors
    render.arena.close()


def test_nan_on_the_device_is_told_with_its_step(
    tiny_bundles: Any, cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = Render(tiny_bundles["wan"], cuda, tmp_path, False)
    put = resident._Loop._put

    def spoilt(self: Any, array: Any) -> Any:
        if array.shape == self.walk.table.scalars.shape:
            array = array.copy()
            array[2, resident.SCALARS.index("timestep")] = np.inf
        return put(self, array)

    monkeypatch.setattr(resident._Loop, "_put", spoilt)
    with pytest.raises(EngineError, match="NaN or infinity at step 3 of 6"):
        render.frames(
            render.bundle, height=64, width=64, num_frames=9, steps=6, guidance=1.0, prompt="a boat"
        )
    render.arena.close()


def test_names_are_those_of_the_real_library() -> None:
    """So that whatever runs on the fake finds the same names on tensorrt_rtx."""
    real = pytest.importorskip("tensorrt_rtx")
    config, cache = fake_gpu.Config(), fake_gpu.Cache()
    for kind, name in fake_gpu.REAL.items():
        assert hasattr(real, name), name
        public = {n for n in vars(kind) if not n.startswith("_")}
        if kind is fake_gpu.Config:
            public |= {n for n in vars(config) if not n.startswith("_")}
        if kind is fake_gpu.Cache:
            public |= {n for n in vars(cache) if not n.startswith("_")}
        missing = {n for n in public if not hasattr(getattr(real, name), n)}
        assert not missing, f"{name} has no {missing}"
    for own in ("streamable_weights_size", "weight_streaming_budget_v2", "num_io_tensors"):
        assert hasattr(real.ICudaEngine, own)
    for diagnostic in Diagnostics:
        assert int(getattr(real.EngineInvalidityDiagnostics, diagnostic.name)) == int(diagnostic)


def test_the_real_library_refuses_a_file_in_one_line(cuda: FakeCuda, tmp_path: Path) -> None:
    """The real module as far as it goes: without a driver no engine suits, and junk never does."""
    real = pytest.importorskip("tensorrt_rtx")
    file = tmp_path / "junk.engine"
    file.write_bytes(b"junk" * 1000)
    with pytest.raises(EngineError, match=r"junk\.engine cannot run here") as caught:
        TrtEngine(file, real, cuda)
    assert "\n" not in str(caught.value)


def test_the_real_library_builds_the_step_graphs(tmp_path: Path) -> None:
    """Ahead of time, for three architectures; nothing in them must lie on the host."""
    real = pytest.importorskip("tensorrt_rtx")
    logger = real.Logger(real.ILogger.INTERNAL_ERROR)
    state, tokens, frames = 3, (40, 8), (5, 4, 6, 8)
    rows = {"scalars": (64, len(resident.SCALARS)), "clock": (2,)}
    sizes: dict[str, Shape] = {
        **rows,
        "now": (2,),
        "scalar": (len(resident.SCALARS),),
        "keep": (state,),
        "shift": (state,),
        "weights": (64, state),
        "weight": (state,),
        "rescale": (1,),
        "most_timestep": (1, 40),
    }
    for around in (resident.SVD, resident.WAN, resident.LTX):
        latents = frames if around is resident.SVD else tokens
        for name in (around.before, around.after):
            builder = real.Builder(logger)
            network = builder.create_network(0)
            onnx_parser = real.OnnxParser(network, logger)
            assert onnx_parser.parse_from_file(str(resident.GRAPHS / name))
            profile = builder.create_optimization_profile()
            for index in range(network.num_inputs):
                port = network.get_input(index)
                assert not port.is_shape_tensor, port.name
                shape = sizes.get(port.name, latents)
                if port.name in ("carried", "state"):
                    shape = (state, *latents)
                elif port.name in ("prediction", "free"):
                    shape = (1, *latents)
                elif port.name in ("still", "begin"):
                    shape = (latents[0], 1)
                elif port.name == "guidance":
                    shape = (latents[0], *[1] * (len(latents) - 1))
                profile.set_shape(port.name, shape, shape, shape)
            config = builder.create_builder_config()
            config.add_optimization_profile(profile)
            config.num_compute_capabilities = 3
            for place, kind in enumerate(("SM75", "SM89", "SM120")):
                config.set_compute_capability(getattr(real.ComputeCapability, kind), place)
            assert builder.build_serialized_network(network, config) is not None, name
