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

from e2espot.models.backbones import Backbone, RegNet, SmallTrunk, at_least_fp32, pool_by_attention
from e2espot.models.gate_shift import GateShift, ShiftedConv


class _Held:
    """The last frames that passed a place, for the piece that comes next."""

    def __init__(self, halo: int) -> None:
        self.halo = halo
        self._last: Tensor | None = None

    def with_before(self, x_TCHW: Tensor) -> Tensor:
        """The piece with what is held in front; its last ``2 * halo`` frames are held from now on."""
        if not self.halo:
            return x_TCHW
        full = x_TCHW if self._last is None else torch.cat((self._last, x_TCHW))
        self._last = full[max(0, len(full) - 2 * self.halo) :]
        return full

    def middle(self, full_TCHW: Tensor) -> Tensor:
        """The frames of ``with_before`` that have ``halo`` others to each side; perhaps none."""
        return full_TCHW[self.halo : max(self.halo, len(full_TCHW) - self.halo)]


class _Delay:
    """Frames that wait until as many come out elsewhere."""

    def __init__(self) -> None:
        self._waiting: Tensor | None = None
        self._dropped = 0

    def exchange(self, x_TCHW: Tensor, count: int, skip: int) -> Tensor:
        """Take a piece, give the ``count`` earliest that wait, once ``skip`` frames have been dropped for good."""
        waiting = x_TCHW if self._waiting is None else torch.cat((self._waiting, x_TCHW))
        drop = min(skip - self._dropped, len(waiting)) if count else 0
        self._dropped += drop
        self._waiting = waiting[drop + count :]
        return waiting[drop : drop + count]


