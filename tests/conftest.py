"""Things several test folders need."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Signing keys that tests make are not the user's; processes that are started inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


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


class TinyBundles:
    """Folders of tiny bundles of the video families, exported when first asked for."""

    NAMES = ("svd", "svd-deep", "ltx", "ltx-told", "wan", "wan-plain")

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        """A bundle in fp16, not to be changed."""
        if name not in self._made:
            self._made[name] = self._make(name, self._factory.mktemp(name))
        return self._made[name]

    def _make(self, name: str, folder: Path) -> Path:
        from reverie.export.assemble import export
        from reverie.export.source import open_source

        family, _, kind = name.partition("-")
        file = Path(__file__).parent / "runtime" / "families" / f"{family}_tiny.py"
        spec = importlib.util.spec_from_file_location(f"{family}_tiny_bundles", file)
        assert spec is not None
        assert spec.loader is not None
        tiny = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tiny)
        made = folder / "checkpoint"
        if family == "svd":
            tiny.save(tiny.build(tiny.DEEP if kind else tiny.SMALL), made)
        elif family == "wan":
            tiny.save(tiny.build(tiny.PLAIN_VAE) if kind else tiny.build(), made)
        else:
            vae = tiny.TOLD_VAE if kind else tiny.NEW_VAE
            tiny.pipeline(made, condition=not kind, vae=vae)
        export(open_source(made), folder / "bundle", precision="fp16")
        return folder / "bundle"


@pytest.fixture(scope="session")
def tiny_bundles(tmp_path_factory: pytest.TempPathFactory) -> TinyBundles:
    """Tiny bundles by name; see `TinyBundles.NAMES`."""
    return TinyBundles(tmp_path_factory)


@pytest.fixture(scope="session")
def recorded() -> Any:
    """`Recorded(name)`: the probes of a machine that is not this one, from data/machines."""
    name = "reverie_tests_recorded"
    spec = importlib.util.spec_from_file_location(name, DATA / "machines" / "recorded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Recorded
