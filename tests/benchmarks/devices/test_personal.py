from __future__ import annotations

import json
from typing import Any

import pytest
from reverie.benchmarks.devices.personal import system, text, without


def test_nothing_personal_is_left(sent: dict[str, Any]) -> None:
    sent["machine"] |= {"hostname": "annas-laptop", "gpus": [{"name": "A GPU", "uuid": "GPU-1"}]}
    sent["user"] = "anna"
    sent["rows"][0]["notes"] = ["read /home/anna/x/m.onnx", "C:\\Users\\anna\\m.onnx was read"]
    sent["rows"][0] |= {"model": "/home/anna/models/ltx", "photo": "anna.jpg"}
    sent["rows"][0]["asked"]["prompt"] = "anna smiles"
    told = json.dumps(clean := without(sent))
    for word in ("anna", "laptop", "GPU-1", "secret", "out/"):
        assert word not in told
    assert clean["machine"]["gpus"] == [{"name": "A GPU"}]
    assert clean["rows"][0]["notes"] == ["read m.onnx", "m.onnx was read"]
    assert clean["rows"][0]["model"] == "ltx"
    assert clean["command"] == [
        "reverie",
        "bench",
        "--photo",
        "(left out)",
        "--json=(left out)",
        "ltx",
    ]
    assert clean["rows"][0]["photo"] == clean["rows"][0]["asked"]["prompt"] == "(left out)"


def test_figures_and_hardware_stay(sent: dict[str, Any]) -> None:
    before = json.loads(json.dumps(sent))
    clean = without(sent)
    assert sent == before
    for name in ("id", "phases", "end_to_end", "precision", "timeline", "host_peak_bytes"):
        assert clean["rows"][0][name] == before["rows"][0][name]
    assert clean["machine"]["processor"] == before["machine"]["processor"]
    assert clean["machine"]["packages"] == before["machine"]["packages"]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("/home/anna/a.jpg", "a.jpg"),
        ("~/a.jpg", "a.jpg"),
        ("../anna/a.jpg", "a.jpg"),
        (r"C:\Users\Anna\a.jpg", "a.jpg"),
        (r"\\server\anna\a.jpg", "a.jpg"),
        ("mail anna.b@example.org now", "mail (address) now"),
        ("GPU-0a1b2c3d-0000-1111-2222-0123456789ab", "(number)"),
        ("fp16/fp32, 40 GB/s, 1/2", "fp16/fp32, 40 GB/s, 1/2"),
        ("ember 1280x720 240f cpu", "ember 1280x720 240f cpu"),
        ("Intel(R) Core(TM) i7-1260P CPU @ 2.10GHz", "Intel(R) Core(TM) i7-1260P CPU @ 2.10GHz"),
    ],
)
def test_of_a_path_its_last_part_stays(value: str, left: str) -> None:
    assert text(value) == left


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("Linux-6.18.44-annas-build-x86_64-with-glibc2.36", "Linux 6.18 x86_64"),
        ("macOS-15.1-arm64-arm-64bit", "macOS 15.1 arm64"),
        ("Windows-11-10.0.26100-SP0", "Windows 11"),
    ],
)
def test_of_a_system_its_kind_stays(told: str, left: str) -> None:
    assert system(told) == left
