"""The photo that CLIP sees, beside what diffusers and transformers make of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as reference
from reverie.runtime.clip_image import see, taps
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (224, 224, 224),
        (7, 9, 224),
        (40, 64, 224),
        (225, 300, 224),
        (512, 333, 224),
        (700, 1000, 224),
        (48, 33, 32),
    ],
)
def test_it_is_what_the_reference_sees(height: int, width: int, size: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    extractor = CLIPImageProcessorPil(image_mean=(0.4, 0.5, 0.6))
    image = torch.from_numpy(photo.astype(np.float32).transpose(2, 0, 1)[None] / 255.0)
    small = (reference._resize_with_antialiasing(image * 2.0 - 1.0, (size, size)) + 1.0) / 2.0
    expected = extractor(
        images=small,
        do_normalize=True,
        do_center_crop=False,
        do_resize=False,
        do_rescale=False,
        return_tensors="pt",
    ).pixel_values.numpy()

    seen = see(photo, size, extractor.image_mean, extractor.image_std)

    assert seen.shape == (1, 3, size, size)
    assert seen.dtype == np.float32
    assert np.abs(seen - expected).max() < 2e-4


@pytest.mark.parametrize("length", [1, 2, 3, 50, 224, 5000])
def test_the_weights_of_each_sample_add_up_to_one_and_stay_inside(length: int) -> None:
    places, weights = taps(length, 224)
    assert places.shape == weights.shape
    assert places.min() >= 0
    assert places.max() < length
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


def test_the_corners_are_aligned() -> None:
    places, weights = taps(10, 4)
    line = np.linspace(0.0, 9.0, 10)
    drawn = (line[places] * weights).sum(axis=1)
    np.testing.assert_allclose(drawn[1:-1], [3.0, 6.0], atol=0.05)
    np.testing.assert_allclose(drawn[0] + drawn[-1], 9.0, atol=1e-9)
