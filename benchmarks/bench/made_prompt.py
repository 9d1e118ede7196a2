"""Random embeddings in place of a prompt's, in memory, for bundles without their text encoder.

What a network costs does not depend on what it is told; the bundle on the disk stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ...engines.errors import BundleError
from ...runtime import text as reading
from ...runtime.bundle import Bundle
from ...runtime.prompts import Embedded, find_prompt
from .watch import replaced

_TOKENS = 16
"""Tokens of a prompt of a line or so."""


@contextmanager
def made_prompt(bundle: Bundle) -> Iterator[None]:
    """Give made embeddings for every prompt that is not baked, while inside."""
    if not bundle.section("text"):
        yield
        return
    channels = text_channels(bundle)

    def found(asked: Bundle, text: str, max_tokens: int) -> Embedded | None:
        return find_prompt(asked, text, max_tokens) or embeddings(max_tokens, channels)

    with replaced(reading, "find_prompt", found):
        yield


def embeddings(max_tokens: int, channels: int) -> Embedded:
    """Return unit noise float32 (1, max_tokens, channels) and the mask of a short prompt."""
    drawn = np.random.default_rng(0).standard_normal((1, max_tokens, channels))
    mask = np.zeros((1, max_tokens), np.int64)
    mask[:, :_TOKENS] = 1
    return drawn.astype(np.float32), mask


def text_channels(bundle: Bundle) -> int:
    """Return the channels of the embeddings that a bundle's denoiser takes.

    Raises:
        BundleError: it takes none.
    """
    for port in bundle.section("components").get("denoiser", {}).get("inputs", ()):
        if port.get("name") == "text":
            return int(port["shape"][2])
    raise BundleError(
        f"{bundle.folder}: the denoiser takes no text, so that no prompt can be made up for it: "
        "export the model again with its text encoder"
    )
