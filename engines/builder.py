"""A graph into an engine, with whichever library is passed in; runs in a process of its own.

Networks are strongly typed: every tensor keeps the type that the graph gives it. The engine leaves
through a stream, piece by piece, so that it never lies in memory beside the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import EngineError
from .refusal import reason
from .trt_log import make_log

Shape = tuple[int, ...]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]
Told = Callable[[str, str, int, int], None]
"""Takes the phase ("read", "compile", "write"), the library's own name of its step, and how many of
how many are done, 0 of 0 where that is not known; "write" counts bytes."""


class Unbuildable(EngineError):
    """The library refuses the graph for these GPUs."""


@dataclass(frozen=True)
class Plan:
    """What the library is asked for."""

    graph: Path
    gpus: tuple[str, ...]
    """Names of architectures, "sm86"."""
    profile: Profile
    """Input -> least, best and largest shape."""
    ahead: bool
    """Whether it is for the named GPUs, else for the one in this machine."""
    weight_streaming: bool = False
    values: Profile = field(default_factory=dict)
    """The same for the values of inputs that are themselves shapes."""


def build(module: Any, plan: Plan, write: Callable[[bytes], int], told: Told) -> None:
    """Build an engine, each piece of which goes to `write`, which returns how much it took.

    Raises:
        Unbuildable: the library refuses the graph for the GPUs; says why.
        EngineError: the graph cannot be read, or the shapes are not those of its inputs.
        OSError: whatever `write` raised.
    """
    log = make_log(module)
    name = plan.graph.name
    told("read", "", 0, 0)
    builder = module.Builder(log)
    network = builder.create_network(_typing(module))
    parser = module.OnnxParser(network, log)
    if not parser.parse_from_file(str(plan.graph)) or not network.num_outputs:
        raise _unread(parser, log, name)
    config = builder.create_builder_config()
    if plan.ahead:
        _aim(module, config, plan)
    if plan.weight_streaming:
        config.set_flag(module.BuilderFlag.WEIGHT_STREAMING)
    config.add_optimization_profile(_profile(builder, network, plan, log))
    told("compile", "", 0, 0)
    if hasattr(module, "IProgressMonitor"):
        config.progress_monitor = _monitor(module, told)
    kept: list[BaseException] = []
    if hasattr(builder, "build_serialized_network_to_stream"):
        writer = _writer(module, write, kept)
        done = bool(builder.build_serialized_network_to_stream(network, config, writer))
    else:
        engine = builder.build_serialized_network(network, config)
        done = engine is not None
        if done:
            write(engine)
    if kept:
        raise kept[0]
    if not done:
        error = Unbuildable(
            f"{name} cannot be built for {', '.join(plan.gpus)}: {reason(log.errors)}"
        )
        for line in log.errors:
            error.add_note(line)
        raise error


def _unread(parser: Any, log: Any, name: str) -> EngineError:
    """What to raise where the parser failed: a node it does not know, or a file that is broken."""
    said = log.errors or ["it has no outputs"]
    places = [parser.get_error(place) for place in range(parser.num_errors)]
    unknown = any(hasattr(place, "node") and place.node() >= 0 for place in places)
    kind = Unbuildable if unknown else EngineError
    what = "holds what the library cannot build" if unknown else "cannot be read as a graph"
    mend = "" if unknown else ": export or copy the bundle again"
    error = kind(f"{name} {what} ({reason(said)}){mend}")
    for line in said:
        error.add_note(line)
    return error


def _typing(module: Any) -> int:
    """Flags of a strongly typed network; where it is the only kind, there may be no flag."""
    flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _aim(module: Any, config: Any, plan: Plan) -> None:
    config.num_compute_capabilities = len(plan.gpus)
    for place, gpu in enumerate(plan.gpus):
        capability = getattr(module.ComputeCapability, gpu.upper(), None)
        if capability is None or not config.set_compute_capability(capability, place):
            raise EngineError(
                f"this version of {module.__name__} ({module.__version__}) builds no engines for "
                f"{gpu}: update it, or build for another GPU"
            )


def _profile(builder: Any, network: Any, plan: Plan, log: Any) -> Any:
    """The one profile of the engine, every input of the network in it."""
    profile = builder.create_optimization_profile()
    inputs = {}
    for place in range(network.num_inputs):
        tensor = network.get_input(place)
        inputs[str(tensor.name)] = tensor
    if unknown := sorted(plan.profile.keys() - inputs.keys()):
        raise EngineError(f"{plan.graph.name} has no input {unknown[0]!r}: it has {list(inputs)}")
    for name, tensor in inputs.items():
        shape = tuple(int(size) for size in tensor.shape)
        if name in plan.profile:
            _check(plan, name, shape)
            profile.set_shape(name, *plan.profile[name])
        elif -1 in shape:
            raise EngineError(f"{plan.graph.name}: no shape is given for its input {name!r}")
        if tensor.is_shape_tensor:
            if name not in plan.values:
                raise EngineError(
                    f"{plan.graph.name}: the values of its input {name!r} set shapes, and the "
                    "library has to know them ahead: leave this network to ONNX Runtime"
                )
            profile.set_shape_input(name, *plan.values[name])
    return profile


def _check(plan: Plan, name: str, shape: Shape) -> None:
    """Refuse what the library would only tell by a number."""
    least, best, most = plan.profile[name]
    wanted = {len(least), len(best), len(most)}
    if wanted != {len(shape)}:
        raise EngineError(
            f"{plan.graph.name}: input {name!r} has {len(shape)} axes, and {sorted(wanted)} are "
            "given"
        )
    for axis, sizes in enumerate(zip(least, best, most, shape, strict=True)):
        low, middle, high, fixed = sizes
        if not 0 <= low <= middle <= high or (fixed != -1 and {low, middle, high} != {fixed}):
            raise EngineError(
                f"{plan.graph.name}: axis {axis} of input {name!r} cannot be {low} to {high}"
                + (f": it is always {fixed}" if fixed != -1 else "")
            )


def _monitor(module: Any, told: Told) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        """Tells the innermost phase that the library is in, and its steps."""

        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.phases: list[tuple[str, int]] = []

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self.phases.append((str(name), int(steps)))
            told("compile", str(name), 0, int(steps))

        def step_complete(self, name: str, step: int) -> bool:
            total = next((steps for known, steps in self.phases[::-1] if known == name), 0)
            told("compile", str(name), int(step) + 1, total)
            return True

        def phase_finish(self, name: str) -> None:
            while self.phases and self.phases.pop()[0] != name:
                pass  # phases that the library left without a word

    return Monitor()


def _writer(module: Any, write: Callable[[bytes], int], kept: list[BaseException]) -> Any:
    class Writer(module.IStreamWriter):  # type: ignore[misc]
        """Passes pieces on; an error cannot cross the library and is kept for afterwards."""

        def __init__(self) -> None:
            module.IStreamWriter.__init__(self)

        def write(self, data: Any, size: int | None = None) -> int:
            if kept:
                return 0
            try:
                return write(data)
            except BaseException as error:
                kept.append(error)
                return 0

    return Writer()
