"""How a film gets its length out of a model that makes a few seconds at once: pure arithmetic.

A film is one window of the model's frames where that is long enough; one window played slower,
where slowing it a little is enough; several windows joined where it is not. `windows.py` joins
them, `retime.py` plays them at the film's rate, `close_loop.py` leads the end into the beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from .timing import Timing

SLOWEST = {"slow": 2.0, "native": 1.25, "windows": 1.0}
"""How many times slower than the model means them frames are played, at most, by `Timing.rule`.

A model of few frames a second is calm at half its pace; one that moves at a film's own rate soon
looks like slow motion. Beyond that, windows are joined.
"""
_WHOLE = 1e-6  # of a frame
_TOLD_PACE = 0.005


@dataclass(frozen=True)
class Capabilities:
    """What a family can do to make a window go on from another one."""

    latents: int = 0
    """How many of a window's last latent frames the next one can take as they are; with none it
    begins with a picture of the last frame, and knows nothing of what moved where."""
    latent_frames: int = 1
    """Frames to each of them."""
    picture: int = 1
    """Frames in front of them that a picture stands for: 1, or 0 where each frame has a latent."""
    end: bool = False
    """Whether a window can be led to a picture at its end."""
    told: str = ""
    """How a window goes on, for a person; "" is said by `latents`."""

    def overlap(self, latents: int) -> int:
        """Frames that two windows share where so many latent frames are handed on."""
        return max(latents * self.latent_frames + self.picture, 1)


@dataclass(frozen=True)
class LengthPlan:
    """How a film's frames come out of a model's windows."""

    way: Literal["one", "slower", "windows"]
    count: int
    """Frames of the film."""
    windows: int
    """How many times the model runs."""
    window_frames: int
    """Frames that it makes each time."""
    overlap: int
    """Frames at the end of a window that are those at the beginning of the next."""
    latents: int
    """Latent frames handed on with them."""
    step: float
    """How many of the model's frames one of the film is worth."""
    pace: float
    """How fast it is played: 1 as the model means it, below 1 slower."""
    loop: Literal["no", "dissolve", "end"]
    """How the end leads into the beginning: not at all; by a dissolve; by the photo as the last
    window's end picture, which a short dissolve makes exact."""
    end: int | None
    """Frame of the last window at which that picture stands, the first of a latent's."""
    explanation: tuple[str, ...]
    """Short sentences for a person."""

    @property
    def own_frames(self) -> int:
        """Frames of all windows, joined."""
        return self.windows * self.window_frames - (self.windows - 1) * self.overlap


def plan_length(
    timing: Timing,
    *,
    frames: int,
    fps: int,
    loop: bool = False,
    can: Capabilities = Capabilities(),
    exact: bool = False,
    meant: float | None = None,
    name: str = "the model",
    drawn: bool = False,
) -> LengthPlan:
    """Choose how `frames` frames at `fps` come out of a model's windows.

    timing: the model's, at the film's rate (`Timing.at`). can: what its family can do. exact: the
    film's frames are the model's own, one by one, as for a number of frames that was asked for.
    meant: frames a second that the model means, where a rate near it was taken for it.
    name, drawn: for the explanation: the model's name; whether frames in between are drawn by a
    network, else blended.
    """
    own = 1.0 if exact else timing.fps / fps
    rate = timing.fps if meant is None else meant
    led = loop and can.end
    period = frames if led else frames - 1  # the photo at the end is the next round's first frame
    needed = math.ceil(period * own - _WHOLE) + 1
    longest = timing.longest
    slowest = 1.0 if exact else SLOWEST[timing.rule]
    latents, overlap = _shared(can, longest)
    way: Literal["one", "slower", "windows"] = "one"
    windows, window = 1, timing.window(needed)
    if exact and not led and needed <= max(longest, 1):
        window = needed  # the family brings it to the nearest it can do, and tells
    elif needed > longest >= 2:
        window, way = longest, "slower"
        if (needed - 1) / max(longest - 1, 1) > slowest + _WHOLE:
            way = "windows"
            least = needed  # once there are several, one more is better than slow motion
            if timing.rule == "slow":
                least = math.ceil((needed - 1) / slowest - _WHOLE) + 1
            windows = 1 + math.ceil((least - longest) / (longest - overlap))
            window = timing.window(math.ceil((least + (windows - 1) * overlap) / windows))
            shorter = _shared(can, window)
            if shorter != (latents, overlap):  # a window must have room for both its joins
                window = longest
            windows = 1 + math.ceil((least - window) / (window - overlap))
    made = windows * window - (windows - 1) * overlap
    step = own if period * own <= made - 1 + _WHOLE else (made - 1) / period
    plan = LengthPlan(
        way=way,
        count=frames,
        windows=windows,
        window_frames=window,
        overlap=overlap if windows > 1 else 0,
        latents=latents if windows > 1 else 0,
        step=step,
        pace=step * fps / rate,
        loop=("end" if led else "dissolve") if loop else "no",
        end=_end(period * step, windows, window, overlap, can.latent_frames) if led else None,
        explanation=(),
    )
    return replace(plan, explanation=tuple(_explain(plan, timing, rate, fps, can, name, drawn)))


