"""Reverie beside other software: same weights, noise, sizes, steps and threads, in turns.

    python -m reverie.benchmarks.peers CHECKPOINT BUNDLE --envs FOLDER [--peer NAME ...]
        [--precision P ...] [--peer-precision P ...] [--mode eager|compile ...] [--size WxH]
        [--frames N] [--steps 2] [--repeat 1] [--threads 2] [--cold] [--json FILE]

Each way does the work in a process of its own, one after another, then the next round begins (A B,
A B). Outputs are compared first, and a ratio is printed where the work was the same, else why not.
Ratios are of the same round; their range is over the rounds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...engines.errors import ReverieError
from ...runtime.model import load
from ..bench.record import case_id, encoded, record
from ..machine import describe_machine
from .baked import baked
from .install import PEERS
from .jobs import make_work
from .ratios import row
from .session import Session
from .telling import tell_best, tell_comparison, tell_rounds
from .ways import MODES, PRECISIONS, ours, theirs


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reverie.benchmarks.peers", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="folder of a diffusers checkpoint")
    add("bundle", type=Path, help="what was exported from it")
    add("--envs", type=Path, help="folder that peers.install filled")
    add("--python", action="append", default=[], metavar="PEER=FILE", help="an interpreter")
    add("--peer", action="append", choices=PEERS, help="all where left out")
    add("--precision", action="append", help="of Reverie; the bundle's plan chooses")
    add("--peer-precision", action="append", choices=PRECISIONS, help="fp32 and bf16")
    add("--mode", action="append", choices=MODES["diffusers"], help="of diffusers; eager")
    add("--size", type=_size, metavar="WxH", help="of the frames; the bundle's own")
    add("--frames", type=int, help="of the film; the bundle's own number")
    add("--steps", type=int, default=2, help="denoising steps (default 2)")
    add("--guidance", type=float, default=1.0, help="1 (the default) is none")
    add("--setting", action="append", default=[], metavar="NAME=NUMBER", help="of Reverie alone")
    add("--threads", type=int, default=os.cpu_count(), help="of everybody (default: all cores)")
    add("--repeat", type=int, default=1, help="rounds (default 1)")
    add("--no-decode", action="store_true", help="leave out decoding in a process of its own")
    add("--cold", action="store_true", help="everybody reads the weights from the disk")
    add("--work", type=Path, help="folder for jobs and outputs, kept")
    add("--json", type=Path, help="write the record here")
    asked = parser.parse_args(arguments)
    asked.words = list(sys.argv[1:] if arguments is None else arguments)
    return asked


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no WIDTHxHEIGHT") from None
    return width, height


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    # Ended from outside, it takes its worker and the view of the bundle with it.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return measure(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


def measure(asked: argparse.Namespace) -> int:
    """Let everybody do the work, and tell what was found."""
    try:
        own = {name: float(v) if "." in v else int(v) for name, v in _pairs(asked.setting)}
        pythons = {name: Path(file) for name, file in _pairs(asked.python)}
        model = load(asked.bundle, "cpu")
        width, height = asked.size or (None, None)
        plan = model.plan(
            width=width,
            height=height,
            num_frames=asked.frames,
            steps=asked.steps,
            guidance=asked.guidance,
            **own,
        )
    except (ReverieError, ValueError) as error:
        sys.exit(str(error))
    mine = ours(asked.precision or ["bundle"])
    others = theirs(
        asked.peer or list(PEERS),
        asked.peer_precision or ["fp32", "bf16"],
        asked.mode or ["eager"],
        asked.envs,
        pythons,
    )
    work = make_work(model, asked.checkpoint, plan, own)
    case = {
        "id": case_id(
            model.bundle.name,
            plan.width,
            plan.height,
            plan.num_frames,
            "cpu",
            f"{plan.steps} steps",
            f"{asked.threads} threads",
        ),
        "model": model.bundle.name,
        "family": model.bundle.family,
        "version": model.bundle.manifest.get("version"),
        "width": plan.width,
        "height": plan.height,
        "frames": plan.num_frames,
        "fps": plan.fps,
        "steps": plan.steps,
        "guidance": plan.guidance,
        "backend": "onnxruntime",
        "device": "cpu",
        "threads": asked.threads,
    }
    print(f"{case['id']}, {asked.repeat} rounds", flush=True)
    with tempfile.TemporaryDirectory() as scratch, baked(model.bundle, work.arrays) as bundle:
        session = Session(
            replace(work, bundle=bundle.folder),
            asked.work or Path(scratch),
            threads=asked.threads,
            decoding=not asked.no_decode,
            cold=asked.cold,
        )
        for _ in range(asked.repeat):
            session.round(mine, others)
    rounds = list(session.rounds.values())
    comparisons = session.comparisons()
    for lines in [*map(tell_rounds, rounds), *map(tell_comparison, comparisons)]:
        print("\n".join(lines))
    print("\n".join(tell_best(comparisons, rounds)))
    if asked.json:
        made = record(
            [row(one, {**case, "backend": one.peer}) for one in rounds],
            machine=describe_machine(),
            command=["python", "-m", "reverie.benchmarks.peers", *asked.words],
            comparisons=comparisons,
        )
        asked.json.write_bytes(encoded(made))
    return 0


def _pairs(given: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [tuple(one.split("=", 1)) for one in given]
    for one, pair in zip(given, pairs, strict=True):
        if len(pair) != 2:
            raise ValueError(f"{one!r} cannot be used: give NAME=VALUE")
    return [(pair[0], pair[1]) for pair in pairs]


if __name__ == "__main__":
    sys.exit(main())
