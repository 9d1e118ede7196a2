"""What cameras, chemistry and time do to real photographs. Labels stay as they are."""

from __future__ import annotations

import cv2
import numpy as np

from .world import Rng, smooth_noise


def damage(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Turn a painted scene, float32 (H, W, 3), into a uint8 photograph with usual flaws."""
    height, width = image.shape[:2]
    if rng.random() < 0.4:  # uneven light, vignette
        image = image * (1 + 0.25 * smooth_noise(rng, (height, width), 2, 2)[..., None])
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    elif rng.random() < 0.1:
        image = shaken(rng, image)
    image = (image - 0.5) * rng.uniform(0.75, 1.2) + 0.5 + rng.normal(0, 0.04)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.16:
        image = aged(rng, image)
    if rng.random() < 0.12:
        factor = rng.uniform(1.5, 3.0)
        small = (max(16, int(width / factor)), max(16, int(height / factor)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.45:
        grain = rng.standard_normal((height, width, 3), np.float32)
        if rng.random() < 0.5:
            grain = grain[..., :1]
        image = image + grain * np.float32(rng.uniform(0.005, 0.05))
    photo = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))]
        photo = cv2.imdecode(cv2.imencode(".jpg", photo, quality)[1], cv2.IMREAD_COLOR)
    return np.ascontiguousarray(photo)


def shaken(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Blur along one direction by a hand that moved."""
    size = int(rng.integers(3, 8))
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * size / 2
    middle = size / 2
    start, end = middle - reach, middle + reach
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0, 1)
    return cv2.filter2D(image, -1, kernel / max(1.0, kernel.sum()))


def aged(rng: Rng, image: np.ndarray) -> np.ndarray:
    """Black and white, sepia or faded colour, often with dust, scratches and a border."""
    height, width = image.shape[:2]
    pick = rng.random()
    grey = (image @ np.array([0.3, 0.59, 0.11], np.float32))[..., None]
    if pick < 0.45:
        image = np.repeat(grey, 3, -1)
    elif pick < 0.75:
        image = grey * np.array([1.0, rng.uniform(0.82, 0.92), rng.uniform(0.6, 0.8)], np.float32)
    else:
        image = image * np.array([1.0, 0.9, 0.75], np.float32) * 0.75 + rng.uniform(0.1, 0.25)
    if rng.random() < 0.6:
        image = image * rng.uniform(0.6, 0.9) + rng.uniform(0.03, 0.2)
    marks = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(0, 25))):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(marks, at, int(rng.integers(1, 3)), 1.0, -1)
    for _ in range(int(rng.integers(0, 5))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        dx, dy = rng.normal(0, 8), rng.normal(0, 60)
        cv2.line(marks, (x, y), (int(x + dx), int(y + dy)), 1.0, 1, cv2.LINE_AA)
    image = image + (marks * rng.choice((-0.5, 0.5)))[..., None]
    return np.clip(image, 0, 1).astype(np.float32)
