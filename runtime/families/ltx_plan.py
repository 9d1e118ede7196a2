"""What an LTX film will be: the bundle's traits, one call's settings, the steps that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...engines.errors import SettingsError
from ..bundle import Bundle, manifest_error
from ..decode import Decoder
from ..schedule import Schedule, mu_for_size, schedule_from_manifest
from ..settings import shown

Array: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

CONDITION = "LTXConditionPipeline"
PIPELINES = ("LTXImageToVideoPipeline", CONDITION)
TIMESTEP_SCALE = 1000.0


@dataclass(frozen=True)
class Traits:
    """What a bundle of this family says of itself."""

    condition: bool
    """Whether it runs as LTXConditionPipeline does, else as LTXImageToVideoPipeline."""
    channels: int
    """Channels of the latents."""
    mean: Array
    std: Array
    """(channels,) what the VAE's latents are normalised by."""
    scaling: float
    decoder: Decoder
    told: bool
    """Whether the decoder is told how noisy its latents are."""
    maps: tuple[tuple[int, int], ...]
    """(cells to a latent each way, how many) of the noise that the decoder adds itself."""
    token_bytes: int
    """Memory that the denoiser takes for a token at least."""
    multiple: int
    """Sides of frames are multiples of this."""

    @classmethod
    def of(cls, bundle: Bundle) -> Traits:
        """Read them from the manifest; BundleError where one is missing or impossible."""
        latents, decode = bundle.section("latents"), bundle.section("decode")
        try:
            pipeline = bundle.manifest["pipeline"]
            if pipeline not in PIPELINES:
                raise ValueError(f"pipeline is {pipeline!r}; known: {', '.join(PIPELINES)}")
            traits = cls(
                condition=pipeline == CONDITION,
                channels=int(latents["channels"]),
                mean=np.asarray(latents["mean"], np.float32),
                std=np.asarray(latents["std"], np.float32),
                scaling=float(latents["scaling_factor"]),
                decoder=Decoder(
                    time=int(latents["temporal_factor"]),
                    space=int(latents["spatial_factor"]),
                    reach_frames=int(decode["reach_frames"]),
                    reach_cells=int(decode["reach_cells"]),
                    cell_bytes=int(decode["cell_bytes"]),
                ),
                told=bool(decode["timestep"]),
                maps=tuple((int(scale), int(count)) for scale, count in decode["noise_maps"]),
                token_bytes=int(decode["token_bytes"]),
                multiple=int(bundle.section("limits")["multiple"]),
            )
            if not traits.mean.shape == traits.std.shape == (traits.channels,):
                raise ValueError(f"latents need {traits.channels} of mean and of std")
            numbers = (traits.decoder.time, traits.decoder.space, traits.decoder.cell_bytes)
            if min(*numbers, traits.multiple, traits.scaling, float(traits.std.min())) <= 0:
                raise ValueError("sizes, factors and std must be above 0")
        except (KeyError, TypeError, ValueError) as error:
            raise manifest_error(bundle.folder, error) from error
        return traits


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be made; see `take.Plan`."""

    height: int
    width: int
    num_frames: int
    steps: int
    guidance: float
    fps: float
    guidance_rescale: float
    decode_timestep: float
    decode_noise_scale: float
    image_cond_noise_scale: float
    strengths: tuple[float, float]
    """How firmly the first picture holds, and the last one."""
    max_sequence_length: int
    schedule: Schedule = field(repr=False)
    last_image: Any = field(default=None, repr=False)
    last_image_frame: int | None = None
    """Where it is; None is the last frame."""
    decode_window: int | None = None
    decode_tile: int | None = None
    notes: tuple[str, ...] = ()

    def latent_size(self, decoder: Decoder) -> tuple[int, int, int]:
        """Latent frames, rows and columns."""
        return (
            (self.num_frames - 1) // decoder.time + 1,
            self.height // decoder.space,
            self.width // decoder.space,
        )


def default(bundle: Bundle, name: str, value: Any, otherwise: Any) -> Any:
    """A setting of this call, else the bundle's, else what the reference's call takes."""
    if value is not None:
        return value
    found = bundle.section("defaults").get(name)
    return otherwise if found is None else found


def nearest_size(traits: Traits, height: int, width: int, notes: list[str]) -> tuple[int, int]:
    """The nearest height and width that the model can do; a note says so where it is another."""
    multiple = traits.multiple
    sides = tuple(max(round(side / multiple), 1) * multiple for side in (height, width))
    if sides != (height, width):
        notes.append(
            f"{width}x{height} became {sides[1]}x{sides[0]}: sides are multiples of {multiple}"
        )
    return sides[0], sides[1]


def nearest_frames(traits: Traits, frames: int, notes: list[str]) -> int:
    """The nearest number of frames that the model can do; a note says so where it is another."""
    time = traits.decoder.time
    nearest = max(math.floor((frames - 1) / time + 0.5), 0) * time + 1
    if nearest != frames:
        notes.append(
            f"{frames} frames became {nearest}: one, and {time} more for each latent frame"
        )
    return nearest


def strengths(value: Any) -> tuple[float, float]:
    """The setting `strength`: one number for both pictures, or one each."""
    pair = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(pair) == 1:
        pair = (pair[0], pair[0])
    try:
        first, last = (float(item) for item in pair)
    except (TypeError, ValueError):
        first = last = math.nan
    if not (0.0 <= first <= 1.0 and 0.0 <= last <= 1.0):
        raise SettingsError(
            f"strength {shown(value)} cannot be used: give a number from 0 to 1, or two, for the"
            " first picture and the last"
        )
    return first, last


def make_schedule(
    bundle: Bundle,
    condition: bool,
    tokens: int,
    steps: int | None,
    *,
    timesteps: Any,
    sigmas: Any,
    notes: list[str],
) -> Schedule:
    """The steps of a film, from timesteps or noise levels where a call or the bundle names some.

    timesteps: what the network is told, falling within 1000..0, or the name of a list among the
    manifest's "presets". sigmas: noise levels before shifting, falling within 1..0.

    LTXImageToVideoPipeline leans its levels by the number of tokens where its scheduler says so.
    LTXConditionPipeline tells the network unshifted timesteps, linear near noise and then
    quadratic, and steps from each to the scheduler's next level below it; it knows no lean by size,
    and neither do the levels of presets.
    """
    if timesteps is not None and sigmas is not None:
        raise SettingsError("timesteps and sigmas were both given: give one of them")
    entry: Mapping[str, Any] = bundle.section("schedule")
    if timesteps is None and sigmas is None and steps is None:
        timesteps = bundle.section("defaults").get("timesteps")
    if isinstance(timesteps, str):
        presets = bundle.section("presets")
        if timesteps not in presets:
            raise SettingsError(
                f"there are no timesteps {timesteps!r} in {bundle.name}: give numbers"
                + (f", or one of {', '.join(presets)}" if presets else "")
            )
        timesteps = presets[timesteps]
        entry = _plain(entry)
    told = _falling("timesteps", timesteps, TIMESTEP_SCALE)
    levels = _falling("sigmas", sigmas, 1.0)
    count = len(told or levels or ()) or int(default(bundle, "steps", steps, 50))
    if steps is not None and steps != count:
        notes.append(f"{steps} steps became {count}: as many as the noise levels that were given")
    if condition:
        if entry.get("dynamic_shift") is not None:  # the reference cannot lean by size here
            entry = _plain(entry)
        if told is None and levels is None:
            told = tuple((TIMESTEP_SCALE * linear_quadratic(count)).tolist())
    made = schedule_from_manifest(
        entry,
        steps=None if told or levels else count,
        timesteps=told,
        sigmas=levels,
        mu=None if condition else mu_for_size(entry, tokens),
    )
    return _by_token(made, bool(entry.get("stochastic"))) if condition else made


def linear_quadratic(steps: int, threshold: float = 0.025) -> NDArray[np.float32]:
    """Noise levels from 1 down: half of the steps cross `threshold`, the rest falls faster.

    Follows linear_quadratic_schedule of LTX-Video and diffusers.
    """
    if steps < 2:
        return np.ones(1, np.float32)
    linear = steps // 2
    quadratic = steps - linear
    lack = linear - threshold * steps
    curve = lack / (linear * quadratic**2)
    slope = threshold / linear - 2 * lack / quadratic**2
    first = np.arange(linear) * threshold / linear
    after = np.arange(linear, steps)
    second = curve * after**2 + slope * after + curve * linear**2
    return (1.0 - np.concatenate([first, second])).astype(np.float32)


def _by_token(made: Schedule, stochastic: bool) -> Schedule:
    """The table of steps that start at what the network is told and end at the next level below.

    Follows FlowMatchEulerDiscreteScheduler.step with per_token_timesteps as LTXConditionPipeline
    calls it: with the network's output negated. Where the scheduler is stochastic, that leaves the
    data estimate with the other sign; it is kept, so that the frames are the reference's.
    """
    now = made.timesteps / TIMESTEP_SCALE
    levels = made.noise_levels
    after = np.array([max(levels[levels < level - 1e-6], default=0.0) for level in now])
    if stochastic:
        latents, outputs, noise = 1.0 - after, (1.0 - after) * now, after
    else:
        latents, outputs, noise = np.ones_like(now), after - now, np.zeros_like(now)
    return Schedule(
        timesteps=made.timesteps,
        noise_levels=np.append(now, 0.0),
        latent_weights=latents[:, None],
        output_weights=outputs[:, None],
        noise_weights=noise,
        input_scale=np.ones_like(now),
        initial_noise=1.0,
    )


def _plain(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schedule whose levels stay where they are put."""
    moved = ("shift", "dynamic_shift", "terminal", "levels")
    return {name: value for name, value in entry.items() if name not in moved}


def _falling(name: str, values: Any, highest: float) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    rises = any(b >= a for a, b in pairwise(numbers))
    if not numbers or rises or not 0.0 <= numbers[-1] <= numbers[0] <= highest or not numbers[0]:
        raise SettingsError(
            f"{name} {shown(values)} cannot be used: give numbers that fall, from at most"
            f" {highest:g} to 0 or more"
        )
    return numbers
