"""The options of `reverie bench`, for both of its doors; nothing heavy is loaded here."""

from __future__ import annotations

import argparse

from ...engines.architectures import PRECISIONS
from ...runtime.placement import BACKENDS
from ...runtime.settings import FRAMES_RANGE, SECONDS_RANGE, STEPS_RANGE

DESCRIPTION = """\
Measure what renders cost on this machine: the start in fresh processes (import, opening of the
networks, first frame), each phase after a warm-up, whole films, memory, and, where the machine
tells, energy, temperature and throttling. Options that take several values multiply into cases;
each case runs in processes of its own. Ctrl-C keeps the cases that are whole."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add every option of the command."""
    add = parser.add_argument
    add(
        "models",
        metavar="MODEL",
        nargs="*",
        help="embedded models or folders of bundles (default ember)",
    )
    add(
        "--size",
        metavar="WxH",
        nargs="+",
        help="size of the film in pixels (default 1280x720, a bundle's own where it has one)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--frames",
        metavar="N",
        type=int,
        nargs="+",
        help=f"frames of the film, {FRAMES_RANGE[0]} to {FRAMES_RANGE[1]}, at the model's own rate "
        "(default: 10 s of ember, a bundle's own number)",
    )
    length.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        help=f"length of the film at 24 fps instead, {SECONDS_RANGE[0]:g} to {SECONDS_RANGE[1]:g}",
    )
    add(
        "--steps",
        metavar="N",
        type=int,
        nargs="+",
        help=f"denoising steps, {STEPS_RANGE[0]} to {STEPS_RANGE[1]} (default: the model's own)",
    )
    add(
        "--guidance",
        metavar="G",
        type=float,
        help="guidance; 1 is none, and halves the runs of a step (default: the model's own)",
    )
    add(
        "--precision",
        metavar="P",
        nargs="+",
        choices=("auto", "fp32", *PRECISIONS),
        help=f"auto, fp32, {', '.join(PRECISIONS)} (default auto)",
    )
    add(
        "--backend",
        metavar="B",
        nargs="+",
        choices=BACKENDS,
        help=f"what runs the networks: {', '.join(BACKENDS)} (default auto)",
    )
    add(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:N]",
        help="what runs the networks (default auto: a GPU where one works)",
    )
    add(
        "--threads",
        metavar="N",
        type=int,
        nargs="+",
        help="processor cores that the measured process may use (default: all it may)",
    )
    add("--repeat", metavar="N", type=int, default=5, help="samples of each figure, 1 to 1000 (5)")
    add(
        "--warmup",
        metavar="N",
        type=int,
        default=1,
        help="renders before phases are measured, 0 to 100 (default 1)",
    )
    add(
        "--minutes",
        metavar="M",
        type=float,
        help="thermal soak: render again and again for so long, and compare the first third with "
        "the last; up to 1440",
    )
    add("--photo", metavar="FILE", help="the picture to animate (default: one that comes along)")
    add("--json", metavar="FILE", help="write the record, - for stdout; replaced where it exists")
    add("--plot", metavar="FILE", help="draw phases and memory as PNG; replaced where it exists")
    add("--html", metavar="FILE", help="write a page with everything in it; replaced likewise")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show where an error came from")
