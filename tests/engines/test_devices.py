"""The table of devices: every figure has a source, and agrees with its units, clock and bus."""

from __future__ import annotations

import json
from typing import Any

import pytest
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.devices import (
    DERIVED,
    TABLE,
    Hardware,
    devices,
    find_device,
    sources,
    told_sources,
)
from reverie.engines.errors import SettingsError

RAW: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = RAW["devices"]
FIGURES = {"memory", "bandwidth", "units", "clock", "peaks", "host"}
WANTED = [
    "orin-nano-8gb",
    "orin-nx-16gb",
    "orin-agx-64gb",
    "thor",
    "rtx3050-8gb",
    "rtx3060-12gb",
    "rtx4060-8gb",
    "rtx4060ti-16gb",
    "rtx4070",
    "rtx4090",
    "rtx5060ti-16gb",
    "rtx5070",
    "rtx5090",
    "dgx-spark",
    "t4",
    "l4",
    "a100-80gb",
    "h100",
    "h200",
    "epyc-2core",
    "ryzen7-5800u",
    "raspberry-pi-5",
]
by_name = pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])


def test_the_devices_that_people_ask_for_are_there() -> None:
    assert set(WANTED) <= set(devices())
    assert len(devices()) == len(ROWS) >= 16


@by_name
def test_every_figure_has_a_source(row: dict[str, Any]) -> None:
    assert set(row["sources"]) == FIGURES
    for given in row["sources"].values():
        assert given
        for one in given:
            if not one.startswith(DERIVED):
                assert sources()[one].title
                assert sources()[one].how in ("read", "named")
    assert all(line.count(": ") for line in told_sources(devices()[row["name"]]))


@by_name
def test_peaks_are_units_times_clock(row: dict[str, Any]) -> None:
    rates = RAW["rates"][row["rate"]]["operations_per_clock"]
    assert set(rates) == set(row["peaks"])
    for kind, peak in row["peaks"].items():
        clock = row.get("vector_clock_mhz", row["clock_mhz"]) if kind == "fp32" else 0
        clock = clock or row["clock_mhz"]
        assert peak == pytest.approx(row["units"] * clock * 1e6 * rates[kind], rel=0.01)


@by_name
def test_bandwidth_is_bus_times_rate(row: dict[str, Any]) -> None:
    if row["bus_bits"] is None:
        assert row["sources"]["bandwidth"] == ["here"]  # measured, not looked up
        return
    wide = row["bus_bits"] / 8 * row["memory_gbps"] * 1e9
    assert row["bandwidth"] == pytest.approx(wide, rel=0.01)


@by_name
def test_formats_stand_as_their_architecture_has_them(row: dict[str, Any]) -> None:
    peaks = row["peaks"]
    if row["kind"] == "cpu":
        assert row["architecture"] is None
        return
    architecture = ARCHITECTURES[row["architecture"]]
    assert row["unified"] == architecture.unified
    # GeForce and GB10 accumulate in float32 at half rate: their int8 is four times fp16, not twice.
    halved = row["rate"].endswith("geforce")
    assert peaks["int8"] == pytest.approx((4 if halved else 2) * peaks["fp16"], rel=0.01)
    if "fp8" in peaks:
        assert peaks["fp8"] == pytest.approx(2 * peaks["fp16"], rel=0.01)
        assert "fp8" in architecture.precisions
    assert ("fp4" in peaks) == ("nvfp4" in architecture.precisions)
    assert peaks["fp32"] <= peaks.get("tf32", peaks["fp16"]) <= peaks["fp16"]


def test_published_peaks_are_met() -> None:
    """Dense figures of data sheets, in units of 10^12, written here apart from the table."""
    known = {
        ("rtx4090", "fp16"): 165.2,
        ("rtx5090", "fp4"): 1676,
        ("a100-80gb", "fp16"): 312,
        ("h100", "int8"): 1979,
        ("t4", "fp16"): 65,
        ("orin-nano-8gb", "int8"): 33.5,
        ("thor", "fp4"): 1035,
    }
    for (name, kind), peak in known.items():
        assert find_device(name).peaks[kind] / 1e12 == pytest.approx(peak, rel=0.01)


def test_a_precision_computes_in_its_format() -> None:
    ada, cpu = find_device("rtx4090"), find_device("epyc-2core")
    assert ada.peak("bf16") == ada.peak("fp16") == ada.peak("int4") == ada.peaks["fp16"]
    assert ada.peak("int8") == 4 * ada.peak("fp16")
    assert ada.peak("int8", products=False) == ada.peak("fp16")
    assert find_device("a100-80gb").peak("fp32") == find_device("a100-80gb").peaks["tf32"]
    assert find_device("rtx3060-12gb").peak("fp8") == find_device("rtx3060-12gb").peak("fp16")
    assert cpu.peak("fp16") == cpu.peaks["fp32"]
    assert find_device("t4").peak("bf16") == find_device("t4").peaks["fp32"]


@pytest.mark.parametrize("name", ["rtx4090", "RTX 4090", " rtx-4090 ", "RTX_4090"])
def test_names_are_found_as_people_write_them(name: str) -> None:
    assert find_device(name).name == "rtx4090"


@pytest.mark.parametrize(
    ("name", "near"), [("rtx4060", "rtx4060-8gb"), ("orin-nano", "orin-nano-8gb"), ("h300", "h100")]
)
def test_an_unknown_name_lists_those_near(name: str, near: str) -> None:
    with pytest.raises(SettingsError, match=near) as caught:
        find_device(name)
    assert "\n" not in str(caught.value)


def test_what_is_near_nothing_lists_all() -> None:
    with pytest.raises(SettingsError, match="it is one of orin-nano-8gb"):
        find_device("zzzzzzzz")


def test_what_the_system_holds_is_kept_back() -> None:
    for one in devices().values():
        assert isinstance(one, Hardware)
        assert 0 < one.budget_bytes < one.memory_bytes
