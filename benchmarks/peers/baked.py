"""A bundle with made embeddings in it, as a view: the one on the disk stays as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...runtime.bundle import Bundle, load_bundle
from ...runtime.prompts import store_prompts
from ...runtime.text import Text

PROMPT, NEGATIVE = "made for a comparison", "made to be led away from"


@contextmanager
def baked(bundle: Bundle, arrays: Mapping[str, Any]) -> Iterator[Bundle]:
    """The bundle, or where it reads text a folder beside it with embeddings of the job baked in."""
    if not bundle.section("text"):
        yield bundle
        return
    place = Path(tempfile.mkdtemp(prefix=f".{bundle.folder.name}-", dir=bundle.folder.parent))
    try:
        for file in bundle.folder.rglob("*"):
            if file.is_file() and not file.relative_to(bundle.folder).parts[0].startswith("."):
                beside = place / file.relative_to(bundle.folder)
                beside.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(file, beside)
                except OSError:  # a file system without links: the copy is not timed
                    shutil.copyfile(file, beside)
        view = load_bundle(place)
        told = Text(view)
        store_prompts(
            view,
            [
                (told.clean(prompt), (arrays[name], arrays[f"{name}_mask"]))
                for name, prompt in (("text", PROMPT), ("negative_text", NEGATIVE))
                if name in arrays
            ],
        )
        yield load_bundle(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
