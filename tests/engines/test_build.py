"""Engines really built by TensorRT-RTX, ahead of time, and what happens when that goes wrong."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import psutil
import pytest
from reverie.engines import build as build_module
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import (
    BuildProgress,
    BuildRequest,
    Refused,
    build_engine,
    estimate_build_bytes,
)
from reverie.engines.errors import EngineError, MissingPackageError, OutputError

from .graphs import profile, write_graph

LARGE = {"width": 2048, "layers": 12}


def request(graph: Path, *gpus: str, **changes: Any) -> BuildRequest:
    names = gpus or ("sm86",)
    settings = {"profile": profile(changes.pop("width", 16))} | changes
    return BuildRequest(graph, tuple(ARCHITECTURES[name] for name in names), **settings)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    return write_graph(tmp_path / "bundle" / "net.onnx")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Where an engine goes; whatever happens, nothing else may be left beside it."""
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder / "net.engine"
    assert {path.name for path in folder.iterdir()} <= {"net.engine"}


def test_an_engine_is_built_ahead_of_time(graph: Path, out: Path) -> None:
    told: list[BuildProgress] = []
    built = build_engine(request(graph), out, on_progress=told.append)
    assert out.stat().st_size == built.engine_bytes > 512
    assert built.seconds > 0
    assert built.library_version.startswith("1.")
    assert 100 * 2**20 < built.peak_bytes < estimate_build_bytes(10_000, 0, "fp16")
    order = ["start", "read", "compile", "write"]
    phases = [order.index(progress.phase) for progress in told]
    assert phases == sorted(phases)
    assert set(phases) >= {1, 2, 3}
    assert all(p.seconds_left is None for p in told if p.phase != "write")
    assert told[-1].done <= told[-1].total
    assert [p.seconds for p in told] == sorted(p.seconds for p in told)


def test_one_engine_for_several_architectures(graph: Path, out: Path) -> None:
    one = build_engine(request(graph, "sm86"), out).engine_bytes
    several = build_engine(request(graph, "sm75", "sm86", "sm120"), out).engine_bytes
    assert several > one


def test_weight_streaming_changes_the_engine(graph: Path, out: Path) -> None:
    plain, streamed = request(graph), request(graph, weight_streaming=True)
    assert plain.options != streamed.options
    build_engine(streamed, out)
    assert out.stat().st_size


def test_an_engine_that_is_there_is_replaced_when_the_new_one_is_whole(
    graph: Path, out: Path
) -> None:
    out.write_bytes(b"old")
    with pytest.raises(EngineError):
        build_engine(request(write_graph(graph, strange=True)), out)
    assert out.read_bytes() == b"old"
    build_engine(request(write_graph(graph)), out)
    assert out.read_bytes() != b"old"


@pytest.mark.parametrize(
    ("precision", "said"),
    [("fp32", "'layer0' for Turing .*FP32 GEMM is not supported"), ("bf16", "sm75, .* b16")],
)
def test_the_library_itself_refuses_them(precision: str, said: str, graph: Path, out: Path) -> None:
    asked = request(write_graph(graph, precision), "sm75", precision=precision)
    with pytest.raises(Refused, match=said) as raised:
        build_engine(asked, out)
    assert "\n" not in str(raised.value)
    assert ".cpp" not in str(raised.value)
    assert any("Myelin" in note for note in raised.value.__notes__)
    build_engine(request(graph, "sm86", precision=precision), out)


def test_a_node_that_the_library_does_not_know(graph: Path, out: Path) -> None:
    with pytest.raises(Refused, match=r"holds what the library cannot build \(.*Unheard") as raised:
        build_engine(request(write_graph(graph, strange=True)), out)
    assert "oddity" in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x08\x0a:\x00\xff\xff" * 9, None])
def test_a_file_that_is_no_graph(content: bytes | None, graph: Path, out: Path) -> None:
    graph.write_bytes(graph.read_bytes()[:200] if content is None else content)
    with pytest.raises(EngineError, match=r"net.onnx cannot be read as a graph \(") as raised:
        build_engine(request(graph), out)
    assert not isinstance(raised.value, Refused)


def test_weights_that_are_missing_or_cut_short(graph: Path, out: Path) -> None:
    data = graph.with_name("net.onnx.data")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(EngineError, match=r"out of range for file: \S*net.onnx.data"):
        build_engine(request(graph), out)
    data.unlink()
    with pytest.raises(EngineError, match=r"Failed to open file: \S*net.onnx.data"):
        build_engine(request(graph), out)
    graph.unlink()
    with pytest.raises(EngineError, match=r"net\.onnx is missing: "):
        build_engine(request(graph), out)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no shape is given for its input 'x'"),
        ({"x": ((1, 16),) * 3}, r"input 'x' has 3 axes, and \[2\] are given"),
        ({"x": ((1, 4, 15),) * 3}, "axis 2 of input 'x' cannot be 15 to 15: it is always 16"),
        ({"x": ((1, 9, 16), (1, 8, 16), (1, 9, 16))}, "axis 1 of input 'x' cannot be 9 to 9"),
        ({**profile(), "z": ((1,),) * 3}, r"no input 'z': it has \['x'\]"),
    ],
)
def test_shapes_that_are_not_those_of_the_graph(
    given: dict[str, Any], said: str, graph: Path, out: Path
) -> None:
    with pytest.raises(EngineError, match=said):
        build_engine(request(graph, profile=given), out)


def test_a_gpu_that_the_library_does_not_build_for(graph: Path, out: Path) -> None:
    with pytest.raises(EngineError, match=r"tensorrt_rtx \(1\S+\) builds no engines for sm87"):
        build_engine(request(graph, "sm87"), out)
    with pytest.raises(EngineError, match="no GPU was named"):
        build_engine(BuildRequest(graph, (), profile()), out)


