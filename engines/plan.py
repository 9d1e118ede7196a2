"""What fits a device: pure functions on numbers, in bytes.

A render is a row of stretches, each with networks that run in it one after another or side by side.
A network may be there in several precisions, each stays open for the whole render ("kept"), is
opened for its stretch alone ("staged"), or has its weights pass through the device ("streamed").
The first of a fixed list of ways that fits is taken, so that more memory never makes a plan worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Residency = Literal["kept", "staged", "streamed"]


@dataclass(frozen=True)
class Weights:
    """What a network's weights take on the device, in one precision."""

    precision: str
    whole: int
    """All of them there."""
    least: int | None = None
    """What must be there when they pass through; None where they cannot."""


@dataclass(frozen=True)
class Cut:
    """A way to cut a stretch's work into pieces."""

    held: int
    """What is held beside the networks."""
    activations: Mapping[tuple[str, str], int]
    """(network, precision) -> what a run of it takes at most."""


@dataclass(frozen=True)
class Stretch:
    """What runs between two moments of a render."""

    name: str
    networks: tuple[str, ...]
    cuts: tuple[Cut, ...]
    """In the order in which they are taken, the usual one first."""
    together: bool = False
    """Whether its networks are open at the same time."""


@dataclass(frozen=True)
class Chosen:
    """How one network runs."""

    name: str
    weights: Weights
    residency: Residency
    activations: int = 0

    @property
    def resident(self) -> int:
        """Bytes of weights on the device while it is open."""
        if self.residency == "streamed" and self.weights.least is not None:
            return self.weights.least
        return self.weights.whole


@dataclass(frozen=True)
class Part:
    """One stretch as chosen."""

    name: str
    networks: tuple[Chosen, ...]
    cut: int
    """Which of its cuts."""
    peak: int


@dataclass(frozen=True)
class Choice:
    """A whole render as chosen."""

    parts: tuple[Part, ...]
    fits: bool

    @property
    def peak(self) -> int:
        """The most that any stretch takes."""
        return max((part.peak for part in self.parts), default=0)


def choose(
    stretches: Sequence[Stretch],
    options: Mapping[str, Sequence[Weights]],
    budget: int | None,
    *,
    base: int = 0,
    keep: bool = False,
) -> Choice:
    """Choose how each network runs so that every stretch fits a budget; None is no limit.

    options: for each network its precisions, best first. base: what the process takes by itself.
    keep: whether all that is open may stay so. Where nothing fits, what takes least is returned.
    """
    parts = tuple(_choose_part(stretch, options, budget, base) for stretch in stretches)
    fits = budget is None or all(part.peak <= budget for part in parts)
    staged = Choice(parts, fits)
    if keep and fits:
        kept = _kept(staged, stretches, base)
        if kept is not None and (budget is None or kept.peak <= budget):
            return kept
    return staged


def least_peak(
    stretches: Sequence[Stretch], options: Mapping[str, Sequence[Weights]], *, base: int = 0
) -> int:
    """The smallest budget in which the render fits in any way at all."""
    return choose(stretches, options, 0, base=base).peak


def _choose_part(
    stretch: Stretch, options: Mapping[str, Sequence[Weights]], budget: int | None, base: int
) -> Part:
    least: Part | None = None
    for part in _ways(stretch, options, base, budget):
        if budget is None or part.peak <= budget:
            return part
        if least is None or part.peak < least.peak:
            least = part
    assert least is not None
    return least


def _ways(
    stretch: Stretch, options: Mapping[str, Sequence[Weights]], base: int, budget: int | None
) -> Iterator[Part]:
    """Every way to run a stretch, best first: smaller pieces, then streaming, then precision."""
    if stretch.together:
        yield from _ways_together(stretch, options, base)
        return
    ladders = [list(_ladder(options[name])) for name in stretch.networks]
    for index, cut in enumerate(stretch.cuts) if not ladders else ():
        yield Part(stretch.name, (), index, base + cut.held)
    if not ladders:
        return
    if len(ladders) == 1:
        for precision in _grouped(ladders[0]):
            for way in precision:
                for index, cut in enumerate(stretch.cuts):
                    chosen = _with_cut(stretch.networks[0], way, cut)
                    peak = base + cut.held + chosen.resident + chosen.activations
                    yield Part(stretch.name, (chosen,), index, peak)
        return
    # Several in turn: each goes down its own ladder until it fits.
    for index, cut in enumerate(stretch.cuts):
        chosen_all = []
        for name, ladder in zip(stretch.networks, ladders, strict=True):
            ways = [_with_cut(name, way, cut) for way in ladder]
            room = None if budget is None else budget - base - cut.held
            sizes = [way.resident + way.activations for way in ways]
            first = next(
                (w for w, s in zip(ways, sizes, strict=True) if room is None or s <= room), None
            )
            chosen_all.append(first or ways[sizes.index(min(sizes))])
        peak = max(one.resident + one.activations for one in chosen_all)
        yield Part(stretch.name, tuple(chosen_all), index, base + cut.held + peak)


def _ways_together(
    stretch: Stretch, options: Mapping[str, Sequence[Weights]], base: int
) -> Iterator[Part]:
    deepest = max((len(options[name]) for name in stretch.networks), default=1)
    for level in range(deepest):
        for index, cut in enumerate(stretch.cuts):
            chosen = tuple(
                _with_cut(name, (options[name][min(level, len(options[name]) - 1)], "staged"), cut)
                for name in stretch.networks
            )
            weights = sum(one.resident for one in chosen)
            running = max((one.activations for one in chosen), default=0)
            yield Part(stretch.name, chosen, index, base + cut.held + weights + running)


def _ladder(options: Sequence[Weights]) -> Iterator[tuple[Weights, Residency]]:
    for weights in options:
        yield weights, "staged"
        if weights.least is not None and weights.least < weights.whole:
            yield weights, "streamed"


def _grouped(
    ladder: list[tuple[Weights, Residency]],
) -> Iterator[list[tuple[Weights, Residency]]]:
    for precision in dict.fromkeys(weights.precision for weights, _ in ladder):
        yield [way for way in ladder if way[0].precision == precision]


def _with_cut(name: str, way: tuple[Weights, Residency], cut: Cut) -> Chosen:
    weights, residency = way
    return Chosen(name, weights, residency, cut.activations.get((name, weights.precision), 0))


def _kept(staged: Choice, stretches: Sequence[Stretch], base: int) -> Choice | None:
    """The same with every network open all the time, None where one is streamed."""
    networks = {one.name: one for part in staged.parts for one in part.networks}
    if not networks or any(one.residency != "staged" for one in networks.values()):
        return None
    weights = sum(one.weights.whole for one in networks.values())
    parts = []
    for part, stretch in zip(staged.parts, stretches, strict=True):
        running = max((one.activations for one in part.networks), default=0)
        parts.append(
            replace(
                part,
                networks=tuple(replace(one, residency="kept") for one in part.networks),
                peak=base + weights + stretch.cuts[part.cut].held + running,
            )
        )
    return Choice(tuple(parts), fits=True)
