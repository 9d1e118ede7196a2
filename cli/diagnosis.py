"""What `reverie doctor` finds, as one object with the same keys on every machine.

reverie, python     versions
machine             {system, processor, cores, memory_bytes, available_bytes, unified, jetson}
driver              {version, cuda, problem, unusable}
gpus                [{index, name, architecture, capability, library, precisions, memory_bytes,
                    free_bytes, unified, driver, cuda}]
backends, encoders  [{name, status: ok | missing | broken, detail, ...}]
cache               {folder, engines, bytes, limit_bytes, problem}
fits                [{device, family, precision, residency, bytes, estimate}]
pip                 the line that installs what is missing, "" where nothing is
todo                lines for a person, the most important first
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engines.backends import Backend
    from ..engines.gpus import Gpu
    from ..engines.machine import Machine
    from ..engines.probe import Probes

_ON_CPU = ("fp16", "int8", "int4")
"""What ONNX Runtime's CPU provider runs, the one of least error first."""

_NO_CACHE = {
    "folder": "",
    "engines": 0,
    "outdated": 0,
    "bytes": 0,
    "limit_bytes": 0,
    "problem": "",
}


def examine(probes: Probes | None = None) -> dict[str, Any]:
    """Return all that is found, as plain data; takes some seconds at most."""
    from .. import __version__
    from ..engines.backends import judge_backends, load_backends, pip_line
    from ..engines.encoders import find_encoders
    from ..engines.machine import Machine, describe_machine
    from ..engines.probe import Probes, together

    probes = probes or Probes()
    unknown = Machine("unknown", "unknown", 1, 0, 0)
    tasks: list[Callable[[], Any]] = [
        partial(_safe, partial(describe_machine, probes), unknown),
        partial(_safe, partial(load_backends, probes), None),
        partial(_safe, partial(find_encoders, probes), ()),
    ]
    machine, loaded, encoders = together(tasks)
    backends: Sequence[Backend] = (
        _safe(partial(judge_backends, machine, probes, loaded), ()) if loaded else ()
    )
    line = _safe(partial(pip_line, machine, backends), "") if backends else ""
    cache = _safe(_cache, _NO_CACHE | {"problem": "the engine cache cannot be looked into"})
    return {
        "reverie": __version__,
        "python": platform.python_version(),
        "machine": {
            "system": machine.system,
            "processor": machine.processor,
            "cores": machine.cores,
            "memory_bytes": machine.memory_bytes,
            "available_bytes": machine.available_bytes,
            "unified": machine.unified,
            "jetson": asdict(machine.jetson) | {"jetpack": machine.jetson.jetpack}
            if machine.jetson
            else None,
        },
        "driver": asdict(machine.driver),
        "gpus": [_gpu(gpu) for gpu in machine.gpus],
        "backends": [asdict(backend) for backend in backends],
        "encoders": [asdict(encoder) for encoder in encoders],
        "cache": cache,
        "fits": _safe(partial(_fits, machine), []),
        "pip": line,
        "todo": _todo(machine, backends, line, cache),
    }


def _safe(find: Callable[[], Any], otherwise: Any) -> Any:
    """What is found, or something else where looking for it fails: a doctor does not faint."""
    try:
        return find()
    except Exception:
        return otherwise


def _gpu(gpu: Gpu) -> dict[str, Any]:
    architecture = gpu.architecture
    return {
        "index": gpu.index,
        "name": gpu.name,
        "architecture": architecture.name if architecture else None,
        "capability": "{}.{}".format(*gpu.capability),
        "library": architecture.library if architecture else None,
        "precisions": list(architecture.precisions) if architecture else [],
        "memory_bytes": gpu.memory_bytes,
        "free_bytes": gpu.free_bytes,
        "unified": gpu.unified,
        "driver": gpu.driver,
        "cuda": gpu.cuda,
    }


