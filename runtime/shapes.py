"""The sizes that each network of a bundle is run with, told ahead: pure arithmetic, no engine.

What an engine is built for, what memory a render takes, which cut of the decoding fits: all of it
follows from these. Each family tells its own in runtime/families/<family>_shapes.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..engines.errors import BundleError, SettingsError
from .bundle import MANIFEST, Bundle
from .frame import frame_size
from .settings import HEIGHT_RANGE, Settings
from .take import find_family, gives_frames

if TYPE_CHECKING:
    from .length import LengthPlan

Shape: TypeAlias = tuple[int, ...]
ShapeSet: TypeAlias = dict[str, Shape]
"""One run's inputs: name -> shape."""
Profile: TypeAlias = dict[str, tuple[Shape, Shape, Shape]]
"""Input -> its smallest, usual and largest shape."""

FLOAT = 4
"""Bytes of a float32, which all that the host holds is made of."""
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
UNKNOWN_PHOTO = (16, 9)
"""What a frame of the photo's own shape is taken for where there is no photo yet."""


@dataclass(frozen=True)
class Phase:
    """A stretch of a render, as far as its memory goes."""

    name: str
    """As `stages.Stages` has it: "text", "encode image", "denoise", "decode"."""
    components: tuple[str, ...]
    """The networks that run in it."""
    held: int = 0
    """Bytes on the host beside them: latents, embeddings, frames on their way."""
    together: bool = False
    """Whether its networks are open at the same time, else one after the other."""


class Telling(Protocol):
    """What a module runtime/families/<family>_shapes.py gives.

    For a family that is no LatentFamily, `plan(bundle, settings, frame)` too.
    """

    def phases(self, bundle: Bundle, plan: Any) -> tuple[Phase, ...]:
        """Say what runs one after another, and what is held beside."""

    def cuts(self, bundle: Bundle, plan: Any) -> Iterable[Any]:
        """Yield the plan with its decoding cut into ever smaller pieces."""

    def settings(self, bundle: Bundle, plan: Any) -> dict[str, int]:
        """Return the family settings that cut the decoding as a plan does."""

    def rough_bytes(self, bundle: Bundle, plan: Any) -> Mapping[str, float]:
        """Say about how much each component's activations take, where a bundle has no figures."""

    def component_shapes(self, bundle: Bundle, plan: Any) -> Mapping[str, Iterable[ShapeSet]]:
        """Say what each component is run with, in the order of the runs; doubles are left in."""

    def runs(self, bundle: Bundle, plan: Any) -> Mapping[str, int]:
        """Say how often each set of `component_shapes` is run; once where it says nothing."""


def component_shapes(bundle: Bundle, plan: Any) -> dict[str, list[ShapeSet]]:
    """Return every set of input shapes that each component is run with in a plan.

    plan: what the family's `plan` made; `plan_for` makes one for any family. A component that the
    bundle lacks is left out. The text encoder is told even where prompts are baked.

    Raises:
        BundleError: the family tells no shapes, or the manifest does not say what inputs there are.
    """
    told = telling(bundle).component_shapes(bundle, plan)
    return {
        name: _distinct(sets) for name in bundle.components if (sets := told.get(name)) is not None
    }


def counted_shapes(bundle: Bundle, plan: Any) -> dict[str, list[tuple[ShapeSet, int]]]:
    """Return every set of input shapes of each component, and how often a render runs it with them.

    See `component_shapes`. With baked prompts a render does not run the text encoder.
    """
    family = telling(bundle)
    told, runs = family.component_shapes(bundle, plan), family.runs(bundle, plan)
    made: dict[str, list[tuple[ShapeSet, int]]] = {}
    for name in bundle.components:
        if name in told:
            sets = list(told[name])
            made[name] = [
                (one, runs.get(name, 1) * sum(other == one for other in sets))
                for one in _distinct(sets)
            ]
    return made


def phases(bundle: Bundle, plan: Any) -> tuple[Phase, ...]:
    """Return what a render of a plan does one after another; components the bundle lacks left out.

    Raises:
        BundleError: the family does not tell.
    """
    return tuple(
        replace(one, components=tuple(n for n in one.components if n in bundle.components))
        for one in telling(bundle).phases(bundle, plan)
    )


def smaller_plans(bundle: Bundle, plan: Any) -> Iterator[tuple[str, Iterator[tuple[str, Any]]]]:
    """Yield ways to ask for less: words with a place for a value, and (value, plan) falling."""
    family = find_family(bundle)
    latent = gives_frames(family)

    def lower() -> Iterator[tuple[str, Any]]:
        for share in _SHARES:
            height, width = int(plan.height * share) & ~1, int(plan.width * share) & ~1
            if min(height, width) < HEIGHT_RANGE[0]:
                return
            made = (
                _again(family, bundle, plan, height, width, plan.num_frames)
                if latent
                else replace(plan, height=height, width=width)
            )
            yield str(made.height), made

    def shorter() -> Iterator[tuple[str, Any]]:
        for share in _SHARES if latent else ():
            frames = max(int(plan.num_frames * share), 1)
            made = _again(family, bundle, plan, plan.height, plan.width, frames)
            if made.num_frames < plan.num_frames:
                yield f"{made.num_frames}", made

    yield "--height {}", lower()
    yield "--frames {}", shorter()


