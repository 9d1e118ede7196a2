"""Things several test folders need."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture
def toy_bundle(tmp_path: Path) -> Path:
    """A private copy of the toy ember bundle, free to be damaged."""
    return shutil.copytree(DATA / "bundles" / "toy-ember", tmp_path / "toy-ember")


@pytest.fixture
def toy_video(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The toy family, known to the runtime while the test runs."""
    name = "reverie.runtime.families.toyvideo"
    spec = importlib.util.spec_from_file_location(name, DATA / "toy_video.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def video_bundle(toy_video: ModuleType, tmp_path: Path) -> Path:
    """A private copy of the toy's bundle."""
    return toy_video.make_bundle(tmp_path / "toy-video")
