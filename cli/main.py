"""The door: `reverie COMMAND`, its exit codes, and one line for whatever goes wrong."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from .. import __version__
from ..engines.errors import ReverieError, SettingsError
from . import (
    animate,
    bench,
    build,
    cache,
    check,
    doctor,
    export,
    info,
    inspect,
    plan,
    prompts,
    quantize,
    story,
)
from .awaited import Awaited
from .telling import one_line

COMMANDS = {
    "animate": animate,
    "bench": bench,
    "build": build,
    "cache": cache,
    "check": check,
    "doctor": doctor,
    "export": export,
    "info": info,
    "inspect": inspect,
    "plan": plan,
    "prompts": prompts,
    "quantize": quantize,
    "story": story,
}
"""Every command's module; each has `add_to` and `run`."""

_signals: list[int] = []  # those that came; a library may turn our KeyboardInterrupt into its own


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see `{self.prog} --help`)")


def exit_codes() -> str:
    """Return the table of exit codes, from the tree of errors itself."""
    rows = [(0, "done: the clip or the bundle is there")]
    kinds: list[type[ReverieError]] = [ReverieError, *ReverieError.__subclasses__()]
    for kind in kinds:
        meaning = (kind.__doc__ or "").split(".")[0].split(";")[0]
        rows.append((kind.exit_code, meaning[0].lower() + meaning[1:]))
    rows[1] = (1, "something went wrong that no other row names")
    rows += [(130, "stopped with Ctrl-C"), (143, "stopped by the system (129: terminal closed)")]
    return "exit codes:\n" + "\n".join(f"  {code:<5} {meaning}" for code, meaning in sorted(rows))


def parser() -> Parser:
    """Return the parser of the whole command line."""
    top = Parser(
        prog="reverie",
        description="Turn a photograph into a gently moving clip, on this machine, offline.",
        epilog=exit_codes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"reverie {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS.values():
        command.add_to(commands, exit_codes())
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but --help and --version leaves by itself.

    Every error is one line on stderr; with --json it is also one object on stdout.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace()
    try:
        arguments = parser().parse_args(words)
        if arguments.command is None:
            raise SettingsError("no command was given: try `reverie animate PHOTO` (or --help)")
        COMMANDS[arguments.command].run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output left; the clip is there all the same
        _close_stdout()
    except (Exception, KeyboardInterrupt) as error:
        line, code = explain(error, getattr(arguments, "clip", None))
        return _fail(words, line, error, code)
    return 0


def explain(error: BaseException, clip: Awaited | None = None) -> tuple[str, int]:
    """Return the line and the exit code for an error; `clip` is the file that was to come."""
    if _signals or isinstance(error, KeyboardInterrupt):
        line = str(error) if isinstance(error, KeyboardInterrupt) else ""
        line = line or "stopped, nothing was written"
        if clip is not None and clip.came():  # the signal was too late to prevent it
            line = f"stopped, when {clip.path} was already whole"
        return line, 128 + (_signals or [signal.SIGINT])[0]
    if isinstance(error, ReverieError):
        return str(error).removesuffix("."), error.exit_code
    if isinstance(error, MemoryError):
        line = "there is not enough memory: ask for a smaller --height, or close other programs"
        return line, ReverieError.exit_code
    if isinstance(error, OSError) and clip is not None and clip.came():
        line = f"{clip.path} is whole, but what it is cannot be printed"
        return f"{line} ({error.strerror or error})", ReverieError.exit_code
    line = f"{type(error).__name__}: {error}: this is a fault in Reverie, "
    return line + "run again with --debug to see where", ReverieError.exit_code


def run() -> NoReturn:
    """Run as a program: set up the terminal and the signals, run, and leave with the exit code."""
    _fill_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # any file name can be printed
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last one when the terminal is closed
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _stop)
    sys.exit(main())


def _fill_streams() -> None:
    """Put something in place of closed streams (a daemon, `>&-`, pythonw), in their own numbers.

    Else the clip itself could be opened as number 1, where a library prints.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            way = os.O_RDONLY if mode == "r" else os.O_WRONLY
            number = os.open(os.devnull, way)  # the lowest that is free
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    _signals.append(number)
    raise KeyboardInterrupt


def _fail(words: Sequence[str], line: str, error: BaseException, code: int) -> int:
    """Tell what went wrong, in one line, and return the exit code."""
    if "--debug" in words:
        traceback.print_exception(error)
    line = one_line(line)
    try:
        print(f"reverie: {line}", file=sys.stderr, flush=True)
        if "--json" in words:
            kind = type(error).__name__
            facts = getattr(error, "facts", {})
            print(json.dumps({**facts, "error": line, "kind": kind, "exit_code": code}))
        sys.stdout.flush()
    except OSError:  # nobody listens; the exit code still tells
        _close_stdout()
    return code


def _close_stdout() -> None:
    """Let Python flush into nothing when it leaves, instead of complaining."""
    with contextlib.suppress(OSError):  # a stdout without a file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
