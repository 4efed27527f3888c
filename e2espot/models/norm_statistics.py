"""The statistics of batch norms, measured on frames of one video, and mixed with those of training.

A batch norm divides by the spread that its input had in training. On a match with other light, grass or scale that
spread is another one, and every layer behind receives inputs it has never seen. The statistics of the match itself
need no labels::

    layer        in training       on this match       mixed, share 0.5
    mean         0.0               0.8                 0.4
    variance     1.0               2.0                 1.5

In a deep network the input of a layer depends on how the layers before it are normalised. So while the statistics are
measured, each batch of frames is normalised by its own: measured with the statistics of training in all layers, those
of the last layers would describe a network that is used by no caller.

Source: Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", NeurIPS 2020.

Shapes: B clips, T frames, C channels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from e2espot.models.backbones.base import Backbone
from e2espot.models.backbones.lite import LiteBackbone
from e2espot.models.spotter import normalise
from e2espot.models.streaming.lite_stream import FusedImage


@dataclass(frozen=True, eq=False, kw_only=True)
class NormStatistics:
    """Mean and variance of the input of one batch norm."""

    mean_C: Tensor
    """Mean of each channel, float64 on the CPU."""
    var_C: Tensor
    """Variance of each channel, float64 on the CPU."""


class _Moments:
    """Sums over all batches of what arrives at one batch norm."""

    def __init__(self) -> None:
        self._sum_C, self._squares_C = torch.zeros(()), torch.zeros(())
        self.count = 0

    def add(self, _layer: nn.Module, inputs: tuple[Tensor]) -> None:
        """Forward hook: the channels are on axis 1, of images and of clips alike."""
        x = inputs[0].detach()
        count = x.numel() // x.shape[1]
        var_C, mean_C = torch.var_mean(x, [axis for axis in range(x.ndim) if axis != 1], correction=0)
        var_C, mean_C = var_C.double().cpu(), mean_C.double().cpu()
        self._sum_C = self._sum_C + mean_C * count
        self._squares_C = self._squares_C + (var_C + mean_C**2) * count
        self.count += count

    def statistics(self) -> NormStatistics:
        """Mean and variance over all batches together."""
        mean_C = self._sum_C / self.count
        return NormStatistics(mean_C=mean_C, var_C=self._squares_C / self.count - mean_C**2)


def batch_norms(backbone: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a backbone, in order of their names in it."""
    return [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]


def measure_statistics(backbone: Backbone, batches_BTHWC: Iterable[Tensor]) -> tuple[NormStatistics, ...]:
    """Statistics of every batch norm on some clips of a video; the backbone stays as it is.

    Args:
        backbone: Not yet folded for streaming.
        batches_BTHWC: uint8 RGB, each batch with clips from all over the video, as it is normalised by its own
            statistics.

    Returns:
        One for each batch norm, in the order of :func:`batch_norms`; none without any batch.
    """
    network = copy.deepcopy(backbone).eval()
    layers = batch_norms(network)
    moments = [_Moments() for _ in layers]
    for layer, sums in zip(layers, moments, strict=True):
        layer.train()  # normalise by the batch
        layer.register_forward_pre_hook(sums.add)
    weight = next(network.parameters())
    if isinstance(network, LiteBackbone):
        network.register_module("image", FusedImage(network.image, weight.dtype))
    with torch.inference_mode():
        for levels_BTHWC in batches_BTHWC:
            clips_TCHW = (normalise(clip_THWC.to(weight.device), weight.dtype) for clip_THWC in levels_BTHWC)
            network.forward_clips(clips_TCHW, len(levels_BTHWC))
            del levels_BTHWC, clips_TCHW  # or they are held while the next ones are read
    return tuple(sums.statistics() for sums in moments if sums.count)


def mix_statistics(backbone: Backbone, statistics: Sequence[NormStatistics], share: float) -> None:
    """Give the batch norms of a backbone ``share`` of these statistics, in place; the rest stays theirs.

    Args:
        backbone: The one that the statistics were measured with, or a copy of it.
        statistics: As from :func:`measure_statistics`.
        share: 0 to 1.
    """
    for layer, measured in zip(batch_norms(backbone), statistics, strict=True):
        assert layer.running_mean is not None and layer.running_var is not None
        for trained_C, measured_C in ((layer.running_mean, measured.mean_C), (layer.running_var, measured.var_C)):
            trained_C.copy_((1 - share) * trained_C.double().cpu() + share * measured_C)


def distance_from_training(backbone: Backbone, statistics: Sequence[NormStatistics]) -> float:
    """How far a video is from what the backbone was trained on: squared shift of the means in standard deviations.

    The mean over the channels of each layer, then over the layers.
    """
    shifts = []
    for layer, measured in zip(batch_norms(backbone), statistics, strict=True):
        assert layer.running_mean is not None and layer.running_var is not None
        shift_C = measured.mean_C - layer.running_mean.double().cpu()
        shifts.append(float((shift_C**2 / (layer.running_var.double().cpu() + layer.eps)).mean()))
    return sum(shifts) / len(shifts) if shifts else 0.0
