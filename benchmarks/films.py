"""Films of portraits and scenes, measured and laid out in sheets: what a person would check.

    python -m reverie.benchmarks.films PHOTO_OR_FOLDER... [--seconds 10] [--height 720]
        [--mood tender] [--prompt TEXT] [--model ember] [--sheets FOLDER] [--json FILE]

For each photo one film, drawn and watched as it comes, never kept. `identity` is the least cosine
(SFace) of any face over the looks at it, goal 0.90. In pixels at a height of 720: `face px` how far
the face's pixels move besides the camera (95th percentile of the worst frame; turn, zoom and shift
of the face taken out); `moves` the share of the frame's pixels that get more than a pixel away
besides the camera's turn, zoom and shift (its parallax counts); `sways` the share that sways by
more than a pixel, rms, once what passes as the camera goes is taken out. Flicker in levels and
seam in medians are those of `reverie check`. A sheet has six frames of the film, what moves, and
the words it was told and told back.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..runtime.guard import Watch
from ..runtime.identity import Identity
from ..runtime.pipeline import stream
from ..runtime.trackers import Pixels
from .clips import FlowMeter, grey8, without_camera
from .contact_sheet import flow_picture
from .identity import AT_HEIGHT, LEAST_COSINE, displacement, oval
from .machine import describe_machine
from .measure import fit_similarity

MOVES, SWAYS, STANDS = 1.0, 1.0, 6.0  # pixels at a height of 720
SAMPLES = 9
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def photos_in(paths: list[Path]) -> list[Path]:
    """The photos named, and those in the folders named, in their order."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix.lower() in SUFFIXES]
    return found


def measure_film(photo: Path, sheet: Path | None, **options: Any) -> dict[str, Any]:
    """Film a photo and say what came out; writes its sheet where a path is given."""
    model = options.pop("model", "ember")
    start = time.perf_counter()
    film = stream(photo, model=model, **options)
    frames = iter(film.frames)
    first = next(frames)
    kept: list[tuple[int, Pixels]] = [(0, first)]
    wanted = {round(i) for i in np.linspace(0, film.frame_count - 1, SAMPLES)}
    watching = 0.0
    with Identity(first) as identity:
        watch = Watch(
            first,
            fps=film.fps,
            count=film.frame_count,
            identity=identity,
            expected_light=film.look.light.kind not in (None, "none"),
            looks=2.0,
            most_looks=60,
        )
        watch.see(first)
        for index, frame in enumerate(frames, 1):
            before = time.perf_counter()
            watch.see(frame)
            watching += time.perf_counter() - before
            if index in wanted:
                kept.append((index, frame))
        report = watch.report()
        spent = time.perf_counter() - start
        boxes = [known.box for known in identity.known]
    told = [*film.notes, *film.look.told, *film.understanding.understood]
    told += [f"not understood: {', '.join(film.understanding.unused)}"] * bool(
        film.understanding.unused
    )
    pictures = [frame for _, frame in kept]
    flow, sway = motions(pictures, np.array([index for index, _ in kept], np.float64))
    scale = AT_HEIGHT / film.height
    row: dict[str, Any] = {
        "photo": photo.name,
        "faces": len(boxes),
        "identity": report["identity"].value if report.has("identity") else None,
        "face_motion_95": max((face_motion(pictures, box) for box in boxes), default=None),
        "moves": float((flow * scale > MOVES).mean()),
        "sways": float((sway * scale > SWAYS).mean()),
        "flicker": report["flicker"].value,
        "seam": report["seam"].value,
        "verdict": report.verdict,
        "said": report.lines(),
        "told": told,
        "seconds_to_draw": spent - watching,
        "seconds_watching": watching,
        "report": report.as_dict(),
    }
    if sheet is not None:
        lay_out(photo.stem, kept, film.fps, flow, [*told, line(row)]).save(sheet)
    return row


