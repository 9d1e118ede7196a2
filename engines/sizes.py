"""Amounts of memory as people write them: "6GB", "512 MiB"."""

from __future__ import annotations

import re

from .errors import SettingsError

UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "t": 2**40,
}
"""Bytes to a unit; letters alone are powers of two, as in most tools."""
_LEAST_BARE = 10**6
"""A number without a unit is bytes; whoever writes a smaller one means something else."""


def parse_size(text: str, name: str = "memory") -> int:
    """Return the bytes of "6GB" (powers of ten), "6GiB" (of two), "6g" or "6000000000".

    Raises:
        SettingsError: the text is no amount above 0, or a small number without its unit; the
            message names the option.
    """
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([a-zA-Z]{0,3})\s*", text)
    scale = UNITS.get(found[2].lower()) if found else None
    size = int(float(found[1]) * scale) if found and scale else 0
    if found and not found[2] and 0 < size < _LEAST_BARE:
        raise SettingsError(
            f"{name} {text[:40]!r} cannot be used: give an amount with its unit, such as 6GB"
        )
    if size < 1 or size >= 1 << 60:
        raise SettingsError(
            f"{name} {text[:40]!r} cannot be used: give an amount such as 6GB, 6GiB or 500MB"
        )
    return size


def size_text(size: float) -> str:
    """Return bytes for a person: "5.2 GB", "340 MB"."""
    if size >= 0.9995e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
