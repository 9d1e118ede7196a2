from __future__ import annotations

import inspect
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reverie
from PIL import Image
from reverie.engines.errors import BundleError, EngineError, OutputError, SettingsError
from reverie.runtime import pipeline
from reverie.runtime.credentials.credentials import read_credentials
from reverie.runtime.film_file import FilmFile
from reverie.runtime.pipeline import Film, default_output, stream
from reverie.runtime.placement import Placement
from reverie.runtime.reading import film_facts, read_frames
from reverie.runtime.settings import Settings
from reverie.runtime.tools import ToolEngine

DATA = Path(__file__).resolve().parents[1] / "data"

PHOTO = DATA / "photos" / "lake-sherburne.jpg"
DEMO = DATA / "demo.jpg"
TOY = DATA / "bundles" / "toy-ember"


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def test_a_clip_is_as_asked(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    clip = reverie.animate(PHOTO, out, model=TOY, seconds=1.5, fps=20, height=120, aspect="4:3")
    frames = list(read_frames(out))
    assert (clip.frames, clip.seconds, clip.fps) == (30, 1.5, 20)
    assert len(frames) == 30
    assert frames[0].shape == (120, 160, 3)
    assert (clip.width, clip.height) == (160, 120)
    assert clip.path == out
    assert {"photo", "look", "maps", "denoise", "frames", "encode"} <= set(clip.stages)
    assert clip.peak_memory > 10 * 2**20


def test_the_first_frame_is_the_photo() -> None:
    film = stream(PHOTO, model=TOY, seconds=1, height=160)
    first = next(film.frames)
    with Image.open(PHOTO) as photo:
        expected = np.asarray(photo.convert("RGB").resize((film.width, film.height), Image.BICUBIC))
    assert psnr(first, expected) > 35


def test_the_first_frame_of_the_file_is_the_photo(tmp_path: Path) -> None:
    clip = reverie.animate(DEMO, tmp_path / "clip.mp4", model=TOY, seconds=0.5, height=720)
    first = next(read_frames(clip.path))
    with Image.open(DEMO) as photo:  # larger than the frame: nothing is enlarged
        expected = np.asarray(photo.convert("RGB").resize((clip.width, clip.height), Image.BICUBIC))
    assert psnr(first, expected) >= 35


def test_the_film_moves_and_frames_come_when_asked() -> None:
    film = stream(PHOTO, model=TOY, seconds=2, height=96, prompt="static camera")
    frames = [frame.copy() for frame in film]
    assert len(frames) == film.frame_count == 48
    assert all(f.shape == (96, film.width, 3) and f.dtype == np.uint8 for f in frames)
    assert psnr(frames[0], frames[24]) < 50


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    def middle(seed: int) -> np.ndarray:
        return list(stream(PHOTO, model=TOY, seconds=1.5, height=96, seed=seed, motion=1.0))[30]

    np.testing.assert_array_equal(middle(3), middle(3))
    assert (middle(3) != middle(4)).any()


def test_a_loop_closes() -> None:
    frames = [
        f.astype(np.float32)
        for f in stream(
            PHOTO,
            model=TOY,
            seconds=4,
            fps=12,
            height=96,
            loop=True,
            motion=1.0,
            prompt="static camera",  # a moving one is at rest at the seam and would hide it
        )
    ]
    steps = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    seam = np.abs(frames[-1] - frames[0]).mean()
    assert seam <= 1.1 * max(steps[0], steps[-1])


def test_settings_by_name_and_as_an_object_agree() -> None:
    one = stream(PHOTO, Settings(seconds=1, height=96), model=TOY)
    two = stream(PHOTO, model=TOY, seconds=1, height=96)
    assert (one.frame_count, one.width, one.height) == (two.frame_count, two.width, two.height)
    with pytest.raises(SettingsError, match="unknown setting"):
        stream(PHOTO, model=TOY, colour="blue")


def test_the_prompt_is_told_back() -> None:
    film = stream(PHOTO, model=TOY, seconds=1, height=96, prompt="camera zooms in, xylophone")
    assert film.understanding.camera.move == "push"
    assert film.understanding.unused == ("xylophone",)


def test_default_output_is_the_photos_name_here() -> None:
    assert default_output("/somewhere/else/mother.jpeg") == "mother.mp4"
    assert default_output("mother.2024.jpeg") == "mother.2024.mp4"
    assert default_output(np.zeros((8, 8, 3), np.uint8)) == "reverie.mp4"
    assert default_output("mother.jpeg", "png") == "mother/"
    assert default_output("mother.jpeg", "vp9") == "mother.webm"


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "kept.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"kept\.mp4"):
        reverie.animate(PHOTO, out, model=TOY, seconds=1, height=96)
    assert out.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.mp4"]


def test_an_unknown_family_lists_the_known_ones(toy_bundle: Path) -> None:
    path = toy_bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "family": "opal"}))
    with pytest.raises(BundleError, match=r"family 'opal' is not known here.*ember"):
        stream(PHOTO, model=toy_bundle)


