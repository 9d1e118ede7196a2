"""NVIDIA Jetson boards: which one, which release of its system, which power mode."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .probe import Probes

MODEL = "/proc/device-tree/model"
RELEASE = "/etc/nv_tegra_release"
POWER = (("nvpmodel", "-q"), ("/usr/sbin/nvpmodel", "-q"))
"""Its folder is not on everyone's path."""

_JETPACK = {"35": "5", "36": "6", "38": "7"}  # by the first number of L4T


@dataclass(frozen=True)
class Jetson:
    """One board."""

    model: str
    """"NVIDIA Jetson Orin Nano Developer Kit"."""
    l4t: str = ""
    """Release of its system, "36.4.3"; empty where it does not say (in a container)."""
    power_mode: str = ""
    """"15W", "MAXN"; empty where it does not say."""

    @property
    def jetpack(self) -> str:
        """The JetPack that the system is of, "6"; empty where it is not known."""
        return _JETPACK.get(self.l4t.partition(".")[0], "")


def find_jetson(probes: Probes) -> Jetson | None:
    """Return what board this is, None where it is none."""
    model = parse_model(probes.read(MODEL) or "")
    release = parse_release(probes.read(RELEASE) or "")
    if not release and not re.search(r"jetson|orin|thor|xavier|tegra", model, re.IGNORECASE):
        return None
    modes = (parse_power(probes.run(words).out) for words in POWER)
    return Jetson(model or "NVIDIA Jetson", release, next(filter(None, modes), ""))


def parse_model(text: str) -> str:
    """Return the name in a device tree, which ends in a zero byte."""
    return text.partition("\0")[0].strip()


def parse_release(text: str) -> str:
    """Return "36.4.3" of "# R36 (release), REVISION: 4.3, GCID: ...", "" where it is not so."""
    found = re.search(r"\bR(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else ""


def parse_power(text: str) -> str:
    """Return the mode that `nvpmodel -q` names, "" where it names none."""
    found = re.search(r"^NV Power Mode:\s*(\S.*?)\s*$", text, re.MULTILINE)
    return found[1].removeprefix("MODE_") if found else ""