def _shared(can: Capabilities, window: int) -> tuple[int, int]:
    """Latents to hand on, and frames to share, of windows so long: at most a third of one."""
    latents = can.latents
    while latents > 0 and 3 * can.overlap(latents) > window:
        latents -= 1
    return latents, min(can.overlap(latents), max(window - 1, 1))


def _end(place: float, windows: int, window: int, overlap: int, latent_frames: int) -> int:
    """The frame of the last window nearest to a place in the joined ones at which a latent begins.

    Models were taught pictures at such frames; the dissolve takes up what is left.
    """
    within = (place - (windows - 1) * (window - overlap)) / latent_frames
    most = (window - 1) // latent_frames
    return max(min(round(within), most) * latent_frames, 1)


def _explain(
    plan: LengthPlan,
    timing: Timing,
    rate: float,
    fps: int,
    can: Capabilities,
    name: str,
    drawn: bool,
) -> list[str]:
    seconds = f"{plan.count / fps:.4g} s at {fps} fps are {_frames(plan.count)}"
    made = f"{name} makes {_frames(plan.window_frames)} at {rate:g} fps"
    if plan.windows == 1:
        said = [f"{seconds}: one window, for {made}"]
    else:
        longest = f"{name} makes at most {timing.longest} at once"
        size = f"{plan.windows} windows of {_frames(plan.window_frames)}"
        said = [f"{seconds}: {size} are joined, for {longest}", _joined(plan, can)]
        said.append("colours are held to those of the first window")
    if plan.window_frames < 2:
        return [*said, "the model makes one frame, which stands still"]
    if abs(plan.pace - 1) > _TOLD_PACE:
        slower = plan.pace < 1
        how = f"{1 / plan.pace:.3g} times slower" if slower else f"{plan.pace:.3g} times faster"
        said.append(
            f"played {how} than the model means it: it makes {_frames(plan.own_frames)} at "
            f"{rate:g} fps"
        )
    if abs(plan.step - 1) > _WHOLE:
        how = "drawn by a network" if drawn else "blended"
        said.append(f"frames in between are {how}, {rate * plan.pace:.3g} to {fps} fps")
    if plan.loop == "end":
        said.append("the last window is led back to the photo, so that the film loops")
    elif plan.loop == "dissolve":
        said.append("the end dissolves into the beginning run backwards, so that the film loops")
    return said


def _joined(plan: LengthPlan, can: Capabilities) -> str:
    if can.told:
        how = can.told
    elif plan.latents:
        how = "goes on from the last latents of the one before"
    else:
        how = "begins with the last frame of the one before"
    if plan.overlap > 1:
        return f"each {how}, {plan.overlap} frames dissolve into each other"
    return f"each {how}"


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"
