"""The sizes that ember's networks are run with: those of its frame, however large the photo is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...engines.errors import BundleError
from ..bundle import MANIFEST, Bundle
from ..faces import searches
from ..regions import LOOK
from ..settings import Settings
from ..shapes import Phase, ShapeSet, filled
from .ember import HELPERS, Traits, input_size

PHOTO_BYTES = 30
"""Bytes to a pixel of the frame for the photo, and for framing it: three channels of float32, read
and written, beside the bytes themselves."""
FRAME_BYTES = 64
"""And while frames are drawn: where each pixel looks (two maps, each twice), the frame in float32
before and after its light, the frame itself."""


@dataclass(frozen=True)
class FilmPlan:
    """What will be made, as far as its memory goes."""

    width: int
    height: int
    num_frames: int
    fps: float
    steps: int
    notes: tuple[str, ...] = ()


def plan(bundle: Bundle, settings: Settings, frame: tuple[int, int]) -> FilmPlan:
    """Say what a film of these settings in a frame of (width, height) pixels will be."""
    steps = settings.steps or int(bundle.section("schedule").get("steps", 1))
    return FilmPlan(*frame, settings.frames, float(settings.fps), steps)


def component_shapes(bundle: Bundle, plan: FilmPlan) -> dict[str, Iterator[ShapeSet]]:
    """Say what each component is run with; see `shapes.Telling`."""
    traits = Traits.of(bundle)
    factor = bundle.section("latents").get("spatial_factor")
    if not isinstance(factor, int) or factor < 1:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: latents.spatial_factor must be a whole number of at "
            f"least 1, and is {factor!r}: export the model again"
        )
    looks = [
        input_size(plan.width, plan.height, replace(traits, area=round(traits.area * scale**2)))
        for scale in traits.looks
    ]
    width, height = looks[0]
    cells = height // factor, width // factor
    told = {name: iter((filled(bundle, name, {}),)) for name in HELPERS}
    told["maps"] = (filled(bundle, "maps", {"image": (h, w)}) for w, h in looks)
    told["denoiser"] = iter((filled(bundle, "denoiser", {"latents": cells, "features": cells}),))
    return told


def phases(bundle: Bundle, plan: FilmPlan) -> tuple[Phase, ...]:
    """Say what runs one after another; see `shapes.Telling`."""
    pixels = plan.width * plan.height
    return (
        Phase("look", HELPERS, pixels * PHOTO_BYTES // 3, together=True),
        Phase("maps", ("maps",), pixels * PHOTO_BYTES),
        Phase("denoise", ("denoiser",), pixels * PHOTO_BYTES),
        Phase("frames", (), pixels * (PHOTO_BYTES + FRAME_BYTES)),
    )


def runs(bundle: Bundle, plan: FilmPlan) -> dict[str, int]:
    """Say how often each component is run with a set of sizes; see `shapes.Telling`."""
    # The maps look at the picture and its mirror image. The photo is taken to be of the frame's
    # shape, and not small; each small face on it adds a run of `people`, which is not counted.
    scale = LOOK / max(plan.width, plan.height)
    faces = searches(round(plan.width * scale), round(plan.height * scale))
    return {"faces": faces, "maps": 2, "denoiser": plan.steps}


def cuts(bundle: Bundle, plan: FilmPlan) -> Iterator[FilmPlan]:
    """Nothing of it is decoded in pieces."""
    return iter(())


def settings(bundle: Bundle, plan: FilmPlan) -> dict[str, int]:
    """There are no settings of its own."""
    return {}


def rough_bytes(bundle: Bundle, plan: FilmPlan) -> dict[str, float]:
    """Say about what activations take; see `shapes.Telling`."""
    area = Traits.of(bundle).area * max(Traits.of(bundle).looks) ** 2
    return {"maps": 1024.0 * area, **dict.fromkeys(HELPERS, 64.0 * 2**20)}
