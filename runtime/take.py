"""What a family makes of a photo, and what every family's module must give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from ..engines.errors import BundleError
from .bundle import Bundle, embedded_models
from .noise import Noise
from .photo import Photo
from .settings import Settings, Understanding
from .stages import Stages

if TYPE_CHECKING:
    from .look.look import Look
    from .planner import RenderPlan
    from .regions import Regions

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Take:
    """A film's size and its frames, not yet drawn."""

    width: int
    height: int
    frames: Iterator[Pixels]
    """Yields uint8 RGB (height, width, 3), each drawn when it is asked for."""
    notes: tuple[str, ...] = ()
    frame_count: int | None = None
    """How many frames there are; None means as many as the settings ask for."""
    steps: int | None = None
    """Denoising steps that are made; None where the family does not say."""
    guidance: float | None = None
    """Guidance that is used; None where the family knows none."""
    memory: RenderPlan | None = None
    """What memory it is planned to take, where the family settles that itself."""
    picture: Pixels | None = None
    """The photo as the film frames it, uint8 RGB (height, width, 3): its first frame."""
    regions: Regions | None = None
    """What was found on it, where somebody looked."""


class Family(Protocol):
    """What a module in runtime/families gives, under the family's name."""

    def film(
        self,
        bundle: Bundle,
        photo: Photo,
        settings: Settings,
        understanding: Understanding,
        *,
        how: Look,
        device: Device | str,
        stages: Stages,
    ) -> Take:
        """Prepare a film of a photo; the frames are drawn as they are asked for.

        how: camera, light and mood, as `look.resolve` settled them.

        Raises:
            BundleError: a component is missing or broken.
            EngineError: the device cannot run one.
            SettingsError: the shape asked for is impossible.
        """


class Plan(Protocol):
    """What a latent family will make: a frozen dataclass of its own with at least these."""

    @property
    def height(self) -> int:
        """Height of the frames in pixels."""

    @property
    def width(self) -> int:
        """Width of the frames in pixels."""

    @property
    def num_frames(self) -> int:
        """How many frames there are."""

    @property
    def steps(self) -> int:
        """Denoising steps."""

    @property
    def guidance(self) -> float:
        """Guidance scale; 1 and below is none."""

    @property
    def fps(self) -> float:
        """The model's own frames a second."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and brought to the nearest the model can do, a phrase each."""


class LatentFamily(Protocol):
    """What a video diffusion model's module gives in place of `film`; see `film.latent_film`.

    It may also give `prepare(photo, plan)`: uint8 (H, W, 3) of any size to whatever its `frames`
    takes as its picture, where the reference does something else than a Lanczos resize.

    And it may give `capabilities(bundle)`, a `length.Capabilities`: then its `frames` takes `link`,
    a `windows.Link`, begins with what that holds, and gives it its latents to keep.
    """

    @property
    def SETTINGS(self) -> Mapping[str, Any]:
        """The family's own settings, under the reference's names, with their defaults."""

    def plan(
        self,
        bundle: Bundle,
        *,
        height: int | None,
        width: int | None,
        num_frames: int | None,
        steps: int | None,
        guidance: float | None,
        **family_settings: Any,
    ) -> Plan:
        """Say what will be made; None means the bundle's default. Pure arithmetic, no engine.

        Raises:
            SettingsError: a setting is impossible.
            BundleError: the manifest lacks what the family needs.
        """

    def noise_shapes(self, bundle: Bundle, plan: Any) -> Mapping[str, tuple[int, ...]]:
        """Name every random tensor that is drawn, with its shape in the reference's layout."""

    def frames(
        self,
        bundle: Bundle,
        picture: Any,
        plan: Any,
        *,
        prompt: str | None,
        negative_prompt: str | None,
        noise: Noise,
        device: Device | str,
        stages: Stages,
    ) -> Iterator[Pixels]:
        """Yield the plan's frames, uint8 (height, width, 3); components are opened one by one."""


def gives_frames(family: Any) -> bool:
    """Whether a module is a LatentFamily, which gives frames of its own, and no Family."""
    return hasattr(family, "plan")


def find_family(bundle: Bundle) -> Any:
    """Return the module in runtime/families that runs a bundle; see Family and LatentFamily.

    Raises:
        BundleError: there is none of that name here, or the bundle makes no films.
    """
    if bundle.family == "tool":
        raise BundleError(
            f"model {bundle.name!r} makes no films, it works on the frames of others: "
            f"use {', '.join(embedded_models())}, or the folder of a model"
        )
    if re.fullmatch("[a-z][a-z0-9]*", bundle.family):
        name = f"{__package__}.families.{bundle.family}"
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    folder = Path(__file__).parent / "families"
    known = sorted(p.stem for p in folder.glob("*.py") if "_" not in p.stem)
    raise BundleError(
        f"{bundle.folder}: family {bundle.family!r} is not known here "
        f"(known: {', '.join(known)}): update Reverie"
    )
