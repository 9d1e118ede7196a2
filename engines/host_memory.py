"""Memory of the processor: what is free of it, and what this process takes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_STATUS = Path("/proc/self/status")


def available_memory() -> int:
    """Return the bytes that a new program can have without swapping.

    The least of what the system says is available and what each control group that this process is
    in leaves of its limit; files that are cached count as free.
    """
    import psutil

    return min([int(psutil.virtual_memory().available), *_left_in_groups()])


def total_memory() -> int:
    """Return the bytes that there are: what the machine has, or less by a control group's limit."""
    import psutil

    limits = [limit for group, names in _groups() if (limit := _number(group / names[0]))]
    return min([int(psutil.virtual_memory().total), *limits])


def _left_in_groups() -> list[int]:
    """What each limited control group leaves."""
    found = [_left(group, *names) for group, names in _groups()]
    return [left for left in found if left is not None]


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Each control group this process is in, and its names for the limit, the use and the cache.

    Those of version 2, and of the memory tree of version 1.
    """
    try:
        rows = [row.split(":", 2) for row in _GROUP.read_text(encoding="utf-8").splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, path in (row for row in rows if len(row) == 3):
        if controllers not in ("", "memory"):
            continue
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        root = _GROUPS / controllers
        folder = root / path.strip("/")
        for group in (folder, *folder.parents):
            yield group, names
            if group == root:
                break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such group, or "max"
        return None


def _left(group: Path, limit: str, used: str, cached: str) -> int | None:
    most, now = _number(group / limit), _number(group / used)
    if most is None or now is None:
        return None
    with contextlib.suppress(OSError):
        stat = (group / "memory.stat").read_text(encoding="ascii")
        if found := re.search(rf"^{cached} (\d+)$", stat, re.MULTILINE):
            now -= int(found[1])
    return max(0, most - now)


def own_memory() -> tuple[int, int]:
    """Return this process's resident bytes: now, and at most so far.

    Linux: VmRSS and VmHWM of proc(5); elsewhere what psutil tells, whose peak is 0 but on Windows.
    """
    with contextlib.suppress(OSError):
        text = _STATUS.read_text(encoding="ascii", errors="replace")
        kept = dict(re.findall(r"^(VmRSS|VmHWM):\s*(\d+) kB$", text, re.MULTILINE))
        if len(kept) == 2:
            return int(kept["VmRSS"]) * 1024, int(kept["VmHWM"]) * 1024
    import psutil

    info = psutil.Process().memory_info()
    return int(info.rss), int(getattr(info, "peak_wset", 0))
