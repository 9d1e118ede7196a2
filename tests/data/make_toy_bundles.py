"""Makes tests/data/bundles/toy-ember: the ember family's six networks, written by hand and tiny.

Same components, names and ranges as the real bundle, through the same export road, so that the
whole path from photo to clip runs in a second. What it sees: green is a plant, blue is sky in the
upper half and water in the lower, orange light is a flame, the rest stands still; skin is reddish,
the subject is in the middle, near is below, and there is never a face.

Run again after a change of format: `python tests/data/make_toy_bundles.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from reverie.export import pack
from reverie.export.families import ember
from reverie.export.recipe import Free, Origin, Recipe
from torch import Tensor, nn
from torch.nn import functional as F

OUT = Path(__file__).resolve().parent / "bundles" / "toy-ember"
FEATURES = 16
ORIGIN = Origin(
    license="Apache-2.0", license_file="licences/toy.txt", source="tests/data/make_toy_bundles.py"
)
LICENCE = """\
Copyright The Reverie authors.
Licensed under the Apache License, Version 2.0; see LICENSE at the root of the repository.
"""


def rows(like: Tensor) -> Tensor:
    """Height of each row, 0 at the top to 1 at the bottom: (1,1,h,1)."""
    count = torch.ones_like(like[:, :1, :, :1]).cumsum(2)
    return (count - 0.5) / count[:, :, -1:]


def columns(like: Tensor) -> Tensor:
    """Place of each column, 0 at the left to 1 at the right: (1,1,1,w)."""
    count = torch.ones_like(like[:, :1, :1, :]).cumsum(3)
    return (count - 0.5) / count[:, :, :, -1:]


class ToyMaps(nn.Module):
    """image (1,3,H,W) -> classes, amplitude, drift at half size, features at an eighth."""

    def __init__(self) -> None:
        super().__init__()
        frequencies = torch.tensor(ember.motion_section()["frequencies"])
        self.register_buffer("size", (0.003 / (1 + 2 * frequencies))[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = F.avg_pool2d(image, 2)
        red, green, blue = half[:, 0:1], half[:, 1:2], half[:, 2:3]
        below = torch.sigmoid(20 * (rows(half) - 0.5))
        leaf = 20 * (green - torch.maximum(red, blue)) - 1
        wet = 20 * (blue - red) - 2
        flame = 30 * (red - 0.8) + 20 * (green - blue) - 14
        static = torch.zeros_like(red)
        cloth = torch.full_like(red, -4.0)
        logits = torch.cat([static, leaf, wet - 6 * (1 - below), wet - 6 * below, cloth, flame], 1)
        classes = logits.softmax(1)
        moving = 1 - classes[:, :1]
        amplitude = moving * self.size * (0.5 + half.mean(1, keepdim=True))
        drift = 0.01 * (classes[:, 2:3] + classes[:, 3:4])
        places = [static + rows(half), static + columns(half)]
        seen = torch.cat([classes, 1000 * amplitude, *places], 1)
        return classes, amplitude, drift, F.avg_pool2d(seen, 4)


class ToyDenoiser(nn.Module):
    """Noisy latents -> velocity towards a smooth, seeded mixture of the noise itself."""

    def __init__(self) -> None:
        super().__init__()
        seeded = torch.Generator().manual_seed(34)
        mix = torch.linalg.qr(torch.randn(34, 34, generator=seeded))[0]
        self.mix = nn.Conv2d(34, 34, 1, bias=False)
        self.mix.weight.data = mix[:, :, None, None].clone()

    def forward(self, latents: Tensor, noise_level: Tensor, features: Tensor) -> Tensor:
        level = noise_level[:, None, None, None].clamp_min(0.05)
        moving = 1 - features[:, :1]
        clean = torch.tanh(4 * F.avg_pool2d(self.mix(latents), 5, 1, 2)) * (0.5 + moving)
        return (latents - clean) / level


class ToyDepth(nn.Module):
    """image (1,3,224,224) -> distance, large above, small below."""

    def forward(self, image: Tensor) -> Tensor:
        return 4.0 - 3.0 * rows(image) + 0.5 * image.mean(1, keepdim=True)


class ToyPeople(nn.Module):
    """image (1,256,256,3) -> logits (1,256,256,6): reddish is skin, the rest background."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Linear(3, 6)
        self.see.weight.data.zero_()
        self.see.weight.data[2:4] = torch.tensor([20.0, -4.0, -16.0])
        self.see.bias.data = torch.tensor([0.0, -6.0, -6.0, -5.0, -6.0, -8.0])

    def forward(self, image: Tensor) -> Tensor:
        return self.see(image)


