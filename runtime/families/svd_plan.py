"""What a call of Stable Video Diffusion will make: its bundle's own numbers, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines.errors import SettingsError
from ..bundle import Bundle, manifest_error
from ..model import number
from ..schedule import Schedule, schedule_from_manifest

SETTINGS: Mapping[str, Any] = {
    "min_guidance_scale": None,
    "max_guidance_scale": None,
    "fps": None,
    "motion_bucket_id": None,
    "noise_aug_strength": None,
    "decode_chunk_size": None,
    "sigmas": None,
}
"""Family settings by the reference's names; None takes the bundle's default.

min_guidance_scale, max_guidance_scale: guidance of the first and of the last frame; none is guided
    where both are at most 1. `guidance` is another name for the latter.
fps: frames a second, which the model is told.
motion_bucket_id: how much moves, 0..255; noise_aug_strength: noise on the photo, 0..1, for more
    motion and less likeness.
decode_chunk_size: frames that are decoded together; by default all, or as many as memory allows.
sigmas: the noise levels of the schedule, falling, with the one after the last step.
"""

LEAST_DECODE_BYTES = 1 << 30
"""What decoding may always take, however small the denoiser."""


@dataclass(frozen=True)
class Plan:
    """What will be made; see `take.Plan`."""

    height: int
    width: int
    num_frames: int
    steps: int
    fps: float
    min_guidance_scale: float
    max_guidance_scale: float
    motion_bucket_id: float
    noise_aug_strength: float
    decode_chunk_size: int
    sigmas: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def guidance(self) -> float:
        """Guidance of the last frame."""
        return self.max_guidance_scale

    @property
    def guided(self) -> bool:
        """Whether the denoiser also runs without the photo."""
        return bool(self.ramp.max() > 1.0)

    @property
    def ramp(self) -> NDArray[np.float32]:
        """Guidance of each frame, (F,)."""
        ends = self.min_guidance_scale, self.max_guidance_scale
        return np.linspace(*ends, self.num_frames, dtype=np.float32)


@dataclass(frozen=True)
class Traits:
    """What a bundle of this family says of itself."""

    channels: int
    """Channels of the latents."""
    factor: int
    """Pixels to a latent, each way."""
    scaling: float
    """The denoiser's latents are the VAE's times this."""
    seen_size: int
    """Side of the square that CLIP looks at."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    multiple: int
    """Sides of a film are multiples of this."""
    least_frames: int
    most_frames: int
    decoded_pixel: int
    """Bytes that the decoder holds for each pixel of each frame of a chunk."""
    denoised_cell: int
    """Bytes that the denoiser holds for each cell of each frame of its latents."""

    @classmethod
    def of(cls, bundle: Bundle) -> Traits:
        """Read them from the manifest; BundleError where one is missing or impossible."""
        latents, image, limits = (bundle.section(n) for n in ("latents", "image", "limits"))
        try:
            traits = cls(
                channels=int(latents["channels"]),
                factor=int(latents["spatial_factor"]),
                scaling=float(latents["scaling_factor"]),
                seen_size=int(image["size"]),
                mean=tuple(float(value) for value in image["mean"]),
                std=tuple(float(value) for value in image["std"]),
                multiple=int(limits["multiple"]),
                least_frames=int(limits["least_frames"]),
                most_frames=int(limits["most_frames"]),
                decoded_pixel=int(limits["decoded_pixel_bytes"]),
                denoised_cell=int(limits["denoised_cell_bytes"]),
            )
            whole = (traits.channels, traits.factor, traits.seen_size, traits.multiple)
            if min(*whole, *traits.std, traits.scaling, traits.least_frames) <= 0:
                raise ValueError("sizes, factors and std must be above 0")
            if not len(traits.mean) == len(traits.std) == 3:
                raise ValueError("image needs 3 of mean and of std")
        except (KeyError, TypeError, ValueError) as error:
            raise manifest_error(bundle.folder, error) from error
        return traits