def motions(
    frames: list[Pixels], times: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far each pixel gets from where it began besides the camera, and how far it sways, pixels.

    Both (h, w). The camera is one turn, zoom and shift of the whole frame; what passes as it goes
    (its parallax), or evenly where it stands, is no swaying: that is the rms of what is left.
    """
    meter, first = FlowMeter(), frames[0]
    largest = np.zeros(first.shape[:2], np.float32)
    flows, ways = [], []
    for frame in frames[1:]:
        ways.append(camera_way(meter(grey8(first), grey8(frame))))
        flow = meter(grey8(first), grey8(without_camera(first, frame)))
        largest = np.maximum(largest, np.linalg.norm(flow, axis=-1))
        flows.append(flow)
    all_ways = np.stack(ways).reshape(len(ways), -1)
    last = all_ways[int(np.argmax(np.linalg.norm(all_ways, axis=1)))]
    far = float(np.sqrt(np.square(last).mean()))
    progress = all_ways @ last if far > STANDS * first.shape[0] / AT_HEIGHT else times[1:]
    progress = progress / np.linalg.norm(progress)
    way = np.stack(flows)
    passing = np.tensordot(progress, way, axes=(0, 0))
    way -= (progress[:, None, None, None] * passing).astype(np.float32)
    return largest, np.sqrt(np.square(way).sum(-1).mean(0))


def camera_way(flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where one turn, zoom and shift takes a few places of the frame, (9, 2) in pixels."""
    tall, wide = flow.shape[:2]
    y, x = (part.ravel() for part in np.mgrid[0:tall:7, 0:wide:7])
    places = np.stack([x, y], -1).astype(np.float64)
    matrix, shift = fit_similarity(places, places + flow[y, x])
    few = np.stack(np.meshgrid([0, wide / 2, wide], [0, tall / 2, tall]), -1).reshape(-1, 2)
    return np.asarray(few @ matrix.T + shift - few, np.float64)


def face_motion(frames: list[Pixels], box: tuple[float, float, float, float]) -> float:
    """95th percentile of how far a face's pixels move besides the camera, of the worst frame."""
    tall, wide = frames[0].shape[:2]
    x0, y0, x1, y1 = np.array(box) * (wide, tall, wide, tall)
    inside = oval(frames[0].shape, np.array([x0, y0, x1 - x0, y1 - y0], np.float32))
    if inside.sum() < 100:
        return 0.0
    moved = (np.quantile(displacement(frames[0], frame, inside), 0.95) for frame in frames[1:])
    return float(max(moved)) * AT_HEIGHT / tall


def lay_out(
    name: str,
    frames: list[tuple[int, Pixels]],
    fps: float,
    flow: NDArray[np.float32],
    words: list[str],
    width: int = 400,
) -> Image.Image:
    """A sheet: six frames with their times, how far pixels move, and words below."""
    chosen = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, 6)]
    tall, wide = chosen[0][1].shape[:2]
    height, bar = round(width * tall / wide), 18
    picture = Image.new("RGB", (4 * width, 2 * (height + bar) + 14 * len(words) + bar))
    draw = ImageDraw.Draw(picture)
    shown = [(f"{name}  {index / fps:.1f} s", frame) for index, frame in chosen]
    shown.append(("how far pixels move: white is 1% of the height", flow_picture(flow, tall)))
    for place, (title, frame) in enumerate(shown):
        x, y = place % 4 * width, place // 4 * (height + bar)
        small = Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)
        picture.paste(small, (x, y + bar))
        draw.text((x + 4, y + 3), title, fill=(255, 220, 120))
    for number, text in enumerate(words):
        draw.text((4, 2 * (height + bar) + 4 + 14 * number), text, fill=(230, 230, 230))
    return picture


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    who = "      -" if row["identity"] is None else f"{row['identity']:7.3f}"
    face = "      -" if row["face_motion_95"] is None else f"{row['face_motion_95']:7.2f}"
    low = row["identity"] is not None and row["identity"] < LEAST_COSINE
    return (
        f"{row['photo'][:28]:28s} {row['faces']:5d} {who} {face} {row['moves']:6.1%} "
        f"{row['sways']:6.1%} {row['flicker']:8.3f} {row['seam']:6.2f}  {row['verdict']}"
        + ("  TOO LOW" if low else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+", help="photos, or folders of them")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=int, default=24)
    parser.add_argument("--mood")
    parser.add_argument("--prompt")
    parser.add_argument("--model", default="ember")
    parser.add_argument("--sheets", type=Path, help="folder for a sheet of each film")
    parser.add_argument("--json", type=Path, help="write the report here")
    arguments = parser.parse_args()
    asked = {name: getattr(arguments, name) for name in ("seconds", "height", "fps")}
    asked |= {name: getattr(arguments, name) for name in ("mood", "prompt", "model")}
    if arguments.sheets:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
    print(f"{'photo':28s} faces identity face px  moves  sways  flicker   seam  verdict")
    rows = []
    for photo in photos_in(arguments.photos):
        sheet = arguments.sheets / f"{photo.stem}.jpg" if arguments.sheets else None
        rows.append(measure_film(photo, sheet, **asked))
        print(line(rows[-1]), flush=True)
    known = [row["identity"] for row in rows if row["identity"] is not None]
    if known:
        print(f"{len(rows)} films, {len(known)} with faces: least cosine {min(known):.3f}")
    if arguments.json:
        report = {"asked": asked, "films": rows, "machine": describe_machine()}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
