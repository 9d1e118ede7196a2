"""What fits a device, on numbers alone."""

from __future__ import annotations

import itertools

import numpy as np
from reverie.engines.plan import Choice, Cut, Stretch, Weights, choose, least_peak

MB = 10**6
OPTIONS = {
    "text": (Weights("fp16", 900 * MB, 100 * MB), Weights("int4", 250 * MB, 40 * MB)),
    "denoiser": (
        Weights("fp16", 4000 * MB, 600 * MB),
        Weights("int8", 2000 * MB, 300 * MB),
        Weights("int4", 1000 * MB, 150 * MB),
    ),
    "decoder": (Weights("fp16", 500 * MB),),
}
STRETCHES = (
    Stretch("text", ("text",), (Cut(0, {("text", "fp16"): 90 * MB, ("text", "int4"): 90 * MB}),)),
    Stretch(
        "denoise",
        ("denoiser",),
        (Cut(20 * MB, {("denoiser", p): 700 * MB for p in ("fp16", "int8", "int4")}),),
    ),
    Stretch(
        "decode",
        ("decoder",),
        tuple(Cut(10 * MB, {("decoder", "fp16"): size * MB}) for size in (3000, 1500, 800, 400)),
    ),
)
PRECISIONS = ("fp16", "int8", "int4")
RESIDENCIES = ("kept", "staged", "streamed")


def chosen(budget: int | None, *, keep: bool = False) -> Choice:
    return choose(
        STRETCHES, OPTIONS, None if budget is None else budget * MB, base=100 * MB, keep=keep
    )


def rows(choice: Choice) -> dict[str, tuple[str, str, int]]:
    return {
        one.name: (one.weights.precision, one.residency, part.cut)
        for part in choice.parts
        for one in part.networks
    }


def worth(choice: Choice) -> list[tuple[int, int, int]]:
    """Smaller is better: precision, then residency, then how small the pieces are."""
    return [
        (PRECISIONS.index(p), RESIDENCIES.index(r) if r != "kept" else 1, cut)
        for p, r, cut in rows(choice).values()
    ]


def test_without_a_limit_all_is_as_good_as_it_can_be() -> None:
    choice = chosen(None)
    assert choice.fits
    assert rows(choice) == {
        "text": ("fp16", "staged", 0),
        "denoiser": ("fp16", "staged", 0),
        "decoder": ("fp16", "staged", 0),
    }
    assert choice.peak == (100 + 20 + 4000 + 700) * MB
    assert {r for _, r, _ in rows(chosen(None, keep=True)).values()} == {"kept"}


def test_smaller_pieces_come_before_streaming_and_streaming_before_lower_precision() -> None:
    assert rows(chosen(4820)) == {
        "text": ("fp16", "staged", 0),
        "denoiser": ("fp16", "staged", 0),
        "decoder": ("fp16", "staged", 0),
    }
    assert rows(chosen(3000))["decoder"] == ("fp16", "staged", 1)
    assert rows(chosen(3000))["denoiser"] == ("fp16", "streamed", 0)
    assert rows(chosen(1400))["denoiser"] == ("int8", "streamed", 0)
    assert rows(chosen(1000))["denoiser"] == ("int4", "streamed", 0)
    assert not chosen(960).fits


def test_more_memory_never_makes_a_worse_plan() -> None:
    budgets = [*range(300, 9000, 53)]
    for keep in (False, True):
        choices = [chosen(budget, keep=keep) for budget in budgets]
        for smaller, larger in itertools.pairwise(choices):
            assert larger.fits >= smaller.fits
            if smaller.fits:
                assert all(b <= a for a, b in zip(worth(smaller), worth(larger), strict=True))


def test_what_fits_stays_below_the_budget_and_what_does_not_takes_least() -> None:
    for budget in range(300, 9000, 101):
        choice = chosen(budget, keep=True)
        assert choice.fits == (choice.peak <= budget * MB)
    least = least_peak(STRETCHES, OPTIONS, base=100 * MB)
    assert least == chosen(300).peak
    assert choose(STRETCHES, OPTIONS, least, base=100 * MB).fits
    assert not choose(STRETCHES, OPTIONS, least - 1, base=100 * MB).fits


def test_networks_that_are_open_together_add_up() -> None:
    options = {
        name: (Weights("fp32", size), Weights("int8", size // 4))
        for name, size in (("a", 400), ("b", 800))
    }
    cut = Cut(7, {("a", "fp32"): 50, ("b", "fp32"): 90, ("a", "int8"): 50, ("b", "int8"): 90})
    together = [Stretch("look", ("a", "b"), (cut,), together=True)]
    in_turn = [Stretch("look", ("a", "b"), (cut,))]
    assert choose(together, options, None, base=3).peak == 3 + 7 + 1200 + 90
    assert choose(in_turn, options, None, base=3).peak == 3 + 7 + 890
    assert choose(together, options, 500, base=3).peak == 3 + 7 + 300 + 90
    assert rows(choose(in_turn, options, 500, base=3)) == {
        "a": ("fp32", "staged", 0),
        "b": ("int8", "staged", 0),
    }


def test_a_stretch_without_networks_holds_what_it_holds() -> None:
    frames = [Stretch("frames", (), (Cut(70, {}), Cut(30, {})))]
    assert choose(frames, {}, None, base=5).peak == 75
    assert choose(frames, {}, 40, base=5).parts[0].cut == 1
    assert not choose(frames, {}, 30, base=5).fits


def test_any_numbers_keep_these_rules() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        names = [f"n{i}" for i in range(random.integers(1, 5))]
        options = {}
        for name in names:
            sizes = sorted(random.integers(1, 1000, random.integers(1, 4)).tolist(), reverse=True)
            options[name] = tuple(
                Weights(p, s, s // 3 if random.random() < 0.5 else None)
                for p, s in zip(PRECISIONS, sizes, strict=False)
            )
        stretches = [
            Stretch(
                f"s{i}",
                (name,),
                tuple(
                    Cut(5, {(name, w.precision): int(size) for w in options[name]})
                    for size in sorted(random.integers(1, 900, 3).tolist(), reverse=True)
                ),
            )
            for i, name in enumerate(names)
        ]
        before: Choice | None = None
        for budget in range(0, 4000, 37):
            choice = choose(stretches, options, budget, keep=True)
            assert choice.fits == (choice.peak <= budget)
            if before is not None and before.fits:
                assert choice.fits
                assert all(b <= a for a, b in zip(worth(before), worth(choice), strict=True))
            before = choice
        assert before is not None
        assert before.fits
