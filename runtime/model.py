"""A model ready to be asked for frames: the families' common door, with no look applied.

model = reverie.load("bundles/ltx")
for frame in model.frames("photo.jpg", "waves roll in", num_frames=97, seed=3):
    ...  # uint8 RGB (H, W, 3), at the model's own rate
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..engines.closing import Closing
from ..engines.device import Device
from ..engines.errors import PhotoError, SettingsError
from .bundle import Bundle, load_bundle
from .noise import Noise
from .photo import MIN_SIDE, load_photo
from .placement import Placement
from .placing import Place, Placed
from .settings import shown
from .stages import OnNote, Stages
from .table import check_steps
from .take import LatentFamily, Plan, find_family, gives_frames

if TYPE_CHECKING:
    from .planner import RenderPlan
    from .windows import Link

PhotoSource = str | Path | Image.Image | NDArray[np.uint8]
Pixels = NDArray[np.uint8]

_MOST_PIXELS, _MOST_FRAMES = 16384, 100_000


def load(
    model: str | Path, device: Device | str = "auto", *, placement: Placement | None = None
) -> Model:
    """Load a bundle of a video diffusion model: a folder.

    placement: what is asked of the machine beside, in place of `device`.

    Only the manifest is read, and file sizes are compared with it; networks are opened when frames
    are asked for, and closed again.

    Raises:
        BundleError: there is no such bundle, or it is broken, or of a family not known here.
        SettingsError: the model is one that gives no frames by itself (ember).
    """
    bundle = load_bundle(model)
    bundle.check_sizes()  # a cut file is told now, not when its turn comes
    family = find_family(bundle)
    if not gives_frames(family):
        raise SettingsError(
            f"{bundle.name} is of the family {bundle.family}, which makes films only: "
            "use reverie.stream or reverie.animate"
        )
    return Model(bundle, family, device, placement)


class Model(Closing):
    """A bundle with the family that runs it, on a device.

    What the plan of memory keeps open stays so from one film to the next, until `close` or the end
    of a `with`.
    """

    def __init__(
        self,
        bundle: Bundle,
        family: LatentFamily,
        device: Device | str = "auto",
        placement: Placement | None = None,
        *,
        place: Place | None = None,
    ) -> None:
        self.bundle = bundle
        self.family = family
        self.placement = placement or Placement(device)
        self._place = place or Place(bundle, self.placement)

    def close(self) -> None:
        """Free what is kept open; it opens again when frames are asked for."""
        self._place.close()

    def frames(
        self,
        photo: PhotoSource,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
        noise: Mapping[str, NDArray[np.float32]] | None = None,
        on_note: OnNote | None = None,
        **family_settings: Any,
    ) -> Iterator[Pixels]:
        """Yield frames, uint8 RGB (H, W, 3), drawn as they are asked for; None is the bundle's own.

        Args:
            photo: a file, a PIL image, or uint8 RGB (H, W, 3). One that has the size of the frames
                is used as it is; any other is resized as the reference does, its shape not kept.
            prompt, negative_prompt: texts, for models that read them.
            height, width, num_frames: brought to the nearest the model can do (see `plan`).
            steps: denoising steps.
            guidance: scale of classifier-free guidance; 1 and below is none.
            seed: which noise; the same seed gives the same frames.
            noise: float32 arrays in place of what is drawn, by name; `noise_shapes` lists them.
                What it lists for a size alone may be given whatever the other settings: names that
                they leave undrawn are passed over, as are rows beyond the last step.
            on_note: called with a line when something goes otherwise than planned.
            family_settings: the family's own, under the reference's names.

        Raises:
            SettingsError: a setting is unknown or impossible; at once, before anything is opened.
            PhotoError: the photo cannot be used.
            BundleError, EngineError, MissingPackageError: see `reverie.stream`.
        """
        for name, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
            if text is not None and not isinstance(text, str):
                raise SettingsError(f"{name} {shown(text)} cannot be used: give a text")
        plan = self.plan(
            height=height,
            width=width,
            num_frames=num_frames,
            steps=steps,
            guidance=guidance,
            **family_settings,
        )
        drawn = Noise(whole("seed", seed, 0, 2**63 - 1), _mapping(noise))
        usual = self.noise_shapes(height, width, num_frames) if noise else ()
        drawn.check(self.family.noise_shapes(self.bundle, plan), also=usual)
        pixels = open_photo(photo)
        return self.render(
            pixels,
            plan,
            prompt=prompt,
            negative_prompt=negative_prompt,
            noise=drawn,
            stages=Stages(on_note=on_note),
        )

    def plan(
        self,
        *,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        **family_settings: Any,
    ) -> Plan:
        """Say what `frames` would make: size, number of frames, steps, rate, and notes about them.

        Raises:
            SettingsError: a setting is unknown or impossible.
        """
        known = self.family.SETTINGS
        unknown = [name for name in family_settings if name not in known]
        if unknown:
            raise SettingsError(
                f"{self.bundle.name} has no setting {', '.join(unknown)}: "
                f"use {', '.join(known) or 'none'}"
            )
        if steps is not None:
            steps = whole("steps", steps, 1, 1000)
            check_steps(steps)
        if guidance is not None:
            guidance = number("guidance", guidance, 0.0, 1000.0)
        return self.family.plan(
            self.bundle,
            height=None if height is None else whole("height", height, 1, _MOST_PIXELS),
            width=None if width is None else whole("width", width, 1, _MOST_PIXELS),
            num_frames=(
                None if num_frames is None else whole("num_frames", num_frames, 1, _MOST_FRAMES)
            ),
            steps=steps,
            guidance=guidance,
            **family_settings,
        )

    def noise_shapes(
        self,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        **family_settings: Any,
    ) -> dict[str, tuple[int, ...]]:
        """Return every random tensor that `frames` draws, with its shape in the reference's layout.

        Settings that change what is drawn (steps= and guidance= too) are given as to `frames`.
        """
        plan = self.plan(height=height, width=width, num_frames=num_frames, **family_settings)
        return dict(self.family.noise_shapes(self.bundle, plan))

    def render(
        self,
        pixels: Pixels,
        plan: Plan,
        *,
        prompt: str | None,
        negative_prompt: str | None,
        noise: Noise,
        stages: Stages,
        placed: Placed | None = None,
        link: Link | None = None,
    ) -> Iterator[Pixels]:
        """Yield a plan's frames of a picture, uint8 (H, W, 3) of any size.

        placed: where the plan runs, settled before; None settles it now. link: to the window of a
        film before this one, and to the next, for families that have `capabilities`.
        """
        placed = placed or self._place.follow(plan, stages)
        prepare = getattr(self.family, "prepare", None)
        picture = fitted(pixels, plan) if prepare is None else prepare(pixels, plan)
        yield from self.family.frames(
            placed.bundle,
            picture,
            placed.plan,
            prompt=prompt,
            negative_prompt=negative_prompt,
            noise=noise,
            device=self._place.spot.device,
            stages=stages,
            **({} if link is None else {"link": link}),
        )

    def memory(self, plan: Plan) -> RenderPlan | None:
        """Say what memory a plan's frames take; None where the family does not tell its sizes.

        Raises:
            EngineError: the device that was asked for is not there.
        """
        return self._place.plan(plan)


def fitted(pixels: Pixels, plan: Plan) -> Pixels:
    """Resize a picture to a plan's size, whatever its shape; one that has it comes back as it is.

    Follows diffusers' VaeImageProcessor (resize_mode "default", resample "lanczos").
    """
    if pixels.shape[:2] == (plan.height, plan.width):
        return pixels
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    size = plan.width, plan.height
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), np.uint8)


def open_photo(photo: PhotoSource) -> Pixels:
    """Return a photo's pixels, uint8 RGB (H, W, 3): arrays and RGB images as they are.

    Files are read as `load_photo` does; smaller ones than a film takes are read plainly.

    Raises:
        PhotoError: it cannot be used.
    """
    if isinstance(photo, Image.Image) and photo.mode == "RGB":
        return np.asarray(photo, np.uint8)
    if isinstance(photo, np.ndarray) and photo.dtype == np.uint8:
        if photo.ndim == 3 and photo.shape[2] == 3 and photo.size:
            return photo
    elif isinstance(photo, str | Path):
        try:
            with Image.open(photo) as picture:
                if min(picture.size) < MIN_SIDE:
                    return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            pass  # what is wrong with it is told in one voice below
    elif not isinstance(photo, Image.Image | np.ndarray):
        raise PhotoError(
            f"a photo of type {type(photo).__name__} cannot be used: give a file, a PIL image, or "
            "uint8 RGB (H, W, 3)"
        )
    return load_photo(photo).pixels


def whole(name: str, value: object, low: int, high: int) -> int:
    """Return a whole number as a plain int, NumPy's too.

    Raises:
        SettingsError: it is none (True, 8.0 and "8" included), or out of range.
    """
    try:
        found = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        found = None
    if found is None or isinstance(value, bool | np.bool_) or not low <= found <= high:
        raise SettingsError(
            f"{name} {shown(value)} cannot be used: give a whole number from {low} to {high}"
        )
    return found


def number(name: str, value: object, low: float, high: float) -> float:
    """Return a number as a plain float, NumPy's too.

    Raises:
        SettingsError: it is none (True, nan and "1" included), or out of range.
    """
    known = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    found = float(value) if known else math.nan  # type: ignore[arg-type]
    if not low <= found <= high:
        raise SettingsError(
            f"{name} {shown(value)} cannot be used: give a number from {low:g} to {high:g}"
        )
    return found


def _mapping(noise: object) -> Mapping[str, NDArray[np.float32]] | None:
    if noise is None or isinstance(noise, Mapping):
        return noise
    raise SettingsError(
        f"noise of type {type(noise).__name__} cannot be used: give {{name: float32 array}}"
    )
