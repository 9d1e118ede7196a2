"""Variants in a bundle: side by side, whole at every moment, one line for what is wrong."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from reverie.engines.errors import BundleError, OutputError, SettingsError
from reverie.export import keep, quantize, store, variants
from reverie.export.quantize import quantize as make
from reverie.runtime.bundle import load_bundle

ALL = ("fp16", "bf16", "int8", "fp8", "int4", "nvfp4")


@pytest.fixture
def bundle(toys: ModuleType, tmp_path: Path) -> Path:
    return toys.bundle(
        tmp_path / "bundle", {"denoiser": toys.every_kind(), "decoder": toys.every_kind(seed=5)}
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def visible(folder: Path) -> dict[str, bytes]:
    """Files but those of a run that may go on."""
    return {name: data for name, data in snapshot(folder).items() if not name.startswith(".")}


@pytest.mark.parametrize("base", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("precision", ALL)
def test_a_variant_runs_and_says_what_it_is(
    precision: str, base: str, toys: ModuleType, tmp_path: Path
) -> None:
    toy = toys.every_kind(base)
    folder = toys.bundle(tmp_path / "bundle", {"denoiser": toy}, base)
    before = json.loads((folder / "bundle.json").read_text())
    if precision == base:
        with pytest.raises(SettingsError, match=f"nothing to make in {base}: denoiser is {base}"):
            make(folder, precision)
        return
    calibration = {"denoiser": toys.ranges(folder, "denoiser")}
    assert make(folder, precision, calibration=calibration) == folder / "bundle.json"
    opened = load_bundle(folder)
    opened.verify()
    variant = opened.component("denoiser", precision)
    assert variant.graph.file == f"denoiser.{precision}.onnx"
    assert [data.file for data in variant.data] == [f"denoiser.{precision}.onnx.data"]
    assert variant.cpu is not None
    assert variant.precision == precision
    with opened.open_plainly("denoiser", device="cpu", precision=precision) as engine:
        ours = engine.run(toys.feed(toy))
    with opened.open_plainly("denoiser", device="cpu") as engine:
        theirs = engine.run(toys.feed(toy))
    limit = {"fp16": 2e-2, "bf16": 2e-2, "int8": 0.06, "fp8": 0.08, "int4": 0.15, "nvfp4": 0.15}
    assert 0 < max(toys.relative(ours, theirs).values()) < limit[precision]
    manifest = json.loads((folder / "bundle.json").read_text())
    entry = manifest["components"]["denoiser"].pop("variants")[precision]
    assert manifest == before
    assert entry["inputs"] == before["components"]["denoiser"]["inputs"]
    done = entry["quantised"]
    assert done["bytes_before"] == opened.component("denoiser").stored_bytes
    assert done["bytes_after"] == variant.stored_bytes
    assert done["seconds"] >= 0
    if precision in keep.QUANTISING:
        assert sum(done["layers"].values()) == 7
        worst = [row["db"] for row in entry["error"]["weights"]["worst"]]
        assert worst == sorted(worst)
        assert 15 < worst[0] < 50
    with_activations = precision in ("int8", "fp8")
    assert any("activations" in kind for kind in done["layers"]) == with_activations
    assert not (folder / ".quantize").exists()


def test_precisions_side_by_side_and_again(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(bundle, "int4")
    make(bundle, "int8", components=["decoder"], weights_only=True)
    opened = load_bundle(bundle)
    assert opened.component("denoiser").precisions == ("fp16", "int4")
    assert opened.component("decoder").precisions == ("fp16", "int4", "int8")
    first = snapshot(bundle)
    make(bundle, "int4")
    assert snapshot(bundle) == first  # there already, and whole
    data = bundle / "denoiser.int4.onnx.data"
    data.write_bytes(bytes(data.stat().st_size))
    make(bundle, "int4")
    opened = load_bundle(bundle)
    opened.verify()
    assert set(opened.component("decoder").precisions) == {"fp16", "int4", "int8"}
    assert snapshot(bundle).keys() == first.keys()


def test_a_family_keeps_what_its_table_says(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy()
    x = toy.input("x", 1, "rows", 32)
    for name in ("proj_in", "blocks.0.to_q", "time_embed.linear", "proj_out"):
        x = toy.node("MatMul", [x, toy.weight(f"network.{name}.weight", (32, 32))])
    toy.output(x)
    folder = toys.bundle(tmp_path / "bundle", {"denoiser": toy}, family="ltx")
    make(folder, "int4")
    entry = load_bundle(folder).section("components")["denoiser"]["variants"]["int4"]
    assert entry["quantised"]["layers"] == {"int4 weights": 1}
    kept = {row["pattern"]: (row["count"], row["reason"]) for row in entry["kept"]}
    assert kept.keys() == {"denoiser/proj_in", "denoiser/proj_out", "denoiser/time_embed.*"}
    assert all(count == 1 and reason for count, reason in kept.values())


def test_every_row_has_a_reason() -> None:
    for table in (keep.KEEP, keep.FLOAT32):
        for rows in table.values():
            assert all(len(row.reason) > 10 for row in rows)
            assert len({str(row) for row in rows}) == len(rows)


class Stop(BaseException):
    """Something that ends a run from outside."""


def failing(after: int, error: BaseException) -> Callable[..., Any]:
    """`store.write` that fails in the middle of the n-th component."""
    real, calls = store.write, 0

    def write(model: Any, path: Path, told: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < after:
            return real(model, path, told)
        path.write_bytes(b"half")
        raise error

    return write


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), OutputError),
        (OSError(errno.EIO, "Input/output error"), OutputError),
        (BundleError("weight up holds NaN"), BundleError),
    ],
)
def test_a_run_that_ends_early_changes_nothing(
    error: BaseException,
    raised: type[BaseException],
    again: bool,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if again:  # what is replaced stays too
        make(bundle, "int8", weights_only=True)
        monkeypatch.setattr(keep, "KEEP", {"toy": (keep.Keep("*", "up", "another table"),)})
    before = visible(bundle)
    monkeypatch.setattr(quantize.store, "write", failing(2, error))
    with pytest.raises(raised) as caught:
        make(bundle, "int8", weights_only=True)
    if raised is OutputError:
        assert "\n" not in str(caught.value)
        assert "it is as it was" in str(caught.value)
    assert visible(bundle) == before
    assert not list((bundle / ".quantize").glob("*.part"))
    # The first component is not made again.
    monkeypatch.undo()
    if again:
        monkeypatch.setattr(keep, "KEEP", {"toy": (keep.Keep("*", "up", "another table"),)})
    written: list[str] = []
    real = store.write

    def counted(model: Any, path: Path, told: Any) -> Any:
        written.append(path.name)
        return real(model, path, told)

    monkeypatch.setattr(quantize.store, "write", counted)
    make(bundle, "int8", weights_only=True)
    assert written == ["decoder.int8.onnx.data"]
    load_bundle(bundle).verify()
    assert not (bundle / ".quantize").exists()


def _killed(bundle: Path, where: str) -> None:
    if where == "weights":
        real = store.write

        def write(model: Any, path: Path, told: Any) -> Any:
            if path.name.startswith("decoder"):
                path.write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            return real(model, path, told)

        quantize.store.write = write  # type: ignore[assignment]
    else:
        moved = Path.replace

        def replace(self: Path, target: Path) -> Path:
            if target.name == "decoder.int8.onnx.data":
                os.kill(os.getpid(), signal.SIGKILL)
            return moved(self, target)

        Path.replace = replace  # type: ignore[method-assign]
    make(bundle, "int8", weights_only=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process that was forked")
@pytest.mark.parametrize("where", ["weights", "moving"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_killed_run_leaves_a_bundle(where: str, bundle: Path) -> None:
    before = visible(bundle)
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(bundle, where))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    left = visible(bundle)
    assert {name: left[name] for name in before} == before
    load_bundle(bundle).verify()
    make(bundle, "int8", weights_only=True)
    opened = load_bundle(bundle)
    opened.verify()
    assert opened.component("decoder").precisions == ("fp16", "int8")
    assert not (bundle / ".quantize").exists()


def test_a_replaced_variant_leaves_the_manifest_first(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(bundle, "int8", weights_only=True)
    monkeypatch.setattr(keep, "KEEP", {"toy": (keep.Keep("*", "up", "another table"),)})
    moved = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "decoder.int8.onnx.data":
            raise Stop
        return moved(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Stop):
        make(bundle, "int8", weights_only=True)
    monkeypatch.undo()
    opened = load_bundle(bundle)
    opened.verify()
    assert opened.component("denoiser").precisions == ("fp16",)


def test_weights_that_are_no_numbers(toys: ModuleType, tmp_path: Path) -> None:
    toy = toys.Toy()
    spoilt = np.eye(32)
    spoilt[3, 4] = np.nan
    x = toy.input("x", 1, "rows", 32)
    toy.output(toy.node("MatMul", [x, toy.weight("blocks.0.to_q.weight", spoilt)]))
    folder = toys.bundle(tmp_path / "bundle", {"denoiser": toy})
    before = visible(folder)
    for precision in ("int8", "int4", "nvfp4", "fp8"):
        with pytest.raises(BundleError, match=r"^weight blocks.0.to_q holds NaN or infinity"):
            make(folder, precision, weights_only=True)
        assert visible(folder) == before


def test_no_room(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(bundle)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="free and the variants take about") as caught:
        make(bundle, "int4")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written(bundle: Path) -> None:
    bundle.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            make(bundle, "int4")
    finally:
        bundle.chmod(0o700)


def test_a_read_only_disk(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(self: Path, *words: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OutputError, match=r"cannot be written \(Read-only file system\)"):
        make(bundle, "int4")


def test_two_processes(bundle: Path) -> None:
    (bundle / variants.FOLDER).mkdir()
    with (
        FileLock(bundle / variants.FOLDER / "lock"),
        pytest.raises(OutputError, match="another process"),
    ):
        make(bundle, "int4")


@pytest.mark.parametrize(
    ("precision", "options", "said"),
    [
        ("int5", {}, "int5.*fp16, bf16, fp8, int8, int4, nvfp4"),
        ("int4", {"components": ["ear"]}, "no component 'ear'.*denoiser, decoder"),
        ("fp16", {}, "nothing to make in fp16"),
    ],
)
def test_impossible_wishes(
    precision: str, options: dict[str, Any], said: str, bundle: Path
) -> None:
    before = snapshot(bundle)
    with pytest.raises(SettingsError, match=said) as caught:
        make(bundle, precision, **options)
    assert "\n" not in str(caught.value)
    assert snapshot(bundle) == before


def test_no_calibration_possible(bundle: Path) -> None:
    before = visible(bundle)
    with pytest.raises(BundleError, match="--weights-only"):
        make(bundle, "int8")  # no runtime knows the family
    assert visible(bundle) == before


def test_a_damaged_graph(bundle: Path) -> None:
    (bundle / "denoiser.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="copy the bundle again"):
        make(bundle, "int4")
