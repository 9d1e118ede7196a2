"""What is shipped: every package listed, nothing stray, nothing heavy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FORBIDDEN = ("torch", "diffusers", "transformers", "onnx", "onnxscript", "onnx_ir", "scipy")
NOT_PACKAGES = ("tests", "build", "dist")


def python_folders() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    folders = {Path(name).parent.as_posix() for name in listed if (ROOT / name).exists()}
    return {f for f in folders if f.split("/")[0] not in NOT_PACKAGES}


def test_every_folder_is_a_listed_package() -> None:
    expected = {
        "reverie" if folder == "." else "reverie." + folder.replace("/", ".")
        for folder in python_folders()
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_no_stray_module_lies_at_the_root() -> None:
    assert {p.name for p in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_module_bears_the_name_of_a_dependency() -> None:
    requirements = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        requirements += extra
    names = {re.match(r"[\w.-]+", r)[0].lower().replace("-", "_") for r in requirements}  # type: ignore[index]
    modules = {
        p.stem for folder in python_folders() if folder != "." for p in (ROOT / folder).glob("*.py")
    }
    assert not modules & (names | {"cv2", "PIL", "pillow_heif"})


def run_clean(code: str, cwd: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


def test_import_is_light(tmp_path: Path) -> None:
    code = "import sys, json, reverie; print(json.dumps(sorted(sys.modules)))"
    modules = set(json.loads(run_clean(code, tmp_path)))
    assert not modules & {*FORBIDDEN, "numpy", "PIL", "av", "cv2", "onnxruntime", "rich"}


def test_a_whole_render_loads_no_training_library(tmp_path: Path, toy_bundle: Path) -> None:
    photo = ROOT / "tests/data/photos/lake-sherburne.jpg"
    code = (
        "import sys, json, reverie\n"
        f"clip = reverie.animate({str(photo)!r}, 'out.mp4', model={str(toy_bundle)!r},"
        " seconds=0.5, height=96)\n"
        "print(json.dumps([clip.frames, sorted(sys.modules)]))"
    )
    frames, modules = json.loads(run_clean(code, tmp_path))
    assert frames == 12
    assert not set(modules) & set(FORBIDDEN)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, source], check=True)
    changed = subprocess.run(
        ["git", "ls-files", "-com", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, changed):  # the tree as it is, committed or not
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", folder, source], check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_the_embedded_model_and_its_licences(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    manifest = json.loads(wheel.read("reverie/runtime/bundles/ember/bundle.json"))
    for component in manifest["components"].values():
        assert f"reverie/runtime/bundles/ember/{component['file']}" in names
        assert f"reverie/runtime/bundles/ember/{component['license_file']}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_the_wheel_holds_no_tests_and_no_training_data(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    photos = [n for n in names if n.endswith(".jpg")]
    assert {Path(n).parent for n in photos} == {Path("reverie/export/photos")}  # to calibrate with
    assert "reverie/export/photos/CREDITS.md" in names
    assert not [n for n in names if "/tests/" in n or n.endswith((".safetensors", ".mp4"))]
    assert {n.split("/")[0] for n in names} == {"reverie", f"reverie-{version()}.dist-info"}


def version() -> str:
    return str(PROJECT["project"]["version"])


def test_the_version_is_said_once() -> None:
    import reverie

    assert reverie.__version__ == version()


def test_nothing_is_kept_for_anybody_else(tmp_path: Path) -> None:
    """ONNX Runtime's builds may send usage home, and keep an id and a queue for it."""
    home = tmp_path / "home"
    home.mkdir()
    photo, toy = ROOT / "tests/data/photos/chelsea.jpg", ROOT / "tests/data/bundles/toy-ember"
    words = [sys.executable, "-m", "reverie", "animate", str(photo), "--model", str(toy)]
    words += ["--seconds", "1", "--height", "64", "--out", str(tmp_path / "a.mp4"), "--json"]
    found = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    done = subprocess.run(words, env=found | {"HOME": str(home)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {Path(name).parent.as_posix() for name in left} <= {".config/reverie"}
