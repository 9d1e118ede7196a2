"""What a Watch measures: figures, their limits, and a report for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .identity import SAME

Verdict = Literal["ok", "warn", "bad"]
ORDER: tuple[Verdict, ...] = ("ok", "warn", "bad")


@dataclass(frozen=True)
class Limit:
    """From where on a figure is a warning, and from where on bad; and what it says."""

    unit: str
    warn: float
    bad: float
    meaning: str
    low_is_bad: bool = False
    lit: float = 1.0
    """What both are multiplied by where a light was asked for."""


LIMITS: dict[str, Limit] = {
    "identity": Limit(
        "cosine", SAME, 0.80, "the face least like the photo's (SFace)", low_is_bad=True
    ),
    "small faces": Limit(
        "cosine",
        0.72,
        0.60,
        "the same of faces below 40 pixels, where noise weighs",
        low_is_bad=True,
    ),
    "faces lost": Limit("looks", 1, 2, "times a face was not where it should be"),
    "frozen": Limit("s", 2.0, 4.0, "the longest time without a change"),
    "frozen share": Limit("", 0.35, 0.6, "how much of the film stands still at a stretch"),
    "repeated": Limit("", 0.5, 0.9, "frames that are the one before, as a share"),
    "blank": Limit("frames", 1, 1, "frames black, white or of one colour all over"),
    "flicker": Limit("levels", 0.3, 0.8, "trembling of the whole frame's brightness", lit=4.0),
    "flicker in places": Limit("levels", 0.8, 2.0, "trembling of brightness in parts", lit=4.0),
    "not finite": Limit("frames", 1, 1, "frames with NaN or infinite values"),
    "colour drift": Limit("dE", 5.0, 10.0, "colours' way from where they began", lit=5.0),
    "first frame": Limit("levels", 5.0, 14.0, "mean difference of the first frame to the photo"),
    "another photo": Limit("", 1, 2, "the film begins with another picture (1: with its people)"),
    "seam": Limit("medians", 5.0, 8.0, "the largest step over the median of those around"),
    "loop seam": Limit("medians", 2.0, 4.0, "the step from the last frame to the first"),
}
"""Every figure by name; a level is 1/255 of full brightness, dE a CIELAB distance."""


@dataclass(frozen=True)
class Figure:
    """One measured quantity and what it is worth."""

    name: str
    value: float
    verdict: Verdict
    at: float | None = None
    """Seconds into the film where it was worst; None where it has no place."""
    detail: str = ""
    lit: bool = False
    """Whether a light was asked for, which widens some limits."""

    @property
    def limit(self) -> Limit:
        """Its limits as they were taken, unit and meaning."""
        limit = LIMITS[self.name]
        if not self.lit:
            return limit
        return replace(limit, warn=limit.warn * limit.lit, bad=limit.bad * limit.lit)


@dataclass(frozen=True)
class FaceRow:
    """What became of one face of the photo, over all looks at it."""

    cosine: float | None
    """The least; None where it was never seen well enough."""
    at: float | None
    """Seconds into the film of the least."""
    seen: int
    small: int
    out: int
    lost: int


@dataclass(frozen=True)
class Report:
    """What a Watch has to say of a film."""

    frames: int
    fps: float
    figures: tuple[Figure, ...]
    faces: tuple[FaceRow, ...] = ()
    """A row for each face of the photo, the largest first."""
    not_measured: dict[str, str] = field(default_factory=dict)
    """Figures that are missing, and why."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all verdicts."""
        return max((figure.verdict for figure in self.figures), key=ORDER.index, default="ok")

    def has(self, name: str) -> bool:
        """Whether a figure was measured."""
        return any(figure.name == name for figure in self.figures)

    def __getitem__(self, name: str) -> Figure:
        return next(figure for figure in self.figures if figure.name == name)

    def lines(self) -> list[str]:
        """One line for each figure that is not ok, for a person: worst first."""
        told = sorted(self.figures, key=lambda figure: -ORDER.index(figure.verdict))
        return [describe(figure) for figure in told if figure.verdict != "ok"]

    def as_dict(self) -> dict[str, Any]:
        """The whole report as plain data, for JSON."""
        return {
            "verdict": self.verdict,
            "frames": self.frames,
            "fps": round(self.fps, 3),
            "seconds": round(self.frames / self.fps, 3),
            "figures": {
                figure.name: {
                    "value": round(figure.value, 4),
                    "unit": figure.limit.unit,
                    "verdict": figure.verdict,
                    "warn": figure.limit.warn,
                    "bad": figure.limit.bad,
                    "at": None if figure.at is None else round(figure.at, 3),
                    "detail": figure.detail,
                    "meaning": figure.limit.meaning,
                }
                for figure in self.figures
            },
            "faces": [
                {
                    "cosine": None if row.cosine is None else round(row.cosine, 4),
                    "at": None if row.at is None else round(row.at, 3),
                    **{name: getattr(row, name) for name in ("seen", "small", "out", "lost")},
                }
                for row in self.faces
            ],
            "not_measured": dict(self.not_measured),
        }


_COUNTS = ("frames", "looks")


def describe(figure: Figure) -> str:
    """One line of a figure, for a person."""
    place = "" if figure.at is None else f" at {figure.at:.1f} s"
    detail = f" ({figure.detail})" if figure.detail else ""
    unit = f" {figure.limit.unit}" if figure.limit.unit else ""
    value = f"{figure.value:.0f}" if figure.limit.unit in _COUNTS else f"{figure.value:.2f}"
    return f"{figure.name} {value}{unit}{place}{detail}: {figure.limit.meaning}"
