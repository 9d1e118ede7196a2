"""Amounts of memory as people write them."""

from __future__ import annotations

import pytest
from reverie.engines.errors import SettingsError
from reverie.engines.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GB", 6_000_000_000),
        ("6GiB", 6 * 2**30),
        (" 500 MB ", 500_000_000),
        ("1.5g", 3 * 2**29),
        ("512mib", 2**29),
        ("6000000000", 6_000_000_000),
        ("0.25tb", 250_000_000_000),
    ],
)
def test_amounts_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GB", "-6GB", "6 GB GB", "6XB", "0", "0GB", "1e9", "nan", "6,5GB", "9" * 18 + "TB", "8"],
)
def test_others_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--memory .* cannot be used: give an amount") as told:
        parse_size(text, "--memory")
    assert "\n" not in str(told.value)


def test_amounts_are_told() -> None:
    told = [size_text(n) for n in (0, 4_000, 340_000_000, 999_700_000, 5_240_000_000)]
    assert told == ["0 kB", "4 kB", "340 MB", "1.0 GB", "5.2 GB"]
