"""The picture encoder that ember builds on: FastDepth's pruned MobileNet, read from its ONNX file.

Follows Wofk et al., "FastDepth: Fast Monocular Depth Estimation on Embedded Systems" (2019). Only
the encoder is kept, its batch normalisations folded into the convolutions, and its picture features
are handed out at strides 2, 4, 8, 16 and 32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

# (in channels, out channels, kernel, stride, depthwise), in order.
_LAYERS = (
    (3, 16, 3, 2, False),
    (16, 16, 3, 1, True),
    (16, 56, 1, 1, False),
    (56, 56, 3, 2, True),
    (56, 88, 1, 1, False),
    (88, 88, 3, 1, True),
    (88, 120, 1, 1, False),
    (120, 120, 3, 2, True),
    (120, 144, 1, 1, False),
    (144, 144, 3, 1, True),
    (144, 256, 1, 1, False),
    (256, 256, 3, 2, True),
    (256, 408, 1, 1, False),
    (408, 408, 3, 1, True),
    (408, 376, 1, 1, False),
    (376, 376, 3, 1, True),
    (376, 272, 1, 1, False),
    (272, 272, 3, 1, True),
    (272, 288, 1, 1, False),
    (288, 288, 3, 1, True),
    (288, 296, 1, 1, False),
    (296, 296, 3, 1, True),
    (296, 328, 1, 1, False),
    (328, 328, 3, 2, True),
    (328, 480, 1, 1, False),
    (480, 480, 3, 1, True),
    (480, 512, 1, 1, False),
)
_TAPS = (2, 6, 10, 22, 26)  # the last layer at each of strides 2, 4, 8, 16, 32
TAP_CHANNELS = (56, 120, 256, 328, 512)
TAP_SCALES = (40.0, 40.0, 40.0, 40.0, 20.0)  # its activations are small: about 0.02 to 0.05
FROZEN_LAYERS = 7  # strides 2 and 4 stay as FastDepth learnt them; what follows is fine-tuned


class Encoder(nn.Module):
    """MobileNet encoder: image (B,3,H,W) RGB 0..1 -> five taps (B,C,H/s,W/s), s = 2 .. 32."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(
                inner,
                outer,
                kernel,
                stride,
                padding=kernel // 2,
                groups=inner if depthwise else 1,
            )
            for inner, outer, kernel, stride, depthwise in _LAYERS
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        taps = []
        x = image
        for index, layer in enumerate(self.layers):
            # No gradient reaches the first layers, so their activations need not be kept.
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= FROZEN_LAYERS):
                x = nn.functional.relu6(layer(x))
            if index in _TAPS:
                taps.append(x * TAP_SCALES[len(taps)])
        return taps


def read_fastdepth(path: str | Path) -> dict[str, Tensor]:
    """State of an `Encoder` from FastDepth's ONNX file, batch normalisation folded in.

    Raises ValueError when the file's convolutions are not those of the pruned MobileNet.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    values = {
        item.name: torch.from_numpy(numpy_helper.to_array(item).copy())
        for item in graph.initializer
    }
    convolutions = [node for node in graph.node if node.op_type == "Conv"][: len(_LAYERS)]
    normalisations = [node for node in graph.node if node.op_type == "BatchNormalization"]
    state: dict[str, Tensor] = {}
    for index, (inner, outer, kernel, _, depthwise) in enumerate(_LAYERS):
        weight = values[convolutions[index].input[1]]
        expected = (outer, 1 if depthwise else inner, kernel, kernel)
        if tuple(weight.shape) != expected:
            raise ValueError(
                f"{path}: convolution {index} has weights {tuple(weight.shape)}, not {expected}; "
                "this is not the pruned FastDepth encoder"
            )
        node = normalisations[index]
        scale, shift, mean, variance = (values[name] for name in node.input[1:5])
        epsilon = next(item.f for item in node.attribute if item.name == "epsilon")
        factor = scale / torch.sqrt(variance + epsilon)
        state[f"layers.{index}.weight"] = weight * factor[:, None, None, None]
        state[f"layers.{index}.bias"] = shift - mean * factor
    return state
