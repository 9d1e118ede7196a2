"""Every network in every precision for every GPU: built or refused, seconds, memory, size.

    python -m reverie.benchmarks.build_matrix                      tiny bundles of all families
    python -m reverie.benchmarks.build_matrix --full FOLDER        FOLDER/{svd,ltx,wan} of full size
    python -m reverie.benchmarks.build_matrix --show FILE          a table in Markdown

Tiny bundles are made here, with every variant that `export.quantize` makes; --keep FOLDER keeps
them (and takes what is there already). Of full-size bundles the variants that are there are built.
Rows are written as they come, and a second run goes on where the first one stopped; --lock FILE is
held for each row, so that nothing else measures beside. What a variant kept in another precision is
part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..engines.architectures import ARCHITECTURES, PRECISIONS
from ..engines.build import BuildRequest, Refused, build_engine, estimate_build_bytes
from ..engines.errors import ReverieError
from ..engines.host_memory import available_memory
from ..engines.libraries import library_version
from ..engines.sizes import size_text
from ..runtime.bundle import Bundle, load_bundle
from ..runtime.shapes import ShapeSet, component_shapes, plan_for, profile_of
from . import tiny_bundles
from .build_table import markdown
from .machine import describe_machine

GPUS = ("sm75", "sm86", "sm89", "sm120")
ALL = (*PRECISIONS, "fp32")
RESULTS = Path(__file__).resolve().parent / "results"


class Rows:
    """What was measured, in a file that is whole after each row."""

    def __init__(self, path: Path, again: bool) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        with contextlib.suppress(FileNotFoundError):
            told = json.loads(path.read_text(encoding="utf-8"))
            if not again and told["library"] == library_version("rtx"):
                # What there was too little memory for is tried again.
                self.rows = [row for row in told["rows"] if row["result"] != "too large"]

    def has(self, **what: object) -> bool:
        """Whether there is such a row."""
        return any(what.items() <= row.items() for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row and write all."""
        self.rows.append(row)
        report = {
            "machine": describe_machine(),
            "library": library_version("rtx"),
            "rows": self.rows,
        }
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        part.replace(self._path)


def measure(
    bundle: Bundle,
    name: str,
    precision: str,
    gpus: tuple[str, ...],
    sets: list[ShapeSet],
    place: Path,
) -> dict[str, Any]:
    """Build one engine and throw it away; returns what came of it."""
    component = bundle.component(name, precision)
    weights = sum(data.bytes for data in component.data)
    request = BuildRequest(
        graph=bundle.path(name, precision=precision),
        gpus=tuple(ARCHITECTURES[gpu] for gpu in gpus),
        profile=profile_of(sets),
        precision=precision,
        weight_bytes=weights,
    )
    graph = request.graph
    need = estimate_build_bytes(component.graph.bytes, weights, precision, graph=graph)
    facts: dict[str, Any] = {"weight_bytes": component.stored_bytes, "estimate_bytes": need}
    if need > (free := available_memory()):
        why = f"it takes up to {size_text(need)} of memory and {size_text(free)} are free"
        return facts | {"result": "too large", "why": why}
    out = place / "engine"
    try:
        built = build_engine(request, out, memory=2**62)
    except Refused as error:
        return facts | {"result": "refused", "why": str(error)}
    except ReverieError as error:
        return facts | {"result": "failed", "why": str(error)}
    finally:
        out.unlink(missing_ok=True)
    return facts | {
        "result": "built",
        "seconds": round(built.seconds, 2),
        "peak_bytes": built.peak_bytes,
        "engine_bytes": built.engine_bytes,
    }


def run(
    family: str,
    bundle: Bundle,
    rows: Rows,
    asked: argparse.Namespace,
    sizes: dict[str, Any],
) -> None:
    """Build what there is of one bundle."""
    shapes = component_shapes(bundle, plan_for(bundle, **sizes))
    for name, component in bundle.components.items():
        if asked.component and f"{family}/{name}" not in asked.component:
            continue
        for precision in ALL:
            what = {"family": family, "component": name, "precision": precision}
            gpus = [gpu for gpu in asked.gpu or GPUS if not rows.has(**what, gpu=gpu)]
            if asked.precision and precision not in asked.precision:
                continue
            if precision not in component.precisions:
                if precision != "fp32" and not asked.full:
                    for gpu in gpus:
                        rows.add({**what, "gpu": gpu, "result": "not there"})
                continue
            if name not in shapes:
                continue
            todo = groups(gpus, precision, asked.together)
            while todo:
                group = todo.pop(0)
                with held(asked.lock), tempfile.TemporaryDirectory(dir=asked.temporary) as place:
                    made = measure(bundle, name, precision, group, shapes[name], Path(place))
                if len(group) > 1 and made["result"] == "refused":  # by which of them?
                    todo = [(gpu,) for gpu in group] + todo
                    continue
                if len(group) > 1:
                    made["together"] = list(group)
                for gpu in group:
                    rows.add({**what, "gpu": gpu, **made})
                told = (made["result"], made.get("seconds", ""), made.get("why", ""))
                print(*what.values(), "+".join(group), *told, flush=True)


def groups(gpus: list[str], precision: str, together: bool) -> list[tuple[str, ...]]:
    """Which GPUs share an engine: each its own, or all that are known to take the precision."""
    if not together:
        return [(gpu,) for gpu in gpus]
    able = tuple(gpu for gpu in gpus if precision in (*ARCHITECTURES[gpu].precisions, "fp32"))
    rest = [(gpu,) for gpu in gpus if gpu not in able]
    return [able, *rest] if able else rest


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a file's lock, as flock(1) does, while inside."""
    if lock is None:
        yield
        return
    import fcntl

    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tiny(family: str, folder: Path) -> Bundle:
    """A tiny bundle with every variant that can be made of it, in a folder or made there."""
    from ..export.quantize import quantize

    if not folder.exists():
        tiny_bundles.make(family, folder)
    for precision in PRECISIONS:
        bundle = load_bundle(folder)
        if any(precision in part.variants for part in bundle.components.values()):
            continue
        try:
            quantize(folder, precision)
        except ReverieError as error:
            print(f"{family} in {precision}: {error}")
    return load_bundle(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="svd, ltx, wan, ember")
    parser.add_argument("--full", type=Path, metavar="FOLDER", help="full-size bundles by family")
    parser.add_argument("--component", action="append", metavar="FAMILY/NAME")
    parser.add_argument("--precision", action="append", choices=ALL)
    parser.add_argument("--gpu", action="append", choices=GPUS)
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    parser.add_argument("--keep", type=Path, help="where tiny bundles stay")
    parser.add_argument(
        "--together", action="store_true", help="one engine for all GPUs that take a precision"
    )
    parser.add_argument("--lock", type=Path, help="held for each row")
    parser.add_argument("--temporary", type=Path, help="where engines are written for a while")
    parser.add_argument("--out", type=Path, help="the file of rows")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print it as Markdown instead")
    asked = parser.parse_args()
    if asked.show:
        print(markdown(json.loads(asked.show.read_text(encoding="utf-8"))))
        return
    kind = "full" if asked.full else "tiny"
    rows = Rows(asked.out or RESULTS / f"build_matrix_{kind}.json", asked.again)
    with contextlib.ExitStack() as stack:
        folder = asked.full or asked.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for family in asked.families or tiny_bundles.FAMILIES:
            if not asked.full:
                run(family, tiny(family, folder / family), rows, asked, tiny_bundles.SIZES[family])
            elif (folder / family).is_dir():
                run(family, load_bundle(folder / family), rows, asked, {})


if __name__ == "__main__":
    main()
