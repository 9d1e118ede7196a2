"""The loop on a device beside the host's own, on ONNX Runtime's CPU buffers: the same latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser
from reverie.engines.device import Device
from reverie.engines.engine import Array, Engine, Launch, Resident, open_engine
from reverie.engines.errors import DeviceMemoryError, EngineError, OutputError, SettingsError
from reverie.engines.ort import OrtEngine
from reverie.engines.ort_bound import OrtBuffer
from reverie.export.step_graphs import FOLDER, step_graphs
from reverie.runtime import resident
from reverie.runtime.families import ltx_stages, svd, wan
from reverie.runtime.families.ltx_tokens import Tokens
from reverie.runtime.ladder import Rung, Sturdy, Ways
from reverie.runtime.model import load
from reverie.runtime.noise import Noise
from reverie.runtime.resident import Table
from reverie.runtime.schedule import Schedule, dpmpp_2m, euler_karras, flow_euler, unipc_flow
from reverie.runtime.stages import Stages

HEAD = '<ir_version: 9, opset_import: ["" : 18]>'
SVD = (
    HEAD
    + """svd (float[1,F,B,h,w] latents, float[1] timestep, float[1,1,D] embedding,
     float[1,3] added_ids) => (float[1,F,C,h,w] prediction) <float[1] thousandth = {0.001}> {
        own, beside = Split <axis = 2, num_outputs = 2> (latents)
        late = Mul(timestep, thousandth)
        seen = ReduceMean <keepdims = 0> (embedding)
        told = ReduceMean <keepdims = 0> (added_ids)
        small = Mul(told, thousandth)
        both = Sub(own, beside)
        moved = Add(both, late)
        shown = Add(moved, seen)
        more = Add(shown, small)
        prediction = Tanh(more)
    }"""
)
WAN = (
    (
        HEAD
        + """wan (float[1,N,P] latents, float[2] timesteps, int64[N] token_level,
     float[1,N,1,H] rotary_cos, float[1,N,1,H] rotary_sin, float[1,L,D] text)
     => (float[1,N,P] velocity) <float[1] thousandth = {0.001}, int64[1] last = {2}> {
        levels = Mul(timesteps, thousandth)
        level = Gather <axis = 0> (levels, token_level)
        column = Unsqueeze(level, last)
        axes = Constant <value_ints = [2]> ()
        cosine = ReduceMean <keepdims = 0> (rotary_cos, axes)
        sine = ReduceMean <keepdims = 0> (rotary_sin, axes)
        turn = Add(cosine, sine)
        mean = ReduceMean <keepdims = 1> (turn, axes)
        read = ReduceMean <keepdims = 0> (text)
        a = Add(latents, column)
        b = Add(a, mean)
        c = Add(b, read)
        velocity = Tanh(c)
    }"""
    )
    .replace("column = Unsqueeze(level, last)", "column = Unsqueeze(level, place)")
    .replace("int64[1] last = {2}", "int64[2] place = {0, 2}")
)
LTX = (
    HEAD
    + """ltx (float[1,N,C] latents, float[1,N] timestep, float[1,3,N] coords, float[1,L,D] text,
     int64[1,L] text_mask) => (float[1,N,C] velocity)
     <float[1] thousandth = {0.001}, int64[1] last = {2}, int64[1] rows = {1}> {
        level = Mul(timestep, thousandth)
        column = Unsqueeze(level, last)
        where = ReduceMean <keepdims = 0> (coords, rows)
        place = Unsqueeze(where, last)
        mask = Cast <to = 1> (text_mask)
        wide = Unsqueeze(mask, last)
        kept = Mul(text, wide)
        read = ReduceMean <keepdims = 0> (kept)
        far = Mul(place, thousandth)
        a = Add(latents, column)
        b = Add(a, far)
        c = Add(b, read)
        velocity = Tanh(c)
    }"""
)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[str], Any]:
    """Opens a toy denoiser as the one component of a bundle."""

    def make(text: str) -> Any:
        path = tmp_path / "denoiser.onnx"
        onnx.save(parser.parse_model(text), path)
        return SimpleNamespace(open=lambda name, device: open_engine(path, device=device))

    return make


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, Any]]:
    """Runs something in the host's loop and in the device's; checks that these were really two."""

    def both(make: Callable[[], Any]) -> tuple[Any, Any]:
        walks = []
        take = resident.take
        monkeypatch.setattr(resident, "take", lambda *a: walks.append(1) or take(*a))
        host = make()
        assert not walks
        monkeypatch.setattr(resident, "ON_CPU", True)
        device = make()
        monkeypatch.undo()
        assert walks == [1]
        return host, device

    return both


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def same(found: Any, expected: Any) -> None:
    """Equal to 1e-5 of the largest."""
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


SCHEDULES = {
    "euler": lambda: flow_euler(5),
    "one step": lambda: flow_euler(1),
    "stochastic": lambda: flow_euler(4, stochastic=True),
    "dpm": lambda: dpmpp_2m(6),
    "unipc": lambda: unipc_flow(7),
    "unipc of order 3": lambda: unipc_flow(7, order=3),
}


def sample_wan(
    bundle: Any, schedule: Schedule, guidance: float, stages: Stages | None = None
) -> np.ndarray[Any, Any]:
    plan = SimpleNamespace(schedule=schedule, steps=schedule.steps, guidance=guidance)
    traits = SimpleNamespace(patch=(1, 2, 2), head_size=12, rotary_base=10000.0)
    texts = [numbers(1, 3, 4, seed=1), numbers(1, 3, 4, seed=2)][: 1 + (guidance > 1)]
    return wan.sample(
        bundle,
        Noise(3),
        (1, 4, 3, 4, 6),
        numbers(1, 4, 1, 4, 6, seed=4),
        texts,
        plan,
        traits,
        device="cpu",
        stages=stages or Stages(),
    )


@pytest.mark.parametrize("guidance", [1.0, 5.0])
@pytest.mark.parametrize("name", SCHEDULES)
def test_wan_ends_where_the_host_ends(opened: Any, taken: Any, name: str, guidance: float) -> None:
    host, device = taken(lambda: sample_wan(opened(WAN), SCHEDULES[name](), guidance))
    same(device, host)


def sample_svd(bundle: Any, schedule: Schedule, ramp: tuple[float, float]) -> Any:
    plan = SimpleNamespace(
        steps=schedule.steps,
        sigmas=None,
        fps=7.0,
        motion_bucket_id=127.0,
        noise_aug_strength=0.02,
        guided=ramp[1] > 1,
        ramp=np.linspace(*ramp, 5, dtype=np.float32),
    )
    return svd.sample(
        bundle,
        numbers(1, 5, 4, 6, 8),
        numbers(1, 4, 6, 8, seed=1),
        numbers(1, 1, 16, seed=2),
        plan,
        device="cpu",
        stages=Stages(),
    )


@pytest.mark.parametrize("ramp", [(1.0, 1.0), (1.0, 3.0)])
@pytest.mark.parametrize("schedule", [euler_karras(6), dpmpp_2m(5)], ids=["karras", "dpm"])
def test_svd_ends_where_the_host_ends(
    opened: Any,
    taken: Any,
    monkeypatch: pytest.MonkeyPatch,
    ramp: tuple[float, float],
    schedule: Schedule,
) -> None:
    def make() -> Any:
        monkeypatch.setattr(svd, "schedule_of", lambda *_: schedule)
        return sample_svd(opened(SVD), schedule, ramp)

    host, device = taken(make)
    same(device, host)


def test_svd_refuses_noise_as_the_host_does(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = flow_euler(3, stochastic=True)
    monkeypatch.setattr(svd, "schedule_of", lambda *_: schedule)
    monkeypatch.setattr(resident, "ON_CPU", True)
    with pytest.raises(SettingsError, match="no source of noise"):
        sample_svd(opened(SVD), schedule, (1.0, 1.0))


def move_ltx(
    bundle: Any,
    schedule: Schedule,
    *,
    guidance: float = 1.0,
    rescale: float = 0.0,
    first: float = 1.0,
    last: float | None = None,
    condition_noise: float = 0.0,
    told: list[tuple[str, int, int]] | None = None,
) -> Any:
    rows, frames = 6, 4
    extra = 0 if last is None else rows
    held = np.zeros(extra + rows * frames, np.float32)
    held[:extra] = last or 0
    held[extra : extra + rows] = first
    tokens = Tokens(numbers(len(held), 8), held, numbers(3, len(held), seed=1), extra=extra)
    plan = SimpleNamespace(
        schedule=schedule,
        steps=schedule.steps,
        guidance=guidance,
        guidance_rescale=rescale,
        image_cond_noise_scale=condition_noise,
    )
    texts = [
        (numbers(1, 5, 4, seed=2), np.array([[1, 1, 1, 0, 0]], np.int64)),
        (numbers(1, 5, 4, seed=3), np.array([[1, 0, 0, 0, 0]], np.int64)),
    ][: 1 + (guidance > 1)]
    shapes = {}
    packed = (schedule.steps, 1, len(held), 8)
    if schedule.noise_weights.any():
        shapes["steps"] = packed
    if condition_noise:
        shapes["condition"] = packed
    stages = Stages(None if told is None else lambda *told_: told.append(told_))
    with bundle.open("denoiser", device="cpu") as engine:
        return ltx_stages.denoise(
            engine,
            SimpleNamespace(condition=True),
            tokens,
            plan,
            texts,
            Noise(5),
            shapes,
            stages,
        )


LTX_CASES: dict[str, dict[str, Any]] = {
    "first held": {},
    "guidance": {"guidance": 3.0},
    "rescaled guidance": {"guidance": 3.0, "rescale": 0.7},
    "first and last held": {"last": 1.0},
    "held for a while": {"first": 0.6, "last": 0.3, "guidance": 2.0},
    "held with noise": {"last": 1.0, "condition_noise": 0.15},
    "nothing held": {"first": 0.0},
}


@pytest.mark.parametrize("name", ["euler", "stochastic", "one step"])
@pytest.mark.parametrize("case", LTX_CASES)
def test_ltx_ends_where_the_host_ends(opened: Any, taken: Any, case: str, name: str) -> None:
    schedule = SCHEDULES[name]()
    host, device = taken(lambda: move_ltx(opened(LTX), schedule, **LTX_CASES[case]))
    same(device, host)


@pytest.mark.parametrize("name", ["dpm", "unipc"])
def test_ltx_looks_back_where_its_schedule_does(opened: Any, taken: Any, name: str) -> None:
    host, device = taken(lambda: move_ltx(opened(LTX), SCHEDULES[name](), guidance=2.0))
    same(device, host)


def test_a_step_at_no_noise_runs_no_network(opened: Any, taken: Any) -> None:
    base = flow_euler(4)
    base.timesteps[-1] = 0.0
    told: list[list[tuple[str, int, int]]] = [[], []]
    runs = iter(told)
    host, device = taken(lambda: move_ltx(opened(LTX), base, told=next(runs)))
    same(device, host)
    assert told[0][-1] == told[1][-1] == ("denoise", 3, 4)


@pytest.mark.parametrize(
    ("bundle", "asked"),
    [
        ("svd", {"height": 32, "width": 32, "num_frames": 3, "steps": 3}),
        ("ltx", {"steps": 3, "guidance": 3.0, "guidance_rescale": 0.5}),
        ("wan", {"steps": 4, "guidance": 4.0}),
    ],
)
def test_frames_of_whole_bundles_are_the_same(
    tiny_bundles: Any, taken: Any, bundle: str, asked: dict[str, Any]
) -> None:
    photo = (np.abs(numbers(64, 64, 3)) * 80).clip(0, 255).astype(np.uint8)
    sizes = {"height": 64, "width": 64, "num_frames": 9} if bundle != "svd" else {}

    def make() -> np.ndarray[Any, Any]:
        prompts = {} if bundle == "svd" else {"prompt": "a boat", "negative_prompt": "low"}
        model = load(tiny_bundles[bundle], "cpu")
        return np.stack(list(model.frames(photo, seed=3, **prompts, **sizes, **asked)))

    host, device = taken(make)
    assert host.std() > 1
    # float32 sums in another order may tip a value over the rounding to 8 bits, now and then
    difference = np.abs(host.astype(int) - device)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_latents_are_not_copied_in_the_loop(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, tuple[int, ...]]] = []
    for name in ("upload", "download"):
        real = getattr(OrtBuffer, name)

        def told(self: OrtBuffer, *args: Any, name: str = name, real: Any = real) -> Any:
            events.append((name, self.shape))
            return real(self, *args)

        monkeypatch.setattr(OrtBuffer, name, told)
    monkeypatch.setattr(resident, "ON_CPU", True)
    launch = resident._Loop._step
    monkeypatch.setattr(
        resident._Loop, "_step", lambda self: events.append(("step", ())) or launch(self)
    )
    sample_wan(opened(WAN), SCHEDULES["unipc"](), 5.0)
    steps = [place for place, (kind, _) in enumerate(events) if kind == "step"]
    assert len(steps) == 7
    inside = [event for event in events[steps[0] : steps[-1]] if event[0] != "step"]
    assert all(event == ("download", (2,)) for event in inside)  # the clock
    assert len(inside) < 7
    assert [event for event in events[steps[-1] :] if event[0] == "upload"] == []


def test_every_buffer_is_freed(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[OrtBuffer] = []
    allocate = OrtEngine.allocate
    monkeypatch.setattr(
        OrtEngine, "allocate", lambda self, *a: made.append(allocate(self, *a)) or made[-1]
    )
    monkeypatch.setattr(resident, "ON_CPU", True)
    sample_wan(opened(WAN), flow_euler(2), 5.0)
    assert made
    assert all(buffer.value is None for buffer in made)


def test_nan_is_told_with_its_step(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's velocity is no number once the timestep is below 600."""
    low = WAN.replace(
        "velocity = Tanh(c)",
        """limit = Constant <value_float = 0.6> ()
        gap = Sub(column, limit)
        first = Constant <value_float = 0.0> ()
        at_zero = Equal(column, first)
        room = Where(at_zero, limit, gap)
        root = Sqrt(room)
        velocity = Mul(c, root)""",
    )
    schedule = flow_euler(10)
    expected = 1 + int(np.argmax(schedule.timesteps < 600))
    messages = []
    for on_cpu in (False, True):
        monkeypatch.setattr(resident, "ON_CPU", on_cpu)
        with pytest.raises(EngineError) as caught:
            sample_wan(opened(low), schedule, 1.0)
        messages.append(str(caught.value))
    assert f"step {expected} of 10" in messages[0]
    assert messages[0] == messages[1]


