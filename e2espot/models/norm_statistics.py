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

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from e2espot.models.backbones.base import Backbone
from e2espot.models.measuring import MeasuringNetwork, NormStatistics, batch_norms
from e2espot.models.spotter import normalise

__all__ = ["NormStatistics", "batch_norms", "distance_from_training", "measure_statistics", "mix_statistics"]


def measure_statistics(backbone: Backbone, batches_BTHWC: Iterable[Tensor]) -> tuple[NormStatistics, ...]:
    """Statistics of every batch norm on some clips of a video; the backbone stays as it is.

    Args:
        backbone: Not yet folded for streaming.
        batches_BTHWC: uint8 RGB, each batch with clips from all over the video, as it is normalised by its own
            statistics.

    Returns:
        One for each batch norm, in the order of :func:`batch_norms`; none without any batch.
    """
    network = MeasuringNetwork(backbone)
    with torch.inference_mode():
        for levels_BTHWC in batches_BTHWC:
            weight = network.weight
            clips_TCHW = (normalise(clip_THWC.to(weight.device), weight.dtype) for clip_THWC in levels_BTHWC)
            network.measure(clips_TCHW, len(levels_BTHWC))
            del levels_BTHWC, clips_TCHW  # or they are held while the next ones are read
    return tuple(sums.statistics() for sums in network.moments if sums.count)


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
