"""Assembling spectra: sizes come from the maps, phases from the sample, and nothing runs away."""

from __future__ import annotations

import numpy as np
import pytest
from reverie.runtime.spectrum import CAP, FREQUENCIES, Spectrum, assemble


def parts(height: int = 48, width: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    """Smooth latents, a picture that is all plant, 0.1% at every frequency, no drift."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : height // 4, 0 : width // 4] / 4
    latents = np.stack(
        [np.sin(rows * random.uniform(0.3, 1) + columns + random.uniform(0, 6)) for _ in range(34)]
    )
    classes = np.zeros((6, height, width))
    classes[1] = 1
    return {
        "latents": latents.astype(np.float32),
        "classes": classes.astype(np.float32),
        "amplitude": np.full((8, height, width), 1e-3, np.float32),
        "drift": np.zeros((1, height, width), np.float32),
    }


def test_each_frequency_swings_as_far_as_the_maps_say() -> None:
    given = parts()
    given["amplitude"][3] *= 2
    spectrum = assemble(**given)
    assert spectrum.coefficients.shape == (8, 4, 48, 64)
    assert spectrum.coefficients.dtype == np.float32
    assert spectrum.frequencies.tolist() == pytest.approx(FREQUENCIES)
    rms = np.sqrt(np.square(spectrum.coefficients).sum(1).mean((1, 2)) / 2)
    assert rms[3] == pytest.approx(2e-3, rel=0.25)
    assert rms[0] == pytest.approx(1e-3, rel=0.25)


def test_the_size_of_the_sample_does_not_matter() -> None:
    given = parts()
    one = assemble(**given)
    given["latents"] = given["latents"] * 4
    four = assemble(**given)
    ratio = np.linalg.norm(four.coefficients) / np.linalg.norm(one.coefficients)
    assert 1.0 < ratio < 1.25


def test_still_places_stay_still_and_motion_is_capped() -> None:
    given = parts()
    given["amplitude"][:, :, :20] = 0
    given["amplitude"][:, :, 40:] = 0.5
    spectrum = assemble(**given)
    assert spectrum.rms()[:, :20].max() == 0
    assert spectrum.rms().max() <= CAP * 1.0001
    assert assemble(**given, cap=0.004).rms().max() <= 0.004 * 1.0001


def test_only_water_and_sky_drift_where_the_sample_heads() -> None:
    given = parts()
    given["drift"][:] = 0.01
    given["latents"][32:] = np.array([-1.4, 0.0], np.float32)[:, None, None]
    assert not assemble(**given).drift.any()
    given["classes"][:] = 0
    given["classes"][2] = 1
    drift = assemble(**given).drift
    assert drift.shape == (2, 48, 64)
    assert drift[0].mean() == pytest.approx(-0.01, rel=0.12)
    assert np.abs(drift[1]).max() < 1e-4


def test_displacement_follows_the_formula() -> None:
    spectrum = assemble(**parts())
    seconds = 1.3
    x, y = (
        sum(
            spectrum.coefficients[k, c] * np.cos(2 * np.pi * f * seconds)
            + spectrum.coefficients[k, c + 1] * np.sin(2 * np.pi * f * seconds)
            for k, f in enumerate(FREQUENCIES)
        )
        for c in (0, 2)
    )
    assert np.allclose(spectrum.displacement(seconds), np.stack([x, y]), atol=1e-7)
    times = np.arange(0, 20, 0.1)
    over = np.sqrt(np.mean([np.square(spectrum.displacement(t)).sum(0) for t in times], 0))
    assert np.allclose(over, spectrum.rms(), rtol=0.02)


def test_a_batch_of_one_is_taken_and_odd_shapes_are_refused() -> None:
    given = parts()
    plain = assemble(**given)
    batched = assemble(**{name: part[None] for name, part in given.items()})
    assert np.array_equal(plain.coefficients, batched.coefficients)
    with pytest.raises(ValueError, match="34 and 8 are expected"):
        assemble(**{**given, "latents": given["latents"][:30]})
    with pytest.raises(ValueError, match="differ in size"):
        assemble(**{**given, "drift": given["drift"][:, :10]})
    with pytest.raises(ValueError, match="no form"):
        assemble(**{**given, "drift": given["drift"][0]})


def test_a_spectrum_does_not_change() -> None:
    spectrum = assemble(**parts())
    with pytest.raises(AttributeError):
        spectrum.drift = spectrum.drift  # type: ignore[misc]
    assert isinstance(spectrum, Spectrum)
