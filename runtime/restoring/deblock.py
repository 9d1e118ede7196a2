"""Takes the blocks out of a photo that was saved as a small JPEG.

Saving it again with the blocks elsewhere, and taking the mean over several places, averages the
blocks away and keeps what they agree on: Nosratinia, "Enhancement of JPEG-compressed images by
re-application of JPEG" (2001). How strongly it was saved is seen from the pixels: a picture saved
once hardly changes when it is saved again in the same way.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]

GOOD = 82
"""JPEG quality from which on blocks are not seen."""
_BLOCK = 8
_PART = 768  # pixels a side of what is looked at
_SHIFTS = (
    *((0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 6), (6, 2), (6, 6)),
    *((1, 5), (5, 1), (3, 7), (7, 3), (1, 1), (3, 3), (5, 5), (7, 7)),
)
_TRIED = range(5, GOOD + 1)
_VISIBLE = 1.12  # steps across blocks' borders against those beside
_PLAIN, _MIDDLING = 4.5, 40  # blocks so plain are taken for this quality, if no other is found
_SETTLED = 0.6  # of the error that neighbouring qualities make


def find_grid(luma: Pixels) -> tuple[tuple[int, int], float]:
    """Where blocks of 8 begin, (row, column), and how much they stand out: 1 is not at all.

    luma: uint8 (H, W) of 64 pixels a side and more.
    """
    values = luma.astype(np.float32)
    rows = _steps(values.T)
    columns = _steps(values)
    top, left = int(rows.argmax()), int(columns.argmax())
    return ((top + 1) % _BLOCK, (left + 1) % _BLOCK), float(
        np.sqrt(_stands_out(rows) * _stands_out(columns))
    )


def _steps(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Curvature across each of 8 columns, what is flat counting most; (8,)."""
    step = np.abs(np.diff(values, axis=1))
    beside = (step[:, :-2] + step[:, 2:]) / 2
    excess = np.minimum(np.maximum(step[:, 1:-1] - beside, 0), 16)
    whole = excess.shape[1] // _BLOCK * _BLOCK
    sums = excess[:, :whole].reshape(len(excess), -1, _BLOCK).mean((0, 1), dtype=np.float64)
    return np.roll(sums, 1)  # the first of them lies between columns 1 and 2


def _stands_out(sums: NDArray[np.float64]) -> float:
    others = np.sort(sums)[:-1]
    return float((sums.max() + 0.05) / (others.mean() + 0.05))


def saved_quality(pixels: Pixels) -> tuple[int, tuple[int, int]] | None:
    """JPEG quality 5..82 that a photo, uint8 RGB (H, W, 3), shows blocks of, and where they begin.

    None where no blocks are to be seen.
    """
    luma = np.asarray(cv2.cvtColor(_middle(pixels), cv2.COLOR_RGB2GRAY), np.uint8)
    if min(luma.shape) < 8 * _BLOCK:
        return None
    top, left = (max(0, (length - _PART) // 2) for length in pixels.shape[:2])
    (row, column), strength = find_grid(luma)
    if strength < _VISIBLE:
        return None
    begin = (top + row) % _BLOCK, (left + column) % _BLOCK
    luma = np.ascontiguousarray(luma[row:, column:])
    luma = luma[: luma.shape[0] // _BLOCK * _BLOCK, : luma.shape[1] // _BLOCK * _BLOCK]
    errors = {quality: _error(luma, quality) for quality in _TRIED}
    best, share = None, _SETTLED
    for quality in _TRIED[2:-2]:
        around = [errors[quality + away] for away in (-2, -1, 1, 2)]
        if errors[quality] <= min(around) and errors[quality] < share * np.median(around):
            best, share = quality, errors[quality] / float(np.median(around))
    if best is None:  # saved with other tables, or more than once
        if strength < _PLAIN:
            return None
        best = _MIDDLING
    return best, begin


def _middle(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = max(0, (height - _PART) // 2), max(0, (width - _PART) // 2)
    return pixels[top : top + _PART, left : left + _PART]


def _error(luma: Pixels, quality: int) -> float:
    again = _saved(luma, quality, cv2.IMREAD_GRAYSCALE)
    return float(np.square(again.astype(np.float32) - luma).mean()) + 1e-3


def _saved(picture: NDArray[np.uint8], quality: int, how: int) -> NDArray[np.uint8]:
    # Colours at full size: what was lost of them once is not to be lost again at every shift.
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality, *full])
    decoded = cv2.imdecode(data, how) if done else picture
    return np.asarray(decoded, np.uint8)


def deblock(pixels: Pixels, quality: int, begin: tuple[int, int] = (0, 0)) -> Pixels:
    """Average the blocks of a JPEG of a quality away; uint8 RGB (H, W, 3) as it came.

    begin: (row, column) at which a block begins. Takes six bytes a value of the photo.
    """
    height, width = pixels.shape[:2]
    total = np.zeros(pixels.shape, np.uint16)
    reversed_ = pixels[..., ::-1]  # as OpenCV has it, which turns it into brightness and colour
    for down, across in _SHIFTS:
        above, beside = (_BLOCK - begin[0] + down) % _BLOCK, (_BLOCK - begin[1] + across) % _BLOCK
        padded = cv2.copyMakeBorder(reversed_, above, 0, beside, 0, cv2.BORDER_REPLICATE)
        saved = _saved(np.asarray(padded, np.uint8), quality, cv2.IMREAD_COLOR)
        total += saved[above : above + height, beside : beside + width]
    count = len(_SHIFTS)
    return np.asarray((total[..., ::-1] + count // 2) // count, np.uint8)
