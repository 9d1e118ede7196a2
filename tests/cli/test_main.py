from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import reverie
from reverie.cli import animate
from reverie.cli.main import exit_codes, main
from reverie.cli.telling import one_line
from reverie.engines.errors import BundleError, MissingPackageError, PhotoError, ReverieError
from reverie.runtime import pipeline


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"reverie {reverie.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["animate", "--help"]])
def test_help_lists_every_exit_code(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    text = capsys.readouterr().out
    for kind in [ReverieError, *ReverieError.__subclasses__()]:
        assert f"\n  {kind.exit_code}  " in text
    assert "130" in text
    assert "animate" in text


def test_exit_codes_are_one_of_a_kind() -> None:
    codes = [line.split()[0] for line in exit_codes().splitlines()[1:]]
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "130", "143"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no command"),
        (["frobnicate"], "'animate'"),
        (["animate"], "PHOTO"),
        (["animate", "a.jpg", "b.jpg"], "b.jpg"),
        (["animate", "a.jpg", "--frobnicate"], "--frobnicate"),
        (["animate", "a.jpg", "--sec", "3"], "--sec"),
        (["animate", "a.jpg", "--seconds"], "--seconds"),
        (["animate", "a.jpg", "--seconds", "long"], "'long' is not a number"),
        (["animate", "a.jpg", "--fps", "23.976"], "'23.976' is not a whole number"),
        (["animate", "a.jpg", "--seed", "9" * 5000], "is not a whole number"),
    ],
)
def test_words_that_are_not_understood(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("reverie: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PhotoError("the photo is empty: choose another"), 3, "the photo is empty"),
        (BundleError("broken"), 4, "broken"),
        (MissingPackageError("pip install pillow-heif"), 7, "pip install"),
        (MemoryError(), 1, "not enough memory"),
        (KeyboardInterrupt(), 130, "stopped, nothing was written"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero: this is a fault in Reverie"),
        (OSError(5, "Input/output error"), 1, "Input/output error"),
        (PhotoError("one\ntwo\x1b[31m\r\u202e"), 3, "one\\ntwo\\x1b[31m\\r\\u202e"),
    ],
)
def test_every_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: Namespace) -> None:
        raise error

    monkeypatch.setattr(animate, "run", fail)
    assert main(["animate", "a.jpg"]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err

    assert main(["animate", "a.jpg", "--json"]) == code
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told == {"error": told["error"], "kind": type(error).__name__, "exit_code": code}
    assert err == f"reverie: {told['error']}\n"

    assert main(["animate", "a.jpg", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_module_runs(tmp_path: Path) -> None:
    done = python("-m", "reverie", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"reverie {reverie.__version__}\n")
    done = python("-m", "reverie", "animate", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_help_and_mistakes_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from reverie.cli.main import main; main(['animate', 'a', '--seconds', '0']);"
        "heavy = {'cv2', 'av', 'onnxruntime', 'rich', 'torch'} & set(sys.modules);"
        "sys.exit(f'{heavy} loaded' if heavy else 0)"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell that can close streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(tmp_path: Path, closed: str) -> None:
    code = (
        "import os, sys; from reverie.cli import animate, main\n"
        "def tell(arguments):\n"
        "    print('out'); print('err', file=sys.stderr)\n"
        "    assert os.open('clip', os.O_CREAT | os.O_WRONLY) > 2\n"
        "animate.run = tell; sys.argv[1:] = ['animate', 'a.jpg']; main.run()"
    )
    line = f'"$0" -W error -c "$1" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if ">&-" in closed.split() else "out\n")
    assert done.stderr == ("" if "2>&-" in closed else "err\n")
    assert (tmp_path / "clip").exists()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_signal_that_comes_too_late_is_told_truly(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    replaced: bool,
) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_text("an older clip")

    def late(*photo: object, **options: object) -> None:
        if replaced:
            (tmp_path / "part").write_text("clip")
            (tmp_path / "part").replace(clip)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "animate", late)
    assert main(["animate", "a.jpg", "--out", str(clip), "--force"]) == 130
    said = f"when {one_line(str(clip))} was already whole" if replaced else "nothing was written"
    assert capsys.readouterr().err.endswith(f"reverie: stopped, {said}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_nobody_can_read_is_no_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reverie", "animate", "a", "--seconds", "0", "--json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
