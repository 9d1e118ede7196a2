from __future__ import annotations

import json
import math

import numpy as np
import pytest
from reverie.benchmarks import photo_gate
from reverie.benchmarks.photo_gate import BASELINES, DATA, PREDICTED, Case, gate, load_cases

BIG = 2_500_000


def fake_maps(moves: np.ndarray) -> dict[str, np.ndarray]:
    """Maps of a model that sees exactly what moves, (h, w) 0 or 1, and nobody in the picture."""
    shape = moves.shape
    people = np.zeros((6, 5, 6))
    people[..., 0] = 1
    return {
        "classes": np.stack([1 - moves, *[moves / 5] * 5]),
        "amplitude": np.stack([moves * 0.004] * 8),
        "drift": np.zeros((1, *shape)),
        "hold": np.zeros((4, 4)),
        "people": people,
        "subject": np.zeros((7, 7)),
        "depth": np.zeros((3, 3)),
    }


def half_case(name: str = "half") -> Case:
    """Left half may move, right half must hold; noise everywhere."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :16] = 1
    mask[:, 15:17] = 255
    return Case(name, pixels, mask)


def left_half(pixels: np.ndarray) -> dict[str, np.ndarray]:
    moves = np.zeros((24, 32))
    moves[:, :16] = 1
    return fake_maps(moves)


def test_a_perfect_model_scores_one_and_knowing_nothing_scores_a_half() -> None:
    report = gate([half_case()], left_half)
    row = report["photos"][0]
    for name in PREDICTED:
        assert report["pooled"][name] == row["auc"][name] == 1
    assert report["pooled"]["uniform"] == 0.5
    assert report["pooled"]["all but people"] == pytest.approx(0.5)
    assert report["pooled"]["class mask"] == 1
    assert abs(report["pooled"]["texture"] - 0.5) < 0.2
    assert set(report["pooled"]) == {*PREDICTED, *BASELINES}
    assert report["moving"]["as rendered"] == {"of_may_move": 1, "of_must_hold": 0}


def test_a_model_that_moves_the_wrong_half_scores_nothing() -> None:
    report = gate([half_case()], lambda pixels: fake_maps(left_half(pixels)["classes"][0]))
    assert report["pooled"]["amplitude"] == 0
    assert report["moving"]["amplitude"] == {"of_may_move": 0, "of_must_hold": 1}
    assert photo_gate.verdict(report)["lead_on_best_baseline"] < 0


def test_what_the_guards_hold_does_not_move() -> None:
    def held(pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {**left_half(pixels), "hold": np.ones((9, 9))}

    report = gate([half_case()], held)
    assert report["moving"]["amplitude"]["of_may_move"] == 1
    assert report["moving"]["as rendered"]["of_may_move"] == 0


def test_drift_alone_moves_a_sky() -> None:
    def drifting(pixels: np.ndarray) -> dict[str, np.ndarray]:
        maps = left_half(pixels)
        return {**maps, "drift": maps["amplitude"][:1], "amplitude": 0 * maps["amplitude"]}

    report = gate([half_case()], drifting)
    assert report["pooled"]["amplitude"] == 0.5
    assert report["pooled"]["amplitude and drift"] == 1


def test_a_photo_where_nothing_may_move_counts_in_the_pool_alone() -> None:
    still = Case("still", half_case().pixels, np.zeros((24, 32), np.uint8))
    report = gate([half_case(), still], left_half)
    assert math.isnan(report["photos"][1]["auc"]["amplitude"])
    assert report["mean"]["amplitude"] == 1
    assert report["pooled"]["amplitude"] < 1
    plain = json.dumps(photo_gate.without_nan(report), allow_nan=False)
    assert json.loads(plain)["photos"][1]["auc"]["amplitude"] is None


def test_the_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    report = gate([half_case("a tree")], left_half)
    photo_gate.show({"verdict": photo_gate.verdict(report), **report})
    shown = capsys.readouterr().out
    assert "a tree" in shown
    assert "class mask x texture" in shown


def test_the_drawn_masks_are_sound() -> None:
    cases = load_cases()
    assert len(cases) >= 18
    for case in cases:
        assert set(np.unique(case.mask)) <= {0, 1, 255}, case.name
        assert max(case.mask.shape) == 288, case.name
        assert max(case.pixels.shape) == 480, case.name
        height, width = case.pixels.shape[:2]
        assert case.mask.shape == (round(0.6 * height), round(0.6 * width)), case.name
        assert (case.mask != 255).mean() > 0.2, case.name
    assert sum(math.isfinite(photo_gate.measure.mask_auc(c.mask == 1, c.mask)) for c in cases) >= 16


def test_every_photo_has_a_mask_polygons_and_a_credit() -> None:
    names = {path.stem for path in (DATA / "photos").glob("*.jpg")}
    drawn = json.loads((DATA / "masks" / "masks.json").read_text())
    credits = (DATA / "photos" / "CREDITS.md").read_text()
    assert names == set(drawn) == {path.stem for path in (DATA / "masks").glob("*.png")}
    for name in names:
        assert f"| {name}.jpg |" in credits
    files = [*(DATA / "photos").iterdir(), *(DATA / "masks").iterdir()]
    assert sum(path.stat().st_size for path in files if path.is_file()) < BIG


def test_the_embedded_model_passes_the_gate() -> None:
    """Every photo with a mask, as a release is judged: 0.85, and 0.05 above mask x texture."""
    report = gate(load_cases(), photo_gate.predictor("ember"))
    verdict = photo_gate.verdict(report)
    assert verdict["auc"] >= 0.85
    assert verdict["auc_per_photo"] >= 0.80
    assert verdict["lead_on_class_mask_x_texture"] >= 0.05
    moving = report["moving"]["as rendered"]
    assert moving["of_must_hold"] <= 0.15
    assert moving["of_may_move"] >= 0.5
