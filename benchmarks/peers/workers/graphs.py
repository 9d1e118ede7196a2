"""Reverie's own ONNX graphs in OpenVINO: the runs that Reverie's engines made, made again, timed.

Inputs come as graph_COMPONENT_NUMBER_in_NAME: of the denoiser those of one step, of the decoder
those of the whole film. The other phases of a film are not here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from recorder import Recorder, Skipped, work

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_NAME = re.compile(r"graph_(denoiser|vae_decoder)_(\d+)_in_(.+)")


def run(recorder: Recorder) -> None:
    """Compile each graph for the sizes of its runs, and run it as often as Reverie did."""
    job = recorder.job
    with recorder.phase("import"):
        import openvino
    recorder.mark("imported")
    recorder.versions["openvino"] = openvino.__version__
    core = openvino.Core()
    known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    wanted = {"bf16": "BF16", "fp16": "FP16"}.get(job["dtype"])
    if wanted and wanted not in known:
        raise Skipped(f"OpenVINO says that this processor cannot do {wanted}: {', '.join(known)}")
    runs = given_runs(recorder.arrays)
    if "denoiser" not in runs:
        raise Skipped("no runs of Reverie's denoiser were given to make again")
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[job["dtype"]],
        "INFERENCE_NUM_THREADS": int(job["threads"]),
        "PERFORMANCE_HINT": "LATENCY",
    }
    with recorder.phase("load"):
        network = compiled(core, job["graphs"]["denoiser"], runs["denoiser"], settings)
    recorder.mark("loaded")
    with recorder.phase("denoise"):
        for _ in range(int(job["settings"]["steps"])):
            recorder.step_begins()
            found = [answers(network, one) for one in runs["denoiser"]]
            recorder.step_ends()
    keep(recorder, "denoiser", found)
    del network
    if "vae_decoder" in runs:
        with recorder.phase("load decoder"):
            decoder = compiled(core, job["graphs"]["vae_decoder"], runs["vae_decoder"], settings)
        with recorder.phase("decode (network)"):
            found = [answers(decoder, one) for one in runs["vae_decoder"]]
        keep(recorder, "vae_decoder", found)


def given_runs(arrays: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The inputs of each run, in order, by component."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in arrays.items():
        if found := _NAME.fullmatch(name):
            component, number, port = found[1], int(found[2]), found[3]
            runs.setdefault(component, {}).setdefault(number, {})[port] = value
    return {name: [one[index] for index in sorted(one)] for name, one in runs.items()}


def compiled(core: Any, file: str, runs: list[dict[str, Any]], settings: dict[str, Any]) -> Any:
    """A graph made ready; for one size, where all runs have the same."""
    model = core.read_model(Path(file))
    shapes = [{name: value.shape for name, value in one.items()} for one in runs]
    if all(one == shapes[0] for one in shapes):
        model.reshape({name: list(shape) for name, shape in shapes[0].items()})
    return core.compile_model(model, "CPU", settings)


def answers(network: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a run gives, by name, as arrays of this process."""
    found = network(inputs)
    return {port.get_any_name(): found[port].copy() for port in network.outputs}


def keep(recorder: Recorder, component: str, found: list[dict[str, Any]]) -> None:
    """Hand the outputs over under the names of Reverie's."""
    for number, one in enumerate(found):
        for name, value in one.items():
            recorder.outputs[f"graph_{component}_{number}_out_{name}"] = value


if __name__ == "__main__":
    work(run)