def _again(family: Any, bundle: Bundle, plan: Any, height: int, width: int, frames: int) -> Any:
    """The family's plan of another size; what else was asked for matters little to memory."""
    return family.plan(
        bundle, height=height, width=width, num_frames=frames, steps=None, guidance=plan.guidance
    )


def profile_of(shape_sets: Sequence[Mapping[str, Shape]]) -> Profile:
    """Return for each input the smallest, usual and largest of its shapes, side by side.

    The usual one is that of the set with the most elements in all, for it takes the most time.
    """
    usual = max(shape_sets, key=lambda one: sum(math.prod(shape) for shape in one.values()))
    return {
        name: (
            tuple(min(sizes) for sizes in zip(*(one[name] for one in shape_sets), strict=True)),
            tuple(shape),
            tuple(max(sizes) for sizes in zip(*(one[name] for one in shape_sets), strict=True)),
        )
        for name, shape in usual.items()
    }


def plan_for(
    bundle: Bundle,
    *,
    height: int | None = None,
    aspect: str | None = None,
    seconds: float | None = None,
    fps: int | None = None,
    num_frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    settings: Settings | None = None,
    photo: tuple[int, int] = UNKNOWN_PHOTO,
    **family_settings: Any,
) -> Any:
    """Return the plan that `reverie animate` with these options would make; None is its default.

    Where a film takes several windows of a model's frames, it is the plan of one: they are made one
    after the other, and so is what they take.

    settings: a whole clip's settings, over which the others are laid. photo: (width, height) of the
    picture, in any unit. family_settings: the family's own, such as decode_tile.

    Raises:
        SettingsError: a setting is impossible, or not one of the family's.
        BundleError: the manifest lacks what the family needs.
    """
    given: dict[str, Any] = {
        "height": height,
        "aspect": aspect,
        "seconds": seconds,
        "fps": fps,
        "num_frames": num_frames,
        "steps": steps,
        "guidance": guidance,
    }
    asked = replace(
        settings or Settings(), **{name: one for name, one in given.items() if one is not None}
    )
    frame = frame_size(asked.aspect, asked.height, photo)
    family = find_family(bundle)
    if not gives_frames(family):
        if family_settings:
            name = next(iter(family_settings))
            raise SettingsError(f"{bundle.name} has no setting {name}: leave it out")
        return telling(bundle).plan(bundle, asked, frame)  # type: ignore[attr-defined]
    from .film import plan_film
    from .model import Model

    return plan_film(Model(bundle, family), asked, frame, **family_settings).plan


def length_of(
    bundle: Bundle, settings: Settings, photo: tuple[int, int] = UNKNOWN_PHOTO
) -> LengthPlan | None:
    """Return how a film gets its length out of a model's frames; None where it can have any.

    Raises SettingsError and BundleError as `plan_for` does.
    """
    family = find_family(bundle)
    if not gives_frames(family):
        return None
    from .film import plan_film
    from .model import Model

    frame = frame_size(settings.aspect, settings.height, photo)
    drawn = settings.interpolation == "auto"
    return plan_film(Model(bundle, family), settings, frame, drawn=drawn).length


def filled(bundle: Bundle, component: str, sizes: Mapping[str, Shape]) -> ShapeSet:
    """Return a component's input shapes, the free sizes of each input put in, in their order.

    sizes: input -> its free sizes; an input without any is left out. Inputs that the manifest does
    not list are left out of the result.

    Raises:
        BundleError: the manifest lists no inputs, or others than these sizes are for.
    """
    entry = bundle.section("components").get(component, {})
    made: ShapeSet = {}
    try:
        for port in entry["inputs"]:
            free = list(sizes.get(port["name"], ()))
            shape = [size if isinstance(size, int) else free.pop(0) for size in port["shape"]]
            if free:
                raise ValueError(f"{port['name']} has {len(port['shape'])} axes, too few free ones")
            made[str(port["name"])] = tuple(int(size) for size in shape)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: inputs of {component} are not those of the family "
            f"{bundle.family} ({error}): export the model again"
        ) from error
    return made


def text_shapes(bundle: Bundle, tokens: int) -> list[ShapeSet]:
    """What a text encoder is run with for prompts of so many tokens."""
    entry = bundle.section("components").get("text_encoder", {})
    names = [str(port["name"]) for port in entry.get("inputs", ())]
    return [filled(bundle, "text_encoder", dict.fromkeys(names, (tokens,)))]


def telling(bundle: Bundle) -> Telling:
    """Return the family's module that tells all this; BundleError where there is none."""
    find_family(bundle)  # an unknown family is told as such
    name = f"{__package__}.families.{bundle.family}_shapes"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise BundleError(
            f"{bundle.name}: the family {bundle.family} does not tell the sizes it runs its "
            "networks with: it can be rendered, and not planned"
        ) from None


def _distinct(sets: Iterable[ShapeSet]) -> list[ShapeSet]:
    found: dict[tuple[tuple[str, Shape], ...], ShapeSet] = {}
    for one in sets:
        found.setdefault(tuple(sorted(one.items())), dict(one))
    return list(found.values())
