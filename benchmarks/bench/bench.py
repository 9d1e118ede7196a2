"""The command itself: checks everything, measures case by case, prints, writes."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cli.telling import one_line, tell
from ...engines.errors import OutputError, SettingsError
from ...engines.probe import Probes
from ...runtime.output import check_file, disk_errors, write_file
from ..machine import describe_machine
from .assemble import make_row
from .cases import Case, Plans, cases_of, command_of, plans_of
from .children import OnRun, Runner
from .energy import Meters
from .gpu_sensor import GpuSensor, open_gpu
from .photo import large_photos
from .record import encoded, record
from .sensors import Sensors
from .table import print_record

if TYPE_CHECKING:
    from collections.abc import Callable

_BUSY = 0.15
_OUTPUTS = ("json", "plot", "html")


def bench(asked: Namespace) -> dict[str, Any]:
    """Measure what the options ask for, print and write it; returns the record.

    Ctrl-C in the middle keeps the cases that are whole: they are printed and written, and the
    record says that it was stopped; with none nothing is written. So it is where a case fails.

    Raises:
        ReverieError: see `cli.bench.run`.
    """
    plans, cases = plans_of(asked), cases_of(asked)
    check_outputs(asked)
    machine = describe_machine()
    rows: list[dict[str, Any]] = []
    stopped: BaseException | None = None
    try:
        with large_photos(cases, asked.photo is not None) as cases:
            for number, case in enumerate(cases, 1):
                with _line(asked, case, plans, f"case {number} of {len(cases)}: ") as on_run:
                    rows.append(measure(case, plans, on_run, debug=asked.debug))
    except BaseException as error:
        if not rows:
            raise
        stopped = error
    made = record(
        rows,
        machine=machine,
        command=["reverie", "bench", *_own_words(sys.argv)],
        renders=command_of(cases),
        complete=stopped is None,
    )
    if not asked.quiet and asked.json != "-":
        print_record(made)
    write(made, asked)
    if stopped is not None:
        _raise(stopped, len(rows), len(cases), asked)
    return made


def measure(
    case: Case,
    plans: Plans,
    on_run: OnRun = lambda kind, done: None,
    *,
    probes: Probes | None = None,
    debug: bool = False,
) -> dict[str, Any]:
    """Measure one case and return its row.

    First processes that go to the first frame, then ones that render a whole film, `plans.repeat`
    of each; then one that renders `plans.warmup` times unmeasured, and after that as often, or for
    as long, as is asked for.
    """
    probes = probes or Probes()
    gpu, no_gpu = _gpu(case, probes)
    done: dict[str, int] = {}

    def count(kind: str, number: int) -> None:
        done[kind] = done.get(kind, 0) + 1
        on_run(kind, done[kind])

    meters = Meters(probes, gpu, no_gpu=no_gpu)
    busy = busy_now()
    runner = Runner(case, plans, Sensors(probes, gpu), meters, count, debug)
    starts = [runner.start() for _ in range(plans.repeat)]
    films = [runner.film() for _ in range(plans.repeat)]
    row = make_row(runner, films, starts, runner.warm())
    if busy is not None and busy > _BUSY:
        row["notes"].append(
            f"other work took {busy:.0%} of the processor before this case: times are too long"
        )
    return row | {"busy_before": busy}


def busy_now() -> float | None:
    """Return the share of the processor that other work takes, over half a second."""
    import psutil

    with contextlib.suppress(Exception):  # whatever psutil meets on an odd system
        return round(float(psutil.cpu_percent(interval=0.5)) / 100, 3)
    return None


def _gpu(case: Case, probes: Probes) -> tuple[GpuSensor | None, str]:
    """The sensor of the GPU that a case may run on, or why there is none."""
    if case.device == "cpu":
        return None, "the processor was asked for"
    index = case.device.partition(":")[2]
    return open_gpu(int(index) if index.isdecimal() else 0, probes)


def check_outputs(asked: Namespace) -> None:
    """Refuse now what could not be written at the end.

    Raises:
        OutputError: a folder is missing or cannot be written in, or two results have one name.
        MissingPackageError: what draws is not installed.
    """
    names: dict[Path, str] = {}
    for option in _OUTPUTS:
        name = getattr(asked, option)
        if name is None or (option == "json" and name == "-"):
            continue
        target = Path(name)
        with _for_option(option), disk_errors(target):
            try:
                if target.is_dir():
                    raise OutputError(f"{target} is a folder: name a file in it with --out")
                check_file(target, force=True)
                place = target.resolve()
            except ValueError as error:  # a NUL in the name
                raise SettingsError(f"--{option} {name!r:.60} is no file name") from error
        if place in names:
            raise OutputError(f"--{names[place]} and --{option} name one file: give each its own")
        names[place] = option
    if asked.plot is not None or asked.html is not None:
        from .drawing import check_drawing

        check_drawing()


def write(made: dict[str, Any], asked: Namespace) -> None:
    """Write what was asked for: the record first, then its pictures.

    Raises:
        OutputError: one cannot be written, such as on a full disk; no half a file is left.
    """
    if asked.json == "-":
        print(encoded(made).decode(), end="")
    elif asked.json is not None:
        _put("json", asked.json, lambda: encoded(made))
    if asked.plot is not None:
        from .drawing import png

        _put("plot", asked.plot, lambda: png(made))
    if asked.html is not None:
        from .page import page

        _put("html", asked.html, lambda: page(made).encode())


def _put(option: str, name: str, content: Callable[[], bytes]) -> None:
    with _for_option(option):
        write_file(content(), Path(name), force=True)


@contextlib.contextmanager
def _for_option(option: str) -> Iterator[None]:
    """Let messages about an output name the option that it was asked for with."""
    try:
        yield
    except OutputError as error:
        raise OutputError(str(error).replace("--out", f"--{option}")) from error


@contextlib.contextmanager
def _line(asked: Namespace, case: Case, plans: Plans, begin: str) -> Iterator[OnRun]:
    """Tell a person how far a case is, on stderr where that is a terminal."""
    label = case.id(case.device)
    silent = asked.quiet or asked.json == "-"
    if silent or not sys.stderr.isatty():
        if not silent:
            tell(f"{begin}{label}")
        yield lambda kind, done: None
        return
    from rich.console import Console

    with Console(stderr=True).status(one_line(f"{begin}{label}")) as status:

        def on_run(kind: str, done: int) -> None:
            many = {"warmup": plans.warmup, "soak": None}.get(kind, plans.repeat)
            of = f" of {many}" if many else ""
            status.update(one_line(f"{begin}{label}, {kind} render {done}{of}"))

        yield on_run


def _own_words(argv: list[str]) -> list[str]:
    """The words behind the command's name."""
    return argv[argv.index("bench") + 1 :] if "bench" in argv else []


def _raise(error: BaseException, done: int, of: int, asked: Namespace) -> None:
    """Raise what stopped the measuring, with what was kept of it."""
    where = [str(getattr(asked, o)) for o in _OUTPUTS if getattr(asked, o) not in (None, "-")]
    kept = f"{done} of {of} cases were measured"
    kept += f" and are in {', '.join(where)}" if where else ""
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(f"stopped: {kept}") from error
    if isinstance(error, Exception):
        with contextlib.suppress(TypeError):
            raise type(error)(f"{error}; {kept}") from error
    raise error
