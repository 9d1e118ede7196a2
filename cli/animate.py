"""`reverie animate PHOTO`: options to settings, a render, and what a person or a program hears."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..engines.errors import ReverieError
from ..engines.sizes import parse_size, size_text
from ..runtime.letters.label import DEFAULT_LABEL
from ..runtime.placement import BACKENDS, Placement
from ..runtime.settings import (
    FPS_RANGE,
    GUIDANCE_RANGE,
    HEIGHT_RANGE,
    NAMED_ASPECTS,
    SECONDS_RANGE,
    STEPS_RANGE,
    CameraMove,
    Faces,
    LightKind,
    MoodName,
    Restore,
    Settings,
    Understanding,
)
from .awaited import Awaited
from .clip_report import report, weight
from .delivering import add_delivery, delivery_of
from .telling import add_output, range_text, tell

if TYPE_CHECKING:
    from ..runtime.pipeline import Rendered

_MOST_WORDS = 12  # unused words told before the rest is only counted


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "animate",
        help="turn a photo into a clip",
        description="Turn a photo into a gently moving clip (.mp4 plays everywhere).",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the picture to animate")
    add("--prompt", metavar="TEXT", help='what should happen: "soft light, slight leaf movement"')
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--seconds",
        type=_number,
        default=10.0,
        help=f"length of the clip, {range_text(SECONDS_RANGE)} (default 10)",
    )
    length.add_argument(
        "--frames",
        type=_whole,
        help="number of frames instead, at the model's own rate where --fps is not given",
    )
    add(
        "--aspect",
        default="photo",
        metavar="W:H",
        help=f"shape of the frame: {', '.join(NAMED_ASPECTS)}, or another W:H (default photo)",
    )
    add(
        "--height",
        type=_whole,
        default=720,
        help=f"height of the frame in pixels, {range_text(HEIGHT_RANGE)} (default 720)",
    )
    add("--fps", type=_whole, help=f"frames a second, {range_text(FPS_RANGE)} (default 24)")
    add("--motion", type=_number, help="how much moves, 0 to 1 (default: the model's own)")
    _add_look(parser)
    add(
        "--steps",
        type=_whole,
        help=f"denoising steps, {range_text(STEPS_RANGE)} (default: the model's own)",
    )
    add(
        "--guidance",
        type=_number,
        help=f"how closely to hold to the prompt, {range_text(GUIDANCE_RANGE)}; 1 is off "
        "(default: the model's own)",
    )
    add("--negative-prompt", metavar="TEXT", help="what should not be seen")
    add("--seed", type=_whole, default=0, help="another seed is another wind (default 0)")
    add(
        "--model",
        default="ember",
        metavar="NAME|FOLDER",
        help="an embedded model or the folder of one (default ember)",
    )
    add(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:N]",
        help="what runs the networks (default auto: a GPU where one works)",
    )
    add(
        "--backend",
        default="auto",
        metavar="|".join(BACKENDS),
        help="which library runs them (default auto; `reverie doctor` tells which there are)",
    )
    add(
        "--precision",
        default="auto",
        metavar="P",
        help="fp32, fp16, bf16, fp8, int8, nvfp4 or int4, where the model has it (default auto: "
        "the least error that fits)",
    )
    add(
        "--memory",
        metavar="SIZE",
        help="how much the device may be filled, such as 6GB (default: what is free)",
    )
    add(
        "--strict",
        action="store_true",
        help="refuse, where it would go on in another way than planned (less memory, another "
        "precision or backend, the CPU)",
    )
    add("--loop", action="store_true", help="make the end lead back into the beginning")
    add(
        "--out",
        metavar="FILE",
        help=".mp4, .mov, .mkv, .webm, .gif, or a folder/ of PNG frames (default: the photo's name "
        "with .mp4, in the current folder)",
    )
    add_delivery(parser)
    add("--force", action="store_true", help="overwrite the file when it exists")
    add_output(parser)


def _add_look(parser: argparse.ArgumentParser) -> None:
    """Add the options of camera, light, mood, and what is done to photo and frames."""
    add = parser.add_argument

    def choice(
        name: str, kind: object, more: tuple[str, ...], default: str | None, words: str
    ) -> None:
        known = (*get_args(kind), *more)
        add(
            f"--{name}",
            choices=known,
            default=default,
            metavar=name.upper(),
            help=words.format(", ".join(known)),
        )

    choice("mood", MoodName, (), None, "a recipe of pacing, light and irregularity: {}")
    choice("camera", CameraMove, ("off",), None, "how the camera moves: {}")
    choice("light", LightKind, (), None, "the light: {}")
    add("--grain", type=_number, metavar="G", help="film grain, 0 to 1")
    choice(
        "restore", Restore, (), "off", "clean an old, small or soft photo first: {} (default off)"
    )
    choice(
        "faces",
        Faces,
        (),
        "protect",
        "protect keeps faces what they are in the photo, free leaves them to the model: {} "
        "(default protect)",
    )
    add(
        "--interpolation",
        choices=("auto", "blend"),
        default="auto",
        metavar="auto|blend",
        help="frames between a video model's own: by a network, or blended (default auto)",
    )
    add(
        "--upscaling",
        choices=("auto", "plain"),
        default="auto",
        metavar="auto|plain",
        help="what is larger than photo or model: by a network, or resampled (default auto)",
    )
    add(
        "--label",
        nargs="?",
        const=DEFAULT_LABEL,
        metavar="TEXT",
        help=f'burn a small caption in (without TEXT: "{DEFAULT_LABEL}")',
    )


def run(arguments: argparse.Namespace) -> None:
    """Make the clip and tell about it.

    Raises:
        ReverieError: whatever `reverie.animate` raises.
    """
    settings = Settings(
        seconds=arguments.seconds,
        fps=_rate(arguments),
        height=arguments.height,
        aspect=arguments.aspect,
        motion=arguments.motion,
        seed=arguments.seed,
        prompt=arguments.prompt,
        loop=arguments.loop,
        steps=arguments.steps,
        num_frames=arguments.frames,
        guidance=arguments.guidance,
        negative_prompt=arguments.negative_prompt,
        mood=arguments.mood,
        camera=arguments.camera,
        light=arguments.light,
        grain=arguments.grain,
        restore=arguments.restore,
        faces=arguments.faces,
        interpolation=arguments.interpolation,
        upscaling=arguments.upscaling,
        label=arguments.label,
    )
    delivery = delivery_of(arguments)
    placement = Placement(
        device=arguments.device,
        backend=arguments.backend,
        precision=arguments.precision,
        memory=None if arguments.memory is None else parse_size(arguments.memory, "--memory"),
        strict=arguments.strict,
    )
    from ..runtime.pipeline import animate, default_output  # loads the engines: not for --help
    from ..runtime.prompt import understand
    from .progress import progress

    arguments.clip = Awaited(Path(arguments.out or default_output(arguments.photo, delivery.codec)))
    silent = arguments.quiet or arguments.json
    if not silent:
        for line in describe(understand(settings.prompt), told_whole=_is_told(arguments.model)):
            tell(line)
    with progress(silent) as on_progress:
        clip = animate(
            arguments.photo,
            arguments.out,
            settings=settings,
            delivery=delivery,
            model=arguments.model,
            placement=placement,
            force=arguments.force,
            on_progress=on_progress,
        )
    if arguments.json:
        print(json.dumps(report(clip)))
    elif not silent:
        for note in clip.notes:
            tell(f"note: {note}")
        print(
            f"{clip.path}  {clip.width}x{clip.height}, {clip.seconds:g} s at {clip.fps} fps, "
            f"{weight(clip.bytes)}, made in {sum(clip.stages.values()):.1f} s"
            f"{_memory(clip)}"
        )


def _memory(clip: Rendered) -> str:
    """Say what memory the render took, beside what it was planned to take."""
    words = f" with {size_text(clip.peak_memory)} of memory" if clip.peak_memory else ""
    planned = clip.predicted_memory
    words += f" ({size_text(planned)} planned)" if words and planned else ""
    if clip.device_memory and clip.memory:
        planned = clip.memory.peak_bytes
        words += f", {size_text(clip.device_memory)} of the GPU's ({size_text(planned)} planned)"
    return words


def _rate(arguments: argparse.Namespace) -> int:
    """Frames a second: as asked, or 24; a number of frames plays at the model's own rate."""
    if arguments.fps is not None:
        return int(arguments.fps)
    own = None
    if arguments.frames is not None:
        from ..runtime.bundle import load_bundle

        own = load_bundle(arguments.model).section("timing").get("fps")
    known = isinstance(own, int | float) and FPS_RANGE[0] <= own <= FPS_RANGE[1]
    return round(own) if own is not None and known else 24


def _is_told(model: str) -> bool:
    """Whether a model is given the prompt as it is, beside what is understood of it here."""
    from ..runtime.bundle import load_bundle

    try:
        return "text" in load_bundle(model).manifest
    except ReverieError:  # told when the clip is made
        return False


def describe(understanding: Understanding, *, told_whole: bool = False) -> list[str]:
    """Return lines that tell a person what the prompt was understood as.

    told_whole: whether the model reads the whole prompt too, so that no word is lost.
    """
    lines = list(understanding.understood)
    unused = understanding.unused
    if unused:
        words = ", ".join(word[:40] for word in unused[:_MOST_WORDS])
        more = f" and {len(unused) - _MOST_WORDS} more" if len(unused) > _MOST_WORDS else ""
        who = "left to the model" if told_whole else "not used"
        lines.append(f"{who}: {words}{more}")
    return lines


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number") from None
