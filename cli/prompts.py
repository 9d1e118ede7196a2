"""`reverie prompts BUNDLE add|list|remove`: prompts a bundle knows without its text encoder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..engines.errors import SettingsError
from .telling import add_output


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "prompts",
        help="bake prompts into a bundle, list them, remove them",
        description=(
            "Bake prompts into a bundle: a baked prompt needs no text encoder when a clip is made, "
            "and a bundle with baked prompts may be shipped without one."
        ),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="the folder of a bundle")
    add("action", metavar="add|list|remove", choices=("add", "list", "remove"), help="what to do")
    add("texts", metavar="TEXT", nargs="*", help='prompts: "soft golden hour, a light breeze"')
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Do what is asked and tell about it.

    Raises:
        ReverieError: the bundle, or what is asked of it, is impossible.
    """
    from ..runtime.bundle import MANIFEST, load_bundle
    from ..runtime.prompts import known_prompts, remove_prompts
    from ..runtime.text import Text, bake
    from .awaited import Awaited
    from .progress import progress

    action, texts = arguments.action, arguments.texts
    if (action == "list") == bool(texts):
        what = "takes no texts" if texts else "needs at least one text"
        raise SettingsError(f"`reverie prompts BUNDLE {action}` {what}")
    bundle = load_bundle(arguments.bundle)
    arguments.clip = Awaited(Path(bundle.folder / MANIFEST))  # what Ctrl-C may come too late for
    silent = arguments.quiet or arguments.json
    changed: tuple[str, ...] = ()
    if action == "add":
        with progress(silent) as on_progress:
            bundle, changed = bake(bundle, texts, on_progress=on_progress)
    elif action == "remove":
        changed = tuple(dict.fromkeys(map(Text(bundle).clean, texts)))
        bundle = remove_prompts(bundle, changed)
    known = known_prompts(bundle)
    if arguments.json:
        done = (
            {} if action == "list" else {"added" if action == "add" else "removed": list(changed)}
        )
        print(json.dumps({"bundle": str(bundle.folder.absolute()), **done, "prompts": list(known)}))
    elif not arguments.quiet:
        for line in _lines(action, changed, known):
            print(line)


def _lines(action: str, changed: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    """What a person reads: each prompt as a JSON string, so that the empty one can be seen."""
    if action == "list":
        return [_quoted(text) for text in known] or ["no prompts are baked into this bundle"]
    word = "baked" if action == "add" else "removed"
    lines = [f"{word} {_quoted(text)}" for text in changed]
    return lines or ["all of them were baked already"]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