class ToySubject(nn.Module):
    """image (1,3,320,320), normalised -> salience: the middle, the more the brighter."""

    def forward(self, image: Tensor) -> Tensor:
        away = (rows(image) - 0.5).square() + (columns(image) - 0.5).square()
        return torch.sigmoid(4 - 80 * away + 0.1 * image.mean(1, keepdim=True))


class ToyFaces(nn.Module):
    """input (1,3,640,640) -> YuNet's twelve outputs, all near zero."""

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        outputs = []
        for size in (1, 1, 4, 10):
            for stride in (8, 16, 32):
                cells = F.avg_pool2d(input, stride)[:, :1].flatten(2).transpose(1, 2)
                outputs.append(1e-5 * cells.expand(-1, -1, size))
        return tuple(outputs)


def recipes() -> list[Recipe]:
    """The six components in the order of the real bundle."""
    seeded = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=seeded)

    def cells(height: int, width: int, level: float) -> dict[str, Tensor]:
        return {
            "latents": torch.randn((1, 34, height, width), generator=seeded),
            "noise_level": torch.tensor([level]),
            "features": uniform(1, FEATURES, height, width),
        }

    picture = {2: Free("height", 32, most=64), 3: Free("width", 32, most=64)}
    eighth = {2: Free("height/8", 4), 3: Free("width/8", 4)}
    halves = ("height/2", "width/2")
    return [
        Recipe(
            name="maps",
            module=ToyMaps(),
            examples={"image": uniform(1, 3, 64, 96)},
            other_examples={"image": uniform(1, 3, 96, 64)},
            outputs={
                "classes": (1, 6, *halves),
                "amplitude": (1, 8, *halves),
                "drift": (1, 1, *halves),
                "features": (1, FEATURES, "height/8", "width/8"),
            },
            free={"image": picture},
            origin=ORIGIN,
        ),
        Recipe(
            name="denoiser",
            module=ToyDenoiser(),
            examples=cells(8, 12, 0.7),
            other_examples=cells(12, 8, 0.2),
            outputs={"velocity": (1, 34, "height/8", "width/8")},
            free={"latents": eighth, "features": eighth},
            precision="fp16",
            tolerance=1e-2,
            origin=ORIGIN,
        ),
        Recipe(
            name="depth",
            module=ToyDepth(),
            examples={"image": uniform(1, 3, 224, 224)},
            outputs={"depth": (1, 1, 224, 224)},
            origin=ORIGIN,
        ),
        Recipe(
            name="people",
            module=ToyPeople(),
            examples={"image": uniform(1, 256, 256, 3)},
            outputs={"logits": (1, 256, 256, 6)},
            origin=ORIGIN,
        ),
        Recipe(
            name="subject",
            module=ToySubject(),
            examples={"image": uniform(1, 3, 320, 320)},
            outputs={"salience": (1, 1, 320, 320)},
            origin=ORIGIN,
        ),
        Recipe(
            name="faces",
            module=ToyFaces(),
            examples={"input": 255 * uniform(1, 3, 640, 640)},
            outputs={
                f"{kind}_{stride}": (1, (640 // stride) ** 2, size)
                for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
                for stride in (8, 16, 32)
            },
            origin=ORIGIN,
        ),
    ]


def make(out: Path) -> Path:
    """Write the toy bundle into a folder; returns its manifest's path."""
    components = {recipe.name: pack.write_component(recipe, out) for recipe in recipes()}
    (out / "licences").mkdir(exist_ok=True)
    (out / ORIGIN.license_file).write_text(LICENCE, encoding="utf-8", newline="\n")
    return pack.write_manifest(
        out,
        family="ember",
        name="toy-ember",
        version="1.0.0",
        description="For tests: sees colours, moves a little.",
        license="Apache-2.0",
        components=components,
        files=[ORIGIN.license_file],
        latents=ember.LATENTS,
        schedule={**ember.SCHEDULE, "steps": 4},
        defaults=ember.DEFAULTS,
        limits=ember.LIMITS,
        motion=ember.motion_section(),
    )


if __name__ == "__main__":
    sys.stdout.write(f"{make(OUT)}\n")
