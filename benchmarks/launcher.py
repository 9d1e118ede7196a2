"""Run a command and write what it cost: `python -I -S launcher.py FILE COMMAND...`.

Not imported by anything, and small on purpose: a process inherits the peak memory of the one that
started it (see `runtime.memory`). Exits as the command did. Linux and macOS.

The peak is the larger of two: what the system says of the largest process that was waited for
(`ru_maxrss` of getrusage(2), exact), and the sum over all processes alive, looked at each 20 ms
(Linux alone; pages that several share count in each).
"""

import _thread
import os
import sys
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK = 0.02


def resident(process):
    """Bytes of a process and of all that it started, now; 0 where the system does not tell."""
    try:
        with open(f"/proc/{process}/statm") as file:  # noqa: PTH123  pathlib is a third of our start
            total = int(file.read().split()[1]) * PAGE
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
            with open(f"/proc/{process}/task/{thread}/children") as file:  # noqa: PTH123
                total += sum(resident(child) for child in file.read().split())
    except OSError:  # it has ended, or there is no /proc
        return 0
    return total


def look(process, largest):
    """Keep the largest sum that was seen, until the program ends."""
    while True:
        largest[0] = max(largest[0], resident(process))
        time.sleep(LOOK)


def main(told, command):
    """Run it, and leave the figures in a file as JSON."""
    start = time.perf_counter()
    try:
        process = os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    largest = [0]
    _thread.start_new_thread(look, (process, largest))
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    scale = 1 if sys.platform == "darwin" else 1024
    peak = max(largest[0], usage.ru_maxrss * scale)
    busy = usage.ru_utime + usage.ru_stime
    with open(told, "w") as file:  # noqa: PTH123
        file.write(
            f'{{"seconds": {seconds!r}, "processor_seconds": {busy!r}, "peak_bytes": {peak}}}\n'
        )
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
