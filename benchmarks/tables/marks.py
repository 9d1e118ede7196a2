"""The table of marks: what speed and memory ought to be, and whether they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .beside import PEAK, START, STEP, TILED, TILED_PEAK, best_pair, film_of, ratio_range
from .reading import Results
from .wording import Table, percent, ratio, size, verdict

Record = Mapping[str, Any]
Mark = tuple[str, str, str, bool | None]
"""What, the figure, what was wanted of it, whether it is so; None where it was not measured."""
_EQUAL_MEMORY = 1.05
_FRAMES = 240
_MODELS = {"ltx": "LTX", "svd": "SVD"}
_OF_PEERS = ((STEP, 1.3, True), (PEAK, 0.7, False), (START, 0.25, False), (TILED, 1.2, True))
"""Name of a ratio, what was wanted, whether at least so much."""


def marks(results: Results) -> Table:
    """What was wanted of speed and memory on two cores: bench*.json, peers*.json."""
    records = results.every("bench")
    bench = [row for record in records for row in record["rows"] if row["device"] == "cpu"]
    found = [*_of_ember(bench), *_of_peers(results.every("peers")), *_of_host(bench)]
    rows = tuple(
        (what, told, mark, "not measured" if met is None else verdict(met))
        for what, told, mark, met in found
    )
    return Table(("", "measured", "wanted", ""), rows)


def _of_ember(rows: Sequence[Record]) -> Iterator[Mark]:
    films = {
        (row["width"], row["height"]): row
        for row in rows
        if row["family"] == "ember" and row["frames"] == _FRAMES
    }
    film = films.get((1280, 720))
    factor = film and film["real_time_factor"]
    what = "ember, 10 s of 1280x720 at 24 fps, process start included"
    told = "-" if film is None else f"{ratio(factor)} real time"
    yield what, told, "at least 1.0x", None if film is None else factor >= 1
    for width, height, most in ((1280, 720, 700e6), (1920, 1080, 1.2e9)):
        film = films.get((width, height))
        peak = film and film["host_peak_bytes"]["median"]
        what = f"ember, 10 s of {width}x{height}: peak memory"
        yield what, size(peak), f"under {size(most)}", None if film is None else peak < most


def _of_peers(records: Sequence[Record]) -> Iterator[Mark]:
    pairs = {}
    for record in records:
        if record["rows"][0]["device"] != "cpu":
            continue  # the marks are of two cores
        pair = best_pair(record)
        if pair is not None:
            pairs[record["rows"][0]["family"]] = (record, pair)
    for family, name in _MODELS.items():
        record, pair = pairs.get(family, (None, None))
        beside = f"{name} beside diffusers"
        if record is not None and pair is not None:
            beside = f"{film_of(record)}, {pair['ours']} beside {pair['theirs']}"
        for quantity, wanted, more in _OF_PEERS:
            mark = f"{'at least' if more else 'at most'} {wanted:g}x"
            found = pair["ratios"].get(quantity) if pair else None
            if found is None:
                yield f"{beside}: {quantity}", "-", mark, None
                continue
            told, median = ratio_range(found), found["median"]
            met = median >= wanted if more else median <= wanted
            if quantity == TILED:
                memory = (pair or {})["ratios"].get(TILED_PEAK)
                met = met and memory is not None and memory["median"] <= _EQUAL_MEMORY
                told += f", with {ratio_range(memory)} of its memory"
                mark += " with no more memory"
            yield f"{beside}: {quantity}", told, mark, met


def _of_host(rows: Sequence[Record]) -> Iterator[Mark]:
    for family, name in _MODELS.items():
        found = [
            row
            for row in rows
            if row["family"] == family
            and (row["phases"].get("denoise") or {}).get("outside_networks")
        ]
        if not found:
            yield f"{name}: host's share of a step", "-", "under 1%", None
        for row in found:
            step = row["phases"]["denoise"]
            share = step["outside_networks"]["median"] / step["median"]
            what = f"{row['id']}: host's share of a step"
            yield what, percent(share, digits=2), "under 1%", share < 0.01
