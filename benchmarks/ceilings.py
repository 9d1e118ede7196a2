"""What this machine can do at most, as Reverie runs it: products, convolutions, attention, memory.

    python -m reverie.benchmarks.ceilings --name NAME [--threads 1,2] [--device cpu|cuda]
        [--repeat 7] [--only gemm] [--json FILE]

Graphs of one operator each, at sizes typical for video models, through the engine that renders use:
no arena, so that every result lies in fresh memory. Writes benchmarks/results/ceilings_NAME.json.
A row's `best` is the work of a run over the least of its seconds; what a machine cannot run is left
out with its reason in `notes`. Building the graphs needs the extra `export`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.device import Device, choose_device
from ..engines.engine import Launch
from ..engines.errors import EngineError, ReverieError
from ..engines.ort import OrtEngine
from ..runtime.output import write_file
from .bench import record
from .ceiling_graphs import Case, gpu_cases, processor_cases, save
from .machine import describe_machine

RESULTS = Path(__file__).parent / "results"
LEAST_SECONDS = 0.3
"""Of all samples of a case, at least; more are taken until there are as many."""
MOST_SECONDS = 6.0
MEMORY_BYTES = 512 * 2**20
"""Of the arrays that memory is measured with, far beyond any cache."""
_MAPPED = 1 << 30  # weights in a file from this size on are read as they lie there


def measure_case(case: Case, device: Device, threads: int | None, repeat: int) -> dict[str, Any]:
    """Measure one operator; returns its row.

    Raises:
        EngineError: this machine has no kernel for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ceiling.onnx"
        model, given = case.build()
        save(model, path)
        del model
        engine = OrtEngine(path, device, threads, _MAPPED if case.mapped else 0)
        try:
            if device.kind == "cpu":
                samples = timed(lambda: engine.run(given), repeat)
            else:
                samples = timed(_bound(engine, given), repeat)
        finally:
            engine.close()
    return _row(
        case.name,
        device,
        threads,
        samples,
        kind=case.kind,
        operator=case.operator,
        arithmetic=case.precision,
        size=case.size,
        mapped=case.mapped,
        flops=case.flops,
        bytes=case.bytes,
    )


def timed(run: Callable[[], object], repeat: int) -> list[float]:
    """Seconds of some runs after one for warmth: `repeat` of them, more where they are short."""
    run()
    samples: list[float] = []
    begun = time.perf_counter()
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        samples.append(now - start)
        spent = now - begun
        if spent > MOST_SECONDS or (len(samples) >= repeat and spent > LEAST_SECONDS):
            return samples


def memory_rows(threads: int, repeat: int) -> Iterator[dict[str, Any]]:
    """Measure reading, writing over and copying memory, each thread a part of it."""
    source = np.ones(MEMORY_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    parts = [slice(*ends) for ends in _parts(len(source), threads)]

    def read(part: slice) -> None:
        source[part].max()

    def write(part: slice) -> None:
        target[part].fill(1.0)

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    size = f"{MEMORY_BYTES // 2**20} MiB"
    ways = (("read", read, 1), ("write", write, 1), ("copy", copy, 2))
    with ThreadPoolExecutor(threads) as pool:
        for name, work, times in ways:
            samples = timed(lambda work=work: list(pool.map(work, parts)), repeat)  # type: ignore[misc]
            yield _row(
                f"memory {name} {size}",
                Device("cpu"),
                threads,
                samples,
                kind="memory",
                operator=name,
                arithmetic="fp32",
                size=size,
                mapped=False,
                flops=0.0,
                bytes=float(times * source.nbytes),
            )


def measure(
    device: Device, threads: Sequence[int], repeat: int, only: str, told: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure every case; returns rows, and why others are not there."""
    rows: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    cases = processor_cases if device.kind == "cpu" else gpu_cases
    for count in threads if device.kind == "cpu" else (None,):
        for case in cases():
            if not case.name.startswith(only):
                continue
            try:
                rows.append(measure_case(case, device, count, repeat))
                told(line(rows[-1]))
            except EngineError as error:
                notes[f"{case.name}: {str(error).splitlines()[0]}"] = None
        if count is not None and "memory".startswith(only[:6]):
            for row in memory_rows(count, repeat):
                rows.append(row)
                told(line(row))
    return rows, list(notes)


def line(row: dict[str, Any]) -> str:
    """One row for a person."""
    rate = row["best"]
    unit, number = ("GFLOP/s", rate) if row["unit"] == "FLOP/s" else ("GB/s", rate)
    return f"{row['id']:72}{number / 1e9:10.1f} {unit}"


def _row(
    name: str, device: Device, threads: int | None, samples: list[float], **facts: Any
) -> dict[str, Any]:
    words = [name, str(device)]
    if threads is not None:
        words.append(f"{threads} thread{'s' * (threads != 1)}")
    work, unit = (facts["flops"], "FLOP/s")
    if facts["kind"] in ("memory", "elementwise"):
        work, unit = facts["bytes"], "B/s"
    return {
        "id": " ".join(words),
        "model": "one operator",
        **facts,
        "precision": {facts["operator"]: facts["arithmetic"]},
        "device": str(device),
        "backend": "onnxruntime",
        "threads": threads,
        "unit": unit,
        "best": work / min(samples),
        "phases": {"run": record.phase(samples)},
        "notes": [],
    }


def _bound(engine: OrtEngine, given: dict[str, Any]) -> Callable[[], object]:
    """A run whose values stay on the device."""
    made = engine.run(given)
    inputs, outputs = {}, {}
    for name, array in given.items():
        inputs[name] = engine.allocate(array.shape, array.dtype)
        inputs[name].upload(array)
    for name, array in made.items():
        outputs[name] = engine.allocate(array.shape, array.dtype)
    launch: Launch = engine.bind(inputs, outputs)
    return launch


def _parts(length: int, count: int) -> Iterator[tuple[int, int]]:
    for index in range(count):
        yield length * index // count, length * (index + 1) // count


def _threads(text: str | None) -> list[int]:
    if text is None:
        cores = os.cpu_count() or 1
        return [1, cores] if cores > 1 else [1]
    return [int(word) for word in text.split(",")]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure this machine's ceilings and write them down."""
    parser = argparse.ArgumentParser(
        prog="python -m reverie.benchmarks.ceilings", description=main.__doc__
    )
    add = parser.add_argument
    add("--name", required=True, help="of the machine, for the file's name")
    add("--threads", help="numbers of threads, 1,2 (default: 1 and all)")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--repeat", type=int, default=7, help="runs of a case, at least (default 7)")
    add("--only", default="", help="cases whose name begins so: gemm, convolution, ...")
    add("--json", type=Path, help="where to write (default: benchmarks/results/ceilings_NAME.json)")
    asked = parser.parse_args(argv)
    command = list(sys.argv[1:] if argv is None else argv)
    try:
        device = choose_device(asked.device)
        rows, notes = measure(device, _threads(asked.threads), asked.repeat, asked.only, print)
        made = record.record(
            rows,
            machine=describe_machine(),
            command=["python", "-m", "reverie.benchmarks.ceilings", *command],
            name=asked.name,
            notes=notes,
        )
        target = asked.json or RESULTS / f"ceilings_{asked.name}.json"
        write_file(record.encoded(made), target, force=True)
    except ReverieError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for note in notes:
        print(f"not measured: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