def _cache() -> dict[str, Any]:
    """The state of the cache of engines; nothing is made."""
    from ..engines.cache import EngineCache
    from ..engines.errors import ReverieError

    facts = dict(_NO_CACHE)
    try:
        cache = EngineCache()
        facts["folder"] = str(cache.folder)
        facts["problem"] = cache.problem()
        entries = cache.entries()
        facts["engines"] = len(entries)
        facts["outdated"] = sum(entry.outdated for entry in entries)
        facts["bytes"] = cache.size()
        facts["limit_bytes"] = cache.limit()
    except ReverieError as error:
        facts["problem"] = str(error)
    return facts


def _fits(machine: Machine) -> list[dict[str, Any]]:
    """What each device could run: planned for a model that is here, else by published sizes."""
    from ..runtime.bundle import embedded_models
    from ..runtime.outlook import what_fits

    rows: list[tuple[str, int, Sequence[str], Gpu | None]] = [
        ("cpu", machine.memory_bytes, _ON_CPU, None),
        *(
            (f"cuda:{gpu.index}", gpu.memory_bytes, gpu.architecture.precisions, gpu)
            for gpu in machine.gpus
            if gpu.architecture
        ),
    ]
    here = embedded_models()
    found = []
    for device, memory, precisions, gpu in rows:
        apart = gpu is not None and not gpu.unified
        outlooks = what_fits(memory, precisions, keep=gpu is not None, streaming=apart)
        for outlook in outlooks if memory else ():
            fact = {"device": device, **asdict(outlook), "estimate": True}
            if outlook.family in here:
                fact = _safe(partial(_planned, fact, machine, gpu), fact)
            found.append(fact)
    return found


def _planned(fact: dict[str, Any], machine: Machine, gpu: Gpu | None) -> dict[str, Any]:
    """The same from a render's plan, which counts what is in the bundle."""
    from ..runtime.bundle import load_bundle
    from ..runtime.planner import plan_render
    from ..runtime.shapes import plan_for

    bundle = load_bundle(fact["family"])
    architecture = gpu.architecture if gpu else None
    plan = plan_render(bundle, plan_for(bundle), machine, gpu=architecture)
    ways = {row.residency for row in plan.components}
    residency = next((way for way in ("streamed", "staged") if way in ways), "kept")
    return fact | {
        "precision": "+".join(sorted({row.precision for row in plan.components})),
        "residency": residency if plan.fits else "none",
        "bytes": plan.peak_bytes,
        "estimate": bool(plan.rough),
    }


def _todo(
    machine: Machine, backends: Sequence[Backend], line: str, cache: Mapping[str, Any]
) -> list[str]:
    """What a person should do, the most important first."""
    found = [machine.driver.problem] if machine.driver.problem else []
    found += [
        f"{gpu.name}: no engines are built for its compute capability "
        f"{'.'.join(map(str, gpu.capability))}; ONNX Runtime may still run on it"
        for gpu in machine.gpus
        if gpu.architecture is None
    ]
    if "rtx" in line and 0 < machine.driver.cuda_major < 13:
        found.append(
            f"the NVIDIA driver {machine.driver.version} knows CUDA {machine.driver.cuda} at most, "
            "and TensorRT-RTX needs 13: update it to 580 or newer"
        )
    if line:
        found.append(line)
    mends: dict[tuple[str, str], list[str]] = {}
    for backend in backends:
        if backend.mend and backend.mend not in line and (backend.wanted or backend.version):
            mends.setdefault((backend.mend, backend.detail), []).append(backend.name)
    found += [f"{mend} ({', '.join(names)}: {why})" for (mend, why), names in mends.items()]
    if machine.jetson and any(b.name == "TensorRT" and b.status == "missing" for b in backends):
        found.append(
            "TensorRT comes with JetPack: sudo apt install nvidia-jetpack, and make the "
            "environment with --system-site-packages"
        )
    if cache.get("problem"):
        found.append(str(cache["problem"]))
    return list(dict.fromkeys(found))
