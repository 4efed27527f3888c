"""3x3 convolutions with stride 1 and their gradients, with a quarter of the products.

``winograd.cpp`` computes all three. The gradient of the input is a convolution as well, with each kernel turned by
half a circle and inputs and outputs exchanged; that of the weights is a sum over tiles in the same 36 points.

Shapes: N frames, C channels, H height, W width, I inputs, O outputs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from e2espot.models.kernels.native import in_threads, kernel, pointer
from e2espot.models.streaming.winograd import FILTER, takes

_CPU = torch.device("cpu")


class WinogradConv2d(nn.Conv2d):
    """A convolution that the kernels compute in training, in fp32 on a CPU; anything else is left to torch."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """``conv(x)``, in channels-last memory."""
        whole = x_NCHW.device.type == "cpu" and x_NCHW.dtype == self.weight.dtype == torch.float32
        if not (whole and self.training) or torch.is_autocast_enabled("cpu"):
            return super().forward(x_NCHW)
        out_NCHW: Tensor = _Convolution.apply(x_NCHW, self.weight)  # type: ignore[no-untyped-call]
        return out_NCHW if self.bias is None else out_NCHW + self.bias[:, None, None]


def convert_convolutions(network: nn.Module) -> None:
    """Convert in place the convolutions for which there is a kernel; names and shapes of weights stay as they are."""
    if kernel("winograd_gradient", _CPU, torch.float32) is None:
        return
    for layer in network.modules():
        # Both ways round: the gradient of the input has the layer's outputs as its inputs.
        if type(layer) is nn.Conv2d and takes(layer) and takes(layer, transposed=True):
            layer.__class__ = WinogradConv2d


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, weight_OI33: Tensor) -> Tensor:
        x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x_NCHW, weight_OI33)
        return _convolve(x_NCHW, weight_OI33)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_NCHW, weight_OI33 = ctx.saved_tensors
        grad_NCHW = grads[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _convolve(grad_NCHW, weight_OI33.flip(2, 3).transpose(0, 1))
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x_NCHW, grad_NCHW).to(memory_format=torch.channels_last)
        return of_x, of_weight


def _convolve(x_NCHW: Tensor, weight_OI33: Tensor) -> Tensor:
    function = kernel("winograd", _CPU, torch.float32)
    (count, inputs, height, width), outputs = x_NCHW.shape, len(weight_OI33)
    points_KIO = (_points() @ weight_OI33.permute(2, 3, 1, 0).reshape(9, -1)).view(36, inputs, outputs)
    # (36, outputs / 16, inputs, 16)
    weight = points_KIO.unflatten(2, (-1, 16)).transpose(1, 2).contiguous()
    bias = x_NCHW.new_zeros(outputs)
    out = torch.empty((count, outputs, height, width), memory_format=torch.channels_last)
    layer = (height, width, inputs, outputs, 0, pointer(weight), pointer(bias), None)

    def convolve(first: int, last: int) -> None:
        function(pointer(x_NCHW, first), last - first, *layer, pointer(out, first))

    in_threads(convolve, count)
    return out


def _weight_gradient(x_NCHW: Tensor, grad_NCHW: Tensor) -> Tensor:
    """``(O, I, 3, 3)``; the sums of several threads are added in the order of their frames."""
    function = kernel("winograd_gradient", _CPU, torch.float32)
    (count, inputs, height, width), outputs = x_NCHW.shape, grad_NCHW.shape[1]
    parts: dict[int, Tensor] = {}

    def differentiate(first: int, last: int) -> None:
        parts[first] = sums_KIO = torch.zeros(36, inputs, outputs)
        given = (pointer(x_NCHW, first), last - first, height, width, inputs, outputs, pointer(grad_NCHW, first))
        function(*given, pointer(sums_KIO))

    in_threads(differentiate, count)
    sums_KIO = torch.stack([parts[first] for first in sorted(parts)]).sum(0) if len(parts) > 1 else parts[0]
    return (_points().T @ sums_KIO.flatten(1)).view(3, 3, inputs, outputs).permute(3, 2, 0, 1)


@cache
def _points() -> Tensor:
    """The matrix ``(36, 9)`` from a kernel's weights to its points."""
    row_63 = torch.tensor(FILTER)
    return torch.kron(row_63, row_63)
