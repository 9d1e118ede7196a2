"""What a machine needs for networks and for ember's films, on one core and on all of them.

    python -m reverie.benchmarks.prediction_measure --device epyc --photo PHOTO [--full FOLDER]
        [--cores 1 2] [--json FILE]

Each case runs in a process of its own that is bound to so many cores, as if the machine had no
more. ember's films are rendered through the command line; of full-size bundles (FOLDER/ltx,
FOLDER/svd) single networks are run on random inputs, once to warm up and then --repeat times.
Rows are named DEVICE-Ncore, which are rows of engines/devices.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..engines.errors import ReverieError, SettingsError
from ..runtime.output import check_file, disk_errors, write_file
from .machine import describe_machine
from .prediction_points import MEASURED

FILMS = ((360, 4.0), (720, 10.0), (1080, 4.0))
"""ember's films: height and seconds."""
NETWORKS: Mapping[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "ltx": (
        {"height": 512, "width": 704, "num_frames": 9, "steps": 2, "guidance": 1.0},
        ("denoiser", "vae_decoder", "vae_encoder"),
    ),
    "svd": (
        {"height": 256, "width": 256, "num_frames": 14, "steps": 2, "guidance": 1.0},
        ("denoiser", "vae_decoder", "vae_encoder", "image_encoder"),
    ),
}
"""Family -> what its plan is asked for, and the networks that are run."""


def film(photo: Path, height: int, seconds: float) -> dict[str, Any]:
    """Render one film in this process; returns its stages and the time inside each network."""
    from ..cli.main import main as reverie
    from ..engines.ort import OrtEngine
    from ..runtime.bundle import load_bundle
    from ..runtime.cost import phase_costs
    from ..runtime.shapes import plan_for

    inside: dict[str, list[float]] = defaultdict(list)
    opened: dict[str, float] = defaultdict(float)
    plain_open, plain_run = OrtEngine.__init__, OrtEngine.run

    def opening(engine: Any, path: Path, *given: Any, **named: Any) -> None:
        start = time.perf_counter()
        plain_open(engine, path, *given, **named)
        opened[path.name.partition(".")[0]] += time.perf_counter() - start

    def run(engine: Any, inputs: Any) -> Any:
        start = time.perf_counter()
        try:
            return plain_run(engine, inputs)
        finally:
            inside[engine._path.name.partition(".")[0]].append(time.perf_counter() - start)

    OrtEngine.__init__ = opening  # type: ignore[method-assign,assignment]
    OrtEngine.run = run  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
        command = ["animate", str(photo), "--json", "--height", str(height)]
        command += ["--seconds", str(seconds), "--aspect", "16:9"]
        code = reverie([*command, "--out", str(Path(folder) / "clip.mp4")])
    if code:
        raise SystemExit(code)
    told = json.loads(out.getvalue())
    bundle = load_bundle("ember")
    costs = phase_costs(bundle, plan_for(bundle, height=height, aspect="16:9", seconds=seconds))
    return {
        "family": "ember",
        "width": told["width"],
        "height": told["height"],
        "frames": told["frames"],
        "stages": told["stages"],
        "networks": {
            name: {
                "runs": len(times),
                "seconds": sum(times),
                "open_seconds": opened[name],
                "costs": [asdict(one) for one in costs if one.component == name],
            }
            for name, times in inside.items()
        },
    }


