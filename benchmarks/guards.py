"""Whether the guards see faults, and leave good films alone.

    python -m reverie.benchmarks.guards [--photos FOLDER] [--seconds 3] [--height 240] [--json FILE]

Films by ember of every photo in the folder: what each figure comes to at worst, with every option
at its default. Then faults laid into films (see `faults.py`), with the figure that must tell each;
and, for the faults of faces, what is left of them once faces are protected.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..runtime.guard import LIMITS, Report, Watch
from ..runtime.identity import Identity
from ..runtime.photo import load_photo
from ..runtime.pipeline import stream
from ..runtime.protect import protect
from ..runtime.trackers import Pixels
from . import faults
from .machine import describe_machine

PHOTOS = Path(__file__).resolve().parents[1] / "tests" / "data" / "photos"
SCENE = "tea-gardens"
PERSON, OTHER = "person-001-selfie", "person-004-selfie"


def film_of(photo: Path, seconds: float, height: int) -> tuple[list[Pixels], int]:
    """A film by ember, whole, and its frames a second."""
    film = stream(photo, seconds=seconds, height=height)
    return list(film.frames), film.fps


def watched(
    frames: Iterable[Any], photo: Pixels, fps: float, count: int, looks: float = 1.0
) -> Report:
    """What a Watch says of frames made from a framed photo."""
    with Identity(photo) as identity:
        watch = Watch(photo, fps=fps, count=count, identity=identity, looks=looks, most_looks=60)
        for frame in frames:
            watch.see(frame)
        return watch.report()


def row_of(name: str, report: Report, wanted: str | None = None) -> dict[str, Any]:
    """A report as a row; `wanted` is the figure that must be bad."""
    row: dict[str, Any] = {"name": name, **report.as_dict()}
    if wanted is not None:
        told = [figure for figure in report.figures if figure.name == wanted]
        row |= {"must_tell": wanted, "told": any(figure.verdict == "bad" for figure in told)}
    return row


def _line(row: dict[str, Any]) -> str:
    bad = [
        f"{name} {figure['value']:.3g} {figure['verdict']}"
        for name, figure in row["figures"].items()
        if figure["verdict"] != "ok"
    ]
    seen = "" if "told" not in row else ("told   " if row["told"] else "MISSED ")
    return f"{row['name']:34s} {seen}{', '.join(bad) or 'ok'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--json", type=Path, help="write the report here")
    arguments = parser.parse_args()
    size = arguments.seconds, arguments.height

    good, cost = [], 0.0
    for photo in sorted(arguments.photos.glob("*.jpg")):
        frames, fps = film_of(photo, *size)
        start = time.perf_counter()
        report = watched(frames, frames[0], fps, len(frames))
        cost += time.perf_counter() - start
        good.append(row_of(photo.stem, report))
        print(_line(good[-1]), flush=True)
    worst = {}
    for name, limit in LIMITS.items():
        values = [row["figures"][name]["value"] for row in good if name in row["figures"]]
        if values:
            worst[name] = min(values) if limit.low_is_bad else max(values)
    print(f"{len(good)} good films; at worst {worst}")

    rows: list[dict[str, Any]] = []
    scene, fps = film_of(PHOTOS / f"{SCENE}.jpg", *size)
    for name, (fault, wanted) in faults.GENERAL.items():
        report = watched(fault(scene, len(scene)), scene[0], fps, len(scene))
        rows.append(row_of(name, report, wanted))
        print(_line(rows[-1]), flush=True)
    protected = []
    person, fps = film_of(PHOTOS / f"{PERSON}.jpg", *size)
    other = load_photo(PHOTOS / f"{OTHER}.jpg").pixels
    kinds: dict[str, tuple[Callable[[Identity], faults.Fault], str]] = {
        "swapped face": (lambda known: faults.swapped(other, known), "identity"),
        "morphing face": (lambda known: faults.morphing(other, known), "identity"),
        "vanishing face": (faults.vanishing, "faces lost"),
    }
    for name, (make, wanted) in kinds.items():
        with Identity(person[0]) as known:
            frames = list(make(known)(person, len(person)))
        report = watched(frames, person[0], fps, len(person))
        row = row_of(name, report, wanted)
        if not row["told"]:  # a face that is hardly one may be judged as somebody else's
            row["told"] = report.verdict == "bad"
        rows.append(row)
        print(_line(row), flush=True)
        notes: list[str] = []
        kept = protect(
            iter(frames),
            person[0],
            None,
            fps=fps,
            count=len(frames),
            fallback=lambda: iter(person),
            on_note=notes.append,
        )
        report = watched(kept, person[0], fps, len(frames), looks=4.0)
        protected.append({**row_of(name, report), "notes": notes})
        print(_line(protected[-1]), "(protected:", "; ".join(notes) + ")", flush=True)

    missed = [row["name"] for row in rows if not row["told"]]
    accused = [row["name"] for row in good if row["verdict"] != "ok"]
    print(
        f"missed: {', '.join(missed) or 'none'}; good films accused: {', '.join(accused) or 'none'}"
    )
    if arguments.json:
        result = {
            "seconds": arguments.seconds,
            "height": arguments.height,
            "good": good,
            "good_at_worst": worst,
            "seconds_watching_per_film": cost / max(len(good), 1),
            "faults": rows,
            "protected": protected,
            "machine": describe_machine(),
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
