"""GPUs in the words of nvidia-smi."""

from __future__ import annotations

from pathlib import Path

from reverie.engines.gpus import cuda_text, parse_smi, parse_smi_xml

MACHINES = Path(__file__).resolve().parents[1] / "data" / "machines"
MIB = 2**20


def test_the_table_of_nvidia_smi() -> None:
    text = (
        "0, NVIDIA H200, 575.57.08, 143771, 143156, 9.0\n"
        '1, "NVIDIA, odd name", 575.57.08, 143771 MiB, 10 MiB, 9.0\n'
        "2, NVIDIA GB10, 580.95.05, [N/A], [N/A], 12.1\n"
        "3, old, 390.1, 1, 1, [Not Supported]\n"
        "Failed to initialize NVML\n"
        "index, name\n"
    )
    first, second, third, fourth = parse_smi(text, "12.9")
    assert (first.name, first.memory_bytes, first.cuda) == ("NVIDIA H200", 143771 * MIB, "12.9")
    assert (second.name, second.free_bytes) == ("NVIDIA, odd name", 10 * MIB)
    assert (third.memory_bytes, third.free_bytes, third.unified) == (0, None, True)
    assert (fourth.capability, fourth.architecture) == ((0, 0), None)


def test_the_report_of_nvidia_smi() -> None:
    text = (MACHINES / "nvidia-smi-470.xml").read_text()
    first, second = parse_smi_xml(text)
    assert (first.name, first.driver, first.cuda) == (
        "NVIDIA GeForce RTX 2060",
        "470.256.02",
        "11.4",
    )
    assert (first.memory_bytes, first.free_bytes) == (5934 * MIB, 5522 * MIB)
    assert (second.memory_bytes, second.free_bytes) == (0, None)
    assert parse_smi_xml(text[:300]) == ()
    assert parse_smi_xml("") == ()
    assert parse_smi_xml('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>') == ()


def test_versions_of_cuda() -> None:
    assert [cuda_text(n) for n in (0, 11040, 12090, 13020)] == ["", "11.4", "12.9", "13.2"]