def test_more_memory_than_is_allowed(graph: Path, out: Path) -> None:
    said = r"takes up to 420 MB of memory and 300 MB are allowed: build a smaller precision"
    with pytest.raises(EngineError, match=said):
        build_engine(request(graph), out, memory=300_000_000)


def test_more_memory_than_is_free(graph: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "available_memory", lambda: 1000)
    with pytest.raises(EngineError, match="420 MB of memory and 1 kB are free"):
        build_engine(request(graph), out)


def test_the_estimate_grows_with_the_weights() -> None:
    sizes = [estimate_build_bytes(2**20, weights, "fp16") for weights in (0, 10**9, 4 * 10**9)]
    assert sizes == sorted(set(sizes))
    assert sizes[2] > 4 * 10**9
    assert estimate_build_bytes(0, 10**9, "of tomorrow") >= estimate_build_bytes(0, 10**9, "int4")


def test_matrices_take_less_to_build_than_convolutions(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "net.onnx")
    size = graph.stat().st_size
    bound = estimate_build_bytes(size, 10**9, "fp16")
    assert estimate_build_bytes(size, 10**9, "fp16", graph=graph) < bound
    assert estimate_build_bytes(size, 10**9, "int8", graph=graph) > bound
    assert estimate_build_bytes(size, 10**9, "fp16", graph=tmp_path / "none") == bound
    model = onnx.load(graph, load_external_data=False)
    model.graph.node.extend(onnx.helper.make_node("Conv", ["a"], ["b"]) for _ in range(9))
    graph.write_bytes(model.SerializeToString())
    assert estimate_build_bytes(size, 10**9, "fp16", graph=graph) == bound


def test_a_missing_library(graph: Path, out: Path) -> None:
    with pytest.raises(MissingPackageError, match=r"TensorRT is not installed.*JetPack"):
        build_engine(request(graph, library="tensorrt"), out)


def test_a_folder_that_is_not_there(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere \(No such file or directory\): make room"):
        build_engine(request(graph), tmp_path / "nowhere" / "net.engine")


def test_a_full_disk(graph: Path, out: Path) -> None:
    with limited_files(4096):
        error = failing(request(graph), out)
    assert isinstance(error, OutputError)
    assert "cannot be written to" in str(error)
    assert "(the disk is full): make room" in str(error)


def test_a_disk_that_is_known_to_be_too_small(
    graph: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "available_memory", lambda: 10**15)
    with pytest.raises(OutputError, match=r"the disk is full: .* are free of 1000.0 GB"):
        build_engine(request(graph, weight_bytes=10**12, precision="fp16"), out)


@contextlib.contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Files of processes started inside end at `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing(asked: BuildRequest, out: Path) -> Exception:
    try:
        build_engine(asked, out)
    except (EngineError, OutputError) as error:
        return error
    raise AssertionError("it was built")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph that takes some seconds to build."""
    return write_graph(tmp_path_factory.mktemp("large") / "net.onnx", **LARGE)


def test_a_process_that_is_killed(large: Path, out: Path) -> None:
    def kill(progress: BuildProgress) -> None:
        if progress.phase == "compile":
            for child in builders(os.getpid()):
                child.kill()

    said = r"net.onnx was killed at (compile|write), when it had taken [\d.]+ [GM]B of memory: most"
    with pytest.raises(EngineError, match=said):
        build_engine(request(large, width=LARGE["width"]), out, on_progress=kill)
    assert not out.exists()


def test_a_process_that_breaks_down(large: Path, out: Path) -> None:
    def kill(progress: BuildProgress) -> None:
        for child in builders(os.getpid()):
            child.send_signal(signal.SIGSEGV)

    with pytest.raises(EngineError, match=r"broke down at \w+ \(SIGSEGV\): this is a fault in the"):
        build_engine(request(large, width=LARGE["width"]), out, on_progress=kill)


@pytest.mark.parametrize("phase", ["compile", "write"])
def test_ctrl_c(phase: str, large: Path, out: Path) -> None:
    def stop(progress: BuildProgress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(request(large, width=LARGE["width"]), out, on_progress=stop)
    assert not out.exists()
    assert not builders(os.getpid())


PARENT = """
import signal
import sys
from pathlib import Path
from reverie.engines.architectures import ARCHITECTURES
from reverie.engines.build import BuildRequest, build_engine

# Whoever runs the tests in the background has Ctrl-C ignored, and hands that down.
signal.signal(signal.SIGINT, signal.default_int_handler)

def told(progress):
    print(progress.phase, flush=True)

shape = (1, 8, {width})
request = BuildRequest(Path(sys.argv[1]), (ARCHITECTURES["sm86"],), {{"x": (shape,) * 3}})
build_engine(request, Path(sys.argv[2]), on_progress=told)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_process_goes_with_its_parent(how: signal.Signals, large: Path, out: Path) -> None:
    code = PARENT.format(width=LARGE["width"])
    words = [sys.executable, "-c", code, str(large), str(out)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        next(line for line in parent.stdout if line == "compile\n")
        children = builders(parent.pid)
        assert len(children) == 1
        assert any(out.parent.iterdir())  # the half-written engine
        parent.send_signal(how)
        parent.stdout.read()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    deadline = time.monotonic() + 20
    while any(out.parent.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(out.parent.iterdir())


def builders(parent: int) -> list[psutil.Process]:
    """The processes that build for another."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("builder_process" in word for word in child.cmdline()):
                    found.append(child)
    return found


def test_two_threads_build_at_once(graph: Path, out: Path) -> None:
    sizes: list[int] = []

    def work() -> None:
        sizes.append(build_engine(request(graph), out).engine_bytes)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [out.stat().st_size] * 2