def plan(
    bundle: Bundle,
    *,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    min_guidance_scale: float | None = None,
    max_guidance_scale: float | None = None,
    fps: float | None = None,
    motion_bucket_id: float | None = None,
    noise_aug_strength: float | None = None,
    decode_chunk_size: int | None = None,
    sigmas: Sequence[float] | None = None,
) -> Plan:
    """Say what will be made; see `take.LatentFamily.plan`."""
    traits, defaults, notes = Traits.of(bundle), bundle.section("defaults"), list[str]()

    def default(name: str, value: Any) -> Any:
        if value is not None:
            return value
        if name not in defaults:
            raise manifest_error(bundle.folder, KeyError(f"defaults.{name}"))
        return defaults[name]

    if guidance is not None:
        if max_guidance_scale is not None and max_guidance_scale != guidance:
            raise SettingsError(
                f"guidance {guidance:g} and max_guidance_scale {max_guidance_scale!r} are two names"
                " of one setting: give one of them"
            )
        max_guidance_scale = guidance
    sides = {
        name: _nearest(name, int(default(name, asked)), traits.multiple, notes)
        for name, asked in (("height", height), ("width", width))
    }
    count = int(default("num_frames", num_frames))
    kept = min(max(count, traits.least_frames), traits.most_frames)
    if kept != count:
        notes.append(
            f"num_frames {count} brought to {kept}: this model makes {traits.least_frames} to "
            f"{traits.most_frames} frames"
        )
    levels = None if sigmas is None else _levels(sigmas)
    if levels is not None:
        if steps is not None and steps != len(levels) - 1:
            notes.append(f"steps {steps} brought to {len(levels) - 1}: the sigmas say how many")
        steps = len(levels) - 1
    if decode_chunk_size is None:
        decode_chunk_size = defaults.get("decode_chunk_size")
    made = Plan(
        **sides,
        num_frames=kept,
        steps=int(default("steps", steps)),
        fps=number("fps", default("fps", fps), 1.0, 1000.0),
        min_guidance_scale=number(
            "min_guidance_scale", default("min_guidance_scale", min_guidance_scale), 0.0, 1000.0
        ),
        max_guidance_scale=number(
            "max_guidance_scale", default("max_guidance_scale", max_guidance_scale), 0.0, 1000.0
        ),
        motion_bucket_id=number(
            "motion_bucket_id", default("motion_bucket_id", motion_bucket_id), 0.0, 10000.0
        ),
        noise_aug_strength=number(
            "noise_aug_strength", default("noise_aug_strength", noise_aug_strength), 0.0, 1000.0
        ),
        decode_chunk_size=(
            _chunk(bundle, traits, kept, sides["height"] * sides["width"], notes)
            if decode_chunk_size is None
            else min(_whole("decode_chunk_size", decode_chunk_size), kept)
        ),
        sigmas=levels,
        notes=tuple(notes),
    )
    schedule_of(bundle, made.steps, levels)  # what is impossible is told before anything runs
    return made


def schedule_of(bundle: Bundle, steps: int, sigmas: Sequence[float] | None) -> Schedule:
    """The bundle's schedule with so many steps, or with the noise levels asked for."""
    entry = bundle.section("schedule")
    if sigmas is not None:
        return schedule_from_manifest(entry, sigmas=sigmas)
    return schedule_from_manifest(entry, steps=steps)


def noise_shapes(bundle: Bundle, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name what is drawn: "latents" (1, F, C, h, w), and "image", noise on the photo."""
    traits = Traits.of(bundle)
    rows, columns = plan.height // traits.factor, plan.width // traits.factor
    return {
        "latents": (1, plan.num_frames, traits.channels, rows, columns),
        "image": (1, 3, plan.height, plan.width),
    }


def _chunk(bundle: Bundle, traits: Traits, frames: int, pixels: int, notes: list[str]) -> int:
    """How many frames to decode at once: all, unless that took more than the denoiser does.

    The denoiser takes its weights, and so much for each cell of its latents.
    """
    weights = bundle.component("denoiser").stored_bytes
    at_work = frames * pixels // traits.factor**2 * traits.denoised_cell
    allowed = max(weights + at_work, LEAST_DECODE_BYTES) // (pixels * traits.decoded_pixel)
    if allowed >= frames:
        return frames
    chunk = max(int(allowed), 1)
    notes.append(
        f"{chunk} frames are decoded at a time, to hold memory down; decode_chunk_size {frames} "
        "decodes all at once"
    )
    return chunk


def _nearest(name: str, asked: int, multiple: int, notes: list[str]) -> int:
    """The nearest multiple, the lower where two are as near, and at least one."""
    found = max(-(-(2 * asked - multiple) // (2 * multiple)), 1) * multiple
    if found != asked:
        notes.append(f"{name} {asked} brought to {found}, a multiple of {multiple}")
    return found


def _levels(sigmas: Sequence[float]) -> tuple[float, ...]:
    try:
        levels = np.asarray(sigmas, np.float64)
    except (TypeError, ValueError):
        levels = np.zeros(0)
    if (
        levels.ndim != 1
        or levels.size < 2
        or not np.isfinite(levels).all()
        or np.any(np.diff(levels) >= 0)
        or levels[-1] < 0
    ):
        raise SettingsError(
            f"sigmas {sigmas!r} cannot be used: give two or more falling noise levels, the last of"
            " them, mostly 0, the one after the last step"
        )
    return tuple(float(level) for level in levels)


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_) or value < 1:
        raise SettingsError(f"{name} {value!r} cannot be used: give a whole number from 1")
    return int(value)
