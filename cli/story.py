"""`reverie story PHOTO...`: several photos as one film, by a plan or by a rhythm found in them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..engines.errors import SettingsError
from ..engines.sizes import size_text
from ..runtime.letters.label import DEFAULT_LABEL
from ..runtime.placement import BACKENDS, Placement
from ..runtime.settings import (
    FPS_RANGE,
    HEIGHT_RANGE,
    NAMED_ASPECTS,
    CameraMove,
    Faces,
    LightKind,
    MoodName,
    Restore,
)
from .clip_report import weight
from .delivering import add_delivery, delivery_of
from .story_report import in_words, plan_facts, report
from .telling import add_output, range_text, tell

if TYPE_CHECKING:
    from ..runtime.story.plan import StoryPlan


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "story",
        help="turn several photos into one film",
        description=(
            "Turn several photos into one film: in their order with a rhythm found in them, or by "
            "a plan. Finished shots are kept, so that a stopped story goes on where it was."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photos", metavar="PHOTO", nargs="*", help="the pictures, in their order")
    add("--plan", metavar="FILE", help="a plan in TOML, in place of photos")
    add("--write-plan", metavar="FILE", help="write the plan it would use, and render nothing")
    add(
        "--storyboard",
        metavar="PNG",
        help="draw the film on a page; without --out nothing else is made",
    )
    add("--seconds", type=float, help="length of the film (default: the plan's, or 4.5 a photo)")
    add(
        "--captions",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show captions: the plan's, or where it has none what the photos' files say",
    )
    add("--font", metavar="FILE", help="a font for captions in scripts that ours do not have")
    add(
        "--aspect",
        metavar="W:H",
        help=f"one shape for all: {', '.join(NAMED_ASPECTS[1:])}, another W:H, or photo for the "
        "first one's (default: what most photos have)",
    )
    pixels, rates = range_text(HEIGHT_RANGE), range_text(FPS_RANGE)
    add("--height", type=int, help=f"height of the frame in pixels, {pixels} (default 720)")
    add("--fps", type=int, help=f"frames a second, {rates} (default 24)")
    add("--seed", type=int, help="another seed is another wind and another rhythm (default 0)")
    add("--mood", metavar="MOOD", help=f"for all shots: {', '.join(get_args(MoodName))}, none")
    add("--light", metavar="LIGHT", help=f"for all shots: {', '.join(get_args(LightKind))}")
    add("--camera", metavar="MOVE", help=f"for all shots: {', '.join(get_args(CameraMove))}, off")
    add("--motion", type=float, help="how much moves, 0 to 1 (default: the model's own)")
    add("--prompt", metavar="TEXT", help="what should happen, in all shots")
    add("--grain", type=float, help="film grain, 0 to 1")
    add("--restore", metavar="off|gentle", choices=get_args(Restore), help="clean old photos first")
    add(
        "--faces",
        metavar="protect|free",
        choices=get_args(Faces),
        help="protect keeps faces as in the photo (default), free leaves them to a model",
    )
    add("--shots", metavar="FOLDER", help="where finished shots are kept (default: FILE.shots)")
    add(
        "--keep-shots",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the shots when the film is there, so that a change renders only its own",
    )
    add(
        "--model",
        default="ember",
        metavar="NAME|FOLDER",
        help="an embedded model or the folder of one (default ember)",
    )
    add("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="what runs the networks")
    add("--backend", default="auto", metavar="|".join(BACKENDS), help="which library runs them")
    add("--precision", default="auto", metavar="P", help="as for `reverie animate`")
    add(
        "--label",
        nargs="?",
        const=DEFAULT_LABEL,
        metavar="TEXT",
        help=f'burn a small caption into every frame (without a text: "{DEFAULT_LABEL}")',
    )
    add_delivery(parser)
    add("--out", metavar="FILE", help="the film (default story.mp4, in the current folder)")
    add("--force", action="store_true", help="overwrite files that exist")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Plan the story, and make what is asked for: a plan, a storyboard, the film.

    Raises:
        ReverieError: whatever `reverie.story` raises.
    """
    if not arguments.photos and arguments.plan is None:
        raise SettingsError("a story needs photos or --plan: reverie story PHOTO PHOTO ...")
    silent = arguments.quiet or arguments.json
    asks = {
        name: getattr(arguments, name)
        for name in ("mood", "light", "camera", "motion", "prompt", "grain", "restore", "faces")
        if getattr(arguments, name) is not None
    }
    wishes = {
        name: getattr(arguments, name)
        for name in (
            *("plan", "seconds", "music", "voice", "captions"),
            *("font", "label", "aspect", "height", "fps", "seed"),
        )
    }
    if arguments.write_plan or (arguments.storyboard and not arguments.out):
        _only_plan(arguments, wishes, asks, silent)
        return
    from ..runtime.formats import suffix_for
    from ..runtime.story.story import story  # loads the engines: not for --help
    from .awaited import Awaited
    from .progress import progress

    delivery = delivery_of(arguments)
    out = arguments.out or f"story{suffix_for(delivery.codec)}"
    arguments.clip = Awaited(Path(out))
    with progress(silent) as on_progress:
        try:
            told = story(
                arguments.photos,
                out,
                **wishes,
                storyboard=arguments.storyboard,
                shots=arguments.shots,
                keep_shots=arguments.keep_shots,
                delivery=delivery,
                model=arguments.model,
                placement=Placement(
                    device=arguments.device,
                    backend=arguments.backend,
                    precision=arguments.precision,
                ),
                force=arguments.force,
                on_progress=on_progress,
                on_note=None if silent else lambda note: tell(f"note: {note}"),
                on_plan=None if silent else _tell_plan,
                **asks,
            )
        except KeyboardInterrupt as stopped:
            line = "stopped; the finished shots are kept, the same command goes on from there"
            raise KeyboardInterrupt(line) from stopped
    if arguments.json:
        print(json.dumps(report(told)))
    elif not silent:
        print(
            f"{told.path}  {told.width}x{told.height}, {told.seconds:g} s at {told.fps} fps, "
            f"{weight(told.bytes)}, "
            f"{told.rendered} shot{'s' * (told.rendered != 1)} rendered, "
            f"{told.kept} kept, made in {sum(told.stages.values()):.1f} s"
            + (f" with {size_text(told.peak_memory)} of memory" if told.peak_memory else "")
        )


