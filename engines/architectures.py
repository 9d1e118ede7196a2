"""GPU architectures: what each can compute in, and which library builds engines for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import SettingsError

PRECISIONS = ("fp16", "bf16", "fp8", "int8", "int4", "nvfp4")
"""Every precision that engines are built in; fp32 is for processors."""
LARGEST_FIRST = ("fp16", "bf16", "fp8", "int8", "nvfp4", "int4")
"""The same by the memory that weights take, of two alike the one of less error first."""


@dataclass(frozen=True)
class Architecture:
    """One compute capability of NVIDIA GPUs."""

    name: str
    """"sm86" is compute capability 8.6."""
    cards: str
    """What carries it."""
    library: Literal["rtx", "tensorrt"]
    """TensorRT-RTX, which builds from any machine, or classic TensorRT, which builds in place."""
    precisions: tuple[str, ...]
    """What engines for it can be built in, the one of least error first."""
    unified: bool = False
    """Whether processor and GPU share one memory, which then counts once."""

    @property
    def capability(self) -> tuple[int, int]:
        """(major, minor) of the compute capability."""
        number = int(self.name.removeprefix("sm"))
        return divmod(number, 10)


_TURING = ("fp16", "int8")
_AMPERE = ("fp16", "bf16", "int8", "int4")
_ADA = ("fp16", "bf16", "fp8", "int8", "int4")
_BLACKWELL = ("fp16", "bf16", "fp8", "int8", "nvfp4", "int4")

ARCHITECTURES = {
    row.name: row
    for row in (
        Architecture("sm75", "GeForce RTX 20, GTX 16, T4", "rtx", _TURING),
        Architecture("sm80", "A100, A30", "rtx", _AMPERE),
        Architecture("sm86", "GeForce RTX 30, RTX A2000 to A6000, A10", "rtx", _AMPERE),
        Architecture("sm87", "Jetson Orin", "tensorrt", _AMPERE, unified=True),
        Architecture("sm89", "GeForce RTX 40, RTX Ada, L4, L40", "rtx", _ADA),
        Architecture("sm90", "H100, H200", "tensorrt", _ADA),
        Architecture("sm100", "B100, B200", "tensorrt", _BLACKWELL),
        Architecture("sm110", "Jetson Thor", "tensorrt", _BLACKWELL, unified=True),
        Architecture("sm120", "GeForce RTX 50, RTX PRO Blackwell", "rtx", _BLACKWELL),
        Architecture("sm121", "DGX Spark (GB10)", "rtx", _BLACKWELL, unified=True),
    )
}
"""By name, oldest first."""


def find_architecture(name: str) -> Architecture:
    """Return an architecture by its name, "sm86".

    Raises:
        SettingsError: it is not known; lists those that are.
    """
    found = ARCHITECTURES.get(name.strip().lower().replace("_", ""))
    if found is None:
        raise SettingsError(
            f"GPU architecture {name!r} is not known: use one of {', '.join(ARCHITECTURES)}"
        )
    return found


def architecture_of(major: int, minor: int) -> Architecture | None:
    """Return the architecture of a compute capability, None where it is not known here."""
    return ARCHITECTURES.get(f"sm{major}{minor}")
