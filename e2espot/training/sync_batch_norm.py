"""Batch norm over the clips of all processes, on any device.

torch's SyncBatchNorm runs on CUDA only. Here each process adds up its own values, the sums are
shared, and gradients flow back through them: two exchanges of C numbers a layer each way.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Summed(torch.autograd.Function):
    """Sum over all processes; so is its gradient."""

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


def share_batch_norms(network: nn.Module) -> None:
    """Let every batch norm of ``network`` see the batches of all processes: torch's own, and timm's with what follows.

    Names and shapes of weights stay as they are. Other norms keep to their own share, and those are counted in the
    answer of :func:`unshared`.
    """
    from timm.layers import BatchNormAct2d

    shared = {nn.BatchNorm2d: _Shared2d, nn.BatchNorm3d: _Shared3d, BatchNormAct2d: _SharedAct2d}
    for layer in network.modules():
        if type(layer) in shared:
            layer.__class__ = shared[type(layer)]


def unshared(network: nn.Module) -> int:
    """Batch norms that still see their own process's clips only."""
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    return sum(not hasattr(norm, "over_all_processes") for norm in norms)


def normalised(layer: Any, values: Tensor) -> Tensor:
    """``values``, channels second, by the mean and variance of all processes' values together."""
    axes = [axis for axis in range(values.ndim) if axis != 1]
    wide = values if values.dtype == torch.float64 else values.float()
    channels, shape = wide.shape[1], [1, -1] + [1] * (wide.ndim - 2)
    total: Any = _Summed.apply(torch.cat((wide.sum(axes), wide.new_tensor([wide.numel() / channels]))))
    count = total[-1].detach()
    mean_C = total[:-1] / count
    apart = wide - mean_C.view(shape)  # sums of squares of what is far from zero would lose digits
    spread: Any = _Summed.apply(apart.square().sum(axes))
    variance_C = spread / count
    with torch.no_grad():
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean_C, layer.momentum)
        layer.running_var.lerp_(variance_C * count / (count - 1), layer.momentum)
    scale_C = layer.weight * (variance_C + layer.eps).rsqrt()
    out = apart * scale_C.view(shape) + layer.bias.view(shape)
    normed: Tensor = out.to(values.dtype)
    return normed


class _Shared2d(nn.BatchNorm2d):
    over_all_processes = normalised

    def forward(self, values: Tensor) -> Tensor:
        return normalised(self, values) if self.training else super().forward(values)


class _Shared3d(nn.BatchNorm3d):
    over_all_processes = normalised
    """For whoever lays the frames of clips side by side, as the gate shift does."""

    def forward(self, values: Tensor) -> Tensor:
        return normalised(self, values) if self.training else super().forward(values)


class _SharedAct2d(_Shared2d):
    """As timm's ``BatchNormAct2d``, which drops and activates behind the norm."""

    drop: nn.Module
    act: nn.Module

    def forward(self, values: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(values)))
        return activated
