"""Whether two programs did the same work: their latents and frames, within what precisions allow.

A ratio of seconds means nothing between programs that made different things. Latents are compared
after the last step by relative L2; the norm is the smaller of what came out and of what denoising
changed, so that noise which both were given proves nothing. Frames are compared by PSNR, and by
their error beside their own spread, so that two grey films prove nothing either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Allowed(NamedTuple):
    """How far a precision may carry its results from exact ones."""

    latents: float
    """Relative L2 of latents."""
    decibels: float
    """PSNR of frames, at least."""
    spread: float
    """Error of frames beside their standard deviation."""
    reason: str


ALLOWED: Mapping[str, Allowed] = {
    "fp32": Allowed(0.01, 40.0, 0.05, "sums taken in another order, through all layers and steps"),
    "fp16": Allowed(0.03, 35.0, 0.10, "11 bits of every number, or of the weights alone"),
    "bf16": Allowed(0.10, 28.0, 0.20, "8 bits of every number, rounded after every layer"),
    "int8": Allowed(0.15, 25.0, 0.30, "weights in 255 levels a channel, activations perhaps too"),
    "fp8": Allowed(0.20, 22.0, 0.35, "4 bits of every weight beside its exponent"),
    "int4": Allowed(0.40, 16.0, 0.60, "weights in 16 levels a group; most on random weights"),
    "nvfp4": Allowed(0.40, 16.0, 0.60, "weights in 16 levels a group; most on random weights"),
}
"""By precision; a pair may differ by both together. Another film is at 1 and more."""


_TILED = 20.0


@dataclass(frozen=True)
class Proof:
    """What a comparison found."""

    same: bool
    why: str
    """What was compared with what, in words: for a ratio that is refused the reason."""
    latents: float | None = None
    decibels: float | None = None
    spread: float | None = None

    def told(self) -> dict[str, Any]:
        """As it is kept in a record."""
        figures = {"latents": self.latents, "psnr": self.decibels, "frames": self.spread}
        kept = {n: None if v is None or math.isinf(v) else v for n, v in figures.items()}
        return {"same": self.same, "why": self.why, **kept}


def allowed(one: str, other: str) -> Allowed:
    """What two precisions may differ by: both errors added, the lower PSNR less 3 dB."""
    first, second = ALLOWED[one], ALLOWED[other]
    return Allowed(
        first.latents + second.latents,
        min(first.decibels, second.decibels) - 3.0,
        first.spread + second.spread,
        f"{one}: {first.reason}; {other}: {second.reason}",
    )


def relative_error(found: NDArray[Any], expected: NDArray[Any], start: NDArray[Any]) -> float:
    """L2 of the difference beside the smaller of `expected` and of its distance from `start`."""
    exact = np.asarray(expected, np.float64)
    size = min(np.linalg.norm(exact), np.linalg.norm(exact - np.asarray(start, np.float64)))
    error = float(np.linalg.norm(np.asarray(found, np.float64) - exact))
    return error / float(size) if size else math.inf


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio of two uint8 films in dB; infinite where they are equal."""
    error = float(np.mean((np.asarray(one, np.float64) - other) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def prove_latents(
    found: NDArray[Any] | None,
    expected: NDArray[Any] | None,
    start: NDArray[Any],
    precisions: tuple[str, str],
) -> Proof:
    """Compare latents of one shape, any layout; `start`: the noise that both began from."""
    if found is None or expected is None:
        return Proof(False, "one of the two gave no latents")
    if found.shape != expected.shape:
        return Proof(False, f"latents have the shapes {found.shape} and {expected.shape}")
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return Proof(False, "latents are not finite")
    limit, error = allowed(*precisions).latents, relative_error(found, expected, start)
    said = f"latents differ by {error:.2g} of what denoising made"
    return Proof(error <= limit, f"{said}, {limit:.2g} allowed", latents=error)


def prove_frames(
    found: NDArray[np.uint8] | None,
    expected: NDArray[np.uint8] | None,
    precisions: tuple[str, str],
) -> Proof:
    """Compare films, uint8 (F, H, W, 3)."""
    if found is None or expected is None:
        return Proof(False, "one of the two gave no frames")
    if found.shape != expected.shape:
        return Proof(False, f"films have the shapes {found.shape} and {expected.shape}")
    limit = allowed(*precisions)
    decibels, spread = psnr(found, expected), float(np.std(expected.astype(np.float64)))
    error = math.sqrt(float(np.mean((found.astype(np.float64) - expected) ** 2)))
    # Half a level is what rounding alone may do to a film that hardly varies.
    beside = max(error - 0.5, 0.0) / spread if spread else math.inf
    said = (
        f"frames agree to {decibels:.1f} dB, {limit.decibels:.0f} asked; error "
        f"{beside:.2g} of their spread, {limit.spread:.2g} allowed"
    )
    same = decibels >= limit.decibels and beside <= limit.spread
    return Proof(same, said, decibels=decibels, spread=beside)


def prove_tiled(
    exact: Proof, tiled: NDArray[np.uint8] | None, plain: NDArray[np.uint8] | None
) -> Proof:
    """Say whether a peer's tiled film may stand beside Reverie's.

    exact: Reverie's film against the peer's plain one. The peer's tiles change its own film, which
    is no fault of Reverie's: they may, as far as the film can still be told.
    """
    if tiled is None or plain is None or tiled.shape != plain.shape:
        return Proof(False, "the peer's tiled film is missing, or of another shape")
    own = psnr(tiled, plain)
    said = f"the peer's tiles keep {own:.1f} dB of its own plain film, {_TILED:.0f} asked"
    if not exact.same:
        return Proof(False, exact.why, decibels=exact.decibels, spread=exact.spread)
    return Proof(own >= _TILED, f"{exact.why}; {said}", None, exact.decibels, exact.spread)


def both(latents: Proof, frames: Proof) -> Proof:
    """Latents and frames together: the same where both are."""
    failed = [proof.why for proof in (latents, frames) if not proof.same]
    why = "; ".join(failed) if failed else f"{latents.why}; {frames.why}"
    return Proof(not failed, why, latents.latents, frames.decibels, frames.spread)


def prove_runs(
    ours: Mapping[str, NDArray[Any]],
    theirs: Mapping[str, NDArray[Any]],
    precisions: tuple[str, str],
) -> Proof:
    """Compare the outputs of single runs of networks, graph_..._out_..., on the same inputs."""
    names = [name for name in ours if name.startswith("graph_") and "_out_" in name]
    if not names or not set(names) <= set(theirs):
        return Proof(False, "not every run of an engine was made again")
    worst, limit = 0.0, allowed(*precisions).latents
    for name in names:
        found, expected = theirs[name], ours[name]
        if found.shape != expected.shape or not np.isfinite(found).all():
            return Proof(False, f"{name} is not finite, or of another shape")
        worst = max(worst, relative_error(found, expected, np.zeros_like(expected)))
    said = f"outputs of {len(names)} runs differ by at most {worst:.2g}, {limit:.2g} allowed"
    return Proof(worst <= limit, said, latents=worst)
