"""Training: both networks learn toy scenes, stop, go on, and end where an unbroken run ends."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from reverie.export.training import train_denoiser, train_maps
from reverie.export.training.batches import Batch, Shards, vary
from reverie.export.training.checkpoint import load_checkpoint
from reverie.export.training.evaluate import evaluate, look
from reverie.export.training.maps import EmberMaps
from reverie.export.training.measures import area_under_curve, phase_measures

COLOURS = np.array(
    [[120, 110, 100], [50, 140, 40], [40, 80, 160], [150, 190, 230], [180, 60, 120], [250, 180, 60]]
)


def make_shard(folder: Path, count: int, height: int, width: int, seed: int) -> None:
    """Scenes of one coloured blob on grey, the blob moving in smooth waves, water drifting."""
    random = np.random.default_rng(seed)
    rows, columns = height // 2, width // 2
    image = np.full((count, height, width, 3), COLOURS[0], np.uint8)
    classes = np.zeros((count, rows, columns), np.uint8)
    spectrum = np.zeros((count, 32, rows, columns), np.float16)
    drift = np.zeros((count, 2, rows, columns), np.float16)
    for index in range(count):
        kind = int(random.integers(1, 6))
        blob = np.zeros((rows, columns), np.uint8)
        centre = (int(random.integers(columns)), int(random.integers(rows)))
        cv2.circle(blob, centre, rows // 3, 1, -1)
        large = cv2.resize(blob, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        image[index][large] = COLOURS[kind]
        classes[index][blob > 0] = kind
        field = random.standard_normal((3, 4, 32)).astype(np.float32)
        field = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC)
        spectrum[index] = field.transpose(2, 0, 1) * 2 * blob
        if kind in (2, 3):
            drift[index] = np.array([[[5.0]], [[1.0]]]) * blob
    folder.mkdir(parents=True)
    for name, array in (
        ("image", image),
        ("classes", classes),
        ("spectrum", spectrum),
        ("drift", drift),
        ("valid", np.ones_like(classes)),
    ):
        np.save(folder / f"{name}.npy", array)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_shard(folder / "train" / "shard-0000", 12, 64, 96, 0)
    make_shard(folder / "train" / "shard-0001", 12, 64, 64, 1)
    make_shard(folder / "train" / "shard-0002.part", 1, 64, 64, 2)
    make_shard(folder / "heldout" / "shard-0000", 4, 64, 96, 9)
    return folder


def open_shards(data: Path, name: str = "train") -> Shards:
    shards = Shards([(data / name, 1.0)], data / "prepared", frozenset())
    shards.refresh()
    return shards


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_unfinished_and_skipped_shards_are_left_out(data: Path) -> None:
    assert open_shards(data).refresh() == 2
    some = Shards([(data / "train", 1.0)], data / "prepared", frozenset({"shard-0001"}))
    assert some.refresh() == 1


def test_batches_depend_on_their_seed_alone_and_fit_together(data: Path) -> None:
    shards = open_shards(data)
    for seed in range(6):
        one, two = (
            vary(shards.draw(rng, 3), rng, coarse=seed % 2 > 0)
            for rng in (np.random.default_rng(seed), np.random.default_rng(seed))
        )
        assert torch.equal(one.image, two.image)
        rows, columns = one.image.shape[2] // 2, one.image.shape[3] // 2
        assert rows % 16 == 0
        assert columns % 16 == 0
        assert one.classes.shape == (3, rows, columns)
        assert one.root.shape == (3, 8, rows, columns)
        assert float(one.image.min()) >= 0
        assert float(one.image.max()) <= 1
        # Where something moves, the class says so, mirrored and cropped alike.
        assert not one.root.sum(1)[one.classes == 0].any()


def test_maps_learn_and_a_broken_run_ends_as_an_unbroken_one(data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    trainer = train_maps.MapsTrainer(3, 2e-3)
    shards = open_shards(data)
    train_maps.train(trainer, shards, steps=8, batch=4, out=whole, every=4, coarse=2)
    first = train_maps.MapsTrainer(3, 2e-3)
    # The schedule belongs to 8 steps; the run is broken off after 4.
    batches = [vary(shards.draw(r, 4), r, coarse=n < 2) for n, r in rngs(3, 4)]
    for batch in batches:
        first.learn(batch, 8)
    first.save(broken / "maps.pt")
    second = train_maps.MapsTrainer(99, 2e-3)
    second.resume(broken / "maps.pt")
    train_maps.train(second, shards, steps=8, batch=4, out=broken, every=4, coarse=2)
    assert torch.allclose(weights(trainer.average), weights(second.average), atol=1e-6)
    row = json.loads((whole / "maps.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 8
    assert row["shards"] == 2
    fixed: Batch = batches[3]
    with torch.no_grad():
        start = train_maps.losses(train_maps.MapsTrainer(3, 2e-3).network.raw(fixed.image), fixed)
    later = trainer
    for _ in range(12):
        told = later.learn(fixed, 40)
    assert told["class"] < float(start["class"])


def rngs(seed: int, count: int) -> list[tuple[int, np.random.Generator]]:
    return [(step, np.random.default_rng((seed, step))) for step in range(count)]


def test_the_frozen_layers_stay_as_they_were(data: Path) -> None:
    trainer = train_maps.MapsTrainer(0, 1e-2)
    before = trainer.network.encoder.layers[0].weight.clone()
    later = trainer.network.encoder.layers[20].weight.clone()
    shards = open_shards(data)
    for _, rng in rngs(0, 3):
        trainer.learn(vary(shards.draw(rng, 2), rng), 10)
    assert torch.equal(trainer.network.encoder.layers[0].weight, before)
    assert not torch.equal(trainer.network.encoder.layers[20].weight, later)


def test_the_denoiser_learns_resumes_and_is_measured(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    maps = EmberMaps().eval()
    scenes = train_denoiser.gather(maps, open_shards(data), 24, 0)
    assert {tuple(item.latents.shape[2:]) for item in scenes} == {(8, 12), (8, 8)}
    trainer = train_denoiser.DenoiserTrainer(0, 2e-3)
    trainer.standardise(scenes)
    train_denoiser.train(trainer, scenes, steps=12, batch=8, out=tmp_path, every=6)
    rows = [json.loads(line) for line in (tmp_path / "denoiser.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 12
    again = train_denoiser.DenoiserTrainer(5, 2e-3)
    again.resume(tmp_path / "denoiser.pt")
    one, two = (each.learn(scenes, 8, 20) for each in (trainer, again))
    assert one == pytest.approx(two, rel=1e-5)
    assert torch.allclose(weights(trainer.average), weights(again.average), atol=1e-6)

    found = look(maps, trainer.average, [data / "heldout" / "shard-0000"], limit=3, steps=2)
    report = evaluate(found)
    assert report["scenes"] == 3
    truth = report["phases"]["truth"]  # type: ignore[index]
    assert truth["rms_over_truth"] == [1.0] * 8
    assert truth["coherence_1"] > truth["coherence_3"]


def test_measures_know_the_answers() -> None:
    score = np.array([0.1, 0.4, 0.4, 0.9])
    assert area_under_curve(score, np.array([False, False, True, True])) == pytest.approx(0.875)
    assert area_under_curve(-score, np.array([False, False, True, True])) == pytest.approx(0.125)
    assert area_under_curve(np.ones(4), np.array([False, False, True, True])) == 0.5
    mask = np.ones((32, 32), bool)
    still = np.zeros((32, 32, 32), np.float32)
    still[0::4] = 1
    same = phase_measures([2 * still], [still], [mask], [mask])
    assert same.rms_over_truth == [2.0] * 8
    assert same.coherence_3 == pytest.approx(1.0)
    random = np.random.default_rng(0).standard_normal((32, 32, 32)).astype(np.float32)
    assert abs(phase_measures([random], [random], [mask], [mask]).coherence_3) < 0.15


def test_the_shipped_weights_can_be_trained_on() -> None:
    maps, _ = load_checkpoint(Path(train_maps.__file__).with_name("ember.safetensors"))
    trainer = train_maps.MapsTrainer(0, 1e-3)
    trainer.start_with(maps.state_dict())
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for own, shipped in zip(trainer.average(image), maps(image), strict=True):
            assert torch.equal(own, shipped)
