"""Conversion of a network whose training the kernels compute.

Layers change their class and nothing else, so that weights keep their names. A ReLU behind a norm is left out where
the norm computes it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from torch import Tensor, nn

from e2espot.models.backbones.small import ResidualBlock
from e2espot.models.kernels.norms import has_kernels
from e2espot.training.kernels.conv import convert_convolutions
from e2espot.training.kernels.norm import FusedNorm2d
from e2espot.training.kernels.strided import convert_strided


def use_kernels(network: nn.Module) -> None:
    """Convert in place the layers for which there are kernels; names and shapes of weights stay as they are.

    Whether a layer uses its kernel is decided by each input: one on another device, or in another number format, goes
    through torch's operations. Batch norms that share their statistics among processes are left as they are.

    A converted network is for training alone: inference folds norms into convolutions and would miss the ReLUs that
    norms compute here. Load its weights into a fresh network, as validation does.
    """
    convert_convolutions(network)
    convert_strided(network)
    if has_kernels():
        _convert_norms(network)


def _convert_norms(network: nn.Module) -> None:
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = FusedNorm2d
    for layer in network.modules():
        if isinstance(layer, nn.Sequential):
            _absorb_relus(layer)
        elif type(layer) is ResidualBlock and type(layer.conv2[1]) is FusedNorm2d:
            layer.__class__ = _FusedResidualBlock
    if "timm" in sys.modules:  # it takes a second to import, and without it the network has none of its layers
        _convert_timm(network)


def _convert_timm(network: nn.Module) -> None:
    from timm.layers import BatchNormAct2d
    from timm.models.regnet import Bottleneck

    for layer in network.modules():
        if type(layer) is not BatchNormAct2d or type(layer.drop) is not nn.Identity:
            continue
        if type(layer.act) in (nn.ReLU, nn.Identity):  # a layer of its own, which the norm replaces
            norm: Any = layer
            norm.__class__, norm.relu = FusedNorm2d, type(layer.act) is nn.ReLU
    for layer in network.modules():
        if type(layer) is Bottleneck and _adds_before_relu(layer):
            layer.__class__ = _fused_bottleneck()


def _absorb_relus(layers: nn.Sequential) -> None:
    for number in range(len(layers) - 1):
        norm = layers[number]
        if type(norm) is FusedNorm2d and type(layers[number + 1]) is nn.ReLU:
            norm.relu, layers[number + 1] = True, nn.Identity()


class _FusedResidualBlock(ResidualBlock):
    """The block of the small backbone, whose last norm adds the input."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        conv: Any
        norm: Any
        conv, norm = self.conv2
        out_NCHW: Tensor = norm.add_to(conv(self.conv1(x_NCHW)), x_NCHW)
        return out_NCHW


def _adds_before_relu(block: Any) -> bool:
    """Whether a RegNet's block ends as ``relu(norm(x) + shortcut)``."""
    return (
        type(block.conv3.bn) is FusedNorm2d
        and not block.conv3.bn.relu
        and type(block.act3) is nn.ReLU
        and type(block.drop_path) is nn.Identity
        and block.downsample is not None
    )


@cache
def _fused_bottleneck() -> type[nn.Module]:
    """The class of a RegNet's block whose last norm adds the shortcut; timm is imported for RegNets only."""
    from timm.models.regnet import Bottleneck

    class FusedBottleneck(Bottleneck):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            inner = self.conv3.conv(self.se(self.conv2(self.conv1(x))))
            out: Tensor = self.conv3.bn.add_to(inner, self.downsample(x))
            return out

    return FusedBottleneck
