"""`reverie doctor`: what this machine is, what is missing on it, and what would fit."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from ..engines.sizes import size_text
from .telling import add_output, one_line, plain_text, table_console


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "doctor",
        help="show what this machine is, what is missing, what would fit",
        description=(
            "Show what this machine is (GPU, driver, memory, encoders, Jetson), which libraries "
            "load, what is missing with the line that installs it, and what would fit. The exit "
            "code is 0 whatever is found."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_output(parser, quiet=None)


def run(arguments: argparse.Namespace) -> None:
    """Print what is found; nothing on the machine makes this fail."""
    from .diagnosis import examine

    facts = examine()
    if arguments.json:
        print(json.dumps(facts))
    else:
        _print(facts)


def _print(facts: Mapping[str, Any]) -> None:
    from rich.table import Table

    console = table_console()
    about = Table(title="this machine", title_justify="left", show_header=False)
    for name, value in _about(facts):
        about.add_row(name, plain_text(value))
    console.print(about)

    parts = Table(title="libraries and encoders", title_justify="left")
    for name in ("", "what", "version", "found"):
        parts.add_column(name, overflow="fold")
    for part in facts["backends"]:
        unused = part["status"] == "missing" and not part["wanted"]
        detail = "not needed here" if unused else part["detail"]
        parts.add_row(_mark(part["status"]), part["name"], part["version"], plain_text(detail))
    for part in facts["encoders"]:
        if part["detail"] != "PyAV was built without it":
            name = f"{part['name']}: {part['title']}"
            parts.add_row(_mark(part["status"]), name, "", plain_text(part["detail"]))
    console.print(parts)

    fits = Table(
        title="what would fit (~ estimated; `reverie plan BUNDLE` tells more)", title_justify="left"
    )
    for name in ("device", "family", "precision", "networks"):
        fits.add_column(name)
    fits.add_column("takes about", justify="right")
    for row in facts["fits"]:
        how = {
            "kept": "all at once",
            "staged": "one after the other",
            "streamed": "weights streamed",
        }.get(row["residency"], "does not fit")
        size = f"{'~' if row['estimate'] else ''}{size_text(row['bytes'])}"
        fits.add_row(row["device"], row["family"], row["precision"], how, size)
    if facts["fits"]:
        console.print(fits)
    for line in facts["todo"]:
        print(f"to do: {one_line(line)}")
    if not facts["todo"]:
        print("nothing is missing")


def _about(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows on the machine itself."""
    machine, driver, cache = facts["machine"], facts["driver"], facts["cache"]
    rows = [
        ("reverie", f"{facts['reverie']}, Python {facts['python']}"),
        ("system", machine["system"]),
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        (
            "memory",
            f"{size_text(machine['memory_bytes'])}, "
            f"{size_text(machine['available_bytes'])} of it to be had"
            f"{', shared with the GPU' if machine['unified'] else ''}",
        ),
    ]
    if board := machine["jetson"]:
        words = [board["model"], board["l4t"] and f"L4T {board['l4t']}"]
        words += [board["jetpack"] and f"JetPack {board['jetpack']}"]
        words += [board["power_mode"] and f"power mode {board['power_mode']}"]
        rows.append(("jetson", ", ".join(word for word in words if word)))
    for gpu in facts["gpus"]:
        free = "" if gpu["free_bytes"] is None else f", {size_text(gpu['free_bytes'])} free"
        name = gpu["architecture"] or f"compute capability {gpu['capability']}"
        rows.append(
            (
                f"gpu {gpu['index']}",
                f"{gpu['name']}, {name}, {size_text(gpu['memory_bytes'])}{free}",
            )
        )
    if not facts["gpus"]:
        seen = ", ".join(driver["unusable"])
        rows.append(
            ("gpu", f"{seen}: cannot be used" if seen else "none of NVIDIA's that can be used")
        )
    if driver["version"] or driver["cuda"]:
        cuda = f", knows CUDA {driver['cuda']}" if driver["cuda"] else ""
        rows.append(("driver", f"{driver['version'] or 'of unknown version'}{cuda}"))
    held = f"{cache['engines']} engines, {size_text(cache['bytes'])}"
    held += f", {cache['outdated']} of another version" if cache["outdated"] else ""
    rows.append(("engine cache", f"{cache['folder'] or 'none'}: {held}"))
    return rows


def _mark(status: str) -> Any:
    from rich.text import Text

    return Text(status, style={"ok": "green", "missing": "yellow"}.get(status, "red"))
