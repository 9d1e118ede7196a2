"""The workers on tiny checkpoints: diffusers beside Reverie, the same film from the same noise."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reverie
import torch
from reverie.benchmarks.peers import __main__ as program
from reverie.benchmarks.peers import ours
from reverie.benchmarks.peers.baked import baked
from reverie.benchmarks.peers.jobs import WORKERS, Way, Work, broken, make_work, run_way
from reverie.benchmarks.peers.layouts import as_film_latents
from reverie.benchmarks.peers.proof import both, prove_frames, prove_latents
from reverie.benchmarks.peers.ratios import Rounds
from reverie.benchmarks.peers.session import Session
from reverie.benchmarks.peers.telling import tell_rounds
from reverie.benchmarks.peers.ways import theirs
from reverie.benchmarks.peers.workers import recorder as recording
from reverie.engines.ort import OrtEngine

SIZES = {
    "svd": {"height": 64, "width": 64, "num_frames": 2, "steps": 2, "guidance": 2.0},
    "ltx": {"height": 64, "width": 96, "num_frames": 9, "steps": 2, "guidance": 2.0},
}


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Workers by name, loaded as scripts find each other; what they set is set back."""
    monkeypatch.syspath_prepend(str(WORKERS))
    monkeypatch.setattr(OrtEngine, "run", OrtEngine.run)
    threads = torch.get_num_threads()

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"peer_{name}", WORKERS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    with warnings.catch_warnings():
        yield load
    torch.set_grad_enabled(True)
    torch.set_num_threads(threads)
    sys.modules.pop("recorder", None)


@pytest.fixture(scope="module")
def works(tiny_bundles: Any) -> dict[str, Work]:
    """A piece of work of each family."""
    made: dict[str, Work] = {}
    for family, size in SIZES.items():
        folder = tiny_bundles[family]
        model = reverie.load(folder, "cpu")
        made[family] = make_work(model, folder.parent / "checkpoint", model.plan(**size))
    return made


def job(work: Work, folder: Path, **more: Any) -> recording.Recorder:
    """A recorder for a piece of work, done in this process."""
    np.savez(folder / "arrays.npz", **work.arrays, **more.pop("extra", {}))
    file = folder / "job.json"
    asked = {
        "arrays": str(folder / "arrays.npz"),
        "outputs": str(folder / "outputs.npz"),
        "result": str(folder / "result.json"),
        "family": work.family,
        "checkpoint": str(work.checkpoint),
        "bundle": str(work.bundle),
        "settings": dict(work.settings),
        "own": {},
        "dtype": "fp32",
        "mode": "eager",
        "part": "film",
        "tiling": False,
        "threads": 1,
        **more,
    }
    file.write_text(json.dumps(asked))
    return recording.Recorder(str(file))


@pytest.mark.parametrize("family", SIZES)
def test_diffusers_and_reverie_do_the_same_work(
    family: str, works: dict[str, Work], worker: Any, tmp_path: Path
) -> None:
    work = works[family]
    peer = job(work, tmp_path)
    worker("pipelines").run(peer)
    assert len(peer.steps) == len(peer.step_processor) == 2
    assert {"import", "load", "encode image", "denoise", "decode"} <= set(peer.peaks)
    before = (work.bundle / "bundle.json").read_bytes()
    with baked(reverie.load(work.bundle).bundle, work.arrays) as bundle:
        mine = job(work, tmp_path, bundle=str(bundle.folder), dtype="bundle", capture=True)
        ours.run(mine)
    assert (work.bundle / "bundle.json").read_bytes() == before
    assert not [one for one in work.bundle.parent.iterdir() if one.name.startswith(".")]
    assert len(mine.steps) == 2
    assert mine.marks["loaded"] <= mine.marks["first step begins"] <= mine.marks["first step ends"]
    start = work.arrays["noise_latents"]
    latents = [as_film_latents(one.outputs, 2, start, family) for one in (mine, peer)]
    frames = [one.outputs["frames"] for one in (mine, peer)]
    pair = ("fp16", "fp32")
    proof = both(prove_latents(*latents, start, pair), prove_frames(*frames, pair))
    assert proof.same, proof.why
    # Another noise is another work.
    drawn = np.random.default_rng(77).standard_normal(start.shape).astype(np.float32)
    assert not prove_latents(latents[0], latents[1] + drawn - start, start, pair).same
    # Its decoder by itself gives its film, and so does Reverie's.
    extra = {n: v for n, v in peer.outputs.items() if n.startswith("decoder_")}
    for run in (worker("pipelines").run, ours.run):
        alone = job(work, tmp_path, part="decode", dtype="fp32", extra=extra)
        if run is ours.run:
            alone.job["dtype"] = "bundle"
        run(alone)
        found = prove_frames(alone.outputs["frames"], peer.outputs["frames"], pair)
        assert found.same, found.why
    runs = [name for name in mine.outputs if name.startswith("graph_denoiser_")]
    assert {name.split("_")[2] for name in runs} == {"0", "1"}  # guided: two runs of one step