def _only_plan(
    arguments: argparse.Namespace, wishes: dict[str, Any], asks: dict[str, Any], silent: bool
) -> None:
    from ..runtime.delivery import spare_sources
    from ..runtime.story.story import plan_story
    from ..runtime.story.storyboard import check_board, draw_storyboard
    from ..runtime.story.write import check_place, write_plan
    from .progress import progress

    if arguments.write_plan:
        check_place(Path(arguments.write_plan), arguments.force)
    if arguments.storyboard:
        check_board(Path(arguments.storyboard), arguments.force)
    made = {}
    with progress(silent) as on_progress:
        plan, measures = plan_story(
            arguments.photos,
            **wishes,
            asks=asks,
            look=bool(arguments.storyboard),
            on_progress=on_progress,
        )
        sources = [*(shot.photo for shot in plan.shots), plan.music, plan.voice]
        for place in (arguments.write_plan, arguments.storyboard):
            if place:
                spare_sources(place, sources)
        if arguments.write_plan:
            made["plan"] = write_plan(plan, arguments.write_plan, force=arguments.force)
        if arguments.storyboard:
            board = draw_storyboard(plan, measures, arguments.storyboard, force=arguments.force)
            made["storyboard"] = board
    if arguments.json:
        paths = {name: str(path.absolute()) for name, path in made.items()}
        print(json.dumps({**paths, **plan_facts(plan)}))
    elif not silent:
        _tell_plan(plan)
        for path in made.values():
            print(path)


def _tell_plan(plan: StoryPlan) -> None:
    for line in in_words(plan):
        tell(line)
