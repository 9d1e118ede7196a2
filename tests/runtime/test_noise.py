from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from reverie.engines.errors import SettingsError
from reverie.runtime.noise import Noise


def test_noise_is_what_the_document_says() -> None:
    drawn = Noise(7).draw("latents", (2, 3))
    stream = np.random.default_rng([7, zlib.crc32(b"latents")])
    np.testing.assert_array_equal(drawn, stream.standard_normal((2, 3), dtype=np.float32))
    assert drawn.dtype == np.float32


def test_names_and_seeds_differ_and_order_does_not_matter() -> None:
    one, other = Noise(1), Noise(1)
    first = one.draw("latents", (64,)), one.draw("image", (64,))
    second = other.draw("image", (64,)), other.draw("latents", (64,))
    np.testing.assert_array_equal(first[0], second[1])
    np.testing.assert_array_equal(first[1], second[0])
    assert (first[0] != first[1]).any()
    assert (first[0] != Noise(2).draw("latents", (64,))).any()
    big = Noise(2**63 - 1).draw("latents", (20_000,))
    assert abs(float(big.mean())) < 0.05
    assert abs(float(big.std()) - 1) < 0.05


def test_given_noise_takes_its_place() -> None:
    mine = np.arange(6, dtype=np.float64).reshape(2, 3)
    noise = Noise(0, {"latents": mine})
    drawn = noise.draw("latents", (2, 3))
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, mine)
    noise.check({"latents": (2, 3), "image": (1,)})


def test_noise_for_more_steps_and_names_left_undrawn_are_passed_over() -> None:
    each_step = np.arange(8, dtype=np.float32).reshape(4, 2)
    noise = Noise(0, {"condition": each_step, "decode": np.zeros(3)})
    noise.check({"condition": (3, 2)}, also=("decode", "condition"))
    np.testing.assert_array_equal(noise.draw("condition", (3, 2)), each_step[:3])
    with pytest.raises(SettingsError, match="'decode' is not drawn"):
        noise.check({"condition": (3, 2)})
    with pytest.raises(SettingsError, match=r"shape \(4, 2\): give \(5, 2\)"):
        noise.check({"condition": (5, 2)}, also=("decode",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"latent": np.zeros((2, 3))}, "'latent' is not drawn.*latents \\(2, 3\\)"),
        ({"latents": np.zeros((3, 2))}, "shape \\(3, 2\\): give \\(2, 3\\)"),
    ],
)
def test_wrong_names_and_shapes_are_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Noise(0, given).check({"latents": (2, 3)})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(3, np.int64), "int64"),
        ([0.0, 1.0], "list"),
        (np.array([0.0, np.nan]), "NaN"),
        (np.array([np.inf]), "infinity"),
    ],
)
def test_what_is_no_noise_is_refused(value: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Noise(0, {"latents": value})
