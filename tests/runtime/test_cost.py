"""What a render computes, phase by phase, from a manifest's figures."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reverie.engines.errors import BundleError
from reverie.runtime.bundle import MANIFEST, Bundle, load_bundle
from reverie.runtime.cost import PhaseCost, phase_costs, work_of
from reverie.runtime.shapes import component_shapes, counted_shapes, phases, plan_for


@pytest.fixture
def ember() -> Bundle:
    return load_bundle("ember")


def changed(bundle: Bundle, change: Any) -> Bundle:
    manifest = copy.deepcopy(dict(bundle.manifest))
    change(manifest["components"])
    return replace(bundle, manifest=manifest)


def by_component(costs: tuple[PhaseCost, ...]) -> dict[str, list[PhaseCost]]:
    found: dict[str, list[PhaseCost]] = {}
    for one in costs:
        found.setdefault(one.component, []).append(one)
    return found


def test_ember_looks_twice_at_each_size_and_denoises_in_steps(ember: Bundle) -> None:
    costs = by_component(phase_costs(ember, plan_for(ember, height=720, seconds=10)))
    assert [one.runs for one in costs["maps"]] == [2, 2, 2]
    small, middle, large = (one.flops for one in costs["maps"])
    assert small < middle < large
    assert [one.runs for one in costs["denoiser"]] == [10]
    assert [one.runs for one in by_component(
        phase_costs(ember, plan_for(ember, steps=3))
    )["denoiser"]] == [3]  # fmt: skip
    for name in ("people", "subject", "depth"):
        assert [one.runs for one in costs[name]] == [1]
    assert [one.runs for one in costs["faces"]] == [2 + 6]  # at two scales, and in six tiles


def test_rows_are_in_the_order_of_the_phases_and_add_up(ember: Bundle) -> None:
    plan = plan_for(ember)
    costs = phase_costs(ember, plan)
    names = [phase.name for phase in phases(ember, plan) if phase.components]
    assert list(dict.fromkeys(one.phase for one in costs)) == names
    for one in costs:
        assert one.flops == sum(work.flops for work in one.work)
        assert 0 < one.weight_bytes < one.bytes
        assert all(work.nodes > 0 and math.isfinite(work.flops) for work in one.work)
        assert one.precision == ember.component(one.component).precision


def test_a_polynomial_is_worked_out_at_the_inputs_sizes(ember: Bundle) -> None:
    figures = {
        "sizes": ["height", "width"],
        "weights": 7,
        "work": {"matmul": {"nodes": 2, "flops": [[3, 1, 2], [5, 0, 0]], "bytes": [[2, 1, 0]]}},
    }

    def change(components: Any) -> None:
        components["maps"]["cost"] = {"main": figures}

    bundle = changed(ember, change)
    work, weights = work_of(bundle, bundle.component("maps"), {"image": (1, 3, 10, 20)})
    assert weights == 7
    assert [(one.kind, one.flops, one.bytes, one.nodes) for one in work] == [
        ("matmul", 3 * 10 * 400 + 5, 20, 2)
    ]


def test_each_graph_has_its_own_figures_and_else_the_main_ones(ember: Bundle) -> None:
    plan = plan_for(ember)
    moved = {
        graph: sum(one.bytes for one in phase_costs(ember, plan, graph=graph))
        for graph in ("cpu", "main", "fused")
    }
    assert len(set(moved.values())) == 3

    def change(components: Any) -> None:
        for entry in components.values():
            entry["cost"] = {"main": entry["cost"]["main"]}

    bare = changed(ember, change)
    assert sum(one.bytes for one in phase_costs(bare, plan)) == moved["main"]


def test_shapes_are_counted_once_for_each_time_they_are_told(ember: Bundle) -> None:
    plan = plan_for(ember)
    counted = counted_shapes(ember, plan)
    assert {name: [one for one, _ in sets] for name, sets in counted.items()} == component_shapes(
        ember, plan
    )


@pytest.mark.parametrize(
    ("name", "asked", "runs"),
    [
        ("svd", {"height": 64, "aspect": "1:1", "num_frames": 3, "steps": 4},
         {"image_encoder": [1], "vae_encoder": [1], "denoiser": [8]}),
        ("ltx", {"height": 64, "aspect": "3:2", "num_frames": 9, "steps": 3, "guidance": 3.0},
         {"text_encoder": [2], "vae_encoder": [1], "denoiser": [6]}),
        ("ltx", {"height": 64, "aspect": "3:2", "num_frames": 9, "steps": 3, "guidance": 1.0},
         {"text_encoder": [1], "vae_encoder": [1], "denoiser": [3]}),
        ("wan", {"height": 64, "aspect": "4:3", "num_frames": 9, "steps": 3, "guidance": 5.0},
         {"text_encoder": [2], "vae_encoder": [1], "denoiser": [6], "vae_decoder": [5]}),
    ],
)  # fmt: skip
def test_runs_of_video_models(
    name: str, asked: dict[str, Any], runs: dict[str, list[int]], tiny_bundles: Any
) -> None:
    bundle = load_bundle(tiny_bundles[name])
    costs = by_component(phase_costs(bundle, plan_for(bundle, **asked)))
    assert {key: [one.runs for one in costs[key]] for key in runs} == runs


def test_svd_decodes_a_chunk_at_a_time(tiny_bundles: Any) -> None:
    bundle = load_bundle(tiny_bundles["svd"])
    plan = plan_for(bundle, height=64, aspect="1:1", num_frames=5)
    plan = replace(plan, decode_chunk_size=2)
    costs = by_component(phase_costs(bundle, plan))
    assert [one.runs for one in costs["vae_decoder"]] == [2, 1]  # of two frames, and of one


@pytest.mark.parametrize(
    ("name", "asked", "prompt"),
    [
        ("svd", {"height": 64, "width": 64, "num_frames": 3, "steps": 2}, None),
        ("ltx", {"height": 64, "width": 96, "num_frames": 9, "steps": 2, "guidance": 3.0}, "a sea"),
        ("wan", {"height": 64, "width": 96, "num_frames": 9, "steps": 2, "guidance": 5.0}, "a sea"),
    ],
)
def test_what_is_run_is_what_is_counted(
    name: str, asked: dict[str, Any], prompt: str | None, tiny_bundles: Any, monkeypatch: Any
) -> None:
    import numpy as np
    from reverie.engines.ort import OrtEngine
    from reverie.runtime.model import load
    from reverie.runtime.noise import Noise
    from reverie.runtime.stages import Stages

    counted: dict[str, int] = {}
    plain = OrtEngine.run

    def run(engine: OrtEngine, inputs: Any) -> Any:
        component = engine._path.name.partition(".")[0]
        counted[component] = counted.get(component, 0) + 1
        return plain(engine, inputs)

    monkeypatch.setattr(OrtEngine, "run", run)
    model = load(tiny_bundles[name])
    plan = model.plan(**asked)
    picture = np.zeros((plan.height, plan.width, 3), np.uint8)
    list(
        model.render(
            picture,
            plan,
            prompt=prompt,
            negative_prompt=None,
            noise=Noise(0),
            stages=Stages(),
        )
    )
    told: dict[str, int] = {}
    for one in phase_costs(model.bundle, plan):
        told[one.component] = told.get(one.component, 0) + one.runs
    assert counted == told


def test_what_ember_runs_is_what_is_counted(toy_bundle: Path, monkeypatch: Any) -> None:
    import numpy as np
    from reverie.engines.ort import OrtEngine
    from reverie.runtime.families.ember import analyse, sample_latents

    counted: dict[tuple[str, Any], int] = {}
    plain = OrtEngine.run

    def run(engine: OrtEngine, inputs: Any) -> Any:
        key = engine._path.stem, tuple(array.shape for array in inputs.values())
        counted[key] = counted.get(key, 0) + 1
        return plain(engine, inputs)

    monkeypatch.setattr(OrtEngine, "run", run)
    bundle = load_bundle(toy_bundle)
    plan = plan_for(bundle, height=144, aspect="16:9", steps=3)
    picture = np.full((900, 1600, 3), 90, np.uint8)
    maps = analyse(bundle, picture, device="cpu")
    sample_latents(bundle, maps.features, seed=0, steps=3, device="cpu")
    told: dict[str, list[int]] = {}
    for one in phase_costs(bundle, plan):
        told.setdefault(one.component, []).append(one.runs)
    found: dict[str, list[int]] = {}
    for (name, _), times in counted.items():
        found.setdefault(name, []).append(times)
    assert found == told


def test_without_figures_the_mend_is_told(ember: Bundle) -> None:
    bare = changed(ember, lambda components: components["maps"].pop("cost"))
    with pytest.raises(BundleError, match=r"python -m reverie\.export\.cost") as told:
        phase_costs(bare, plan_for(bare))
    assert "maps" in str(told.value)
    assert "\n" not in str(told.value)


BROKEN = {
    "no object": lambda cost: cost.update(cpu=[1]),
    "no sizes": lambda cost: cost["cpu"].pop("sizes"),
    "no work": lambda cost: cost["cpu"].update(work=3),
    "another kind": lambda cost: cost["cpu"]["work"].update(magic=cost["cpu"]["work"]["matmul"]),
    "a short term": lambda cost: cost["cpu"]["work"]["matmul"].update(flops=[[1, 2]]),
    "no terms": lambda cost: cost["cpu"]["work"]["matmul"].update(bytes=[]),
    "a word": lambda cost: cost["cpu"]["work"]["matmul"].update(flops=[["x", 1, 1]]),
    "not finite": lambda cost: cost["cpu"]["work"]["matmul"].update(flops=[[math.nan, 1, 1]]),
    "nodes": lambda cost: cost["cpu"]["work"]["matmul"].update(nodes=None),
    "weights": lambda cost: cost["cpu"].update(weights=-1),
    "another size": lambda cost: cost["cpu"].update(sizes=["depth", "width"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_figures_are_one_line(ember: Bundle, name: str) -> None:
    bundle = changed(ember, lambda components: BROKEN[name](components["maps"]["cost"]))
    with pytest.raises(BundleError, match=r"components\.maps\.cost") as told:
        phase_costs(bundle, plan_for(bundle))
    assert "\n" not in str(told.value)


def test_every_embedded_network_says_what_it_costs() -> None:
    for name in ("ember", "restore", "rife", "sface", "span"):
        bundle = load_bundle(name)
        for component, entry in bundle.section("components").items():
            assert "main" in entry["cost"], f"{bundle.folder / MANIFEST}: {component}"


def test_a_precision_that_is_not_there_is_told(ember: Bundle) -> None:
    with pytest.raises(BundleError, match="not there in nvfp4"):
        phase_costs(ember, plan_for(ember), {"maps": "nvfp4"})


def test_a_folder_is_named(toy_bundle: Path) -> None:
    bundle = load_bundle(toy_bundle)
    assert phase_costs(bundle, plan_for(bundle))
