"""How well predicted motion agrees with what really moved in a clip of a standing camera.

    python -m reverie.benchmarks.sea --clip CLIP [--model ember] [--frames 150] [--json FILE]

The model sees the first frame alone. Real motion is the variance over time of the optical flow
between neighbouring frames; the score is the area under the ROC curve between the half of the
pixels that moved more and the half that moved less, and between the outer quarters. "lower in the
frame" is a baseline, for in most pictures what is near, and so moves more, lies below.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from . import measure
from .clips import Frame, flow_variance, read_frames
from .machine import describe_machine
from .measure import Map
from .photo_gate import Predict, predictor, scores, without_nan

LONG_SIDE = 640


def compare(variance: Map, found: dict[str, Map]) -> dict[str, dict[str, float]]:
    """Score maps against a measured variance, all (h, w).

    Returns for each map `halves` (AUC, the median divides), `quarters` (AUC, outer quarters) and
    `rank` (Spearman).
    """
    low, middle, high = np.quantile(variance, (0.25, 0.5, 0.75))
    outer = (variance <= low) | (variance >= high)
    return {
        name: {
            "halves": measure.auc(score, variance > middle),
            "quarters": measure.auc(score[outer], variance[outer] >= high),
            "rank": measure.rank_correlation(score, variance),
        }
        for name, score in found.items()
    }


def rate(frames: list[Frame], predict: Predict) -> dict[str, Any]:
    """Score a model on the frames of a clip, uint8 RGB (h, w, 3)."""
    shape = frames[0].shape[:2]
    found = scores(frames[0], predict(frames[0]), (shape[0] // 4, shape[1] // 4))
    variance = measure.resized(flow_variance(frames), (shape[0] // 4, shape[1] // 4))
    lower = np.linspace(0, 1, variance.shape[0])[:, None].repeat(variance.shape[1], axis=1)
    return {
        "frames": len(frames),
        "flow_rms": float(np.sqrt(variance.mean())),
        "scores": compare(variance, {**found, "lower in the frame": lower}),
    }


def shrunk(frame: Frame) -> Frame:
    """A frame of at most LONG_SIDE pixels."""
    scale = LONG_SIDE / max(frame.shape[:2])
    if scale >= 1:
        return frame
    return np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--model", default="ember", help="a bundle's name or folder")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--json", type=Path, help="write the report here")
    arguments = parser.parse_args()
    frames = [shrunk(frame) for frame in islice(read_frames(arguments.clip), arguments.frames)]
    if len(frames) < 3:
        sys.exit(f"{arguments.clip} holds fewer than three frames")
    report = rate(frames, predictor(arguments.model))
    print(f"{report['frames']} frames, flow varies by {report['flow_rms']:.2f} px rms")
    print(f"{'score':24s} halves  quarters  rank")
    for name, row in report["scores"].items():
        print(f"{name:24s} {row['halves']:6.3f} {row['quarters']:9.3f} {row['rank']:5.2f}")
    if arguments.json:
        report = {
            "clip": arguments.clip.name,
            "model": arguments.model,
            **report,
            "machine": describe_machine(),
        }
        arguments.json.write_text(json.dumps(without_nan(report), indent=1) + "\n")


if __name__ == "__main__":
    main()