def test_a_device_that_fails_in_the_loop_steps_down_and_begins_again(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails(OrtEngine):
        def bind(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Launch:
            launch, left = super().bind(inputs, outputs), [2]

            def failing() -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise EngineError("the device is gone")
                launch()

            return failing

    plain = opened(WAN)
    expected = sample_wan(plain, flow_euler(5), 1.0)
    path = plain.open.__closure__[0].cell_contents  # where the toy lies
    notes: list[str] = []
    rungs = [
        Rung("onnxruntime", Device("cuda"), "fp16"),
        Rung("onnxruntime", Device("cpu"), "fp32"),
    ]

    def open_rung(rung: Rung) -> Engine:
        return Fails(path, Device("cpu")) if rung is rungs[0] else OrtEngine(path, Device("cpu"))

    def sturdy(name: str, device: object) -> Engine:
        return Sturdy(name, rungs, open_rung, on_note=notes.append, ways=Ways())

    monkeypatch.setattr(resident, "ON_CPU", True)
    found = sample_wan(SimpleNamespace(open=sturdy), flow_euler(5), 1.0)
    same(found, expected)
    assert len(notes) == 1
    assert "the device is gone" in notes[0]


@pytest.mark.parametrize("kind", [EngineError, DeviceMemoryError])
def test_where_the_small_graphs_cannot_be_opened_the_host_steps(
    opened: Any, monkeypatch: pytest.MonkeyPatch, kind: type[EngineError]
) -> None:
    def refused(self: OrtEngine, graph: Path, inputs: Any) -> OrtEngine:
        raise kind("no engine can be built here")

    expected = sample_wan(opened(WAN), flow_euler(3), 1.0)
    monkeypatch.setattr(OrtEngine, "beside", refused)
    monkeypatch.setattr(resident, "ON_CPU", True)
    stages = Stages()
    if kind is DeviceMemoryError:  # for smaller pieces, or another way of running, may do
        with pytest.raises(DeviceMemoryError):
            sample_wan(opened(WAN), flow_euler(3), 1.0, stages)
        return
    np.testing.assert_array_equal(sample_wan(opened(WAN), flow_euler(3), 1.0, stages), expected)
    assert len(stages.notes) == 1
    assert "no engine can be built here" in stages.notes[0]


def test_what_is_no_resident_engine_takes_the_host_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        device = Device("cuda")
        inputs = outputs = ()

        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...

        def close(self) -> None: ...

    assert resident.residence(Plain()) is None  # type: ignore[arg-type]
    monkeypatch.setattr(resident, "ON_CPU", True)
    assert resident.residence(Plain()) is None  # type: ignore[arg-type]


def test_the_cpu_keeps_the_plain_loop_by_itself(opened: Any) -> None:
    with opened(WAN).open("denoiser", device="cpu") as engine:
        assert isinstance(engine, Resident)
        assert resident.residence(engine) is None


def test_the_graphs_that_ship_are_those_of_the_script() -> None:
    for name, model in step_graphs().items():
        assert onnx.load(FOLDER / name) == model, f"{name}: run export/step_graphs.py again"


def test_tables_look_back_no_further_than_there_is() -> None:
    table = Table.of(unipc_flow(5, order=2), starts=(0, 3))
    order = table.order
    for step, known in ((0, 1), (1, 2), (3, 1), (4, 2)):
        assert not table.weights[step, known:order].any()
        assert not table.weights[step, order + known - 1 :].any()
    assert table.shift.tolist() == [0, 1, 2, 6, 4]
    assert table.keep.tolist() == [0, 2, 3, 4, 5]
    assert len(table.scalars) == resident.ROWS


class _Lonely:
    """An engine on a device where nothing can be opened beside it."""

    device = Device("cuda")

    def beside(self, *_: Any) -> Any:
        raise OutputError("there is no room to build it in")

    def close(self) -> None: ...


def test_small_graphs_that_cannot_be_built_are_done_without() -> None:
    loop = object.__new__(resident._Loop)
    loop.engine, loop.buffers = _Lonely(), {}  # type: ignore[assignment]
    with pytest.raises(resident._Alone, match="no room"):
        loop._around("step_svd_before.onnx", (), ())


@pytest.mark.parametrize("strict", [False, True])
def test_a_strict_engine_refuses_what_is_not_on_the_device(
    monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    def alone(*_: Any) -> Any:
        raise resident._Alone("refused")

    monkeypatch.setattr(resident, "take", alone)
    monkeypatch.setattr(resident, "residence", lambda engine: engine)
    notes: list[str] = []
    engine = Sturdy(
        "denoiser",
        [Rung("tensorrt-rtx", Device("cuda"), "fp16")],
        lambda rung: _Lonely(),  # type: ignore[arg-type, return-value]
        on_note=notes.append,
        ways=Ways(),
        strict=strict,
    )

    def walk() -> np.ndarray[Any, Any]:
        return resident.walk_or(
            engine,
            lambda: None,
            lambda: np.ones(1, np.float32),
            int,
            notes.append,  # type: ignore
        )

    if strict:
        with pytest.raises(EngineError, match="refused"):
            walk()
        assert not notes
    else:
        assert walk() == 1
        assert len(notes) == 1
