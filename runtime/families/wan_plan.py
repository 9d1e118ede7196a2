"""What a Wan bundle says of itself, and what a call will make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...engines.errors import SettingsError
from ..bundle import Bundle, manifest_error
from ..model import number, whole
from ..schedule import Schedule, schedule_from_manifest

SETTINGS: Mapping[str, Any] = {
    "max_sequence_length": None,
    "flow_shift": None,
    "shift": None,
    "sigmas": None,
    "decode_tile": None,
}
"""Tokens that prompts are padded to; how far the schedule leans towards noise (UniPC's name for it,
and Euler's); the noise levels before that shift, instead of steps; pixels a side to a tile of the
decoding (else in one piece, or in tiles where that took more memory than denoising)."""


@dataclass(frozen=True)
class Plan:
    """What will be made; see `take.Plan`."""

    height: int
    width: int
    num_frames: int
    steps: int
    guidance: float
    fps: float
    max_sequence_length: int
    decode_tile: int | None = None
    """Size of the decoder's tiles in pixels, None for the runtime's own choice."""
    notes: tuple[str, ...] = ()
    schedule: Schedule = field(repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class Traits:
    """What a bundle of this family says of itself."""

    channels: int
    """Channels of the latents."""
    space: int
    """Pixels to a latent pixel."""
    time: int
    """Frames to a latent frame; the first one makes a single frame."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """What each channel of the VAE's latents is normalised by."""
    patch: tuple[int, int, int]
    """Latent frames, rows and columns to a token."""
    head_size: int
    rotary_base: float
    caches: tuple[tuple[int, int], ...]
    """(channels, size in latent pixels) of each cache of the decoder."""
    decoder_patch: int
    """Pixels a side that the decoder makes as one."""
    token_bytes: int
    """Memory that denoising takes for a token."""

    @classmethod
    def of(cls, bundle: Bundle) -> Traits:
        """Read them from the manifest; BundleError where one is missing or impossible."""
        latents, denoiser = bundle.section("latents"), bundle.section("denoiser")
        decoder = bundle.section("decoder")
        try:
            frames, rows, columns = (int(size) for size in denoiser["patch_size"])
            traits = cls(
                channels=int(latents["channels"]),
                space=int(latents["spatial_factor"]),
                time=int(latents["temporal_factor"]),
                mean=tuple(float(value) for value in latents["mean"]),
                std=tuple(float(value) for value in latents["std"]),
                patch=(frames, rows, columns),
                head_size=int(denoiser["head_size"]),
                rotary_base=float(denoiser["rotary_base"]),
                caches=tuple((int(c), int(s)) for c, s in decoder["caches"]),
                decoder_patch=int(decoder["patch_size"]),
                token_bytes=int(denoiser["token_bytes"]),
            )
            if not len(traits.mean) == len(traits.std) == traits.channels:
                raise ValueError(f"latents need {traits.channels} of mean and of std")
            numbers = (traits.space, traits.time, *traits.patch, *traits.std, traits.head_size)
            numbers = (
                *numbers,
                traits.decoder_patch,
                *(n for cache in traits.caches for n in cache),
            )
            if min(numbers) <= 0:
                raise ValueError("sizes, factors and std must be above 0")
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
    max_sequence_length: int | None = None,
    flow_shift: float | None = None,
    shift: float | None = None,
    sigmas: Any = None,
    decode_tile: int | None = None,
) -> Plan:
    """Say what will be made; see `take.LatentFamily.plan`."""
    if flow_shift is not None and shift is not None and flow_shift != shift:
        raise SettingsError("flow_shift and shift are two names of one setting: give one of them")
    lean = flow_shift if shift is None else shift
    if lean is not None:
        lean = number("shift", lean, 0.01, 100.0)
    if max_sequence_length is not None:
        max_sequence_length = whole("max_sequence_length", max_sequence_length, 1, 4096)
    if decode_tile is not None:
        decode_tile = whole("decode_tile", decode_tile, 1, 1 << 20)
    defaults, limits = bundle.section("defaults"), bundle.section("limits")
    try:
        notes: list[str] = []
        sides = {}
        for name, asked in (("height", height), ("width", width)):
            side = int(defaults[name]) if asked is None else asked
            most, multiple = int(limits[f"most_{name}"]), int(limits["multiple"])
            sides[name] = _nearest(name, side, multiple, 0, most, notes)
        rule = bundle.section("latents")["frame_rule"]
        frames = int(defaults["num_frames"]) if num_frames is None else num_frames
        step, offset, most = int(rule["step"]), int(rule["offset"]), int(limits["most_frames"])
        frames = _nearest("num_frames", frames, step, offset, most, notes)
        schedule = schedule_from_manifest(
            bundle.section("schedule"),
            steps=(int(defaults["steps"]) if steps is None else steps) if sigmas is None else None,
            shift=lean,
            sigmas=sigmas,
        )
        if steps is not None and steps != schedule.steps:
            raise SettingsError(f"sigmas has {schedule.steps} levels, not {steps}: leave steps out")
        return Plan(
            height=sides["height"],
            width=sides["width"],
            num_frames=frames,
            steps=schedule.steps,
            guidance=float(defaults["guidance"] if guidance is None else guidance),
            fps=float(bundle.section("timing")["fps"]),
            max_sequence_length=max_sequence_length or int(defaults["max_sequence_length"]),
            notes=tuple(notes),
            decode_tile=decode_tile,
            schedule=schedule,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise manifest_error(bundle.folder, error) from error


def noise_shapes(bundle: Bundle, plan: Plan) -> dict[str, tuple[int, ...]]:
    """Name what is drawn: "latents" (1, channels, frames, height, width) in latent sizes.

    A schedule that adds noise also draws "steps": fresh noise after each, (steps, 1, ...).
    """
    traits = Traits.of(bundle)
    frames = (plan.num_frames - 1) // traits.time + 1
    size = plan.height // traits.space, plan.width // traits.space
    shapes: dict[str, tuple[int, ...]] = {"latents": (1, traits.channels, frames, *size)}
    if plan.schedule.noise_weights.any():
        shapes["steps"] = (plan.schedule.steps, *shapes["latents"])
    return shapes


def _nearest(name: str, asked: int, step: int, offset: int, most: int, notes: list[str]) -> int:
    """The nearest of offset, offset + step, ... up to most; the lower where two are as near."""
    least = offset or step
    found = -(-(2 * (asked - offset) - step) // (2 * step)) * step + offset
    found = min(max(found, least), (most - offset) // step * step + offset)
    if found != asked:
        rule = f"a multiple of {step}" + (f" and {offset} more" if offset else "")
        notes.append(f"{name} {asked} brought to {found}, {rule} from {least} to {most}")
    return found
