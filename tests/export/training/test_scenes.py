"""Procedural scenes: their labels agree with what is painted, and a seed gives one scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from reverie.export.training import dataset, texture_table, textures
from reverie.export.training.scenes import masks, motion
from reverie.export.training.scenes.camera_damage import aged, damage
from reverie.export.training.scenes.compose import REAL_SHARE, draw_scene, finish
from reverie.export.training.scenes.real import real_photo
from reverie.export.training.scenes.recipes import RECIPES
from reverie.export.training.scenes.world import FLAME, PLANT, SKY, STATIC, WATER, Canvas

HEIGHT, WIDTH = 64, 96
NAMES = ("foliage-09", "grass-06", "water-12", "sky-cloud-14", "soil-gravel-rock-04", "flowers-20")
ANIMAL = "animals-26"


def surface(seed: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A rough surface of one colour, (120, 180, 3) uint8."""
    noise = np.random.default_rng(seed).normal(0, 25, (30, 45, 1)).astype(np.float32)
    noise = cv2.resize(noise, (180, 120))[..., None]
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture folder of seven pictures; the animal, half of it grass, has a label map."""
    root = tmp_path_factory.mktemp("textures")
    lines = ["| file | source | author | licence |", "|---|---|---|---|"]
    for seed, name in enumerate((*NAMES, ANIMAL)):
        subject = name.rsplit("-", 1)[0]
        (root / subject).mkdir(exist_ok=True)
        picture = surface(seed, (40 + 30 * seed, 160 - 20 * seed, 60 + 20 * seed))
        if name == ANIMAL:
            cv2.ellipse(picture, (90, 60), (40, 25), 0, 0, 360, (30, 40, 60), -1)
        assert cv2.imwrite(str(root / subject / f"{name}.jpg"), picture)
        lines.append(f"| {subject}/{name}.jpg | somewhere: {name}.jpg | someone | CC0 |")
    (root / "LICENCES.md").write_text("\n".join(lines), encoding="utf-8")
    labels = np.full((120, 180), PLANT, np.uint8)
    cv2.ellipse(labels, (90, 60), (45, 30), 0, 0, 360, textures.UNKNOWN, -1)
    cv2.ellipse(labels, (90, 60), (38, 23), 0, 0, 360, STATIC, -1)
    (root / "labels").mkdir()
    assert cv2.imwrite(str(root / "labels" / f"{ANIMAL}.png"), labels)
    return root


@pytest.fixture(scope="module")
def library(folder: Path) -> textures.Library:
    return textures.load_library(folder, "train", folder / "labels")


def canvas_of(library: textures.Library, seed: int = 0) -> Canvas:
    return Canvas(np.random.default_rng(seed), library, HEIGHT, WIDTH)


def rms(spectrum: np.ndarray) -> np.ndarray:
    """Rms displacement (h, w) of a stored spectrum (32, h, w)."""
    return np.sqrt((spectrum.astype(np.float32) ** 2).sum(0) / 2)


def test_crops_of_one_picture_stay_on_one_side(tmp_path: Path):
    rows = [
        f"| sea/sea-{n:02d}.jpg | host: {n // 2}.jpg [crop 0,0,1,0.{n}] | a | b |"
        for n in range(40)
    ]
    rows.append("| land/land-01.jpg | host: aitzgorri_by_Aitzol.jpg | a | b |")
    (tmp_path / "LICENCES.md").write_text("\n".join(rows), encoding="utf-8")
    sources = textures.read_sources(tmp_path / "LICENCES.md")
    assert len(sources) == 41
    assert sources["sea-06"] == sources["sea-07"] == "host: 3.jpg"
    held = textures.held_out_sources(sources)
    assert held == textures.held_out_sources(dict(reversed(sources.items())))
    assert sources["land-01"] in held
    assert len(held) == 1 + round(0.12 * 20)


def test_the_table_of_crops_is_sound():
    for kind, name, left, top, right, bottom in texture_table.CROPS:
        assert 0 <= left < right <= 1, (kind, name)
        assert 0 <= top < bottom <= 1, (kind, name)


def test_a_library_knows_its_pictures_and_frees_the_animal(library: textures.Library):
    assert {"plant", "grass", "water", "sky", "ground", "bloom", "fur"} <= set(library.patches)
    assert [photo.name for photo in library.photos] == [ANIMAL]
    (animal,) = library.cutouts
    assert animal.shape[2] == 4
    assert animal.shape[0] == pytest.approx(47, abs=4)
    assert animal.shape[1] == pytest.approx(77, abs=4)


def test_an_empty_side_of_the_split_still_draws(folder: Path):
    empty = textures.load_library(folder, "heldout", folder / "labels")
    assert not empty.patches
    assert draw_scene(3, empty, HEIGHT, WIDTH).image.std() > 0


def test_the_largest_rectangle_is_found():
    mask = np.zeros((12, 20), bool)
    mask[2:9, 3:15] = True
    mask[0:12, 5:7] = True
    assert textures.largest_rectangle(mask) == (3, 2, 15, 9)
    assert textures.largest_rectangle(np.zeros((4, 4), bool)) == (0, 0, 0, 0)


def test_one_seed_gives_one_scene(library: textures.Library):
    first, again, other = (draw_scene(seed, library, HEIGHT, WIDTH) for seed in (5, 5, 6))
    for name in dataset.FIELDS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.image, other.image)


def test_a_scene_has_the_promised_form(library: textures.Library):
    scene = draw_scene(1, library, HEIGHT, WIDTH)
    h, w = HEIGHT // 2, WIDTH // 2
    form = {
        name: (getattr(scene, name).dtype, getattr(scene, name).shape) for name in dataset.FIELDS
    }
    assert form == {
        "image": (np.uint8, (HEIGHT, WIDTH, 3)),
        "classes": (np.uint8, (h, w)),
        "spectrum": (np.float16, (32, h, w)),
        "drift": (np.float16, (2, h, w)),
        "valid": (np.uint8, (h, w)),
    }


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_moves_what_may_move_and_nothing_else(name: str, library: textures.Library):
    for seed in (1, 2):
        canvas = canvas_of(library, seed)
        RECIPES[name][1](canvas)
        scene = finish(canvas)
        assert scene.classes.max() <= FLAME
        amount = rms(scene.spectrum)
        speed = np.hypot(*scene.drift.astype(np.float32))
        assert np.isfinite(amount).all()
        assert np.isfinite(speed).all()
        assert amount.max() < 50
        assert speed.max() < 80
        assert not amount[scene.classes == STATIC].any()
        assert not speed[~np.isin(scene.classes, (WATER, SKY))].any()


def test_a_real_photo_moves_by_its_labels_and_the_unknown_is_marked(library: textures.Library):
    canvas = canvas_of(library, 4)
    real_photo(canvas, library.photos[0])
    scene = finish(canvas)
    amount = rms(scene.spectrum)
    plant = (scene.classes == PLANT) & (scene.valid > 0)
    assert plant.any()
    assert (scene.valid == 0).any()
    assert np.median(amount[plant]) > 1
    assert not amount[scene.valid == 0].any()
    assert not amount[scene.classes == STATIC].any()


def test_wind_runs_through_leaves_as_one(library: textures.Library):
    canvas = canvas_of(library, 2)
    field = motion.sway(canvas, 5.0, jitter=0.4, natural=0.8)
    amount = np.sqrt((field**2).sum((2, 3)) / 2)
    assert amount.mean() == pytest.approx(5.0 * canvas.wind.strength, rel=0.35)
    waves = field[..., 0] + 1j * field[..., 1]
    near = np.abs((waves[:, 1:] * waves[:, :-1].conj()).sum()) / (np.abs(waves) ** 2).sum()
    assert near > 0.85


def test_the_response_has_unit_rms_and_rings_at_its_own_frequency():
    rng = np.random.default_rng(0)
    slow, quick = (motion.response(rng, natural, 0.1) for natural in (0.3, 1.65))
    for gain in (slow, quick):
        assert (gain**2).sum() / 2 == pytest.approx(1, rel=1e-5)
    assert slow.argmax() == 1
    assert quick[6] > quick[5]
    assert quick[6] > slow[6]


def test_masks_cover_what_they_say(library: textures.Library):
    canvas = canvas_of(library)
    lower = masks.below(canvas, 0.5)
    assert lower[:30].max() == 0
    assert lower[34:].min() == 1
    assert masks.box(canvas, 10, 10, 30, 20).sum() == pytest.approx(200, rel=0.01)
    round_area = masks.blob(canvas, 48, 32, 20, 15, ragged=0).sum()
    assert round_area == pytest.approx(np.pi * 20 * 15, rel=0.1)


def test_damage_keeps_size_and_the_old_look_is_grey_or_brown():
    rng = np.random.default_rng(0)
    image = rng.random((HEIGHT, WIDTH, 3), np.float32)
    for _ in range(20):
        photo = damage(rng, image)
        assert photo.shape == image.shape
        assert photo.dtype == np.uint8
    spread = [float(np.ptp(aged(rng, image), axis=-1).mean()) for _ in range(20)]
    assert min(spread) == pytest.approx(0, abs=1e-5)
    assert max(spread) > 0.05


def test_a_finished_shard_is_kept_and_a_half_one_is_drawn_again(
    tmp_path: Path, library: textures.Library, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dataset, "SHAPES", (((HEIGHT, WIDTH), 1.0),))
    half = tmp_path / "shard-0000.part"
    half.mkdir()
    (half / "image.npy").write_bytes(b"broken off")
    made = dataset.write_shard(tmp_path, 0, 0, 3, "train", 1, REAL_SHARE, library)
    assert made == tmp_path / "shard-0000"
    assert not half.exists()
    images = np.load(made / "image.npy")
    expected = draw_scene(dataset.scene_seed("train", 1, 2), library, HEIGHT, WIDTH)
    np.testing.assert_array_equal(images[2], expected.image)
    stamp = (made / "image.npy").stat().st_mtime_ns
    dataset.write_shard(tmp_path, 0, 0, 3, "train", 1, REAL_SHARE, library)
    assert (made / "image.npy").stat().st_mtime_ns == stamp
    shares = dataset.measure(tmp_path)
    assert sum(row["share"] for row in shares.values()) == pytest.approx(1)


def test_shapes_and_seeds_are_shared_out():
    counts = [dataset.shard_shape(number) for number in range(100)]
    for shape, share in dataset.SHAPES:
        assert counts.count(shape) == pytest.approx(100 * share, abs=3)
    train = {dataset.scene_seed("train", seed, n) for seed in (0, 1) for n in (0, 999_999)}
    held = {dataset.scene_seed("heldout", seed, n) for seed in (0, 1) for n in (0, 999_999)}
    assert len(train) == len(held) == 4
    assert not train & held


def test_the_command_draws_a_small_set(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--textures", str(folder), "--labels", str(folder / "labels"), "--out", str(tmp_path)]
    assert dataset.main([*words, "--scenes", "3", "--shard", "2", "--workers", "1"]) == 0
    assert [len(np.load(f / "valid.npy")) for f in sorted(tmp_path.iterdir())] == [2, 1]
    told = capsys.readouterr().out
    assert "3/3" in told
    assert "plant" in told
