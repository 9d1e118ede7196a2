"""A record as one page that needs nothing else: its picture, tables, machine, and itself."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .drawing import svg
from .table import fact_rows, row_title, time_rows, versions_line

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2530; background: #fff;
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p.about { color: #56606e; margin-top: 0; }
.scroll { overflow-x: auto; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin: .4rem 0 1rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e3e6ea;
         vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details pre { overflow: auto; max-height: 30rem; background: #f5f6f8; padding: .8rem; }
code { background: #f5f6f8; padding: .1rem .3rem; overflow-wrap: anywhere; }
"""
_HEADS = ("seconds", "of a", "min", "median", "p95", "samples", "in a film")


def page(made: Mapping[str, Any]) -> str:
    """Return a record as an HTML page that asks no host for anything.

    The record lies in it as JSON, in the element `record`.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    machine = made["machine"]
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Reverie benchmark, {_text(made['created'])}</title>",
        f"<style>{_STYLE}</style>\n</head>\n<body>",
        "<h1>Reverie benchmark</h1>",
        f'<p class="about">{_text(made["created"])}'
        f"{'' if made.get('complete', True) else ', stopped before its end'}</p>",
        f"<p><code>{_text(' '.join(made['command']))}</code></p>",
        f'<div class="scroll">{svg(made)}</div>',
    ]
    for row in made["rows"]:
        parts.append(f"<h2>{_text(row_title(row))}</h2>")
        parts.append(_table(time_rows(row), _HEADS, numbers=range(2, 7)))
        parts.append(_table([*fact_rows(row), *(("note", note) for note in row["notes"])]))
    parts.append("<h2>Machine and versions</h2>")
    parts.append(f"<p>{_text(versions_line(machine))}</p>")
    parts.append(_table([(name, _plain(value)) for name, value in machine.items()]))
    parts.append(
        "<h2>How it was measured</h2><p>Starts and whole processes are new processes each, from "
        "their start to the first frame or to their end. Phases are medians of renders in one "
        "process after its warm-up; denoising is told by the step, drawing by the frame. Peak "
        "memory is what the system says of the process that rendered one film.</p>"
    )
    whole = json.dumps(made, indent=1)
    parts.append(f"<details><summary>The record</summary><pre>{_text(whole)}</pre></details>")
    safe = json.dumps(made).replace("<", "\\u003c")
    parts.append(f'<script type="application/json" id="record">{safe}</script>')
    return "\n".join([*parts, "</body>\n</html>\n"])


def _table(
    rows: Iterable[Sequence[str]], heads: Sequence[str] = (), numbers: range = range(0)
) -> str:
    def cells(words: Sequence[str], kind: str) -> str:
        return "".join(
            f"<{kind}{' class=number' if place in numbers else ''}>{_text(word)}</{kind}>"
            for place, word in enumerate(words)
        )

    lines = [f"<tr>{cells(heads, 'th')}</tr>"] if heads else []
    lines += [f"<tr>{cells(row, 'td')}</tr>" for row in rows]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _plain(value: Any) -> str:
    """A value of the machine's description for a person."""
    if value is None:
        return "not known"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_plain(one) for one in value) or "none"
    return str(value)


def _text(value: object) -> str:
    return html.escape(str(value))
