"""Conversion of a network whose training the kernels compute."""

from __future__ import annotations

from torch import nn

from e2espot.training.kernels.conv import convert_convolutions


def use_kernels(network: nn.Module) -> None:
    """Convert in place the layers for which there are kernels; names and shapes of weights stay as they are.

    Whether a layer uses its kernel is decided by each input: one on another device, or in another number format, goes
    through torch's operations.
    """
    convert_convolutions(network)
