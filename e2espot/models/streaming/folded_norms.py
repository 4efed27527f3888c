"""A copy of a backbone whose batch norms are folded into the convolutions before them."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from e2espot.models.backbones.registry import Backbone, RegNet, ResNet
from e2espot.models.temporal_shift import ShiftedConv


def fold_batch_norms(backbone: Backbone) -> Backbone:
    """A copy with each batch norm folded into the convolution before it; to take layers from, not to be called."""
    # y = scale * (W x + b) + shift -> W' = scale * W, b' = scale * b + shift
    folded = copy.deepcopy(backbone).eval()
    # Their libraries are imported for their networks alone: that takes seconds and 200 MB.
    if isinstance(folded, RegNet):
        _fold_regnet(folded)
    elif isinstance(folded, ResNet):
        _fold_resnet(folded)
    for layer in folded.modules():
        # The small backbone, and the shortcuts of ResNets: [conv, norm, ...] -> [conv, identity, ...]
        if isinstance(layer, nn.Sequential) and len(layer) > 1 and isinstance(layer[1], nn.BatchNorm2d):
            layer[0] = fuse_conv_bn_eval(layer[0], layer[1])  # type: ignore[type-var]
            layer[1] = nn.Identity()
    return folded


def _fold_regnet(network: RegNet) -> None:
    """Fold timm's norms with activation: conv and norm with activation -> conv and activation."""
    from timm.layers import ConvNormAct

    for layer in network.modules():
        if isinstance(layer, ConvNormAct) and isinstance(layer.bn, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)  # type: ignore[type-var]
            layer.bn = layer.bn.act


def _fold_resnet(network: ResNet) -> None:
    """Fold the norms of torchvision's network, which keeps conv1, bn1, conv2, bn2, ... side by side in a block."""
    from torchvision.models.resnet import BasicBlock, Bottleneck
    from torchvision.models.resnet import ResNet as TorchvisionResNet

    for layer in network.modules():
        if isinstance(layer, TorchvisionResNet | BasicBlock | Bottleneck):
            _fold_side_by_side(layer)


def _fold_side_by_side(layer: Any) -> None:
    """Move norm and ReLU of a ResNet's stem or block into the convolution before them."""
    for number in range(1, 4):
        conv, bn = getattr(layer, f"conv{number}", None), getattr(layer, f"bn{number}", None)
        if conv is None or bn is None:
            continue
        shifted = isinstance(conv, ShiftedConv)
        # The streaming blocks read the activation of a layer from here. They apply that of a block's last
        # convolution after the sum with the shortcut.
        fused = nn.Sequential(fuse_conv_bn_eval(conv.net if shifted else conv, bn), nn.ReLU())
        if shifted:
            conv.net = fused
        else:
            setattr(layer, f"conv{number}", fused)
        setattr(layer, f"bn{number}", nn.Identity())
