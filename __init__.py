"""Reverie turns a photograph into a gently moving clip, on the machine it runs on, offline.

    import reverie
    clip = reverie.animate("photo.jpg", seconds=10, prompt="slight leaf movement")
    print(clip.path)

`animate` writes a film, `story` makes one of several photos, `stream` gives the frames themselves,
as they come. `load` gives a video diffusion model to ask for frames at its own rate, with nothing
done to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engines.errors import ReverieError

if TYPE_CHECKING:
    from .runtime.delivery import Delivery
    from .runtime.model import Model, load
    from .runtime.pipeline import animate, stream
    from .runtime.settings import Settings
    from .runtime.story.story import story

__version__ = "0.1.0"
__all__ = [
    "Delivery",
    "Model",
    "ReverieError",
    "Settings",
    "__version__",
    "animate",
    "load",
    "story",
    "stream",
]

_LAZY = {
    "animate": "pipeline",
    "stream": "pipeline",
    "Settings": "settings",
    "Model": "model",
    "load": "model",
    "story": "story.story",
    "Delivery": "delivery",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".runtime.{_LAZY[name]}", __name__), name)
