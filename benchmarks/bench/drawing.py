"""A record drawn: the phases of each case as stacked bars, memory over time, the drift of a soak.

Drawn with matplotlib, which is loaded here alone, and never by the measured processes.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...engines.errors import MissingPackageError
from ..machine import machine_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = {
    "start": "#c9ced6",
    "import": "#a4acb8",
    "photo": "#7f8c9b",
    "restore": "#5d6a78",
    "text": "#b07aa1",
    "image encode": "#ff9da7",
    "look": "#f0b429",
    "frame": "#d6c29a",
    "maps": "#e8743b",
    "window": "#8c6d46",
    "denoise": "#2f6db5",
    "motion": "#86bcb6",
    "decode": "#4aa564",
    "enlarge": "#3d7f74",
    "drawing": "#1f9e9e",
    "encode": "#8a5fb0",
}
"""Phase -> colour, the same in every picture."""
_MORE = ("#bab0ac", "#d37295", "#a0cbe8", "#8cd17d", "#b6992d")
_REST = "start, imports, first-time costs"
_WIDTH = 11.0
_MOST_LINES = 8


def check_drawing() -> None:
    """Make sure that pictures can be drawn.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        import matplotlib as drawer
    except ImportError as error:
        raise MissingPackageError(
            f"--plot and --html draw with matplotlib, which cannot be imported ({error}): "
            "install it with `pip install 'reverie[bench]'`, or `pip install matplotlib`"
        ) from error
    drawer.use("Agg")


def png(made: Mapping[str, Any]) -> bytes:
    """Return all pictures of a record in one PNG, as `figure` draws them."""
    return _saved(figure(made), "png")


def svg(made: Mapping[str, Any]) -> str:
    """Return the same as SVG, with its letters drawn, so that it looks the same everywhere."""
    text = _saved(figure(made), "svg").decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)  # names other hosts
    return text[text.index("<svg") :]


def figure(made: Mapping[str, Any]) -> Figure:
    """Draw a record: phases above, memory below, and a row for each soak.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    check_drawing()
    from matplotlib.figure import Figure

    rows = made["rows"]
    soaks = [row for row in rows if row.get("soak")]
    heights = [0.9 + 0.62 * len(rows), 3.2, *([2.6] * len(soaks))]
    drawn = Figure(figsize=(_WIDTH, sum(heights) + 1.4), layout="constrained")
    axes = drawn.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
    drawn.suptitle(_wrapped(f"Reverie on {machine_line(made['machine'])}", 90), fontsize=12)
    draw_phases(axes[0][0], rows)
    draw_memory(axes[1][0], rows)
    for place, row in zip(axes[2:], soaks, strict=True):
        draw_soak(place[0], row)
    packages = made["machine"]["packages"]
    words = [f"{name} {packages[name]}" for name in ("reverie", "onnxruntime") if name in packages]
    words += [made["machine"]["system"], made["created"]]
    drawn.supxlabel(_wrapped(", ".join(words), 120), fontsize=8, color="#555555")
    return drawn


def draw_phases(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a bar a case: the median of each phase when warm, and what a new process adds."""
    names = list(dict.fromkeys(name for row in rows for name in row["phases"]))
    colours = colours_of(names)
    longest = max((row["end_to_end"]["median"] for row in rows), default=1.0)
    longest = max([longest, *(sum(_totals(row).values()) for row in rows)])
    told: set[str] = set()
    for place, row in enumerate(rows):
        left = 0.0
        for name, seconds in _totals(row).items():
            label = None if name in told else name
            told.add(name)
            axes.barh(
                place, seconds, left=left, color=colours[name], label=label, height=0.62, zorder=2
            )
            if seconds > 0.07 * longest:
                ink = _ink(colours[name])
                middle = left + seconds / 2
                axes.text(middle, place, f"{seconds:.2f}", ha="center", va="center", color=ink)
            left += seconds
        whole = row["end_to_end"]["median"]
        if whole > left:
            axes.barh(
                place,
                whole - left,
                left=left,
                height=0.62,
                color="white",
                edgecolor="#9aa0a8",
                hatch="////",
                linewidth=0.8,
                label=None if _REST in told else _REST,
                zorder=2,
            )
            told.add(_REST)
        _draw_spread(axes, place, row["end_to_end"])
        end = max(left, whole, row["end_to_end"]["samples"] and max(row["end_to_end"]["samples"]))
        words = f"{whole:.2f} s, {row['real_time_factor']:.2f}x real time"
        axes.text(end + 0.012 * longest, place, words, va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [_wrapped(row["id"], 34) for row in rows], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * max([longest, *(max(row["end_to_end"]["samples"]) for row in rows)]))
    axes.set_xlabel("seconds of a film (median of each phase; line: every whole process)")
    axes.set_title("Where the time goes", loc="left")
    _plain(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.55 / (0.6 + 0.4 * len(rows))), ncols=6,
                fontsize=8.5, frameon=False)  # fmt: skip


