"""`reverie build` on tiny bundles, with TensorRT-RTX and without any GPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from reverie.cli import building
from reverie.cli.main import main
from reverie.engines import host_memory, libraries
from reverie.engines.build import BuildProgress
from reverie.engines.errors import MissingPackageError
from reverie.runtime import targets
from reverie.runtime.making import Place

SMALL = {
    "ltx": ("--height", "64", "--aspect", "1:1", "--seconds", "0.5"),
    "wan": ("--height", "64", "--aspect", "1:1", "--seconds", "0.5"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "engines"
    monkeypatch.setenv("REVERIE_CACHE", str(folder))
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()  # what making a bundle printed
    assert main(["build", *words, "--json"]) == code
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err.count("\n") == (1 if code else 0)
    facts: dict[str, Any] = json.loads(out)
    return facts


def statuses(facts: dict[str, Any]) -> dict[str, str]:
    return {row["component"]: row["status"] for row in facts["engines"]}


@pytest.mark.parametrize("family", ["ltx", "wan"])
def test_every_network_of_a_family(
    family: str, tiny_bundles: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tiny_bundles[family]), "--gpu", "sm86", *SMALL[family]]
    facts = told(capsys, *words)
    assert set(statuses(facts).values()) == {"built"}
    assert set(statuses(facts)) == {"text_encoder", "vae_encoder", "denoiser", "vae_decoder"}
    for row in facts["engines"]:
        assert (row["gpu"], row["precision"], row["library"]) == ("sm86", "fp16", "rtx")
        assert Path(row["path"]).stat().st_size == row["engine_bytes"]
        assert row["peak_bytes"] > 10**8
        assert row["seconds"] > 0
        assert row["why"] == "the only one it is there in"
    assert facts["elsewhere"] is None
    assert not list(cache.glob("*.part"))
    again = told(capsys, *words)
    assert set(statuses(again).values()) == {"cached"}
    assert [r["path"] for r in again["engines"]] == [r["path"] for r in facts["engines"]]


def test_one_network_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", "ember", "--component", "faces"]
    assert main([*words, "--gpu", "sm89,sm120,SM_89"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("│ built ") == 2
    assert "they are in " in out
    assert main([*words, "--gpu", "sm89", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*words, "--gpu", "sm89"]) == 0
    assert "was there" in capsys.readouterr().out


def test_what_turing_cannot_compute_is_left_to_the_processor(
    toy_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(toy_bundle), "--gpu", "sm75", "--component", "maps"]
    facts = told(capsys, *words, code=6)
    assert facts["error"] == (
        "maps for sm75: it is there in fp32 alone, and TensorRT-RTX refuses its float32 matrix "
        "products on sm75: ONNX Runtime runs it"
    )
    assert statuses(facts) == {"maps": "refused"}
    rows = told(capsys, str(toy_bundle), "--gpu", "sm75")["engines"]
    assert {(row["status"], row["precision"]) for row in rows} == {
        ("left", None),
        ("built", "fp16"),
    }


def test_a_precision_that_is_not_there(
    tiny_bundles: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(tiny_bundles["ltx"])
    facts = told(capsys, bundle, "--gpu", "sm86", "--precision", "int8", code=4)
    assert f"`reverie quantize {bundle} --precision int8` makes it" in facts["error"]
    assert facts["kind"] == "BundleError"


@pytest.mark.parametrize("gpu", ["sm87", "sm110", "sm90,sm100"])
def test_what_is_built_on_the_device(
    gpu: str, tiny_bundles: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(tiny_bundles["ltx"])
    options = ["--height", "64", "--seconds", "1.5", "--component", "denoiser"]
    facts = told(capsys, bundle, "--gpu", gpu, *options, "--stream-weights", code=6)
    command = f"reverie build {bundle} --gpu this --component denoiser --height 64 --seconds 1.5"
    assert facts["elsewhere"] == {
        "gpus": gpu.split(","),
        "command": f"{command} --stream-weights",
    }
    names = gpu.replace(",", ", ")
    assert facts["error"].startswith(f"engines for {names} are built on the device itself: copy")
    assert f"`{command} --stream-weights`" in facts["error"]


def test_some_here_and_some_on_the_device(
    tiny_bundles: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(tiny_bundles["ltx"])
    words = ["build", bundle, "--component", "text_encoder", *SMALL["ltx"]]
    assert main([*words, "--gpu", "sm87,sm86"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "TensorRT builds it on the device" in out
    assert f"run there: reverie build {bundle} --gpu this" in out


def test_this_gpu_where_there_is_none(
    tiny_bundles: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = targets.Machine("Linux", "x86", 2, 10**10, 10**10)
    monkeypatch.setattr(targets, "describe_machine", lambda: machine)
    facts = told(capsys, str(tiny_bundles["ltx"]), code=6)
    assert facts["error"] == (
        "there is no NVIDIA GPU in this machine: name the GPU to build for with --gpu, one of "
        "sm75, sm80, sm86, sm89, sm120, sm121 from here (`reverie doctor` tells more)"
    )


def test_too_little_memory_to_build(
    tiny_bundles: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tiny_bundles["ltx"]), "--gpu", "sm86", *SMALL["ltx"]]
    facts = told(capsys, *words, "--ram", "100MB", code=6)
    assert set(statuses(facts).values()) == {"refused"}
    assert facts["error"].startswith("text_encoder for sm86: building it in fp16 takes up to 4")
    assert "MB of memory and there are 100 MB: `reverie quantize " in facts["error"]
    assert facts["error"].endswith("--precision int4` makes one that takes less (and 3 more)")
    assert not list(cache.glob("*.engine"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--gpu", "sm61"], 2, "GPU architecture 'sm61' is not known: use one of sm75, "),
        (["--gpu", "sm86", "--component", "unet"], 2, "has no component 'unet': use "),
        (["--gpu", "sm86", "--memory", "plenty"], 2, "--memory 'plenty' cannot be used: give"),
        (["--gpu", "sm86", "--ram", "8 horses"], 2, "--ram '8 horses' cannot be used"),
        (["--gpu", "sm86", "--height", "1"], 2, "height 1 cannot be used"),
        (["--gpu", "sm86", "--precision", "int3"], 2, "'int3'"),
    ],
)
def test_words_that_are_not_understood(
    words: list[str],
    code: int,
    said: str,
    tiny_bundles: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build", str(tiny_bundles["ltx"]), *words]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_no_library(
    tiny_bundles: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise libraries.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(libraries.metadata, "version", missing)
    facts = told(capsys, str(tiny_bundles["ltx"]), "--gpu", "sm86", code=7)
    assert facts["kind"] == MissingPackageError.__name__
    assert "`pip install 'reverie[rtx]'`" in facts["error"]


def test_a_cache_that_cannot_be_written_in(
    tiny_bundles: Any, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_text("a file")
    facts = told(capsys, str(tiny_bundles["ltx"]), "--gpu", "sm86", code=5)
    assert str(cache) in facts["error"]


def test_damaged_weights(
    tiny_bundles: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(tiny_bundles["ltx"], tmp_path / "ltx")
    data = bundle / "denoiser.onnx.data"
    data.write_bytes(data.read_bytes()[:-1])
    words = ["--gpu", "sm86", "--component", "denoiser", *SMALL["ltx"]]
    assert "denoiser.onnx.data has" in told(capsys, str(bundle), *words, code=4)["error"]


def test_ctrl_c_leaves_whole_engines_alone(tiny_bundles: Any, cache: Path) -> None:
    words = [sys.executable, "-m", "reverie", "build", str(tiny_bundles["ltx"]), "--gpu", "sm86"]
    with subprocess.Popen(
        [*words, *SMALL["ltx"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REVERIE_CACHE": str(cache)},
    ) as process:
        deadline = time.monotonic() + 60
        while not list(cache.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    if process.returncode == 0:  # it was faster
        return
    assert process.returncode == 130
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("reverie: stopped; the ")
    assert not list(cache.glob("*.part"))
    assert len(list(cache.glob("*.engine"))) == len(list(cache.glob("*.json"))) >= 1


def test_the_line_while_it_builds() -> None:
    place = Place(2, 4, "denoiser", "int8", "sm86")
    at = BuildProgress("compile", "Timing tactics", 1, 3, 12.4, None, 10**9)
    assert building.describe(place, at) == (
        "2 of 4: denoiser int8 sm86: compiling (timing tactics), 12 s, time left not known"
    )
    at = BuildProgress("write", "", 1, 3, 15.0, 6.2, 10**9)
    assert building.describe(place, at).endswith("denoiser int8 sm86: writing, 15 s, 6 s left")


def test_free_memory_is_asked_for_when_none_is_given(
    tiny_bundles: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_memory, "available_memory", lambda: 5 * 10**6)
    words = [str(tiny_bundles["ltx"]), "--gpu", "sm86", *SMALL["ltx"]]
    assert "there are 5 MB: " in told(capsys, *words, code=6)["error"]