def network(folder: Path, family: str, name: str, repeat: int) -> dict[str, Any]:
    """Run one network of a full-size bundle on random inputs; returns the median of its runs."""
    import numpy as np

    from ..engines.engine import open_engine
    from ..runtime.bundle import load_bundle
    from ..runtime.cost import PhaseCost, work_of
    from ..runtime.shapes import component_shapes
    from ..runtime.take import find_family
    from .manifest_only import FOLDER

    asked = NETWORKS[family][0]
    bundle = load_bundle(folder)
    plan = find_family(bundle).plan(bundle, **asked)
    shapes = component_shapes(bundle, plan)[name][0]
    component = bundle.component(name)
    start = time.perf_counter()
    with open_engine(folder / (component.cpu or component.graph).file, device="cpu") as engine:
        opening = time.perf_counter() - start
        random = np.random.default_rng(0)
        inputs = {
            port.name: random.standard_normal(shapes[port.name]).astype(port.dtype)
            if np.issubdtype(port.dtype, np.floating)
            else np.ones(shapes[port.name], port.dtype)
            for port in engine.inputs
        }
        times = []
        for _ in range(repeat + 1):
            start = time.perf_counter()
            engine.run(inputs)
            times.append(time.perf_counter() - start)
    counted = (
        bundle if "cost" in bundle.section("components")[name] else load_bundle(FOLDER / family)
    )
    work, weights = work_of(counted, counted.component(name), shapes)
    cost = PhaseCost(name, name, 1, work, weights, component.precision)
    taken = times[1:] or times
    return {
        "family": family,
        **{key: asked[key] for key in ("width", "height")},
        "frames": asked["num_frames"],
        "networks": {
            name: {
                "runs": 1,
                "seconds": statistics.median(taken),
                "samples": taken,
                "open_seconds": opening,
                "costs": [asdict(cost)],
            }
        },
    }


def bound(words: list[str], cores: int) -> dict[str, Any]:
    """Run a case in a process on so many cores; returns what it says, with `wall_seconds`.

    Raises:
        SettingsError: this process may not run on so many.
    """
    chosen = cores_of(cores)
    command = [sys.executable, "-m", "reverie.benchmarks.prediction_measure", *words]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        env={**os.environ, "OMP_NUM_THREADS": str(cores)},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr.strip()[-400:]}")
    wall = time.perf_counter() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "wall_seconds": wall}


def cores_of(count: int) -> list[int]:
    """Return the first so many of the cores that this process may run on.

    Raises:
        SettingsError: there are fewer, or none is asked for.
    """
    there = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(there):
        raise SettingsError(
            f"{count} cores cannot be measured: this process may run on {len(there)}: "
            f"give --cores from 1 to {len(there)}"
        )
    return there[:count]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--device", default="epyc", help="what the rows are called; epyc is the machine here")
    add("--photo", type=Path)
    add("--full", type=Path, help="folder of full-size bundles ltx and svd, with their graphs")
    add("--cores", type=int, nargs="+", default=[1, 2])
    add("--repeat", type=int, default=2)
    add("--json", type=Path, default=MEASURED)
    add("--film", nargs=2, type=float, help=argparse.SUPPRESS)
    add("--network", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.film:
        print(json.dumps(film(asked.photo, int(asked.film[0]), asked.film[1])))
        return 0
    if asked.network:
        folder, family, name = asked.network
        print(json.dumps(network(Path(folder), family, name, asked.repeat)))
        return 0
    try:
        measure(asked)
    except ReverieError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def measure(asked: argparse.Namespace) -> None:
    """Run every case on every number of cores; what is there is written after each.

    Raises:
        SettingsError: there are not so many cores.
        OutputError: the results cannot be written; told before anything is run.
    """
    for cores in asked.cores:
        cores_of(cores)
    with disk_errors(asked.json):
        check_file(asked.json, force=True)
    rows = []
    for cores in asked.cores:
        cases: list[tuple[str, list[str]]] = []
        for height, seconds in FILMS if asked.photo else ():
            words = ["--photo", str(asked.photo), "--film", str(height), str(seconds)]
            cases.append((f"ember {height}p {seconds:g} s", words))
        for family, (_, names) in NETWORKS.items() if asked.full else ():
            for name in names:
                words = ["--network", str(asked.full / family), family, name]
                cases.append((family, [*words, "--repeat", str(asked.repeat)]))
        for title, words in cases:
            row = {"id": title, "device": f"{asked.device}-{cores}core", "cores": cores}
            row |= bound(words, cores)
            rows.append(row)
            told = {name: round(one["seconds"], 3) for name, one in row["networks"].items()}
            print(f"{row['device']} {title}: {row['wall_seconds']:.2f} s, networks {told}")
            report = {"machine": describe_machine(), "repeat": asked.repeat, "rows": rows}
            write_file((json.dumps(report, indent=1) + "\n").encode(), asked.json, force=True)


if __name__ == "__main__":
    sys.exit(main())
