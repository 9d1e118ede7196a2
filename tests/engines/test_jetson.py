"""Jetson boards, from descriptions in tests/data/machines."""

from __future__ import annotations

from typing import Any

import pytest
from reverie.engines.jetson import Jetson, parse_model, parse_power, parse_release
from reverie.engines.machine import describe_machine


@pytest.mark.parametrize(
    ("name", "jetson", "architecture", "jetpack"),
    [
        (
            "orin-nano",
            Jetson(
                "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
                "36.4.3",
                "MAXN_SUPER",
            ),
            "sm87",
            "6",
        ),
        (
            "orin-nx",
            Jetson("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "36.4.3", "25W"),
            "sm87",
            "6",
        ),
        ("agx-orin", Jetson("Jetson AGX Orin", "35.4.1", "30W"), "sm87", "5"),
        (
            "agx-thor",
            Jetson("NVIDIA Jetson AGX Thor Developer Kit", "38.2.0", "120W"),
            "sm110",
            "7",
        ),
        (
            "orin-in-a-container",
            Jetson("NVIDIA Jetson AGX Orin Developer Kit", "", ""),
            "sm87",
            "",
        ),
    ],
)
def test_jetson_boards(
    recorded: Any, name: str, jetson: Jetson, architecture: str, jetpack: str
) -> None:
    machine = describe_machine(recorded(name))
    assert machine.jetson == jetson
    assert jetson.jetpack == jetpack
    (gpu,) = machine.gpus
    assert gpu.architecture is not None
    assert (gpu.architecture.name, gpu.architecture.library) == (architecture, "tensorrt")
    assert (gpu.unified, machine.unified) == (True, True)
    assert (gpu.memory_bytes, gpu.free_bytes) == (machine.memory_bytes, machine.available_bytes)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic", "36.4.3"),
        ("# R32 (release), REVISION: 7.1, GCID: 1", "32.7.1"),
        ("", ""),
        ("R36", ""),
    ],
)
def test_releases_of_l4t(text: str, release: str) -> None:
    assert parse_release(text) == release


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: 15W\n0\n", "15W"),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_30W\n2\n", "30W"),
        ("NV Power Mode: MAXN SUPER\r\n0\n", "MAXN SUPER"),
        ("NVPM ERROR: cannot open /var/lib/nvpmodel", ""),
        ("", ""),
    ],
)
def test_power_modes(text: str, mode: str) -> None:
    assert parse_power(text) == mode


def test_a_model_ends_at_a_zero_byte() -> None:
    assert parse_model("NVIDIA Jetson AGX Orin\0junk") == "NVIDIA Jetson AGX Orin"
