"""From a bundle's network, a precision and the sizes of a render to the engine that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.architectures import Architecture
from ..engines.build import BuildRequest
from ..engines.cache_key import EngineKey
from ..engines.gpus import Gpu
from ..engines.libraries import Kind, find_library, need_library
from .bundle import Bundle
from .shapes import ShapeSet, profile_of


@dataclass(frozen=True)
class EngineOrder:
    """An engine: what it is called in the cache, and how it is built where it is not there."""

    key: EngineKey
    request: BuildRequest


def own_place(kind: Kind, gpu: Gpu) -> str:
    """Return the name and driver of a GPU, for engines that run on no other; else nothing."""
    return "" if find_library(kind).ahead else f"{gpu.name} / driver {gpu.driver}"


def order_engine(
    bundle: Bundle,
    name: str,
    precision: str,
    shape_sets: Sequence[ShapeSet],
    gpu: Architecture,
    *,
    library: Kind | None = None,
    weight_streaming: bool = False,
    in_place: str = "",
) -> EngineOrder:
    """Return the engine of one component for the shapes of a render.

    shape_sets: what `shapes.component_shapes` tells of the component; sizes that are the same in
    all of them are fixed in the engine. library: None is the architecture's own. in_place: what
    `own_place` gives for the GPU.

    Raises:
        BundleError: the component is not there in that precision, or its files are not whole.
        MissingPackageError: the library is not installed.
    """
    kind = library or gpu.library
    component = bundle.component(name, precision)
    request = BuildRequest(
        graph=bundle.path(name, precision=precision),
        gpus=(gpu,),
        profile=profile_of(shape_sets),
        library=kind,
        weight_streaming=weight_streaming,
        precision=precision,
        weight_bytes=sum(data.bytes for data in component.data),
    )
    key = EngineKey(
        graph_sha256=component.graph.sha256,
        data_sha256=tuple(data.sha256 for data in component.data),
        precision=precision,
        profile=request.profile,
        library=kind,
        library_version=need_library(kind),
        device=tuple(filter(None, (gpu.name, in_place))),
        options=request.options,
        name=f"{bundle.name} {name}",
    )
    return EngineOrder(key, request)
