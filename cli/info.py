"""`reverie info BUNDLE`: what a bundle says of itself, as tables."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .telling import add_output, plain_text, table_console

if TYPE_CHECKING:
    from ..runtime.bundle import Bundle

_SECTIONS = ("latents", "schedule", "defaults", "limits", "timing", "text")
_LONGEST = 60


def add_to(commands: argparse._SubParsersAction[Any], epilog: str) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "info",
        help="show what a bundle is",
        description="Show what a bundle is: its networks, licence, source, limits and prompts.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="an embedded model's name, or the folder of a bundle")
    add("--verify", action="store_true", help="check every file against its sha256")
    add_output(parser, quiet=None)


def run(arguments: argparse.Namespace) -> None:
    """Print what the bundle is.

    Raises:
        BundleError: there is none, or (with --verify) a file of it is not whole.
    """
    from ..runtime.bundle import load_bundle

    bundle = load_bundle(arguments.bundle)
    if arguments.verify:
        bundle.verify()
    facts = describe(bundle) | {"verified": bool(arguments.verify)}
    if arguments.json:
        print(json.dumps(facts))
    else:
        _print(facts)


def describe(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle's facts as plain data."""
    from ..runtime.prompts import known_prompts

    entries = bundle.section("components")
    components = {
        name: {
            "file": component.graph.file,
            "bytes": component.stored_bytes,
            "precision": component.precision,
            "license": component.license,
            "source": component.source,
            "relative_l2": _parity(entries[name]),
            "kept_fp32": _kept(entries[name]),
            "variants": {
                precision: variant.stored_bytes for precision, variant in component.variants.items()
            },
        }
        for name, component in bundle.components.items()
    }
    manifest = bundle.manifest
    return {
        "path": str(bundle.folder.absolute()),
        "name": bundle.name,
        "family": bundle.family,
        "version": bundle.version,
        "description": str(manifest.get("description", "")),
        "pipeline": manifest.get("pipeline"),
        "license": str(manifest.get("license", "")),
        "source": manifest.get("source"),
        "bytes": sum(part["bytes"] for part in components.values()),
        "components": components,
        **{name: dict(bundle.section(name)) for name in _SECTIONS if name in manifest},
        "prompts": list(known_prompts(bundle)),
    }


def _parity(entry: Mapping[str, Any]) -> float | None:
    """The largest error that export measured against the component's original, if it did."""
    figures = [
        float(error)
        for output in _object(_object(entry.get("parity")).get("outputs")).values()
        if isinstance(error := _object(output).get("relative_l2"), int | float)
    ]
    return max(figures) if figures else None


def _kept(entry: Mapping[str, Any]) -> dict[str, str]:
    """What stayed in float32, and why."""
    return {
        name: str(why.get("reason", "")) if isinstance(why, dict) else str(why)
        for name, why in _object(entry.get("kept_fp32")).items()
    }


def _object(value: Any) -> Mapping[str, Any]:
    """A value of the manifest that should be an object, empty where it is something else."""
    return value if isinstance(value, dict) else {}


def _print(facts: Mapping[str, Any]) -> None:
    from rich.table import Table

    console = table_console()
    about = Table(title=_text(facts["name"]), show_header=False, title_justify="left")
    for name in ("family", "version", "description", "pipeline", "license"):
        if facts[name]:
            about.add_row(name, _text(facts[name]))
    for name, value in (facts["source"] or {}).items() if isinstance(facts["source"], dict) else ():
        if value:
            about.add_row("source" if name == "origin" else f"source {name}", _text(value))
    about.add_row("folder", _text(facts["path"]))
    about.add_row("size", file_size(facts["bytes"]))
    if facts["verified"]:
        about.add_row("files", "all are whole (sha256)")
    console.print(about)

    networks = Table(title="networks", title_justify="left")
    networks.add_column("component")
    networks.add_column("precision")
    networks.add_column("size", justify="right")
    networks.add_column("also in")
    networks.add_column("error", justify="right")
    networks.add_column("license")
    networks.add_column("kept in float32", overflow="fold")
    for name, part in facts["components"].items():
        error = part["relative_l2"]
        networks.add_row(
            _text(name),
            _text(part["precision"]),
            file_size(part["bytes"]),
            _text(
                ", ".join(f"{name} {file_size(size)}" for name, size in part["variants"].items())
            ),
            "not measured" if error is None else f"{error:.1e}",
            _text(part["license"]),
            _text("; ".join(f"{what}: {why}" for what, why in part["kept_fp32"].items())),
        )
    console.print(networks)

    rows = [
        (f"{section}.{name}", value)
        for section in _SECTIONS
        for name, value in facts.get(section, {}).items()
    ]
    if rows:
        settings = Table(title="settings", show_header=False, title_justify="left")
        for name, value in rows:
            settings.add_row(_text(name), _text(_short(value)))
        console.print(settings)
    if facts["prompts"]:
        prompts = Table(title="prompts baked in", show_header=False, title_justify="left")
        for prompt in facts["prompts"]:
            prompts.add_row(_text(json.dumps(prompt, ensure_ascii=False)))
        console.print(prompts)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        words = [_short(item) for item in value]
        text = ", ".join(words)
        return text if len(text) <= _LONGEST else f"{words[0]}, ... ({len(words)} in all)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def file_size(count: int) -> str:
    """Return bytes for a person, finer than `size_text`: "2.84 GB", "0.5 MB"."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _text(value: object) -> Any:
    """Text as it is: no markup, nothing a terminal would obey."""
    return plain_text(_short(value))
