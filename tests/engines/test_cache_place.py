"""Where engines go, and how much they may take."""

from __future__ import annotations

from pathlib import Path

import pytest
from reverie.engines.cache import EngineCache
from reverie.engines.cache_place import default_folder, default_limit
from reverie.engines.errors import OutputError, SettingsError


def test_where_engines_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder({"REVERIE_CACHE": str(tmp_path)}) == tmp_path
    assert default_folder({"REVERIE_CACHE": "here"}).is_absolute()
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "reverie"))
    assert (
        default_folder({}) == default_folder({"REVERIE_CACHE": ""}) == tmp_path / "reverie/engines"
    )
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: "~/.cache/reverie")
    with pytest.raises(OutputError, match="no home folder"):
        default_folder({})
    with pytest.raises(OutputError, match="no home folder"):
        default_folder({"REVERIE_CACHE": "~nobody-of-that-name/x"})


def test_how_much_engines_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_limit(tmp_path, 0, {"REVERIE_CACHE_LIMIT": "1.5GB"}) == 1_500_000_000
    usage = type("Usage", (), {"free": 60 * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    assert default_limit(tmp_path, 20 * 2**30, {}) == 20 * 2**30
    assert default_limit(tmp_path, 2000 * 2**30, {}) == 64 * 2**30
    with pytest.raises(SettingsError, match="REVERIE_CACHE_LIMIT 'much' cannot be used"):
        default_limit(tmp_path, 0, {"REVERIE_CACHE_LIMIT": "much"})
    assert EngineCache(tmp_path, 7).limit() == 7
