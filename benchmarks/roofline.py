"""How near each phase of a render comes to what this machine can do.

    python -m reverie.benchmarks.roofline MODEL --ceilings FILE [--record BENCH.json [--row ID]]
        [--height H] [--aspect W:H] [--frames N] [--seconds S] [--steps N] [--guidance G]
        [--precision denoiser=int8] [--threads N] [--repeat 2] [--only denoise] [--json FILE]
        [--plot FILE]

Operations and bytes are those of the bundle's manifest (see export/cost.py). Measured seconds are a
record's of `reverie bench`, whose size, length, steps, guidance and precisions are taken too, and
which is of one window of a model's frames; without one, each
network is run here with random inputs of the render's sizes, and its seconds times its runs are
told: what the host does between runs is then not in them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cli.telling import table_console
from ..engines.engine import Engine
from ..engines.errors import ReverieError, SettingsError
from ..runtime.bundle import Bundle, load_bundle
from ..runtime.cost import phase_costs
from ..runtime.output import write_file
from ..runtime.shapes import ShapeSet, counted_shapes, plan_for
from .bench import record
from .machine import describe_machine
from .roofline_record import measured_before, row_of, settings_of
from .roofs import Roof, by_phase, read_ceilings, roof_of, share_by_kind, together

_OF_THE_RECORD = ("height", "aspect", "frames", "seconds", "steps", "guidance", "repeat")
"""Options that a record answers."""
_REPEAT = 2


def measured_here(
    bundle: Bundle,
    plan: Any,
    precisions: Mapping[str, str],
    threads: int | None,
    repeat: int,
    wanted: Sequence[tuple[str, str]],
) -> dict[tuple[str, str], list[float]]:
    """Seconds of all runs of a network in a render, (phase, component) -> a sample a repetition.

    A network of one size and one run is warmed up by nothing else: the first sample may be slow.
    """
    shapes = counted_shapes(bundle, plan)
    found = {}
    for phase, name in wanted:
        engine = bundle.open_plainly(
            name, device="cpu", threads=threads, precision=precisions.get(name)
        )
        try:
            samples = np.zeros(repeat)
            for sizes, runs in shapes[name]:
                given = random_inputs(engine, sizes)
                for place in range(repeat):
                    start = time.perf_counter()
                    engine.run(given)
                    samples[place] += (time.perf_counter() - start) * runs
        finally:
            engine.close()
        found[phase, name] = samples.tolist()
    return found


def random_inputs(engine: Engine, sizes: ShapeSet) -> dict[str, Any]:
    """Make inputs of an engine: numbers from -1 to 1, ones where they are whole."""
    random = np.random.default_rng(0)
    return {
        port.name: random.uniform(-1, 1, sizes[port.name]).astype(port.dtype)
        if np.issubdtype(port.dtype, np.floating)
        else np.ones(sizes[port.name], port.dtype)
        for port in engine.inputs
    }


def described(
    roofs: Sequence[Roof], measured: Mapping[tuple[str, str], list[float]], whole: bool
) -> list[dict[str, Any]]:
    """Return a line for each phase and component, with seconds where they were measured.

    whole: whether what was measured are whole phases, of which a network's share is not known.
    """
    rows = []
    for roof in roofs:
        samples = measured.get((roof.phase, "" if whole else roof.component))
        rows.append(
            {
                "phase": roof.phase,
                "component": roof.component,
                "precision": roof.precision,
                "runs": roof.runs,
                "flops": roof.flops,
                "bytes": roof.bytes,
                "intensity": roof.intensity,
                "bound": roof.bound,
                "roof_seconds": roof.seconds,
                "fresh_seconds": roof.fresh_seconds,
                "measured": record.summary(samples) if samples else None,
                "achieved": roof.seconds / min(samples) if samples and min(samples) > 0 else None,
            }
        )
    return rows


def roofline(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the roofline of what was asked for, as a record of one row.

    Raises:
        SettingsError: an option is given that the record answers, or it does not fit.
    """
    too_many = [name for name in _OF_THE_RECORD if getattr(asked, name) is not None]
    if asked.record is not None and too_many:
        raise SettingsError(f"--{too_many[0]} cannot go with --record, which says it: leave it out")
    if asked.record is None and asked.row is not None:
        raise SettingsError("--row names a row of a record: give that with --record")
    bundle = load_bundle(asked.model)
    given = {
        "height": asked.height,
        "aspect": asked.aspect,
        "num_frames": asked.frames,
        "seconds": asked.seconds,
        "steps": asked.steps,
        "guidance": asked.guidance,
    }
    precisions = dict(word.split("=", 1) for word in asked.precision)
    threads, device, source = asked.threads, "cpu", None
    measured: dict[tuple[str, str], list[float]] = {}
    if asked.record is not None:
        source = row_of(asked.record, asked.row)
        given = settings_of(source, bundle)
        precisions = {**source["precision"], **precisions}
        threads, device = source["threads"], str(source["device"]).partition(":")[0]
    there = set(bundle.components)
    precisions = {name: one for name, one in precisions.items() if name in there}
    plan = plan_for(bundle, **given)
    ceilings = read_ceilings(
        asked.ceilings, device=device, threads=threads if device == "cpu" else None
    )
    graph = "cpu" if device == "cpu" else "main"
    costs = [
        cost
        for cost in phase_costs(bundle, plan, precisions, graph=graph)
        if asked.only in (None, cost.phase, cost.component)
    ]
    roofs = together(roof_of(cost, ceilings) for cost in costs)
    if source is None:
        repeat = _REPEAT if asked.repeat is None else asked.repeat
        wanted = [(roof.phase, roof.component) for roof in roofs]
        measured = measured_here(bundle, plan, precisions, ceilings.threads, repeat, wanted)
    else:
        roofs = by_phase(roofs)
        measured = {(name, ""): samples for name, samples in measured_before(source).items()}
    rows = described(roofs, measured, source is not None)
    width, height, frames = plan.width, plan.height, plan.num_frames
    name = record.case_id(bundle.name, width, height, frames, device)
    facts = {
        "id": f"roofline {name}",
        "model": bundle.name,
        "width": width,
        "height": height,
        "frames": frames,
        "steps": plan.steps,
        "device": device,
        "threads": ceilings.threads,
        "ceilings": {
            "memory": ceilings.memory,
            "fresh": ceilings.fresh,
            "rates": {f"{kind} {one}": rate for (kind, one), rate in ceilings.rates.items()},
        },
        "roofline": rows,
        "work": [
            {
                "phase": c.phase,
                "component": c.component,
                "runs": c.runs,
                "of_a_run": share_by_kind(c),
            }
            for c in costs
        ],
        "phases": {
            f"{row['phase']}: {row['component']}": {"unit": "s", "per": "run", **row["measured"]}
            for row in rows
            if row["measured"]
        },
        "notes": [] if source is None else [f"measured by `reverie bench`: {source['id']}"],
    }
    return record.record(
        [facts],
        machine=describe_machine(),
        command=["python", "-m", "reverie.benchmarks.roofline", *asked.words],
    )


