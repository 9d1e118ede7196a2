"""Trial renders: a bundle's own code on a few photos, small and short, for what is to be measured.

Latent families are asked for small frames, few of them and few steps; ember for a film of some
seconds of which a few frames are drawn.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from ..engines.errors import SettingsError
from ..runtime.bundle import Bundle
from ..runtime.look.look import resolve
from ..runtime.model import Model, open_photo
from ..runtime.noise import Noise
from ..runtime.photo import load_photo
from ..runtime.prompts import known_prompts
from ..runtime.settings import Settings, Understanding
from ..runtime.stages import OnProgress, Stages
from ..runtime.take import find_family, gives_frames
from .samples import PROMPTS

MOST_STEPS = 8
"""Denoising steps where a call asks for none and the model takes more."""
AREA = 384 * 256
"""Pixels of a video model's frame, at most."""
MOST_FRAMES = 17
FILM = {"height": 480, "seconds": 4.0, "fps": 3}
"""What ember is asked for where a call says nothing else."""

Photo: TypeAlias = Path | str | NDArray[np.uint8]
Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """One render of one photo."""

    name: str
    """The photo's."""
    photo: Pixels
    prompt: str | None
    seed: int
    asked: Mapping[str, Any]
    """Settings of the render."""

    @property
    def key(self) -> str:
        """What tells it from other trials of the same model."""
        said = {"prompt": self.prompt, "seed": self.seed, **self.asked}
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
        digest.update(str(self.photo.shape).encode())
        digest.update(np.ascontiguousarray(self.photo).data)
        return digest.hexdigest()[:20]

    def frames(
        self, bundle: Bundle, device: Device | str, on_progress: OnProgress | None = None
    ) -> Iterator[Pixels]:
        """Begin the render and yield its frames, uint8 (H, W, 3).

        Ember's networks run before this returns, those of other families as frames are asked for.
        """
        family = find_family(bundle)
        if gives_frames(family):
            model = Model(bundle, family, device)
            return model.render(
                self.photo,
                model.plan(**self.asked),
                prompt=self.prompt,
                negative_prompt=None,
                noise=Noise(self.seed),
                stages=Stages(on_progress),
            )
        settings, understanding = Settings(seed=self.seed, **self.asked), Understanding()
        take = family.film(
            bundle,
            load_photo(self.photo),
            settings,
            understanding,
            how=resolve(settings, understanding),
            device=device,
            stages=Stages(on_progress),
        )
        drawn: Iterator[Pixels] = take.frames
        return drawn


def plan_trials(
    bundle: Bundle,
    photos: Sequence[Photo],
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    components: Collection[str] = (),
) -> list[Trial]:
    """Say what is rendered: each photo once, with a seed and a prompt of its own.

    settings: what is asked of the render, by name; what is not there is filled in.
    components: networks that must run; `text_encoder` among them has prompts that are not baked.

    Raises:
        SettingsError: a setting is impossible, or the bundle knows no prompt and cannot read one.
        PhotoError: a photo cannot be used.
    """
    family, asked = find_family(bundle), dict(settings or {})
    prompts: Sequence[str | None] = [None]
    if not gives_frames(family):
        unknown = [name for name in asked if name not in Settings.__dataclass_fields__]
        if unknown:
            raise SettingsError(f"{bundle.name} has no setting {', '.join(unknown)}")
        asked = {**FILM, **asked}
    else:
        asked = _modest(Model(bundle, family, "cpu"), asked)
        if bundle.section("text"):
            prompts, guided = _prompts(bundle, components)
            if not guided:
                asked["guidance"] = 1.0
    return [
        Trial(
            name=f"picture {number}" if isinstance(photo, np.ndarray) else Path(photo).stem,
            photo=open_photo(photo),
            prompt=prompts[number % len(prompts)],
            seed=seed + number,
            asked=asked,
        )
        for number, photo in enumerate(photos)
    ]


def _modest(model: Model, asked: Mapping[str, Any]) -> dict[str, Any]:
    usual, found = model.plan(**asked), dict(asked)
    scale = min(1.0, math.sqrt(AREA / (usual.height * usual.width)))
    found.setdefault("height", max(round(usual.height * scale), 1))
    found.setdefault("width", max(round(usual.width * scale), 1))
    found.setdefault("num_frames", min(usual.num_frames, MOST_FRAMES))
    if "steps" not in found and usual.steps > MOST_STEPS:
        found["steps"] = MOST_STEPS
    return found


def _prompts(bundle: Bundle, components: Collection[str]) -> tuple[Sequence[str], bool]:
    """Prompts that the bundle can read, and whether it can read the empty one beside them."""
    known = [prompt for prompt in known_prompts(bundle) if prompt]
    encoder = "text_encoder" in bundle.components
    if encoder and (not known or "text_encoder" in components):
        return PROMPTS, True
    if not known:
        raise SettingsError(
            f"{bundle.name} has neither baked prompts nor a text encoder, and cannot be tried out:"
            " bake a prompt where the encoder is (`reverie prompts BUNDLE add`)"
        )
    return known, encoder or "" in known_prompts(bundle)
