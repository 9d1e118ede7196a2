"""Ember's maps: from one picture, what each place is, how far it moves and how fast it drifts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.settings import CLASSES
from ...runtime.spectrum import FREQUENCIES
from .backbone import TAP_CHANNELS, Encoder
from .blocks import Attention, Block, coordinates

__all__ = ["CLASSES", "FREQUENCIES", "EmberMaps", "RawMaps", "gated"]

UNIT = 1000.0  # inside, displacements are counted in thousandths of the picture's shorter side
_WIDTHS = (32, 64, 112, 192, 192)  # decoder channels at strides 2, 4, 8, 16, 32
FEATURES = _WIDTHS[2] + len(CLASSES) + len(FREQUENCIES) + 1


class RawMaps(NamedTuple):
    """What the heads say, for the losses: everything at half the picture's size.

    logits (B,6,h,w); root (B,8,h,w) square root of the amplitude of a place that moves, in roots of
    thousandths; drift_root (B,1,h,w) likewise for the drift speed; trunk (B,112,H/8,W/8).
    """

    logits: Tensor
    root: Tensor
    drift_root: Tensor
    trunk: Tensor


class _Stage(nn.Module):
    """One step up: the coarser map, resized, joined with the encoder's tap, then blocks."""

    def __init__(self, coarse: int, tap: int, width: int, *parts: nn.Module) -> None:
        super().__init__()
        self.take = nn.Conv2d(tap, width, 1)
        self.carry = nn.Conv2d(coarse, width, 1)
        self.norm = nn.BatchNorm2d(width)
        self.parts = nn.Sequential(*parts)

    def forward(self, coarse: Tensor, tap: Tensor, look: Tensor) -> Tensor:
        # Resize, then convolve: a pixel shuffle would leave a chequered pattern in the motion.
        lifted = F.interpolate(
            self.carry(coarse), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return self.parts(F.relu(self.norm(self.take(tap) + lifted + look)))


class EmberMaps(nn.Module):
    """Picture -> classes, amplitude per frequency, drift speed, and features for the denoiser.

    The heads speak in square roots, gated by the class: a place moves as far as (what it would move
    if it moved at all) x (how sure it is not static). `amplitude_gain` and `drift_gain` are set
    once after training, so that the energy of the assembled motion is right in each class.
    """

    amplitude_gain: Tensor
    drift_gain: Tensor

    def __init__(self) -> None:
        super().__init__()
        w2, w4, w8, w16, w32 = _WIDTHS
        self.encoder = Encoder()
        self.deep = nn.Conv2d(TAP_CHANNELS[4] + 2, w32, 1)
        self.deep_norm = nn.BatchNorm2d(w32)
        self.context = nn.Sequential(Block(w32), Attention(w32), Block(w32), Attention(w32))
        self.up16 = _Stage(
            w32, TAP_CHANNELS[3], w16, Block(w16), Attention(w16), Block(w16), Attention(w16)
        )
        self.up8 = _Stage(w16, TAP_CHANNELS[2], w8, Block(w8), Block(w8), Block(w8))
        self.up4 = _Stage(w8, TAP_CHANNELS[1], w4, Block(w4), Block(w4))
        self.up2 = _Stage(
            w4,
            TAP_CHANNELS[0],
            w2,
            nn.Conv2d(w2, w2, 3, padding=1, bias=False),
            nn.BatchNorm2d(w2),
            nn.ReLU(),
        )
        self.heads = nn.Conv2d(w2, len(CLASSES) + len(FREQUENCIES) + 1, 3, padding=1)
        # A depth encoder cares little for colour and grain, yet grass is green and water is smooth.
        self.look = nn.ModuleList(nn.Conv2d(6, width, 1) for width in _WIDTHS)
        for layer in self.look:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("amplitude_gain", torch.ones(len(CLASSES), len(FREQUENCIES)))
        self.register_buffer("drift_gain", torch.ones(1))

    def raw(self, image: Tensor) -> RawMaps:
        """The heads before gating, as the losses want them; image (B,3,H,W) RGB 0..1."""
        tap2, tap4, *deep_taps = self.encoder(image)
        # There are few source pictures: no single picture feature must decide.
        tap8, tap16, tap32 = (F.dropout2d(tap, 0.12, self.training) for tap in deep_taps)
        deep = torch.cat([tap32, coordinates(tap32)], 1)
        look2, look4, look8, look16, look32 = self._looks(image)
        coarse = self.context(F.relu(self.deep_norm(self.deep(deep) + look32)))
        trunk = self.up8(self.up16(coarse, tap16, look16), tap8, look8)
        fine = self.up2(self.up4(trunk, tap4, look4), tap2, look2)
        heads = self.heads(fine).float()
        return RawMaps(heads[:, :6], F.softplus(heads[:, 6:14]), F.softplus(heads[:, 14:]), trunk)

    def _looks(self, image: Tensor) -> list[Tensor]:
        """Mean colour and its spread within each cell, at strides 2 to 32, taken to the widths."""
        both = torch.cat([image, image.square()], 1)
        looks = []
        for layer in self.look:
            both = F.avg_pool2d(both, 2)
            mean, square = both.chunk(2, 1)
            spread = ((square - mean.square()).clamp_min(0) + 1e-4).sqrt()
            looks.append(layer(torch.cat([mean * 4 - 2, spread * 8 - 0.5], 1)))
        return looks

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """image (B,3,H,W) RGB 0..1, H and W multiples of 32 -> four maps.

        classes (B,6,H/2,W/2) probabilities; amplitude (B,8,H/2,W/2) rms displacement at each
        frequency, fraction of the shorter side; drift (B,1,H/2,W/2) shorter sides per second;
        features (B,127,H/8,W/8).
        """
        raw = self.raw(image)
        classes = raw.logits.softmax(1)
        root, drift_root = gated(raw, classes)
        pooled = F.avg_pool2d(torch.cat([classes, root, drift_root], 1), 4)
        features = torch.cat([raw.trunk.float(), pooled], 1)
        # Once more the gate, not learnt through: it halves what leaks into static places (95th
        # percentile) and leaves the ranking of places as good as it was.
        amplitude = root.square() * (1 - classes[:, :1])
        gain = torch.einsum("bchw,ck->bkhw", classes, self.amplitude_gain)
        amplitude = amplitude * gain / UNIT
        drift = drift_root.square() * self.drift_gain / UNIT
        return classes, amplitude, drift, features


def gated(raw: RawMaps, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The roots of amplitude (B,8,h,w) and drift (B,1,h,w), held down where the class is still."""
    return raw.root * (1 - classes[:, :1]), raw.drift_root * (classes[:, 2:3] + classes[:, 3:4])
