"""Base of all backbones: a network from frames to one feature vector per frame.

Shapes: B clips, T frames, C channels, H height, W width, D features, N = B * T.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2espot.core.pixels import IMAGENET_MEAN, IMAGENET_STD, LUMA
from e2espot.models.temporal_shift import ShiftedConv


class FrameFeatures(NamedTuple):
    """Output of a backbone for a batch of clips."""

    features_BTD: Tensor
    """One vector per frame."""
    heat_BTHW: Tensor | None
    """Logits of the ball being at each cell, at an eighth of the frame size; None for backbones without this map."""
    smoothed_BTHW: Tensor | None = None
    """The same smoothed over time, log probabilities; None where features are not pooled under it."""


FRAMES_AT_ONCE = 4
"""Frames at full size in memory at a time, where the layers behind need those of many clips."""


class Backbone(nn.Module):
    """Base of the backbones: knows the width of its features and how far it looks to each side in time."""

    feature_dim: int
    """D, the width of the features."""
    gray = False
    """Whether it sees luma instead of colour."""
    pads_short_clips = False
    """Whether clips shorter than those of training are padded with zero frames, as E2E-Spot does."""

    @property
    def halo(self) -> int:
        """Frames on each side that can influence a frame's features, summed over the layers."""
        return sum(layer.halo for layer in self.modules() if isinstance(layer, ShiftedConv))

    def forward_clips(self, clips_TCHW: Iterable[Tensor], count: int) -> FrameFeatures:
        """What ``forward`` gives of a batch of ``count`` clips, with as few of them in memory at a time as it can."""
        features: FrameFeatures = self(torch.stack(list(clips_TCHW)))
        assert len(features.features_BTD) == count
        return features

    def set_num_frames(self, num_frames: int) -> None:
        """Tell every temporal shift how many frames a clip has, before a pass over whole clips."""
        for layer in self.modules():
            if isinstance(layer, ShiftedConv):
                layer.num_frames = num_frames


def put_frames(whole_NCHW: Tensor | None, first: int, part_NCHW: Tensor, count: int) -> Tensor:
    """Write frames from frame ``first`` on into channels-last memory, which is made for ``count`` if it is None."""
    if whole_NCHW is None:
        like: Any = {"dtype": part_NCHW.dtype, "device": part_NCHW.device}
        whole_NCHW = torch.empty((count, *part_NCHW.shape[1:]), **like, memory_format=torch.channels_last)
    whole_NCHW[first : first + len(part_NCHW)] = part_NCHW
    return whole_NCHW


class FeatureInput(Backbone):
    """Stands in for a backbone where a spotter reads features: each row is what a backbone would have given."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim

    def forward(self, rows_BTD: Tensor) -> FrameFeatures:
        """The rows as they are."""
        return FrameFeatures(rows_BTD, None)


class ToLuma(nn.Module):
    """ImageNet-normalised RGB -> luma (ITU-R BT.601), with 0 to 1 mapped to -1 to 1: E2E-Spot's ``bw``."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        luma, mean, std = (torch.tensor(row, dtype=torch.float64) for row in (LUMA, IMAGENET_MEAN, IMAGENET_STD))
        # x is (rgb - mean) / std, so 2 * luma . rgb - 1 = (2 * luma * std) . x + (2 * luma . mean - 1)
        self.register_buffer("weight", (2 * luma * std).float().view(1, 3, 1, 1), persistent=False)
        self._bias = 2 * float(luma @ mean) - 1

    def forward(self, frames_NCHW: Tensor) -> Tensor:
        """``(N, 3, H, W)`` -> ``(N, 1, H, W)``; one-channel input is returned unchanged."""
        if frames_NCHW.shape[1] == 1:
            return frames_NCHW
        return functional.conv2d(frames_NCHW, self.weight.to(frames_NCHW.dtype)) + self._bias


def upcast_to_fp32(x: Tensor) -> Tensor:
    """bf16 and fp16 as fp32, other formats unchanged."""
    return x.float() if x.dtype.itemsize < 4 else x