def test_a_peer_without_tiling_says_so(works: dict[str, Work], worker: Any, tmp_path: Path) -> None:
    peer = job(works["svd"], tmp_path, part="decode", tiling=True)
    with pytest.raises(Exception, match="AutoencoderKLTemporalDecoder has no tiling"):
        worker("pipelines").run(peer)


def test_a_precision_that_is_not_there_is_skipped(works: dict[str, Work], tmp_path: Path) -> None:
    with pytest.raises(recording.Skipped, match="not in int4"):
        ours.run(job(works["svd"], tmp_path, dtype="int4"))


def test_less_noise_than_was_given_is_other_work(
    works: dict[str, Work], worker: Any, tmp_path: Path
) -> None:
    peer = job(works["svd"], tmp_path, extra={"draw_1": np.zeros(3, np.float32)})
    with pytest.raises(Exception, match="drew less noise"):
        worker("pipelines").run(peer)


def test_reasons_are_written_and_crashes_are_told(works: dict[str, Work], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    way = Way("diffusers", "fp32")
    head = f"import sys; sys.path.insert(0, {str(WORKERS)!r}); from recorder import *\n"
    cases = {
        "work(lambda r: 1 / 0)": "ZeroDivisionError: division by zero",
        "def run(r): raise Skipped('no such family')\nwork(run)": "no such family",
        "print('so it goes', file=sys.stderr); sys.exit(3)": "status 3: so it goes",
    }
    for text, told in cases.items():
        script.write_text(head + text)
        command = [sys.executable, str(script)]
        found = run_way(way, command, works["svd"], tmp_path / "job", threads=1)
        assert told in found["skipped"]
    assert broken(-9, "") == "its process ended with signal 9"


def test_peers_that_are_nowhere_say_how_to_get_them(tmp_path: Path) -> None:
    found = theirs(["diffusers", "openvino"], ["fp32", "fp16"], ["eager"], tmp_path, {})
    assert [way.reason for way in found] == [
        f"it is not installed in {tmp_path}: `python -m reverie.benchmarks.peers.install {name} "
        f"--into {tmp_path}`"
        for name in ("diffusers", "openvino")
    ]
    known = {"diffusers": Path(sys.executable), "openvino": Path(sys.executable)}
    ways = theirs(list(known), ["fp32", "fp16"], ["eager", "compile"], None, known)
    assert [way.name for way in ways] == [
        "diffusers fp32",
        "diffusers fp32 compile",
        "diffusers fp16",
        "diffusers fp16 compile",
        "openvino fp32",
    ]


def test_a_skipped_way_stays_skipped(works: dict[str, Work], tmp_path: Path) -> None:
    session = Session(works["svd"], tmp_path, threads=1, decoding=True)
    session.round([], [Way("optimum-intel", "", reason="it is not installed")])
    session.round([], [Way("optimum-intel", "", reason="it is not installed")])
    (rounds,) = session.rounds.values()
    assert isinstance(rounds, Rounds)
    assert tell_rounds(rounds) == ["optimum-intel: not run: it is not installed"]
    assert session.comparisons() == []


def test_the_whole_program(
    works: dict[str, Work], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, file = works["svd"], tmp_path / "found.json"
    asked = [str(work.checkpoint), str(work.bundle), "--size", "64x64", "--frames", "2"]
    asked += ["--steps", "1", "--threads", "1", "--no-decode", "--json", str(file)]
    asked += ["--peer", "diffusers", "--peer", "stable-diffusion.cpp", "--peer-precision", "fp32"]
    asked += ["--python", f"diffusers={sys.executable}"]
    assert program.main(asked) == 0
    told = capsys.readouterr().out
    assert "film: same work" in told
    assert "stable-diffusion.cpp: not run: no --envs and no --python was given" in told
    found = json.loads(file.read_text())
    assert [row["peer"] for row in found["rows"]] == [
        "reverie",
        "diffusers",
        "stable-diffusion.cpp",
    ]
    (comparison,) = found["comparisons"]
    assert comparison["ratios"]["denoise, a step"]["median"] > 0
    assert comparison["ratios"]["peak memory"]["median"] > 0
