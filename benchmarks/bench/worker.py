"""The process that is measured: it renders as `reverie animate` does, and tells what it saw.

    python -m reverie.benchmarks.bench.worker JOB

JOB is a JSON object, as `children.Runner` makes it. Each line of its stdout is one JSON object:
"ready" with the seconds of importing, "begin" and "run" of each render, or "error". Times are
time.monotonic's.
"""

from __future__ import annotations

import sys
import time

_BEGUN = time.monotonic()

import contextlib  # noqa: E402  (the process begins above)
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from typing import Any, NoReturn  # noqa: E402


def main(job: dict[str, Any]) -> int:
    """Render as the job says; returns the exit code of `reverie animate`."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever prints there is no message of ours

    def say(event: str, **facts: Any) -> None:
        channel.write(json.dumps({"event": event, **facts}) + "\n")
        channel.flush()

    if job["threads"]:
        keep_to(job["threads"])
    start = time.perf_counter()
    from ...cli import main as door
    from ...runtime import pipeline

    say("ready", begun=_BEGUN, imported=time.perf_counter() - start)
    from .measuring import Measuring

    def leave(facts: dict[str, Any]) -> NoReturn:
        say("run", kind="start", **facts)
        os._exit(0)  # nothing more is wanted of it; its folder is cleared by who started it

    measuring = Measuring(pipeline, door.parser().parse_args(job["words"]), job, leave)
    try:
        for kind in measuring.kinds():
            say("begin")
            with contextlib.redirect_stdout(io.StringIO()):
                facts = measuring.render()
            say("run", kind=kind, **facts)
    except (Exception, KeyboardInterrupt) as error:
        line, code = door.explain(error)
        if job["debug"]:
            import traceback

            traceback.print_exc()
        say("error", error=line, exit_code=code)
        return code
    return 0


def keep_to(threads: int) -> None:
    """Run on the first `threads` of the cores that this process may use, where that can be told.

    To be called before any library counts them.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        return
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # Windows; macOS knows no such order
        process.cpu_affinity(sorted(process.cpu_affinity())[:threads])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
