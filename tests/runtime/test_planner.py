"""A render's plan: what it takes follows what is asked, and what does not fit has a way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.architectures import ARCHITECTURES, find_architecture
from reverie.engines.errors import BundleError, SettingsError
from reverie.engines.gpus import Gpu
from reverie.engines.machine import Machine
from reverie.runtime.bundle import Bundle, Component, DataFile, load_bundle
from reverie.runtime.placement import BACKENDS
from reverie.runtime.planner import BASE, RenderPlan, plan_render
from reverie.runtime.shapes import component_shapes, plan_for

TOY = Path(__file__).resolve().parents[1] / "data" / "bundles" / "toy-ember"
NAMES = ("ember", "svd", "ltx", "wan")
GB = 10**9
MACHINE = Machine("Linux", "a processor", 4, 16 * GB, 12 * GB)


def opened(name: str, tiny_bundles: Any) -> Bundle:
    return load_bundle(name if name == "ember" else tiny_bundles[name])


def large(bundle: Bundle, times: int = 2000, variants: tuple[str, ...] = ()) -> Bundle:
    """The same bundle as if its weights were so many times larger, in more precisions."""
    manifest = dict(bundle.manifest)
    manifest["components"] = {
        name: _grown_entry(entry, times, variants)
        for name, entry in bundle.manifest["components"].items()
    }
    components = {
        name: replace(
            _grown(one, times),
            variants={
                p: replace(_grown(one, times // (2 + i)), precision=p, variants={})
                for i, p in enumerate(variants)
            },
        )
        for name, one in bundle.components.items()
    }
    return replace(bundle, manifest=manifest, components=components)


def _grown(component: Component, times: int) -> Component:
    data = component.data or (component.graph,)
    return replace(
        component, data=tuple(DataFile(one.file, one.bytes * times, one.sha256) for one in data)
    )


def _grown_entry(entry: Mapping[str, Any], times: int, variants: tuple[str, ...]) -> dict[str, Any]:
    def memory(share: int) -> dict[str, Any]:
        return {
            graph: {**figures, "weights": figures["weights"] * share}
            for graph, figures in entry["memory"].items()
        }

    return {
        **entry,
        "memory": memory(times),
        "variants": {
            p: {**entry, "precision": p, "memory": memory(times // (2 + i))}
            for i, p in enumerate(variants)
        },
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_component_is_in_the_plan_and_every_phase_adds_up(
    name: str, tiny_bundles: Any
) -> None:
    bundle = opened(name, tiny_bundles)
    plan = plan_for(bundle, height=128, seconds=1.0)
    for gpu in (None, *ARCHITECTURES.values()):
        made = plan_render(bundle, plan, gpu=gpu, memory=64 * GB)
        assert [row.name for row in made.components] == list(bundle.components)
        assert made.fits
        assert not made.rough
        assert made.plan is plan
        assert made.settings == {}
        assert made.verdict.startswith("fits 64.0 GB: ")
        named = [one for phase in made.phases for one in phase.components]
        assert sorted(named) == sorted(bundle.components)
        for phase in made.phases:
            parts = phase.base_bytes + phase.weights_bytes
            assert phase.peak_bytes == parts + phase.activations_bytes + phase.held_bytes
            assert min(phase.weights_bytes, phase.activations_bytes, phase.held_bytes) >= 0
        assert made.peak_bytes == max(phase.peak_bytes for phase in made.phases)
        for row in made.components:
            assert row.backend in BACKENDS[1:]
            assert row.reason
            assert row.device == ("cpu" if gpu is None else "gpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_smaller_or_shorter_film_never_takes_more(name: str, tiny_bundles: Any) -> None:
    bundle = opened(name, tiny_bundles)
    for gpu in (None, find_architecture("sm86"), find_architecture("sm87")):
        peaks = [
            plan_render(bundle, plan_for(bundle, height=height, seconds=1.0), gpu=gpu).peak_bytes
            for height in (64, 96, 160, 320, 720)
        ]
        assert peaks == sorted(peaks)
        peaks = [
            plan_render(bundle, plan_for(bundle, height=128, seconds=s), gpu=gpu).peak_bytes
            for s in (0.5, 1.0, 3.0)
        ]
        assert peaks == sorted(peaks)


def worth(plan: RenderPlan, bundle: Bundle) -> list[tuple[int, int]]:
    """Smaller is better."""
    residencies = {"kept": 0, "staged": 0, "streamed": 1}
    rows = []
    for row in plan.components:
        order = bundle.component(row.name).precisions
        rows.append((order.index(row.precision), residencies[row.residency]))
    return rows


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gpu", [None, "sm86", "sm87", "sm120"])
def test_more_memory_never_makes_a_worse_plan(
    name: str, gpu: str | None, tiny_bundles: Any
) -> None:
    times = 300 if name == "ember" else 2000
    bundle = large(opened(name, tiny_bundles), times, variants=("int8", "int4"))
    plan = plan_for(bundle, height=128, seconds=1.0)
    before: RenderPlan | None = None
    seen = set()
    for share in range(1, 60):
        made = plan_render(
            bundle,
            plan,
            memory=share * GB // 8,
            gpu=None if gpu is None else find_architecture(gpu),
        )
        assert made.fits == (made.peak_bytes <= share * GB // 8)
        seen.add(made.verdict.split(":")[0].split(" with ")[-1] if made.fits else "none")
        if before is not None and before.fits:
            assert made.fits
            pairs = zip(worth(before, bundle), worth(made, bundle), strict=True)
            assert all(b <= a for a, b in pairs)
        before = made
    assert before is not None
    assert before.fits
    assert len(seen) > 1


def test_what_does_not_fit_says_what_would_and_is_right(tiny_bundles: Any) -> None:
    bundle = opened("ltx", tiny_bundles)
    plan = plan_for(bundle, height=720, seconds=5.0)
    need = plan_render(bundle, plan, memory=1).peak_bytes
    budget = (BASE + need) // 2
    made = plan_render(bundle, plan, memory=budget)
    assert not made.fits
    assert "\n" not in made.verdict
    words = made.verdict.split("; ")[1].split()
    frames = int(words[words.index("--frames") + 1])
    shorter = plan_for(bundle, height=720, num_frames=frames)
    assert plan_render(bundle, shorter, memory=budget).fits
    height = int(words[words.index("--height") + 1])
    lower = plan_for(bundle, height=height, seconds=5.0)
    assert plan_render(bundle, lower, memory=budget).fits
    assert "--memory " in made.verdict


def test_decoding_is_cut_smaller_before_anything_else_changes(tiny_bundles: Any) -> None:
    for name, setting in (("svd", "decode_chunk_size"), ("ltx", "decode_window")):
        bundle = opened(name, tiny_bundles)
        plan = plan_for(bundle, height=320, num_frames=14)
        whole = plan_render(bundle, plan)
        decode = whole.phases[-1].peak_bytes
        made = plan_render(bundle, plan, memory=decode - 1)
        assert made.fits == (decode == whole.peak_bytes)
        assert setting in made.settings
        assert made.plan is not plan
        assert made.phases[-1].peak_bytes < decode
        assert component_shapes(bundle, made.plan) != component_shapes(bundle, plan)
        again = plan_for(bundle, height=320, num_frames=14, **made.settings)
        assert component_shapes(bundle, again) == component_shapes(bundle, made.plan)


def test_one_memory_counts_host_and_device_once(tiny_bundles: Any) -> None:
    bundle = opened("svd", tiny_bundles)
    plan = plan_for(bundle, height=320)
    discrete = plan_render(bundle, plan, gpu=find_architecture("sm86"), film=(640, 320), keep=False)
    unified = plan_render(bundle, plan, gpu=find_architecture("sm87"), film=(640, 320), keep=False)
    assert unified.host_bytes == 0
    assert discrete.host_bytes > BASE
    for one, both in zip(discrete.phases, unified.phases, strict=True):
        assert one.held_bytes == 0
        assert both.peak_bytes == one.peak_bytes + BASE + both.held_bytes


def test_a_machine_tells_what_there_is() -> None:
    bundle = load_bundle("ember")
    plan = plan_for(bundle, height=128, seconds=1.0)
    ada = find_architecture("sm89")
    card = Gpu(0, "a card", ada, (8, 9), 8 * GB, 7 * GB, False, "", "")
    there = replace(MACHINE, gpus=(card,))
    assert plan_render(bundle, plan, there).budget_bytes == 12 * GB
    assert plan_render(bundle, plan, there, gpu=ada).budget_bytes == 7 * GB
    whole = replace(there, gpus=(replace(card, free_bytes=None),))
    assert plan_render(bundle, plan, whole, gpu=ada).budget_bytes == 8 * GB
    assert plan_render(bundle, plan, there, memory=GB).budget_bytes == GB
    other = plan_render(bundle, plan, there, gpu=find_architecture("sm120"))
    assert other.budget_bytes is None
    assert "say how much there is" in other.verdict
    orin = find_architecture("sm87")
    jetson = replace(MACHINE, gpus=(replace(card, architecture=orin, unified=True),))
    assert plan_render(bundle, plan, jetson, gpu=orin).budget_bytes == 12 * GB


def test_precision_follows_the_gpu_and_what_is_asked(tiny_bundles: Any) -> None:
    bundle = large(opened("ltx", tiny_bundles), variants=("fp8", "int8", "nvfp4"))
    plan = plan_for(bundle, height=128, seconds=1.0)

    def precision(gpu: str | None, **asked: Any) -> str:
        where = None if gpu is None else find_architecture(gpu)
        return plan_render(bundle, plan, gpu=where, **asked).placed("denoiser").precision

    assert precision(None) == precision("sm86") == "fp16"
    assert precision("sm86", precision="int8") == "int8"
    assert precision("sm86", precision="fp8") == "fp16"  # which that one has not
    assert precision("sm89", precision="fp8") == "fp8"
    need = plan_render(bundle, plan, gpu=find_architecture("sm120"), keep=False)
    scarce = int(need.placed("denoiser").weights_bytes * 0.10) + 450_000_000
    assert precision("sm120", memory=scarce) != "fp16"


def test_backends(tiny_bundles: Any) -> None:
    bundle = opened("svd", tiny_bundles)  # its VAE is float32
    plan = plan_for(bundle, height=128)

    def backends(gpu: str | None, backend: str = "auto") -> tuple[str, str]:
        where = None if gpu is None else find_architecture(gpu)
        made = plan_render(bundle, plan, gpu=where, backend=backend)
        return made.placed("denoiser").backend, made.placed("vae_decoder").backend

    assert backends(None) == ("onnxruntime", "onnxruntime")
    assert backends("sm89") == ("tensorrt-rtx", "tensorrt-rtx")
    assert backends("sm75") == ("tensorrt-rtx", "onnxruntime")  # which has no float32 products
    assert backends("sm90")[0] == "tensorrt"
    assert backends("sm89", "onnxruntime") == ("onnxruntime", "onnxruntime")
    with pytest.raises(SettingsError, match="runs on NVIDIA GPUs"):
        backends(None, "tensorrt")


def test_older_bundles_are_planned_roughly_and_say_so(tiny_bundles: Any) -> None:
    toy = load_bundle(TOY)
    made = plan_render(toy, plan_for(toy, height=128, seconds=1.0), memory=8 * GB)
    assert set(made.rough) == set(toy.components)
    assert "rough, for the bundle has no figures of" in made.verdict
    for name in NAMES[1:]:
        bundle = opened(name, tiny_bundles)
        entries = {
            key: {k: v for k, v in entry.items() if k != "memory"}
            for key, entry in bundle.manifest["components"].items()
        }
        older = replace(bundle, manifest={**bundle.manifest, "components": entries})
        plan = plan_for(bundle, height=128)
        assert set(plan_render(older, plan).rough) == set(bundle.components)
        assert plan_render(older, plan).peak_bytes > BASE


def test_broken_figures_are_told(tiny_bundles: Any) -> None:
    bundle = load_bundle("ember")
    entry = bundle.manifest["components"]["maps"]
    for broken in (
        5,
        "figures",
        [1],
        {"main": 5},
        {"sizes": ["height"], "peaks": [[[1]]], "weights": 1, "folded": 0},
        {"sizes": [], "peaks": [], "weights": 1, "folded": 0},
        {"sizes": ["depth"], "peaks": [[[1.0, 1]]], "weights": 1, "folded": 0},
        {"sizes": [], "peaks": [[["x"]]], "weights": 1, "folded": 0},
        {},
    ):
        told = isinstance(broken, dict) and "main" not in broken
        memory = {"main": {**broken, "more": 1}} if told else broken
        components = {**bundle.manifest["components"], "maps": {**entry, "memory": memory}}
        wrong = replace(bundle, manifest={**bundle.manifest, "components": components})
        with pytest.raises(BundleError, match=r"components.maps.memory"):
            plan_render(wrong, plan_for(wrong, height=128, seconds=1.0))


def test_the_same_numbers_give_the_same_plan(tiny_bundles: Any) -> None:
    bundle = opened("wan", tiny_bundles)
    plan = plan_for(bundle, height=128, seconds=1.0)
    assert plan_render(bundle, plan, memory=GB) == plan_render(bundle, plan, memory=GB)
    assert plan_render(bundle, plan, memory=GB) != plan_render(bundle, plan, memory=GB // 2)
