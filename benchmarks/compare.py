"""Two records of `reverie bench`, or two commands: which is slower, said only where it is seen.

    python -m reverie.benchmarks.compare BEFORE.json AFTER.json [--threshold 2%] [--json FILE]
    python -m reverie.benchmarks.compare --run "COMMAND A" --against "COMMAND B" [--pairs 10]

Records are joined by a row's id and a phase's name. The ratio after / before has an exact interval
by ranks (see `intervals`), so that nothing is assumed of the noise; in each of two groups, whole
runs and parts, all verdicts together are wrong with the stated chance at most (see `verdicts`).
Files that were written hours apart differ by the machine's mood too, and only --run, which runs two
commands in turn (A B B A ...), takes that out.

Exit codes: 0 nothing got worse as far as can be told, 2 bad input, 10 something is slower or larger
(a code that no error of Reverie has, nor a crash).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..engines.errors import ReverieError, SettingsError
from ..runtime.output import check_file, disk_errors, write_file
from . import paired, records
from .machine import describe_machine
from .verdicts import ERROR, THRESHOLD, WORSE, Answer, Question, answer, over_all

SCHEMA = "reverie.compare/1"
METHODS = {
    False: "Hodges-Lehmann ratio, interval of Mann and Whitney's ranks, Bonferroni in each group",
    True: "Hodges-Lehmann ratio of pairs, interval of Wilcoxon's signed ranks, Bonferroni",
}
GOT_WORSE, BAD_INPUT = 10, 2


def share(text: str) -> float:
    """A share such as "2%" or "0.02", 0 to below 1."""
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give one such as 2% or 0.02")
    return value


def parser() -> argparse.ArgumentParser:
    """The options of this program."""
    about, _, more = (__doc__ or "").partition("\n\n")
    made = argparse.ArgumentParser(
        prog="compare",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("before", type=Path, nargs="?", metavar="BEFORE", help="a record")
    made.add_argument("after", type=Path, nargs="?", metavar="AFTER", help="another one")
    made.add_argument("--run", metavar="COMMAND", help="a command, in place of records")
    made.add_argument("--against", metavar="COMMAND", help="the command that is judged")
    made.add_argument("--pairs", type=int, default=10, help="runs of each (default 10)")
    made.add_argument(
        "--warm-up", type=int, default=1, help="runs of each before, not counted (default 1)"
    )
    made.add_argument(
        "--threshold",
        type=share,
        default=THRESHOLD,
        help="differences up to this are let pass (default 2%%)",
    )
    made.add_argument(
        "--error",
        type=share,
        default=ERROR,
        help="chance of any wrong verdict in a group, where nothing changed (default 5%%)",
    )
    made.add_argument(
        "--only",
        metavar="PATTERN",
        help='questions that matter, such as "*: end to end": the fewer, the more can be told',
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    return made


def compared(
    before: records.Record,
    after: records.Record,
    *,
    threshold: float = THRESHOLD,
    error: float = ERROR,
    only: str | None = None,
) -> dict[str, Any]:
    """Compare two records; returns what --json writes.

    Raises SettingsError where they have nothing in common, or `only` leaves nothing.
    """
    joined = records.join(before, after)
    asked = _only(joined.questions, only)
    if not asked:
        raise SettingsError(
            f"{before.path} and {after.path} have no row in common"
            f"{'' if only is None else f' that fits {only!r}'}: compare records of the same cases"
        )
    told = _report(answer(asked, threshold=threshold, error=error), threshold, error, False)
    return {
        **told,
        "before": before.told(),
        "after": after.told(),
        "warnings": list(joined.warnings),
        "only_before": list(joined.only_before),
        "only_after": list(joined.only_after),
    }


def run_in_turn(asked: argparse.Namespace) -> dict[str, Any]:
    """Run two commands in turn; returns what --json writes."""
    questions = paired.measure(asked.run, asked.against, asked.pairs, asked.warm_up)
    questions = _only(questions, asked.only)
    if not questions:
        raise SettingsError(f"no measure fits {asked.only!r}: use end to end, processor or memory")
    answers = answer(questions, threshold=asked.threshold, error=asked.error)
    told = _report(answers, asked.threshold, asked.error, True)
    sides = {"before": {"command": asked.run}, "after": {"command": asked.against}}
    return {**told, **sides, "machine": describe_machine(), "warnings": []}


def _only(questions: Sequence[Question], pattern: str | None) -> list[Question]:
    wanted = "*" if pattern is None else pattern
    return [q for q in questions if fnmatchcase(f"{q.id}: {q.measure}", wanted)]


def _report(
    answers: Sequence[Answer], threshold: float, error: float, in_turn: bool
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "method": METHODS[in_turn],
        "threshold": threshold,
        "error": error,
        "verdict": over_all(answers),
        "worse": any(found.worse for found in answers),
        "rows": [found.as_json() for found in answers],
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The table for a person."""
    made = [f"warning: {warning}" for warning in told["warnings"]]
    last = None
    for row in told["rows"]:
        if row["id"] != last:
            made.append(last := row["id"])
        made.append(_line(row))
    for side in ("before", "after"):
        for name in told.get(f"only_{side}", ()):
            made.append(f"only {side}: {name}")
    made.append(
        f"{told['verdict']} (ratios after / before; all of whole runs, and all of parts, right"
        f" with {1 - told['error']:.0%}; threshold {told['threshold']:.1%})"
    )
    return made


def _line(row: dict[str, Any]) -> str:
    sides = (_figure(row[side]["median"], row["unit"]) for side in ("before", "after"))
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
    if row["low"] is not None:
        ratio += f" [{row['low']:.3f} .. {row['high']:.3f}]"
    counts = f"n {len(row['before']['samples'])}, {len(row['after']['samples'])}"
    why = f": {row['reason']}" if row["reason"] else ""
    before, after = sides
    return (
        f"  {row['measure']:<28} {before:>10} -> {after:>10}  {ratio:<24}"
        f" {counts:<10} {row['verdict']}{why}"
    )


def _figure(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    if unit == "s" and value < 0.1:
        return f"{1e3 * value:.3f} ms"
    return f"{value:.3f} {unit}"


def _told(asked: argparse.Namespace) -> dict[str, Any]:
    if (asked.run is None) != (asked.against is None):
        raise SettingsError("--run and --against go together: give both commands")
    if asked.run is not None:
        if asked.before is not None:
            raise SettingsError("give two records or --run and --against, not both")
        return run_in_turn(asked)
    if asked.after is None:
        raise SettingsError("two records are needed: compare BEFORE.json AFTER.json")
    before, after = records.read(asked.before), records.read(asked.after)
    options = {"threshold": asked.threshold, "error": asked.error, "only": asked.only}
    return compared(before, after, **options)


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit code."""
    asked = parser().parse_args(words)
    try:
        if asked.error <= 0:
            raise SettingsError("--error 0 cannot be promised: give one such as 5%")
        if asked.json is not None:
            with disk_errors(asked.json):  # told before minutes are spent
                check_file(asked.json, force=True)
        told = _told(asked)
        print("\n".join(lines(told)))
        if asked.json is not None:
            content = (json.dumps(told, indent=1) + "\n").encode()
            write_file(content, asked.json, force=True)
    except ReverieError as error:
        print(f"compare: {error}", file=sys.stderr)
        return BAD_INPUT
    return GOT_WORSE if any(row["verdict"] in WORSE for row in told["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
