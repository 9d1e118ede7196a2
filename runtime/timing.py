"""How many frames a model makes at once, and how fast they are meant to be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .bundle import Bundle, manifest_error

RULES = ("native", "slow", "windows")
_SAME_RATE = 0.05


@dataclass(frozen=True)
class Timing:
    """How many frames a model makes, and how fast they are meant to be seen."""

    fps: float
    """The model's own frames a second."""
    usual: int
    """How many it makes by itself."""
    most: int
    """How many it can make at once."""
    rule: str
    """"native" and "windows": as many as a film needs, at the model's rate; "slow": as many as it
    makes by itself, played slower, within reason, where a film is longer."""
    step: int
    """Numbers of frames are `offset` and a multiple of this."""
    offset: int

    @classmethod
    def of(cls, bundle: Bundle) -> Timing:
        """Read it from the manifest's "timing" and "latents".

        Raises:
            BundleError: something is missing or impossible.
        """
        timing, layout = bundle.section("timing"), bundle.section("latents")
        try:
            frame_rule = layout.get("frame_rule", {})
            found = cls(
                fps=float(timing["fps"]),
                usual=int(timing["frames"]),
                most=int(timing.get("most_frames", timing["frames"])),
                rule=str(timing.get("rule", "native")),
                step=int(frame_rule.get("step", 1)),
                offset=int(frame_rule.get("offset", 0)),
            )
            if not (0 < found.fps < 1000 and min(found.usual, found.most, found.step) > 0):
                raise ValueError("fps, frames and frame_rule.step must be above 0")
            if found.rule not in RULES:
                raise ValueError(f"rule is {found.rule!r}; known: {', '.join(RULES)}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise manifest_error(bundle.folder, error, "timing") from error
        return found

    def at(self, told: float | None, fps: int) -> Timing:
        """The timing of a film at `fps`, by a model that was told a rate or not.

        A film's rate within 5 % of the model's own is taken for it, as cinemas do with 24 and 25:
        nothing is blended.
        """
        own = self.fps if told is None else told
        return replace(self, fps=float(fps) if abs(fps / own - 1) <= _SAME_RATE else own)

    @property
    def longest(self) -> int:
        """The most frames of one window."""
        return self.usual if self.rule == "slow" else self.window(self.most)

    def window(self, needed: int) -> int:
        """The smallest number of frames that one window can have and that is enough.

        The most it can have where none is enough.
        """
        if self.rule == "slow":
            return self.usual
        steps = max(math.ceil((min(needed, self.most) - self.offset) / self.step), 1)
        while steps > 1 and steps * self.step + self.offset > self.most:
            steps -= 1
        return steps * self.step + self.offset
