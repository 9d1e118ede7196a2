"""What stands between the viewer and a scene: stalks, branches, trunks, objects."""

from __future__ import annotations

from . import plants, stalks, still
from .world import Canvas

HEADS = ("seed", "ball", "petals", "photo", "ear")


def near_stalks(canvas: Canvas, count: int | None = None) -> None:
    """Stalks rooted at the lower edge, leafy or bare, thin or thick, some with heads."""
    rng = canvas.rng
    thin = rng.random() < 0.5
    stalks.stalks(
        canvas,
        int(rng.integers(3, 40)) if count is None else count,
        root=(0.85, 1.15),
        length=rng.uniform(0.25, 0.9),
        thickness=rng.uniform(1, 2) if thin else rng.uniform(2, 6),
        leafy=rng.random() < 0.45,
        head=str(rng.choice(HEADS)) if rng.random() < 0.5 else None,
        kind=str(rng.choice(("plant", "grass"))),
    )


def branch(canvas: Canvas) -> None:
    """Leafy twigs hanging in from above."""
    rng = canvas.rng
    stalks.stalks(
        canvas,
        int(rng.integers(3, 14)),
        root=(-0.1, 0.08),
        length=rng.uniform(0.2, 0.6),
        thickness=rng.uniform(1, 4),
        bend=0.5,
        leafy=True,
        head="petals" if rng.random() < 0.15 else None,
        hanging=True,
    )


def garnish(canvas: Canvas) -> None:
    """Something in front of whatever is there: an object, stalks, a branch, a trunk."""
    rng = canvas.rng
    pick = rng.random()
    if pick < 0.3:
        if not still.creature(canvas):
            still.thing(canvas)
    elif pick < 0.6:
        near_stalks(canvas)
    elif pick < 0.8:
        branch(canvas)
    else:
        plants.trunk(canvas)
