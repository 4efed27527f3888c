"""A trunk that takes a match piece by piece and computes every frame once.

A gate shift looks two frames to each side, so a block can answer for a frame when the two
after it have come. Each block keeps its last input frames from piece to piece and answers
that much later, its shortcut with it; nothing is computed twice and nothing is cut off. What comes
out are the very features of the whole match at once, ``halo`` frames late.

For speed the trunk is a copy: batch norms are folded into their convolutions and all
weights are in the compute dtype.

Shapes: T = frames of a piece, C channels, H height, W width, D features.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from e2espot.models.backbones.base import at_least_fp32
from e2espot.models.backbones.registry import Backbone, RegNet, ResNet
from e2espot.models.backbones.small import SmallTrunk, pool_by_attention
from e2espot.models.spotter import normalise
from e2espot.models.streaming.fused_conv import Act, FusedConv
from e2espot.models.streaming.temporal_cache import Carried, CarriedGate, CarriedMotion, Delay
from e2espot.models.temporal_shift import GateShift, ShiftedConv


class TrunkStream:
    """Push pieces of a match, take features: ``halo`` frames in all are kept back at each end."""

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        """A copy of ``backbone`` ready for a new match, in ``dtype``."""
        trunk = folded(backbone)
        self._trunk: _RegNetStream | _ResNetStream | _SmallStream
        if isinstance(trunk, SmallTrunk):
            self._trunk = _SmallStream(trunk, dtype)
        else:
            self._trunk = _ResNetStream(trunk, dtype) if isinstance(trunk, ResNet) else _RegNetStream(trunk, dtype)

    def push(self, levels_THWC: Tensor) -> Tensor:
        """Features ``(t, D)``, at least fp32, that can be told after these frames; ``t`` may be below ``T``, or 0.

        Args:
            levels_THWC: RGB from 0 to 255, uint8 or float: what is rounded least is what a decoder gives.
        """
        return at_least_fp32(self._trunk.push(levels_THWC))

    @property
    def places(self) -> list[Carried | Delay]:
        """Every place at which frames are kept from piece to piece."""
        return self._trunk.places


class _Shifted:
    """The first layer of a block, and its shift if it has one."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        gated = isinstance(layer, ShiftedConv) and isinstance(layer.gsm, GateShift)
        self._gate = CarriedGate(layer, dtype) if gated else None  # type: ignore[arg-type]
        self._plain_shift = layer if isinstance(layer, ShiftedConv) and not gated else None
        if self._gate is None:
            conv, behind = _parts(layer.net if isinstance(layer, ShiftedConv) else layer)
            self._conv = FusedConv(conv, _act(behind), dtype)
        halo = layer.halo if isinstance(layer, ShiftedConv) else 0
        self.carried = Carried(halo) if self._gate is None else self._gate.carried

    def __call__(self, x_TCHW: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """Output for the frames that can be told now, if any, and the block's input for those frames."""
        if self._gate is not None:
            return self._gate(x_TCHW)
        told, out = self.carried.told(x_TCHW), None
        if self._plain_shift is None:
            out = self._conv(x_TCHW)
        elif told:
            full = self.carried.with_before(x_TCHW)
            mixed = self._plain_shift.gsm(full, len(full))[self.carried.halo : len(full) - self.carried.halo]
            out = self._conv(mixed.contiguous(memory_format=torch.channels_last))
            told = [mixed] if self._plain_shift.moves_shortcut else told
        self.carried.keep(x_TCHW)
        return out, told


class _RegNetStream:
    """A RegNetY, block by block."""

    places: list[Carried | Delay]

    def __init__(self, trunk: Backbone, dtype: torch.dtype) -> None:
        assert isinstance(trunk, RegNet)
        network: Any = trunk._features
        self._dim, self._as_input, self._dtype = trunk.feature_dim, trunk.as_input, dtype
        self._stem = FusedConv(*_conv_and_act(network.stem), dtype)
        stages = (network.s1, network.s2, network.s3, network.s4)
        self._blocks = [_RegNetBlock(block, dtype) for stage in stages for block in stage.children()]
        self._head = nn.Sequential(network.final_conv, network.head).to(dtype)
        self.places = [block.conv1.carried for block in self._blocks]

    def push(self, levels_THWC: Tensor) -> Tensor:
        x = self._stem(self._as_input(normalise(levels_THWC, self._dtype)))
        for block in self._blocks:
            told = block.push(x)
            if told is None:
                return x.new_empty(0, self._dim)
            x = told
        features: Tensor = self._head(x)
        return features


class _RegNetBlock:
    """(Shift), 1x1, grouped 3x3, squeeze and excitation, 1x1, and the shortcut around them."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        self.conv1 = _Shifted(block.conv1, dtype)
        self._conv2 = FusedConv(*_conv_and_act(block.conv2), dtype)
        self._squeeze, self._excite = _dense(block.se.fc1, dtype), _dense(block.se.fc2, dtype)
        self._conv3 = FusedConv(block.conv3.conv, "relu", dtype)
        shortcut = getattr(block.downsample, "conv", None)
        self._downsample = None if shortcut is None else FusedConv(shortcut, dtype=dtype)

    def push(self, x_TCHW: Tensor) -> Tensor | None:
        mixed, told = self.conv1(x_TCHW)
        if mixed is None:
            return None
        mixed = self._conv2(mixed)
        mixed *= self._gains(mixed)
        if self._downsample is not None:
            told = [self._downsample(piece) for piece in told]
        # Told frames are this block's own by now: nobody else reads them, so the sum may be written over them.
        return self._conv3.add_to(torch.cat(told) if len(told) > 1 else told[0], mixed)

    def _gains(self, x_TCHW: Tensor) -> Tensor:
        """One factor a frame and channel, ``(T, C, 1, 1)``."""
        squeezed = functional.linear(x_TCHW.mean((2, 3)), *self._squeeze).relu_()
        return functional.linear(squeezed, *self._excite).sigmoid_()[:, :, None, None]


class _ResNetStream:
    """A ResNet, block by block."""

    places: list[Carried | Delay]

    def __init__(self, trunk: ResNet, dtype: torch.dtype) -> None:
        network: Any = trunk._features
        self._dim, self._as_input, self._dtype = trunk.feature_dim, trunk.as_input, dtype
        self._pool = network.maxpool
        self._stem = FusedConv(*_conv_and_act(network.conv1), dtype)
        self._blocks = [_ResNetBlock(block, dtype) for stage in trunk.stages() for block in stage.children()]
        self.places = [block.conv1.carried for block in self._blocks]

    def push(self, levels_THWC: Tensor) -> Tensor:
        x: Tensor = self._pool(self._stem(self._as_input(normalise(levels_THWC, self._dtype))))
        for block in self._blocks:
            told = block.push(x)
            if told is None:
                return x.new_empty(0, self._dim)
            x = told
        features: Tensor = x.mean((2, 3))
        return features


class _ResNetBlock:
    """(Shift), two or three convolutions, and the shortcut around them."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        deep = hasattr(block, "conv3")
        self.conv1 = _Shifted(block.conv1, dtype)
        self._conv2 = FusedConv(*_conv_and_act(block.conv2), dtype) if deep else None
        self._last = FusedConv(_parts(block.conv3 if deep else block.conv2)[0], "relu", dtype)
        self._downsample = None if block.downsample is None else FusedConv(block.downsample[0], dtype=dtype)

    def push(self, x_TCHW: Tensor) -> Tensor | None:
        mixed, told = self.conv1(x_TCHW)
        if mixed is None:
            return None
        if self._conv2 is not None:
            mixed = self._conv2(mixed)
        if self._downsample is not None:
            told = [self._downsample(piece) for piece in told]
        return self._last.add_to(torch.cat(told) if len(told) > 1 else told[0], mixed)


class _SmallStream:
    """The small trunk, whose finer road waits for the coarser one."""

    places: list[Carried | Delay]

    def __init__(self, trunk: SmallTrunk, dtype: torch.dtype) -> None:
        self._trunk = trunk
        self._motion = CarriedMotion(trunk, dtype)
        stem, act = _conv_and_act(trunk.stem)
        self._stem = FusedConv(self._motion.read_by(stem), act, dtype)
        self._down1, self._down2, self._merge = (
            FusedConv(*_conv_and_act(layer), dtype) for layer in (trunk.down1, trunk.down2, trunk.merge)
        )
        self._block1, self._block2, self._block3 = (
            _SmallBlock(block, dtype) for block in (trunk.block1, trunk.block2, trunk.block3)
        )
        # Rounded logits of where the ball is would shift all that is read there; there are few of them.
        self._lateral, self._attention = FusedConv(trunk.lateral, dtype=dtype), trunk.attention
        self._project = trunk.project
        self._delay = Delay()
        blocks = (self._block1, self._block2, self._block3)
        self.places = [self._motion.carried, *(block.conv1.carried for block in blocks), self._delay]
        self._late = sum(
            block.conv1.halo for block in (trunk.block2, trunk.block3) if isinstance(block.conv1, ShiftedConv)
        )

    def push(self, levels_THWC: Tensor) -> Tensor:
        moving = self._motion(levels_THWC)
        empty = levels_THWC.new_empty(0, self._trunk.feature_dim, dtype=torch.float32)
        if moving is None:
            return empty
        fine = self._block1.push(self._down1(self._stem(moving)))
        coarse = None if fine is None else self._block2.push(self._down2(fine))
        coarse = None if coarse is None else self._block3.push(coarse)
        if fine is not None:
            fine = self._delay.exchange(fine, 0 if coarse is None else len(coarse), self._late)
        if fine is None or coarse is None:
            return empty
        wide = functional.interpolate(self._lateral(coarse), size=fine.shape[-2:], mode="nearest")
        fine = self._merge(fine + wide)
        maps = self._attention(at_least_fp32(fine))
        pooled = torch.cat((pool_by_attention(fine, maps), at_least_fp32(coarse).mean((2, 3))), dim=1)
        features: Tensor = self._project(pooled)
        return features


class _SmallBlock:
    """(Shift), 1x1, 3x3 and the shortcut around them."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        self.conv1 = _Shifted(block.conv1, dtype)
        self._conv2 = FusedConv(block.conv2[0], "relu", dtype)

    def push(self, x_TCHW: Tensor) -> Tensor | None:
        mixed, told = self.conv1(x_TCHW)
        if mixed is None:
            return None
        return self._conv2.add_to(torch.cat(told) if len(told) > 1 else told[0], mixed)


def _parts(layer: Any) -> tuple[nn.Conv2d, nn.Module]:
    """The convolution of a layer whose norm has been folded away, and what is left behind it."""
    if isinstance(layer, nn.Sequential):
        return layer[0], nn.Sequential(*list(layer)[1:])  # type: ignore[return-value]
    return layer.conv, layer.bn


def _act(behind: nn.Module) -> Act:
    return "relu" if any(isinstance(part, nn.ReLU) for part in behind.modules()) else "none"


def _conv_and_act(layer: nn.Module) -> tuple[nn.Conv2d, Act]:
    conv, behind = _parts(layer)
    return conv, _act(behind)


def _dense(conv: nn.Conv2d, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """A 1x1 convolution of single places as the matrix product it is."""
    bias = None if conv.bias is None else conv.bias.detach().to(dtype)
    return conv.weight.detach()[:, :, 0, 0].to(dtype), bias


def folded(backbone: Backbone) -> Backbone:
    """A copy whose batch norms behind convolutions are part of them; the same function, in evaluation mode."""
    from timm.layers import ConvNormAct
    from torchvision.models.resnet import BasicBlock, Bottleneck
    from torchvision.models.resnet import ResNet as TorchvisionResNet

    trunk = copy.deepcopy(backbone).eval()
    for layer in trunk.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.bn, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)  # type: ignore[type-var]
            layer.bn = layer.bn.act
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            layer[0] = fuse_conv_bn_eval(layer[0], layer[1])  # type: ignore[type-var]
            layer[1] = nn.Identity()
        if isinstance(layer, TorchvisionResNet | BasicBlock | Bottleneck):
            _fold_resnet(layer)
    return trunk


def _fold_resnet(layer: Any) -> None:
    """Norm and ReLU of a ResNet's stem or block go to the convolution in front of them."""
    for number in range(1, 4):
        conv, bn = getattr(layer, f"conv{number}", None), getattr(layer, f"bn{number}", None)
        if conv is None or bn is None:
            continue
        shifted = isinstance(conv, ShiftedConv)
        both = nn.Sequential(fuse_conv_bn_eval(conv.net if shifted else conv, bn), nn.ReLU())
        if shifted:
            conv.net = both
        else:
            setattr(layer, f"conv{number}", both)
        setattr(layer, f"bn{number}", nn.Identity())
