"""A backbone whose batch norms normalise each batch by its own statistics, and sum these up over all batches.

It computes as inference does where it can: channels-last, with packed convolutions and compiled kernels. A norm reads a
map once for its statistics and once to overwrite it, its ReLU included, so that the largest maps are in memory once. In
front of a gate shift only the statistics need all clips; the shift and its convolution take one clip at a time.

Shapes: N frames, C channels, H height, W width, T frames of a clip.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from e2espot.models.backbones.base import FRAMES_AT_ONCE, Backbone, put_frames
from e2espot.models.backbones.lite import LiteBackbone
from e2espot.models.backbones.small import ResidualBlock
from e2espot.models.kernels import norms
from e2espot.models.streaming.fused_conv import FusedConv
from e2espot.models.streaming.lite_stream import FusedImage
from e2espot.models.streaming.native_layers import NativeGateShift, NativeGroupedConv
from e2espot.models.temporal_shift import GateShift, ShiftedConv, split_conv

_LARGE_BYTES = 2**25
"""Maps from this size on are convolved in parts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NormStatistics:
    """Mean and variance of the input of one batch norm."""

    mean_C: Tensor
    """Mean of each channel, float64 on the CPU."""
    var_C: Tensor
    """Variance of each channel, float64 on the CPU."""


class Moments:
    """Sums over maps of what arrives at one batch norm."""

    def __init__(self) -> None:
        self._sum_C, self._squares_C = torch.zeros(()), torch.zeros(())
        self.count = 0

    def add(self, x_NCHW: Tensor) -> None:
        """Add maps."""
        count = x_NCHW.numel() // x_NCHW.shape[1]
        if _for_kernels(x_NCHW):
            mean_C, squares_C = norms.moments(x_NCHW.contiguous(memory_format=torch.channels_last))
            var_C = squares_C / count
        else:
            var_C, mean_C = torch.var_mean(x_NCHW, (0, 2, 3), correction=0)
            var_C, mean_C = var_C.double().cpu(), mean_C.double().cpu()
        self._sum_C = self._sum_C + mean_C * count
        self._squares_C = self._squares_C + (var_C + mean_C**2) * count
        self.count += count

    def add_all(self, other: Moments) -> None:
        """Add what others have summed up."""
        self._sum_C, self._squares_C = self._sum_C + other._sum_C, self._squares_C + other._squares_C
        self.count += other.count

    def statistics(self) -> NormStatistics:
        """Mean and variance over all of them together."""
        mean_C = self._sum_C / self.count
        return NormStatistics(mean_C=mean_C, var_C=self._squares_C / self.count - mean_C**2)


class MeasuringNetwork:
    """A copy of a backbone that measures.

    Args:
        backbone: Not yet folded for streaming; stays as it is.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._network = copy.deepcopy(backbone).eval()
        self.weight = next(self._network.parameters())
        """One of its weights, which has the device and the number format of its input."""
        if isinstance(self._network, LiteBackbone):
            self._network.register_module("image", FusedImage(self._network.image, self.weight.dtype))
        layers = batch_norms(self._network)
        self.moments = [Moments() for _ in layers]
        """Of each batch norm of the backbone, in the order of :func:`batch_norms`."""
        _convert(self._network, dict(zip(layers, self.moments, strict=True)))

    def measure(self, clips_TCHW: Iterable[Tensor], count: int) -> None:
        """Take a batch of normalised clips, one at a time."""
        self._network.forward_clips(clips_TCHW, count)


def batch_norms(backbone: nn.Module) -> list[_BatchNorm]:
    """All batch norms of a backbone, in order of their names in it."""
    return [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]


def _for_kernels(x_NCHW: Tensor) -> bool:
    return norms.takes(x_NCHW) and norms.has_kernels()


class _MeasuringNorm(nn.Module):
    """A batch norm that overwrites its input, which is the output of a convolution, and ReLU where it follows."""

    def __init__(self, norm: _BatchNorm, moments: Moments) -> None:
        super().__init__()
        self.weight, self.bias, self._eps, self._moments = norm.weight, norm.bias, norm.eps, moments
        act = getattr(norm, "act", None)  # timm has norm and activation in one layer
        self.relu = isinstance(act, nn.ReLU)
        self._act = None if self.relu else act

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``norm(x)``, or ``relu(norm(x))``."""
        batch = Moments()
        batch.add(x_NCHW)
        self._moments.add_all(batch)
        x_NCHW = self._normalised(x_NCHW, batch.statistics())
        return x_NCHW if self._act is None else self._act(x_NCHW)

    def add_to(self, other_NCHW: Tensor, x_NCHW: Tensor) -> Tensor:
        """``relu(norm(x) + other)``, which overwrites ``x``."""
        batch = Moments()
        batch.add(x_NCHW)
        self._moments.add_all(batch)
        if _for_kernels(x_NCHW) and other_NCHW.is_contiguous(memory_format=torch.channels_last):
            return self._normalised(x_NCHW, batch.statistics(), other_NCHW)
        return functional.relu_(self._normalised(x_NCHW, batch.statistics()).add_(other_NCHW))

    def _normalised(self, x_NCHW: Tensor, batch: NormStatistics, added_NCHW: Tensor | None = None) -> Tensor:
        """The norm of the maps, or its sum with others, with the ReLU behind it."""
        if _for_kernels(x_NCHW):
            x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
            relu = self.relu or added_NCHW is not None
            weight_C, bias_C = (1.0, 0.0) if self.weight is None else (self.weight, self.bias)
            constants = norms.norm_constants(batch.mean_C, (batch.var_C + self._eps).rsqrt(), weight_C, bias_C)
            norms.apply_norm(x_NCHW, constants, added_NCHW, x_NCHW, relu=relu)
            return x_NCHW
        mean_C, var_C = batch.mean_C.to(x_NCHW), batch.var_C.to(x_NCHW)
        out = functional.batch_norm(x_NCHW, mean_C, var_C, self.weight, self.bias, False, 0.0, self._eps)
        return out.relu_() if self.relu else out


