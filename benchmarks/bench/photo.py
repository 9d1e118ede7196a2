"""The photo that is animated where none is given: one that comes along, made large enough."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...engines.errors import OutputError
from .cases import PHOTO, Case

_MARGIN = 1.2


@contextlib.contextmanager
def large_photos(cases: Sequence[Case], given: bool) -> Iterator[list[Case]]:
    """Yield the cases with photos that none of them has to enlarge.

    given: whether a photo was given, which is then taken as it is. What comes along is smaller than
    a film, and enlarging it by a network, as is done by default, would be most of what is measured;
    so each size of film has its own copy, resampled beforehand, until this is left.

    Raises:
        OutputError: there is no room for them.
    """
    if given:
        yield list(cases)
        return
    with contextlib.ExitStack() as stack:
        try:
            place = tempfile.TemporaryDirectory(prefix="reverie-bench-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(place))
            made = [
                replace(one, photo=str(large_photo(folder, one.width, one.height))) for one in cases
            ]
        except OSError as error:
            raise OutputError(
                f"the photo cannot be written ({error.strerror or error}): free some space, or "
                "name another place with the environment variable TMPDIR"
            ) from error
        yield made


def large_photo(folder: Path, width: int, height: int) -> Path:
    """Return a copy of the photo that is larger than a film, as JPEG; made once for each size."""
    from PIL import Image

    with Image.open(PHOTO) as opened:
        picture = opened.convert("RGB")
    times = max(1.0, _MARGIN * max(width / picture.width, height / picture.height))
    size = math.ceil(times * picture.width), math.ceil(times * picture.height)
    path = folder / f"{PHOTO.stem}-{size[0]}x{size[1]}.jpg"
    if not path.exists():
        picture.resize(size, Image.Resampling.LANCZOS).save(path, quality=92)
    return path
