"""Things several test folders need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture
def toy_bundle(tmp_path: Path) -> Path:
    """A private copy of the toy ember bundle, free to be damaged."""
    return shutil.copytree(DATA / "bundles" / "toy-ember", tmp_path / "toy-ember")
