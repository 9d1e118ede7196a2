"""How much memory there is, with control groups as version 1 and 2 lay them out."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from reverie.engines import host_memory
from reverie.engines.host_memory import available_memory, own_memory

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_memory, "_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(host_memory, "_GROUPS", tmp_path / "sys")
    return tmp_path


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_without_groups_it_is_what_the_system_says(groups: Path) -> None:
    assert available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.5)


def test_a_group_of_version_2_and_those_above_it(groups: Path) -> None:
    (groups / "cgroup").write_text("0::/user/job\n")
    write(groups / "sys" / "user" / "job", memory__max="max", memory__current=GIB)
    assert available_memory() > 0
    write(
        groups / "sys" / "user",
        memory__max=2_000_000,
        memory__current=1_500_000,
        memory__stat="anon 1000\ninactive_file 100000",
    )
    assert available_memory() == 600_000
    write(groups / "sys" / "user" / "job", memory__max=1_000_000, memory__current=1_500_000)
    assert available_memory() == 0


def test_a_group_of_version_1(groups: Path) -> None:
    (groups / "cgroup").write_text("11:cpu:/a\n9:memory:/docker/1\n")
    write(
        groups / "sys" / "memory" / "docker" / "1",
        memory__limit_in_bytes=3_000_000,
        memory__usage_in_bytes=1_000_000,
        memory__stat="inactive_file 7\ntotal_inactive_file 500000",
    )
    assert available_memory() == 2_500_000


@pytest.mark.skipif(sys.platform != "linux", reason="others do not tell the peak")
def test_the_own_memory() -> None:
    now, peak = own_memory()
    assert 2**20 < now <= peak


@pytest.mark.parametrize(
    ("group", "name", "text", "limit"),
    [
        ("0::/box\n", "box/memory.max", "1000000\n", 1_000_000),
        ("0::/box/inner\n", "box/memory.max", "2000000\n", 2_000_000),
        ("0::/\n", "memory.max", "max\n", None),
        ("4:memory:/box\n0::/\n", "memory/box/memory.limit_in_bytes", "3000000\n", 3_000_000),
        ("4:memory:/\n", "memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_the_memory_of_a_control_group(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    group: str,
    name: str,
    text: str,
    limit: int | None,
) -> None:
    (tmp_path / "cgroup").write_text(group)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(host_memory, "_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(host_memory, "_GROUPS", tmp_path)
    assert host_memory.total_memory() == (limit or psutil.virtual_memory().total)