class TrunkStream:
    """Push pieces of a match, take features: ``halo`` frames in all are kept back at each end."""

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        """A copy of ``backbone`` ready for a new match, in ``dtype``."""
        self._trunk = folded(backbone).to(dtype).eval()
        for layer in self._trunk.modules():
            if isinstance(layer, GateShift) and dtype.itemsize < 4:
                layer.bn.float()  # its few numbers decide which frame a channel comes from
            if isinstance(layer, nn.Conv2d):
                layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(self._trunk, SmallTrunk) and dtype.itemsize < 4:
            self._trunk.project.float()
        self._gates: dict[nn.Module, _FoldedGate] = {
            layer: _FoldedGate(layer)
            for layer in self._trunk.modules()
            if isinstance(layer, ShiftedConv) and isinstance(layer.gsm, GateShift)
        }
        self._held: dict[nn.Module, _Held] = {}
        self._delay = _Delay()
        self._dtype = dtype

    def push(self, frames_TCHW: Tensor) -> Tensor:
        """Features ``(t, D)``, at least fp32, that can be told after these frames; ``t`` may be below ``T``, or 0."""
        x = frames_TCHW.to(self._dtype)
        features = self._small(x) if isinstance(self._trunk, SmallTrunk) else self._regnet(x)
        return at_least_fp32(features)

    def _regnet(self, x_TCHW: Tensor) -> Tensor:
        assert isinstance(self._trunk, RegNet)
        network: Any = self._trunk._features
        x_TCHW = network.stem(x_TCHW.contiguous(memory_format=torch.channels_last))
        for stage in (network.s1, network.s2, network.s3, network.s4):
            for block in stage.children():
                mixed, x_TCHW = self._shifted(block.conv1, x_TCHW)
                if not len(mixed):
                    return mixed.new_empty(0, self._trunk.feature_dim)
                mixed = block.conv3(block.se(block.conv2(mixed)))
                if block.downsample is not None:
                    mixed = mixed + block.downsample(x_TCHW)
                x_TCHW = block.act3(mixed)
        features: Tensor = network.head(network.final_conv(x_TCHW))
        return features

    def _small(self, x_TCHW: Tensor) -> Tensor:
        trunk = self._trunk
        assert isinstance(trunk, SmallTrunk)
        motion = self._held_at(trunk, 0 if trunk.single_frame else 1)
        # Differences need one frame to each side, as a shift does.
        x_TCHW = motion.middle(trunk.with_motion(motion.with_before(x_TCHW)[None]))
        empty = x_TCHW.new_empty(0, trunk.feature_dim)
        if not len(x_TCHW):
            return empty
        fine = self._residual(trunk.block1, trunk.down1(trunk.stem(x_TCHW)))
        coarse = self._residual(trunk.block2, trunk.down2(fine)) if len(fine) else fine
        coarse = self._residual(trunk.block3, coarse) if len(coarse) else coarse
        late = sum(block.conv1.halo for block in (trunk.block2, trunk.block3) if isinstance(block.conv1, ShiftedConv))
        fine = self._delay.exchange(fine, len(coarse), late)
        if not len(coarse):
            return empty
        wide = functional.interpolate(trunk.lateral(coarse), size=fine.shape[-2:], mode="nearest")
        fine = trunk.merge(fine + wide)
        pooled = torch.cat((pool_by_attention(fine, trunk.attention(fine)), at_least_fp32(coarse).mean((2, 3))), dim=1)
        features: Tensor = trunk.project(pooled)
        return features

    def _residual(self, block: Any, x_TCHW: Tensor) -> Tensor:
        mixed, x_TCHW = self._shifted(block.conv1, x_TCHW)
        return functional.relu(x_TCHW + block.conv2(mixed)) if len(mixed) else mixed

    def _shifted(self, layer: nn.Module, x_TCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Output of the first layer of a block, and the block's input for the same frames."""
        if not isinstance(layer, ShiftedConv):
            return layer(x_TCHW), x_TCHW
        held = self._held_at(layer, layer.halo)
        full = held.with_before(x_TCHW)
        now = held.middle(full)
        if not len(now):
            return now, now
        if layer in self._gates:
            return self._gates[layer](full), now
        return layer.net(held.middle(layer.gsm(full, len(full)))), now

    def _held_at(self, place: nn.Module, halo: int) -> _Held:
        return self._held.setdefault(place, _Held(halo))


class _FoldedGate:
    """A ``ShiftedConv`` with all its weights laid out beforehand, for the inner frames of a piece."""

    def __init__(self, layer: ShiftedConv) -> None:
        gate: Any = layer.gsm
        conv, self._act = layer.parts()
        self._fold, self._bn = gate.fold, gate.bn
        weight = gate.folded_into(conv.weight.detach())
        self._weight, self._delta = _channels_last(weight), _channels_last(weight[:, : gate.fold])
        self._bias = conv.bias
        self._kernels, self._spread = _channels_last(gate.dense_kernels().detach()), _channels_last(gate.spread)
        nothing = torch.zeros_like(gate.conv3D.bias)
        self._gate_bias = torch.cat((nothing, gate.conv3D.bias.detach(), nothing))

    def __call__(self, full_TCHW: Tensor) -> Tensor:
        """Output for all frames but two at each end; there must be more than four."""
        part = full_TCHW[:, : self._fold].contiguous(memory_format=torch.channels_last)
        taken = part[1:-1] * functional.conv2d(self._gate(part), self._spread)
        half = self._fold // 2
        moved = torch.cat((taken[2:, :half], taken[:-2, half:]), dim=1) - taken[1:-1]
        out = functional.conv2d(full_TCHW[2:-2], self._weight, self._bias)
        out += functional.conv2d(moved, self._delta)
        answer: Tensor = self._act(out)
        return answer

    def _gate(self, part_TCHW: Tensor) -> Tensor:
        """Gates of all frames but the first and the last, ``(T - 2, 2, H, W)``."""
        bn = self._bn
        normed = functional.batch_norm(part_TCHW, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        maps = functional.conv2d(normed.relu_(), self._kernels, self._gate_bias, padding=1)
        total = maps[:-2, 0:2] + maps[1:-1, 2:4]
        return (total + maps[2:, 4:6]).tanh_()


def _channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)


def folded(backbone: Backbone) -> Backbone:
    """A copy whose batch norms behind convolutions are part of them; the same function, in evaluation mode."""
    from timm.layers import ConvNormAct

    trunk = copy.deepcopy(backbone).eval()
    for layer in trunk.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.bn, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)  # type: ignore[type-var]
            layer.bn = layer.bn.act
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            layer[0] = fuse_conv_bn_eval(layer[0], layer[1])  # type: ignore[type-var]
            layer[1] = nn.Identity()
    return trunk
