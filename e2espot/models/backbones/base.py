"""What every trunk is: a network from pictures to one feature vector a frame.

Shapes: B clips, T frames, C channels, H height, W width, D features, N = B * T.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, LUMA
from e2espot.models.temporal_shift import ShiftedConv


class FrameFeatures(NamedTuple):
    """What a backbone makes of a batch of clips."""

    features_BTD: Tensor
    """One vector a frame."""
    heat_BTHW: Tensor | None
    """Logits over places of where the ball is, at an eighth of the picture; None where the trunk has no such map."""


class Backbone(nn.Module):
    """Base of the trunks: knows its feature width and how far it looks to each side in time."""

    feature_dim: int
    gray = False
    pads_short_clips = False
    """Whether a clip shorter than those it learnt from is followed by empty pictures, as E2E-Spot does it."""

    @property
    def halo(self) -> int:
        """Frames to each side that can influence a frame's feature, from the layers themselves."""
        return sum(layer.halo for layer in self.modules() if isinstance(layer, ShiftedConv))

    def _tell_num_frames(self, num_frames: int) -> None:
        for layer in self.modules():
            if isinstance(layer, ShiftedConv):
                layer.num_frames = num_frames


class Brightness(nn.Module):
    """ImageNet-normalised RGB -> one channel of luma (ITU-R BT.601) with 0..1 brought to -1..1, E2E-Spot's ``bw``."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        luma, mean, std = (torch.tensor(row, dtype=torch.float64) for row in (LUMA, IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("weight", (2 * luma * std).float().view(1, 3, 1, 1), persistent=False)
        self._bias = 2 * float(luma @ mean) - 1

    def forward(self, frames_NCHW: Tensor) -> Tensor:
        """``(N, 3, H, W)`` -> ``(N, 1, H, W)``; what has one channel is left alone."""
        if frames_NCHW.shape[1] == 1:
            return frames_NCHW
        return functional.conv2d(frames_NCHW, self.weight.to(frames_NCHW.dtype)) + self._bias


def at_least_fp32(x: Tensor) -> Tensor:
    """Half formats as fp32, others as they are."""
    return x.float() if x.dtype.itemsize < 4 else x
