"""Tables of ember: whole renders, what is installed, what must hold, motion against masks."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from .reading import Results
from .wording import Table, decibels, percent, ratio, score, seconds, size, verdict

_LOUDNESS = -16.0
_LOOSE = 0.5
"""LUFS that a film may be away from what was asked for."""


def whole_renders(results: Results) -> Table:
    """Whole renders of the demo photo: end_to_end.json, end_to_end_1080.json."""
    rows = []
    for name in ("end_to_end", "end_to_end_1080"):
        for row in results[name]["rows"]:
            times = len(row["wall_seconds"])
            runs = "once" if times == 1 else f"median of {times}"
            rows.append(
                (
                    f"{row['seconds']:g} s of {row['size']}, {row['frames']} frames",
                    f"{seconds(row['wall_median'])} ({runs})",
                    ratio(row["real_time_factor"]),
                    size(row["peak_memory_bytes"]),
                )
            )
    note = "Process start, guards and signing included"
    return Table(
        ("whole render of the demo photo", "wall", "real time", "peak memory"), (*rows,), (note,)
    )


def stories(results: Results) -> Table:
    """A story of many photos, killed half way and started again: story_cost.json."""
    told = results["story_cost"]
    runs = told["runs"]
    killed, resumed, changed = (runs[k] for k in ("killed", "resumed", "one line changed"))
    both = killed["wall_seconds"] + resumed["wall_seconds"]
    length = told["film"]["seconds"]
    return Table(
        ("a story", "wall", "real time", "peak memory"),
        (
            (
                f"{told['shots']} shots of {told['photos']} photos, {length:g} s, killed with -9"
                f" half way and started again: {resumed['shots_kept']} shots kept,"
                f" {resumed['shots_rendered']} rendered",
                f"{killed['wall_seconds']:.0f} + {seconds(resumed['wall_seconds'])}",
                ratio(length / both),
                size(resumed["peak_memory_bytes"]),
            ),
            (
                "the same with one line of its plan changed:"
                f" {changed['shots_rendered']} shot rendered",
                seconds(changed["wall_seconds"]),
                ratio(length / changed["wall_seconds"]),
                size(changed["peak_memory_bytes"]),
            ),
        ),
    )


def installed(results: Results) -> Table:
    """Installed size by package, in an environment with `.[cpu]` alone: footprint.json."""
    told = results["footprint"]
    groups: dict[str, float] = {}
    for package, count in told["bytes"].items():
        group = _GROUPS.get(package, "what these need" if count < 10e6 else package)
        groups[group] = groups.get(group, 0) + count
    rows = sorted(groups.items(), key=lambda row: -row[1])
    cells = [(name, size(count), percent(count / told["total_bytes"])) for name, count in rows]
    cells.append(("**all**", f"**{size(told['total_bytes'])}**", ""))
    return Table(("installed with `[cpu]`", "on disk", "share"), (*cells,))


def installed_bytes(*packages: str) -> Callable[[Results], str]:
    """Return a figure: what some packages take on the disk, all where none is named."""

    def figure(results: Results) -> str:
        told = results["footprint"]
        return size(sum(told["bytes"][name] for name in packages or told["bytes"]))

    return figure


_GROUPS = {
    "opencv-python-headless": "OpenCV, with its BLAS and video codecs",
    "av": "PyAV",
    "numpy": "NumPy",
    "onnxruntime": "ONNX Runtime",
    "reverie": "Reverie, its bundles and fonts",
    "pillow": "Pillow",
    "c2pa-python": "content credentials (c2pa, cryptography)",
    "cryptography": "content credentials (c2pa, cryptography)",
    "rich": "the terminal's tables (rich, pygments)",
    "pygments": "the terminal's tables (rich, pygments)",
}


def held(results: Results) -> Table:
    """What was wanted of the runtime and of its films, beside what was measured.

    footprint.json, quantise_quality.json, identity.json, films.json, guards.json, sound_check.json
    and loop_seam.json; the bounds are the project's own.
    """
    footprint, portraits = results["footprint"], results["identity"]["clips"]
    start = statistics.median(footprint["import_seconds"])
    shipped = results["quantise_quality"]["ember"]["shipped"]["bytes"]
    motion = max(clip["motion_95"] for clip in portraits)
    films = results["films"]["films"]
    faces = [film["identity"] for film in films if film["identity"] is not None]
    guards = results["guards"]
    told = sum(fault["told"] for fault in guards["faults"])
    accused = sum(film["verdict"] != "ok" for film in guards["good"])
    loud = [row["lufs"] for row in results["sound_check"]["rows"] if row["lufs"] is not None]
    seam = max(row["ratio"] for row in results["loop_seam"]["rows"])
    every, good = len(guards["faults"]), len(guards["good"])
    kinds = len({row["sound"] for row in results["sound_check"]["rows"]})
    rows: list[tuple[str, str, str, bool]] = [
        ("`import reverie`", seconds(start), "under 150 ms", start < 0.15),
        (
            "installed with `[cpu]`, all bundles included",
            size(footprint["total_bytes"]),
            "under 300 MB",
            footprint["total_bytes"] < 300e6,
        ),
        ("the embedded model's graphs", size(shipped), "at most 36 MB", shipped <= 36e6),
        (
            "faces: displacement besides the camera, 95th percentile,"
            f" worst of {len(portraits)} portraits",
            f"{motion:.2f} px",
            "at most 0.5 px",
            motion <= 0.5,
        ),
        (
            f"faces: SFace cosine to the photo, least over frames, worst of {len(faces)} portraits",
            f"{min(faces):.3f}",
            "at least 0.90",
            min(faces) >= 0.9,
        ),
        (f"guards: faults laid into films, told of {every}", str(told), str(every), told == every),
        (f"guards: good films, accused of {good}", str(accused), "0", accused == 0),
        (
            f"loudness of films with sound, {kinds} kinds in {len(loud)} files",
            f"{min(loud):.1f} to {max(loud):.1f} LUFS",
            f"{_LOUDNESS:g}",
            max(abs(value - _LOUDNESS) for value in loud) <= _LOOSE,
        ),
        (
            "loop: step over the seam against the steps beside it,"
            f" worst of {len(results['loop_seam']['rows'])} photos, before encoding",
            score(seam),
            "at most 1.1",
            seam <= 1.1,
        ),
    ]
    return Table(
        ("", "measured", "wanted", ""),
        tuple((what, is_, mark, verdict(met)) for what, is_, mark, met in rows),
    )


_MASKS = {
    "amplitude and drift": "ember",
    "class mask": "class mask alone (ember's own)",
    "class mask x texture": "class mask x texture",
    "prior by hand": "prior by hand (no people x no subject x texture)",
    "all but people": "everything but people",
    "texture": "texture",
    "gradient": "gradient",
    "uniform": "uniform",
}


def motion_against_masks(results: Results) -> Table:
    """Area under the ROC curve against hand-drawn masks: photo_gate.json."""
    told = results["photo_gate"]
    rows = [(_MASKS[k], score(told["pooled"][k]), score(told["mean"][k])) for k in _MASKS]
    moving = told["moving"]["as rendered"]
    note = (
        f"{len(told['photos'])} photos; as rendered, {percent(moving['of_may_move'])} of what may"
        f" move does move, and {percent(moving['of_must_hold'])} of what must not"
    )
    return Table(("area under the ROC curve", "pooled", "per photo"), (*rows,), (note,))


def scenes(results: Results) -> Table:
    """The bare networks on procedural scenes: heldout.json, known.json; the bounds are our own."""
    strange, known = results["heldout"], results["known"]
    one, other = (s["amplitude"]["ember, regressed amplitude"] for s in (strange, known))

    sampled, truth = (strange["phases"][k]["coherence_3"] for k in ("ember, sampled", "truth"))
    also, there = (known["phases"][k]["coherence_3"] for k in ("ember, sampled", "truth"))
    leak, leaked = (s["leak_percent_of_height"]["static_p99"] for s in (strange, known))
    right, rightly = (s["classes"]["accuracy"] for s in (strange, known))
    rows = [
        _wanted("amplitude AUC, pooled", one["auc_pooled"], other["auc_pooled"], 0.93),
        _wanted("amplitude AUC, per scene", one["auc_per_image"], other["auc_per_image"], 0.85),
        _wanted("amplitude, Pearson", one["pearson"], other["pearson"], 0.5),
        _wanted("class accuracy", right, rightly, 0.9),
        (
            "static places move, 99th percentile",
            f"{leak:.2f}% of the height",
            f"{leaked:.2f}%",
            "0.1%",
            verdict(leak <= 0.1),
        ),
        (
            "phases stay in step over three cells (truth)",
            f"{score(sampled)} ({score(truth)})",
            f"{score(also)} ({score(there)})",
            "0.55",
            verdict(sampled >= 0.55),
        ),
    ]
    heads = (
        "",
        f"{strange['scenes']} scenes of photographs never seen",
        f"{known['scenes']} of known ones",
        "wanted",
        "",
    )
    return Table(heads, (*rows,))


def _wanted(what: str, first: float, second: float, mark: float) -> tuple[str, ...]:
    return what, score(first), score(second), score(mark), verdict(first >= mark)


def formats(results: Results) -> Table:
    """Every container and codec opened again: format_check.json."""
    told = results["format_check"]
    rows = [
        (
            row["name"],
            row["encoder"],
            row["pixels"],
            row["sound"] or "none",
            size(row["bytes"]),
            decibels(row["psnr"]) if row["psnr"] is not None else "lossless",
            seconds(row["milliseconds_a_frame"] / 1e3),
        )
        for row in told["rows"]
    ]
    heads = ("container, codec", "encoder", "pixels", "sound", "file", "PSNR", "a frame")
    return Table(heads, (*rows,), (f"{told['size']}, {told['rows'][0]['frames']} frames",))
