"""Where engines for this GPU come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import BuildRequest
from reverie.engines.cache import EngineCache
from reverie.engines.cache_key import EngineKey
from reverie.engines.errors import OutputError
from reverie.runtime.gpu_engines import GpuEngines
from reverie.runtime.orders import EngineOrder
from reverie.runtime.stages import Stages


class Unwritable(EngineCache):
    """A cache whose folder can be read, and not written in any more."""

    def get(self, key: EngineKey, build: Callable[[Path], None], *, on_note: Any = None) -> Path:
        raise OutputError("the folder cannot be written in")


def order(name: str) -> EngineOrder:
    profile = {"x": ((1,), (1,), (1,))}
    key = EngineKey(name, (), "fp16", profile, "rtx", "1", ("sm86",), name=name)
    gpu = ARCHITECTURES["sm86"]
    return EngineOrder(key, BuildRequest(Path(f"{name}.onnx"), (gpu,), profile))


def test_a_cache_that_cannot_be_written_is_still_read(tmp_path: Path) -> None:
    held = EngineCache(tmp_path).get(order("a").key, lambda out: out.write_text("a") and None)
    built = []

    def build(request: BuildRequest, out: Path, *, on_progress: Any) -> None:
        built.append(request.graph.stem)
        out.write_text("engine")

    engines, stages = GpuEngines(cache=Unwritable(tmp_path), build=build), Stages()
    assert engines._find(order("b"), stages).parent != tmp_path
    assert engines._find(order("a"), stages) == held
    assert engines._find(order("c"), stages).parent != tmp_path
    assert engines._find(order("b"), stages).parent != tmp_path
    assert built == ["b", "c"]
    assert sum("for this render alone" in note for note in stages.notes) == 1