class _MeasuringResidual(ResidualBlock):
    """A residual block of the small backbone, whose last norm adds the input."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """As any such block."""
        conv, norm = self.conv2
        assert isinstance(norm, _MeasuringNorm)
        return norm.add_to(x_NCHW, conv(self.conv1(x_NCHW)))


class _MeasuringConv(nn.Module):
    """A convolution that takes few frames at a time where maps are large: the library may copy them."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        dtype = conv.weight.dtype
        self._conv: FusedConv | NativeGroupedConv = NativeGroupedConv.build(conv, "none", dtype) or FusedConv(conv)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``conv(x)``, in new memory."""
        if isinstance(self._conv, NativeGroupedConv):
            return self._conv(x_NCHW)[0]
        if x_NCHW.nbytes < _LARGE_BYTES:
            return self._conv(x_NCHW)
        return _in_parts(self._conv, x_NCHW.split(FRAMES_AT_ONCE), len(x_NCHW))


def _in_parts(conv: FusedConv, parts_NCHW: Iterable[Tensor], count: int) -> Tensor:
    """``conv`` of some parts, which are ``count`` frames in all."""
    out_NCHW: Tensor | None = None
    start = 0
    for part_NCHW in parts_NCHW:
        out_NCHW = put_frames(out_NCHW, start, conv(part_NCHW), count)
        start += len(part_NCHW)
        del part_NCHW  # or it is held while the next one is made
    assert out_NCHW is not None
    return out_NCHW


class _MeasuringShiftedConv(ShiftedConv):
    """A gate shift and the convolution behind it, one clip at a time once the norm of the gate is known."""

    moments: Moments
    conv: FusedConv
    is_native: bool

    def prepare(self, moments: Moments) -> None:
        """Pack the convolution for clips; ``moments`` are those of the gate's norm."""
        gate, conv = self._gate, split_conv(self.net)[0]
        self.moments, self.is_native = moments, NativeGateShift.build(gate, conv.weight.dtype) is not None
        if self.is_native:  # which leaves the interleave of channels to the convolution
            conv = copy.deepcopy(conv)
            conv.weight = nn.Parameter(gate.absorb_interleave(conv.weight), requires_grad=False)
        self.conv = FusedConv(conv)

    @property
    def _gate(self) -> GateShift:
        assert isinstance(self.gsm, GateShift)
        return self.gsm

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """As in evaluation, with the gate's norm as the batch has it."""
        gate, batch = self._gate, Moments()
        for part_NCHW in x_NCHW.split(FRAMES_AT_ONCE):
            batch.add(part_NCHW[:, : gate.fold])
        self.moments.add_all(batch)
        assert gate.bn.running_mean is not None and gate.bn.running_var is not None
        gate.bn.running_mean.copy_(batch.statistics().mean_C)
        gate.bn.running_var.copy_(batch.statistics().var_C)
        native = NativeGateShift.build(gate, x_NCHW.dtype) if self.is_native else None
        rest: Tensor = split_conv(self.net)[1](_in_parts(self.conv, self._shifted(x_NCHW, native), len(x_NCHW)))
        return rest

    def _shifted(self, x_NCHW: Tensor, native: NativeGateShift | None) -> Iterator[Tensor]:
        """The frames behind the shift, few at a time."""
        for clip_TCHW in x_NCHW.split(self.num_frames):
            if native is None:
                shifted_TCHW: Tensor = self._gate(clip_TCHW, self.num_frames)
            else:
                shifted_TCHW = native([clip_TCHW], whole_clip=True)
            yield from shifted_TCHW.split(FRAMES_AT_ONCE)
            del shifted_TCHW  # or it is held while the next one is made


def _convert(network: nn.Module, moments: dict[_BatchNorm, Moments]) -> None:
    """Convert the layers in place."""
    shifts = [layer for layer in network.modules() if isinstance(layer, ShiftedConv)]
    for layer in shifts:
        if isinstance(layer.gsm, GateShift):
            converted: Any = layer
            converted.__class__ = _MeasuringShiftedConv
            converted.prepare(moments[layer.gsm.bn])
    for parent in list(network.modules()):
        if not isinstance(parent, ShiftedConv | GateShift):
            _convert_children(parent, moments)
        if type(parent) is ResidualBlock:
            parent.__class__ = _MeasuringResidual


def _convert_children(parent: nn.Module, moments: dict[_BatchNorm, Moments]) -> None:
    for name, layer in list(parent.named_children()):
        if isinstance(layer, _BatchNorm):
            setattr(parent, name, _MeasuringNorm(layer, moments[layer]))
        elif type(layer) is nn.Conv2d:
            setattr(parent, name, _MeasuringConv(layer))
    if isinstance(parent, nn.Sequential):
        for number in range(len(parent) - 1):
            norm = parent[number]
            if isinstance(norm, _MeasuringNorm) and type(parent[number + 1]) is nn.ReLU:
                norm.relu, parent[number + 1] = True, nn.Identity()
