"""Fields of motion: springs in the wind, leaves side by side, waves in soft things, wobble."""

from __future__ import annotations

import numpy as np

from .world import COUNT, FREQUENCIES, Canvas, Rng


def response(rng: Rng, natural: float | None = None, damping: float | None = None) -> np.ndarray:
    """Share of each frequency, (8,), of a spring shaken by gusty wind; unit rms of the motion.

    The wind's own spectrum falls with frequency; the spring (a stem, a rope) rings at `natural` Hz.
    """
    natural = np.exp(rng.uniform(np.log(0.3), np.log(1.6))) if natural is None else natural
    damping = rng.uniform(0.1, 0.4) if damping is None else damping
    q = FREQUENCIES / natural
    gust = FREQUENCIES ** -rng.uniform(0.35, 0.9)
    gain = gust / np.sqrt((1 - q**2) ** 2 + (2 * damping * q) ** 2)
    return (gain / np.sqrt((gain**2).sum() / 2)).astype(np.float32)


def wave(phase: np.ndarray) -> np.ndarray:
    """exp(i phase) as complex64, in single precision throughout."""
    result = np.empty(phase.shape, np.complex64)
    np.cos(phase, out=result.real)
    np.sin(phase, out=result.imag)
    return result


def spectrum_of(along: np.ndarray, across: np.ndarray, angle: float | np.ndarray) -> np.ndarray:
    """Turn complex (..., 8) motion along and across the direction `angle` into (..., 8, 4)."""
    cos, sin = np.cos(angle), np.sin(angle)
    x = along * cos - across * sin
    y = along * sin + across * cos
    return np.stack([x.real, x.imag, y.real, y.imag], -1).astype(np.float32)


def sway(
    canvas: Canvas,
    rms: float | np.ndarray,
    *,
    cells: float = 6,
    jitter: float = 0.5,
    natural: float | None = None,
    ellipticity: float = 0.3,
) -> np.ndarray:
    """Motion in the wind of things side by side: one gust through all, each with its own lag.

    rms: thousandths of the shorter side, a number or (h, w); cells: clusters along the shorter
    side; jitter: share of motion that each cluster has for itself. Returns (h, w, 8, 4).
    """
    rng = canvas.rng
    short = min(canvas.h, canvas.w)
    rows, columns = cells * canvas.h / short, cells * canvas.w / short
    own = canvas.noise(rows, columns, 2 * COUNT)
    lag = canvas.noise(rows * 0.6, columns * 0.6)[..., None] * 0.5
    gust = wave(canvas.wind.phase_at(canvas.u, canvas.v) + lag)
    along = gust * np.float32(np.sqrt(max(0.0, 1 - jitter**2)))
    along += (own[..., :COUNT] + 1j * own[..., COUNT:]) * np.float32(jitter * 0.75)
    strength = np.clip(1 + 0.22 * canvas.noise(rows, columns), 0.4, 1.6)
    along *= (strength * rms * canvas.wind.strength)[..., None] * response(rng, natural)
    twist = canvas.noise(rows, columns, 2) * ellipticity
    across = along * (twist[..., :1] + 1j * twist[..., 1:])
    return spectrum_of(along, across, canvas.wind.angle)


def rigid(
    canvas: Canvas, rms: float, x: float, y: float, natural: float, *, ellipticity: float = 0.3
) -> np.ndarray:
    """Motion of one thing as a whole at (x, y) in shorter sides, (8, 4)."""
    rng = canvas.rng
    phase = canvas.wind.phase_at(x, y) + rng.normal(0, 0.35, COUNT).astype(np.float32)
    along = wave(phase) * response(rng, natural, 0.2) * np.float32(rms * canvas.wind.strength)
    along = along * np.exp(rng.normal(0, 0.2, COUNT))
    across = along * rng.uniform(0, ellipticity) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    return spectrum_of(along, across, canvas.wind.angle)


def travelling(
    canvas: Canvas,
    rms: float,
    profile: np.ndarray,
    *,
    along: tuple[float, float],
    natural: float,
    angle: float,
    ellipticity: float = 0.4,
) -> np.ndarray:
    """A wave running through something soft, (h, w, 8, 4).

    rms in thousandths of the shorter side; profile (h, w) 0 where it is held to 1 at the free end;
    along: phase in radians per shorter side, x and y; angle: main direction of the motion.
    """
    rng = canvas.rng
    travel = (canvas.u * along[0] + canvas.v * along[1])[..., None] * (FREQUENCIES / 0.75) ** 0.6
    wrinkle = canvas.noise(4, 5)[..., None] * 0.5
    phase = (canvas.wind.phases - travel + wrinkle).astype(np.float32)
    strength = profile * rms * canvas.wind.strength * np.clip(1 + 0.3 * canvas.noise(5, 6), 0.3, 2)
    main = wave(phase) * (strength[..., None] * response(rng, natural, 0.3)).astype(np.float32)
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi, COUNT)) * rng.uniform(0.1, ellipticity)
    return spectrum_of(main, main * turn, angle)


def stir(canvas: Canvas, rms: float, natural: float = 0.3, cells: float = 4) -> np.ndarray:
    """Slow incoherent wobble of something without shape of its own, (h, w, 8, 4)."""
    raw = canvas.noise(cells, cells * canvas.w / canvas.h, COUNT * 4)
    raw = raw.reshape(canvas.h, canvas.w, COUNT, 4)
    return raw * (response(canvas.rng, natural, 0.4) * rms * 0.85)[:, None]