def draw_memory(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the memory of each case's process over its first film, from its start."""
    shown = [row for row in rows if row["timeline"]][:_MOST_LINES]
    shades = ("#2f6db5", "#e8743b", "#4aa564", "#8a5fb0", "#c23b4b", "#1f9e9e", "#8c6d46", "#555")
    for row, shade in zip(shown, shades, strict=False):
        seconds = [one[0] for one in row["timeline"]]
        name = _wrapped(row["id"], 60)
        host = [one[1] / 2**20 for one in row["timeline"]]
        axes.plot(seconds, host, color=shade, linewidth=1.6, label=name)
        device = [(one[0], one[2] / 2**20) for one in row["timeline"] if one[2]]
        if device:
            label = f"{name}, GPU"
            axes.plot(*zip(*device, strict=True), color=shade, linestyle="--", label=label)
    if len(shown) == 1:
        _shade(axes, shown[0])
    left_out = sum(bool(row["timeline"]) for row in rows) - len(shown)
    more = f" (the first {len(shown)} cases)" if left_out else ""
    whose = f", {shown[0]['id']}" if len(shown) == 1 else more
    axes.set_title(_wrapped(f"Memory over the first film of a process{whose}", 90), loc="left")
    axes.set_xlabel("seconds since the process was started")
    axes.set_ylabel("resident, MiB")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    _plain(axes, both=True)
    if len(shown) > 1 or any(one[2] for row in shown for one in row["timeline"]):
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2, fontsize=8.5, frameon=False
        )


def draw_soak(axes: Axes, row: Mapping[str, Any]) -> None:
    """Draw the time of each film of a soak, and the temperature of the hottest sensor."""
    soak = row["soak"]
    minutes = [begin / 60 for begin, _ in soak["walls"]]
    walls = [wall for _, wall in soak["walls"]]
    axes.plot(minutes, walls, ".", color="#2f6db5", markersize=5, label="a film")
    axes.set_xlabel("minutes")
    axes.set_ylabel("seconds a film")
    axes.set_ylim(0, 1.15 * max(walls))
    title = f"Soak: the last third takes {soak['slow_down']:.3f}x the first, {row['id']}"
    axes.set_title(_wrapped(title, 90), loc="left")
    _plain(axes, both=True)
    if soak["temperatures"]:
        beside = axes.twinx()
        heat = [(at / 60, celsius) for at, celsius in soak["temperatures"]]
        beside.plot(*zip(*heat, strict=True), color="#c23b4b", linewidth=1.2, label="°C")
        beside.set_ylabel("hottest sensor, °C", color="#c23b4b")
        for side in ("top", "left"):
            beside.spines[side].set_visible(False)


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each phase, of its own where it is known."""
    unknown = [name for name in names if name not in COLOURS]
    more = {name: _MORE[index % len(_MORE)] for index, name in enumerate(unknown)}
    return {name: COLOURS.get(name) or more[name] for name in names}


def _totals(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(one["total"]["median"]) for name, one in row["phases"].items()}


def _draw_spread(axes: Axes, place: int, figures: Mapping[str, Any]) -> None:
    """A line over every sample of the whole process."""
    samples = figures["samples"]
    ends = min(samples), max(samples)
    axes.plot(ends, (place, place), color="#222222", linewidth=1.2, zorder=3)
    axes.plot(samples, [place] * len(samples), "|", color="#222222", markersize=7, zorder=3)


def _shade(axes: Axes, row: Mapping[str, Any]) -> None:
    """Phases behind the line of memory, each in its colour."""
    ends = [*(begin for begin, _ in row["marks"][1:]), row["timeline"][-1][0]]
    names = list(dict.fromkeys(name for _, name in row["marks"]))
    colours = colours_of(names)
    width = ends[-1] or 1.0
    for (begin, name), end in zip(row["marks"], ends, strict=True):
        axes.axvspan(begin, end, color=colours[name], alpha=0.22, linewidth=0)
        if end - begin > 0.045 * width:
            axes.text(
                (begin + end) / 2,
                0.985,
                name,
                transform=axes.get_xaxis_transform(),
                rotation=90 if (end - begin) < 0.012 * width * len(name) else 0,
                ha="center",
                va="top",
                fontsize=8,
                color="#333333",
            )


def _plain(axes: Axes, *, both: bool = False) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both" if both else "x", color="#e3e6ea", zorder=0)
    axes.set_axisbelow(True)


def _ink(colour: str) -> str:
    """Black or white, whichever is read better on a colour."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _wrapped(text: str, width: int) -> str:
    """Text on lines of so many letters, no more than three, without mathematics in it."""
    lines = textwrap.wrap(text, width, max_lines=3, placeholder=" ...", break_long_words=True)
    return "\n".join(lines).replace("$", r"\$")


def _saved(drawn: Figure, kind: str) -> bytes:
    from matplotlib import rc_context

    out = io.BytesIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "reverie"}):
        drawn.savefig(out, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()