def print_roofline(made: Mapping[str, Any]) -> None:
    """Print the table."""
    from rich.table import Table

    for row in made["rows"]:
        count = row["threads"]
        threads = f", {count} thread{'s' * (count != 1)}" if count else ""
        title = f"{row['id']}{threads}; memory {row['ceilings']['memory'] / 1e9:.1f} GB/s"
        table = Table(title=title, title_justify="left")
        table.add_column("phase")
        table.add_column("network", overflow="fold")
        columns = (
            "runs",
            "GFLOP",
            "GB",
            "FLOP/B",
            "roof s",
            "in fresh memory",
            "measured s",
            "share",
        )
        for column in columns:
            table.add_column(column, justify="right")
        table.add_column("bound by", overflow="fold")
        for one in row["roofline"]:
            seconds = one["measured"]["min"] if one["measured"] else None
            table.add_row(
                one["phase"],
                f"{one['component']} {one['precision']}",
                str(one["runs"]),
                f"{one['flops'] / 1e9:,.1f}",
                f"{one['bytes'] / 1e9:,.2f}",
                f"{one['intensity']:.1f}",
                f"{one['roof_seconds']:.3f}",
                f"{one['fresh_seconds']:.3f}",
                "" if seconds is None else f"{seconds:.3f}",
                "" if one["achieved"] is None else f"{one['achieved']:.0%}",
                one["bound"],
            )
        table_console().print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Say how near each phase of a render comes to what this machine can do."""
    parser = argparse.ArgumentParser(
        prog="python -m reverie.benchmarks.roofline", description=main.__doc__
    )
    add = parser.add_argument
    add("model", help="an embedded model's name, or the folder of a bundle")
    add("--ceilings", type=Path, required=True, help="what benchmarks/ceilings.py wrote")
    add("--record", type=Path, help="what `reverie bench --json` wrote (default: run here)")
    add("--row", help="the id of a row of the record")
    add("--height", type=int, help="of the frame in pixels (default: the plan's)")
    add("--aspect", help="W:H of the frame")
    add("--frames", type=int, help="of the film, in place of --seconds")
    add("--seconds", type=float, help="length of the film")
    add("--steps", type=int, help="denoising steps (default: the model's own)")
    add("--guidance", type=float, help="1 is none (default: the model's own)")
    add(
        "--precision",
        action="append",
        default=[],
        metavar="NETWORK=PRECISION",
        help="of a network, over the record's or the bundle's own; may be given again",
    )
    add("--threads", type=int, help="of the ceilings and of the run (default: most measured)")
    add("--repeat", type=int, help="runs of each size, where it is run here (default 2)")
    add("--only", metavar="NAME", help="a phase or a network")
    add("--json", type=Path, help="write the record here")
    add("--plot", type=Path, help="draw it here, as PNG")
    asked = parser.parse_args(argv)
    asked.words = list(sys.argv[1:] if argv is None else argv)
    try:
        if asked.plot is not None:
            from .bench.drawing import check_drawing
            from .roofline_figure import png

            check_drawing()
        made = roofline(asked)
        print_roofline(made)
        if asked.json is not None:
            write_file(record.encoded(made), asked.json, force=True)
        if asked.plot is not None:
            write_file(png(made), asked.plot, force=True)
    except ReverieError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
