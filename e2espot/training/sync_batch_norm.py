"""Batch norm over the clips of all processes, on any device.

torch's SyncBatchNorm runs on CUDA only. Here each process sums its own values, the sums are all-reduced, and
gradients flow back through the all-reduce: two exchanges of C numbers per layer in each direction.

Shapes: C channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _AllReduceSum(torch.autograd.Function):
    """Sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def convert_sync_batchnorm(network: nn.Module) -> None:
    """Convert the batch norms of ``network`` in place: torch's own, and timm's with their activation.

    Names and shapes of weights stay as they are. Other kinds of batch norm keep to their process's clips;
    :func:`count_unsynced` counts them.
    """
    from timm.layers import BatchNormAct2d

    synced = {nn.BatchNorm2d: _SyncBatchNorm2d, nn.BatchNorm3d: _SyncBatchNorm3d, BatchNormAct2d: _SyncBatchNormAct2d}
    for layer in network.modules():
        if type(layer) in synced:
            layer.__class__ = synced[type(layer)]


def count_unsynced(network: nn.Module) -> int:
    """Number of batch norms that use their own process's clips only."""
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    return sum(not hasattr(norm, "sync_normalise") for norm in norms)


def _normalise(layer: Any, values: Tensor) -> Tensor:
    """``values``, channels on axis 1, normalised by mean and variance over all processes; updates running statistics.

    With n values per channel over all processes::

        mean = all_reduce(sum(x)) / n        variance = all_reduce(sum((x - mean)^2)) / n
    """
    axes = [axis for axis in range(values.ndim) if axis != 1]
    wide = values if values.dtype == torch.float64 else values.float()
    channels, shape = wide.shape[1], [1, -1] + [1] * (wide.ndim - 2)
    # The number of values travels in the same exchange, behind the C sums.
    total: Any = _AllReduceSum.apply(torch.cat((wide.sum(axes), wide.new_tensor([wide.numel() / channels]))))
    count = total[-1].detach()
    mean_C = total[:-1] / count
    # A second exchange, instead of sum(x^2) in the first one, which would lose digits where the mean is large.
    centred = wide - mean_C.view(shape)
    squares_C: Any = _AllReduceSum.apply(centred.square().sum(axes))
    variance_C = squares_C / count
    with torch.no_grad():
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean_C, layer.momentum)
        layer.running_var.lerp_(variance_C * count / (count - 1), layer.momentum)
    scale_C = layer.weight * (variance_C + layer.eps).rsqrt()
    out = centred * scale_C.view(shape) + layer.bias.view(shape)
    normalised: Tensor = out.to(values.dtype)
    return normalised


class _SyncBatchNorm2d(nn.BatchNorm2d):
    sync_normalise = _normalise
    """For layers that call the norm's arithmetic on values of another layout, as the gate shift does."""

    def forward(self, values: Tensor) -> Tensor:
        return _normalise(self, values) if self.training else super().forward(values)


class _SyncBatchNorm3d(nn.BatchNorm3d):
    sync_normalise = _normalise

    def forward(self, values: Tensor) -> Tensor:
        return _normalise(self, values) if self.training else super().forward(values)


class _SyncBatchNormAct2d(_SyncBatchNorm2d):
    """As timm's ``BatchNormAct2d``: drop and activation follow the norm."""

    drop: nn.Module
    act: nn.Module

    def forward(self, values: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(values)))
        return activated