MEMORY = """
import sys, reverie
film = reverie.stream(sys.argv[1], model=sys.argv[2], seconds=float(sys.argv[3]), height=240)
for frame in film: pass
from reverie.runtime.memory import peak_memory
print(peak_memory())
"""


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        command = [sys.executable, "-c", MEMORY, str(PHOTO), str(TOY), str(seconds)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert peak(60) <= 1.05 * peak(5)


def test_a_film_that_is_abandoned_lets_go_of_what_draws_it() -> None:
    film = stream(DEMO, model=TOY, seconds=1, height=64, fps=8)
    drawing = film.finishing._take.frames
    next(film.frames)
    assert inspect.isgenerator(drawing)
    film.frames.close()  # type: ignore[attr-defined]
    assert inspect.getgeneratorstate(drawing) == inspect.GEN_CLOSED


def test_a_film_that_cannot_be_written_lets_go_of_what_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = []

    def kept(*arguments: Any, **options: Any) -> Film:
        films.append(stream(*arguments, **options))
        return films[-1]

    def full(self: FilmFile, frame: np.ndarray, index: int) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(pipeline, "stream", kept)
    monkeypatch.setattr(FilmFile, "put", full)
    with pytest.raises(OutputError, match="full"):
        reverie.animate(DEMO, tmp_path / "clip.mp4", model=TOY, seconds=1, height=64, fps=8)
    drawing = films[0].finishing._take.frames
    assert inspect.isgenerator(drawing)
    assert inspect.getgeneratorstate(drawing) == inspect.GEN_CLOSED
    assert not list(tmp_path.iterdir())


def test_the_credentials_tell_what_the_film_has(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    reverie.animate(
        DEMO, out, model=TOY, num_frames=12, fps=8, height=64, prompt="wistful, at dusk"
    )
    told = read_credentials(out).settings
    assert told["seconds"] == 1.5
    assert (told["mood"], told["light"]) == ("wistful", "dusk")  # by the prompt's words


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("ending", [".mp4", ".gif"])
def test_a_colon_in_a_folders_name_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("2024-06:Lisbon") / f"clip{ending}"
    out.parent.mkdir()
    clip = reverie.animate(DEMO, out, model=TOY, seconds=0.5, height=64, fps=8)
    assert len(list(read_frames(clip.path))) == film_facts(clip.path).frames == 4


def test_networks_that_help_do_not_give_way_under_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: ToolEngine, inputs: object) -> None:
        raise EngineError("no memory for it")

    monkeypatch.setattr(ToolEngine, "run", refused)
    with Image.open(DEMO) as photo:
        small = photo.convert("RGB").resize((96, 96))
    film = stream(small, model=TOY, seconds=0.5, height=192, fps=8)
    assert "enlarged without a network" in " ".join(film.stages.notes)
    strictly = Placement("cpu", strict=True)
    with pytest.raises(EngineError, match="no memory for it"):
        stream(small, model=TOY, seconds=0.5, height=192, fps=8, placement=strictly)


def test_more_frames_than_a_film_may_last_are_refused() -> None:
    with pytest.raises(SettingsError, match="14400 at most"):
        stream(DEMO, model=TOY, num_frames=20_000)
